import { describe, expect, test } from 'vitest';
import type { Job, Pod } from '../../src/kube/index.ts';
import { modelStateOf, projectPod } from '../../src/reconcile/projections.ts';
import { pod as podFacts } from '../support/builders.ts';

const pod = (status: object, limits: object = { 'nvidia.com/gpu': '2', cpu: '4' }): Pod =>
  ({
    metadata: { name: 'p', namespace: 'n', uid: 'u', resourceVersion: '1', labels: { app: 'x' }, managedFields: [{}] },
    spec: { nodeName: 'node-1', containers: [{ name: 'a', resources: { limits } }] },
    status,
  }) as unknown as Pod;

describe('projectPod', () => {
  test('only extended resources count as GPUs, all containers together', () => {
    expect(projectPod(pod({})).gpus).toEqual({ 'nvidia.com/gpu': 2 });
  });

  test('labels of strangers are not kept', () => {
    expect(projectPod(pod({})).metadata.labels).toBeUndefined();
  });

  test('the scheduler is quoted while it finds no node', () => {
    const conditions = [
      { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: '0/2 nodes are available' },
    ];
    expect(projectPod(pod({ conditions })).unschedulable).toBe('0/2 nodes are available');
  });

  test.each([
    { name: 'starting is no trouble', state: { waiting: { reason: 'ContainerCreating' } }, trouble: undefined },
    { name: 'running is no trouble', state: { running: {} }, trouble: undefined },
    {
      name: 'an image that cannot be pulled is',
      state: { waiting: { reason: 'ImagePullBackOff', message: 'no such image' } },
      trouble: { reason: 'ImagePullBackOff', message: 'no such image' },
    },
    {
      name: 'a crash loop tells how it ended last',
      state: { waiting: { reason: 'CrashLoopBackOff', message: 'back-off 10s' } },
      lastState: { terminated: { exitCode: 1, message: 'CUDA out of memory\n' } },
      trouble: { reason: 'CrashLoopBackOff', message: 'exit code 1: CUDA out of memory' },
    },
    {
      name: 'running again after an error is, until it is ready',
      state: { running: {} },
      lastState: { terminated: { exitCode: 1, reason: 'Error', message: 'a\nthe cause\n' } },
      trouble: { reason: 'Error', message: 'exit code 1: the cause' },
    },
    {
      name: 'an end with an error is',
      state: { terminated: { exitCode: 137, reason: 'OOMKilled' } },
      trouble: { reason: 'OOMKilled', message: 'exit code 137' },
    },
  ])('$name', ({ state, lastState, trouble }) => {
    const containerStatuses = [{ name: 'a', restartCount: 3, state, ...(lastState && { lastState }) }];
    expect(projectPod(pod({ containerStatuses }))).toMatchObject({ trouble, restarts: 3 });
  });
});

describe('modelStateOf', () => {
  const job = (type?: string): Job => ({
    status: {
      conditions: type
        ? [{ type, status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z', message: 'gave up' }]
        : [],
    },
  });

  test.each([
    { name: 'no Job', job: undefined, pods: [], state: { state: 'missing' } },
    {
      name: 'a Job at work',
      job: job(),
      pods: [],
      state: { state: 'fetching', unschedulable: undefined, trouble: undefined },
    },
    {
      name: 'a Job without a node',
      job: job(),
      pods: [podFacts({ unschedulable: 'no GPU' })],
      state: { state: 'fetching', unschedulable: 'no GPU' },
    },
    { name: 'a complete Job', job: job('Complete'), pods: [], state: { state: 'verified' } },
    {
      name: 'a failed Job',
      job: job('Failed'),
      pods: [podFacts({ trouble: { reason: 'Error', message: 'exit code 1: 404' } })],
      state: { state: 'failed', message: 'exit code 1: 404', failedAtMs: Date.parse('2026-01-01T00:00:00Z') },
    },
  ])('$name', ({ job: given, pods, state }) => {
    expect(modelStateOf(given, pods)).toMatchObject(state);
  });
});
