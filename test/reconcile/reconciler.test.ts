import { afterEach, describe, expect, test } from 'vitest';
import type { ControllerRevision } from '../../src/kube/index.ts';
import { gatewayPod, installation, owner } from '../support/builders.ts';
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

describe('gateways', () => {
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
