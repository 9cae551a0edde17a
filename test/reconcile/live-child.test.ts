import { describe, expect, test } from 'vitest';
import type { QwenCoderDeployment } from '../../src/api/index.ts';
import type { KubeObject } from '../../src/kube/index.ts';
import { GpuInventory } from '../../src/reconcile/inventory.ts';
import { type LiveChild, abridged } from '../../src/reconcile/live-child.ts';
import { observe, observeModel, observeVolume } from '../../src/reconcile/observe.ts';
import { routeRefusal } from '../../src/reconcile/route.ts';
import { children, newRevision } from '../../src/render/index.ts';
import { installation, owner, plan, pod, spec } from '../support/builders.ts';

const exposedByGateway = spec({
  endpoint: { expose: { type: 'HTTPRoute', host: 'coder.example.com', parentRefs: [{ name: 'edge' }] } },
});
const revision = newRevision('coder', exposedByGateway, plan(), 'coder-keys-0123456789', 1);

/** What the controllers of the cluster say of children, where anything is read of it. */
const STATUS: Readonly<Record<string, object>> = {
  Deployment: { conditions: [{ type: 'ReplicaFailure', status: 'True', message: 'exceeded quota' }] },
  HTTPRoute: {
    parents: [
      {
        parentRef: { name: 'edge' },
        conditions: [{ type: 'Accepted', status: 'False', reason: 'NotAllowedByListeners', message: 'no' }],
      },
    ],
  },
  Job: { conditions: [{ type: 'Failed', status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z' }] },
  PersistentVolumeClaim: { phase: 'Bound', capacity: { storage: '100Gi' } },
};

/** One child of every kind that there is, as the server answers it. */
const whole = children({
  owner: owner(),
  spec: exposedByGateway,
  target: revision,
  revisions: [revision],
  slots: [{ index: 0, revision, replicas: 1 }],
  installation,
}).map((child, index): KubeObject => ({
  ...child,
  metadata: { ...child.metadata, uid: `uid-${index}`, resourceVersion: '1' },
  ...(STATUS[child.kind!] !== undefined && { status: STATUS[child.kind!] }),
}));
const less = whole.map(abridged);

const cachesOf = (live: readonly LiveChild[]) => ({
  resource: () => undefined,
  children: () => live,
  pods: () => [pod({ revision: revision.hash })],
  quotas: () => [],
  inventory: new GpuInventory(),
});
const resource = { metadata: { generation: 1 } } as QwenCoderDeployment;

/** Everything that is read of children. */
function read(live: readonly LiveChild[]) {
  const caches = cachesOf(live);
  const { children: _, nodes: __, ...facts } = observe(caches, 'team-a/coder', owner(), resource, exposedByGateway);
  const all = { ...facts, children: live, nodes: () => [] };
  return {
    facts,
    model: observeModel(caches, 'team-a/coder', all, revision),
    volume: observeVolume(all, revision),
    refusal: routeRefusal(live),
    metadata: live.map(({ apiVersion, kind, metadata }) => ({ apiVersion, kind, metadata })),
  };
}

describe('a child that holds its rendering', () => {
  test('tells what the whole one tells', () => {
    const told = read(whole);
    expect(told.facts.slots[0]).toMatchObject({ revisionHash: revision.hash, refusal: 'exceeded quota' });
    expect(told.facts.gateway.secrets.length).toBeGreaterThan(0);
    expect(told.facts.revisions).toHaveLength(1);
    expect(told.model).toMatchObject({ state: 'failed' });
    expect(told.volume).toMatchObject({ isBound: true });
    expect(told.refusal).toContain('NotAllowedByListeners');
    expect(read(less)).toEqual(told);
  });
});
