import { describe, expect, test } from 'vitest';
import type { Job, Pod } from '../../src/kube/index.ts';
import { COMPONENT, RESOURCE } from '../../src/render/index.ts';
import { modelStateOf, projectPod } from '../../src/reconcile/projections.ts';
import { pod as podFacts } from '../support/builders.ts';

const failedPod = podFacts({
  container: {
    name: 'weights',
    waiting: undefined,
    end: { exitCode: 1, reason: 'Error', message: 'Traceback\n404' },
    ended: 1,
    runningSinceMs: undefined,
  },
});

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
    {
      name: 'a container on its way up waits for nothing',
      state: { waiting: { reason: 'ContainerCreating' } },
      container: { waiting: undefined, ended: 3 },
    },
    {
      name: 'the two texts of an image that cannot be pulled are one',
      state: {
        waiting: { reason: 'ImagePullBackOff', message: 'Back-off pulling image "a:1": ErrImagePull: no such image' },
      },
      container: { waiting: { reason: 'ImagePullBackOff', message: 'no such image' } },
    },
    {
      name: 'a crash loop tells how the run before ended, and not how long it waits',
      state: { waiting: { reason: 'CrashLoopBackOff', message: 'back-off 10s' } },
      lastState: { terminated: { exitCode: 1, reason: 'Error', message: 'CUDA out of memory' } },
      container: { waiting: undefined, end: { exitCode: 1, reason: 'Error', message: 'CUDA out of memory' }, ended: 3 },
    },
    {
      name: 'a run that has just ended counts',
      state: { terminated: { exitCode: 137, reason: 'OOMKilled' } },
      container: { end: { exitCode: 137, reason: 'OOMKilled', message: '' }, ended: 4 },
    },
    {
      name: 'a run knows when it began',
      state: { running: { startedAt: '2026-01-01T00:00:00Z' } },
      container: { end: undefined, runningSinceMs: Date.parse('2026-01-01T00:00:00Z') },
    },
  ])('$name', ({ state, lastState, container }) => {
    const containerStatuses = [{ name: 'a', restartCount: 3, state, ...(lastState && { lastState }) }];
    const ours = pod({ containerStatuses });
    ours.metadata!.labels = { [RESOURCE]: 'coder' };
    expect(projectPod(ours)).toMatchObject({ container, restarts: 3 });
  });

  test.each([
    { name: 'one that answered before it ended', began: '00:00:00', unready: '00:10:00', endedServing: true },
    {
      name: 'one that never answered, after one that had',
      began: '00:10:01',
      unready: '00:10:00',
      endedServing: false,
    },
    { name: 'one that never answered', began: '00:00:05', unready: '00:00:05', endedServing: false },
  ])(
    'an engine whose last run was $name says so, as it ends and as the next one runs',
    ({ began, unready, endedServing }) => {
      const at = (time: string): string => `2026-01-01T${time}Z`;
      const ended = { terminated: { exitCode: 137, startedAt: at(began) } };
      for (const states of [
        { state: ended },
        { state: { running: { startedAt: at('00:11:00') } }, lastState: ended },
      ]) {
        const ours = pod({
          conditions: [{ type: 'Ready', status: 'False', lastTransitionTime: at(unready) }],
          containerStatuses: [{ name: 'engine', restartCount: 1, ...states }],
        });
        ours.metadata!.labels = { [RESOURCE]: 'coder', [COMPONENT]: 'engine' };
        expect(projectPod(ours).engine).toMatchObject({ endedServing });
      }
    },
  );

  test('containers of strangers are not kept', () => {
    expect(projectPod(pod({ containerStatuses: [{ name: 'a', restartCount: 0 }] })).container).toBeUndefined();
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
      pods: [failedPod],
      state: { state: 'failed', message: 'exit code 1: 404', failedAtMs: Date.parse('2026-01-01T00:00:00Z') },
    },
  ])('$name', ({ job: given, pods, state }) => {
    expect(modelStateOf(given, pods)).toMatchObject(state);
  });
});
