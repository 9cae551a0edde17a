import { afterEach, describe, expect, test } from 'vitest';
import type { ControllerRevision, Deployment } from '../../src/kube/index.ts';
import { REVISION } from '../../src/render/index.ts';
import { gatewayPod, installation, owner, pod } from '../support/builders.ts';
import { LoopbackGateways } from './loopback-gateways.ts';
import { oneResource, served } from './one-resource.ts';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

/** A resource whose gateway is linked once it was reconciled. */
async function setUp() {
  const gateways = new LoopbackGateways(installation.keysOf(owner()).controlKey);
  closing.push(() => gateways.stop());
  const one = await oneResource();
  closing.push(one.stop);
  const gateway = await gateways.start();
  one.pods.push(gatewayPod({ ip: gateway.ip }));
  one.addNode();
  return { ...one, gateway };
}

/** The same with an engine that answers. */
async function serving() {
  const one = await setUp();
  await one.reconcile();
  const slot = one.children.get('Deployment/coder-engine-0') as Deployment;
  const hash = slot.spec!.template.metadata!.labels![REVISION]!;
  one.pods.push(pod({ ip: '10.0.0.1', revision: hash }));
  await one.reconcile();
  /** States of the engine, as they were told one after the other. */
  const states = () => one.gateway.told.flatMap(({ endpoints }) => endpoints.map(({ state }) => state));
  await expect.poll(states).toEqual(['Ready']);
  return { ...one, states };
}

const none = { ...served, scaling: { mode: 'None' }, replicas: 0 } as const;

describe('gateways', () => {
  test('send nothing more to an engine that a reconcile takes away', async () => {
    const { edit, reconcile, states } = await serving();
    edit(none);
    await reconcile();
    await expect.poll(states).toEqual(['Ready', 'Draining']);
    // Its pod is there yet, and its slot is not.
    await reconcile();
    expect(states()).toEqual(['Ready', 'Draining']);
  });

  test.each([
    { name: 'what takes it away is refused', status: 422 },
    { name: 'what takes it away fails', status: 500 },
  ])('send to it again where $name', async ({ status }) => {
    const { edit, reconcile, refuse, states } = await serving();
    edit(none);
    refuse('DELETE', status);
    await reconcile().catch(() => {});
    await expect.poll(states).toEqual(['Ready', 'Draining', 'Ready']);
  });

  test('are on their own while the stored spec cannot be read, and linked again once it can', async () => {
    const { store, edit, reconcile, gateway } = await setUp();
    await reconcile();
    await expect.poll(() => gateway.isLinked).toBe(true);
    store({ ofALaterVersion: true });
    await reconcile();
    await expect.poll(() => gateway.isLinked).toBe(false);
    edit(served);
    await reconcile();
    await expect.poll(() => gateway.isLinked).toBe(true);
  });

  test('are on their own while nothing can be decided, and linked again once it can', async () => {
    const { children, reconcile, gateway } = await setUp();
    await reconcile();
    await expect.poll(() => gateway.isLinked).toBe(true);
    const broken: ControllerRevision = { kind: 'ControllerRevision', metadata: { name: 'broken' }, revision: 9 };
    children.set('broken', broken);
    await expect(reconcile()).rejects.toThrow("reading 'hash'");
    await expect.poll(() => gateway.isLinked).toBe(false);
    children.delete('broken');
    await reconcile();
    await expect.poll(() => gateway.isLinked).toBe(true);
  });
});
