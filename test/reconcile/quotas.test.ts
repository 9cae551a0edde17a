import { describe, expect, test } from 'vitest';
import type { QwenCoderSpecInput } from '../../src/api/index.ts';
import type { ResourceQuota } from '../../src/kube/index.ts';
import { projectQuota } from '../../src/reconcile/projections.ts';
import { tightestQuota } from '../../src/reconcile/quotas.ts';
import { spec } from '../support/builders.ts';

type Placement = QwenCoderSpecInput['placement'];

const quota = (name: string, of: NonNullable<ResourceQuota['spec']>, enforced?: Record<string, string>) =>
  projectQuota({ metadata: { name, namespace: 'team-a' }, spec: of, ...(enforced && { status: { hard: enforced } }) });

const gpus = (hard: string): { hard: Record<string, string> } => ({ hard: { 'requests.nvidia.com/gpu': hard } });

const tightest = (quotas: ReturnType<typeof quota>[], placement: Placement = {}) =>
  tightestQuota(quotas, spec({ placement }).placement);

describe('a quota', () => {
  test('is kept as what it lets in of extended resources, without what is used', () => {
    const kept = projectQuota({
      metadata: { name: 'q', namespace: 'n', uid: 'u', resourceVersion: '7', managedFields: [], labels: { a: 'b' } },
      spec: {
        hard: {
          'requests.nvidia.com/gpu': '8',
          'requests.amd.com/gpu': '1k',
          'requests.cpu': '4',
          'limits.memory': '1Gi',
          'count/jobs.batch': '3',
          'gold.storageclass.storage.k8s.io/requests.storage': '1Gi',
        },
      },
      status: { used: { 'requests.nvidia.com/gpu': '5' } },
    });
    expect(kept).toEqual({
      kind: 'ResourceQuota',
      metadata: { name: 'q', namespace: 'n', uid: 'u', resourceVersion: '7' },
      gpus: { 'nvidia.com/gpu': 8, 'amd.com/gpu': 1000 },
      scopes: [],
    });
  });

  test('counts as admission enforces it while its status lags behind its spec', () => {
    const enforced = { 'requests.nvidia.com/gpu': '1' };
    expect(quota('raised', gpus('4'), enforced).gpus).toEqual({ 'nvidia.com/gpu': 1 });
    expect(quota('lifted', { hard: {} }, enforced).gpus).toEqual({});
  });

  test('with a number that nobody can read limits nothing', () => {
    expect(quota('odd', gpus('many')).gpus).toEqual({});
  });
});

describe('of several quotas', () => {
  test('the tightest counts; of equal ones the first by name', () => {
    const all = [quota('c', gpus('2')), quota('b', gpus('2')), quota('a', gpus('4'))];
    expect(tightest(all)).toEqual({ name: 'b', gpus: 2 });
    expect(tightest(all.toReversed())).toEqual({ name: 'b', gpus: 2 });
  });

  test('those of other resources do not count', () => {
    expect(tightest([quota('cpu', { hard: { 'requests.cpu': '1' } }), quota('amd', { hard: {} })])).toBeUndefined();
    expect(tightest([quota('gpus', gpus('2'))], { resourceName: 'amd.com/gpu' })).toBeUndefined();
  });

  const class_ = (operator: string, values?: string[]) => ({
    scopeSelector: { matchExpressions: [{ scopeName: 'PriorityClass', operator, ...(values && { values }) }] },
  });
  test.each<{
    name: string;
    scope: Partial<NonNullable<ResourceQuota['spec']>>;
    placement?: Placement;
    binds: boolean;
  }>([
    { name: 'pods without a deadline', scope: { scopes: ['NotTerminating'] }, binds: true },
    { name: 'pods with a deadline', scope: { scopes: ['Terminating'] }, binds: false },
    { name: 'pods that ask for CPU or memory', scope: { scopes: ['NotBestEffort'] }, binds: true },
    { name: 'pods that ask for neither', scope: { scopes: ['BestEffort'] }, binds: false },
    { name: 'both, of which one holds', scope: { scopes: ['NotBestEffort', 'Terminating'] }, binds: false },
    { name: 'its class', scope: class_('In', ['gold']), placement: { priorityClassName: 'gold' }, binds: true },
    { name: 'another class', scope: class_('In', ['gold']), placement: { priorityClassName: 'tin' }, binds: false },
    { name: 'any class', scope: { scopes: ['PriorityClass'] }, placement: { priorityClassName: 'tin' }, binds: true },
    { name: 'no class', scope: class_('DoesNotExist'), placement: { priorityClassName: 'tin' }, binds: false },
    {
      name: 'all classes but one',
      scope: class_('NotIn', ['gold']),
      placement: { priorityClassName: 'tin' },
      binds: true,
    },
    { name: 'a class that is the default, perhaps', scope: class_('In', ['gold']), binds: false },
    { name: 'what is not known yet', scope: { scopes: ['Sunny'] }, binds: false },
  ])('one of $name binds: $binds', ({ scope, placement, binds }) => {
    const found = tightest([quota('scoped', { ...gpus('1'), ...scope })], placement);
    expect(found).toEqual(binds ? { name: 'scoped', gpus: 1 } : undefined);
  });
});
