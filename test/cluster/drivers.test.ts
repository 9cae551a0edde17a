import { afterAll, beforeAll, expect, test } from 'vitest';
import type { QwenCoderSpecInput } from '../../src/api/index.ts';
import { Pods } from '../../src/kube/index.ts';
import { COMPONENT } from '../../src/render/index.ts';
import { scaledClock } from '../support/scaled-clock.ts';
import { World, eventually } from './world.ts';

const DRIVER = 'nvidia.com/cuda.driver-version.major';

let world: World;

beforeAll(async () => {
  world = await World.start({ nodes: '4xH100-80GB*3', simulator: { clock: scaledClock(20), loadSeconds: 5 } });
  await world.cluster.kubectl(['label', '--overwrite', 'node', 'h100-80gb-0', `${DRIVER}=570`]);
});
afterAll(() => world?.stop());

test('of a pool of one product, pods go to nodes whose driver is new enough, that of the weights too', async () => {
  const namespace = await world.namespace();
  const spec: QwenCoderSpecInput = {
    storage: { accessMode: 'ReadWriteMany' },
    scaling: { mode: 'None' },
    replicas: 5,
  };
  await world.apply(namespace, 'coder', spec);
  const waiting = await world.condition(
    namespace,
    'coder',
    'Placed',
    { status: 'False', reason: 'Unschedulable' },
    60_000,
  );
  expect(waiting.message).toMatch(/and 2 nodes have such GPUs/);
  const nodes = await eventually(async () => {
    const labelSelector = `${COMPONENT} in (engine, weights)`;
    const { items } = await world.client.list(Pods, { namespace, labelSelector });
    const placed = items.flatMap(({ spec }) => spec?.nodeName ?? []);
    // Four engines of two GPUs on two nodes of four, and the Job.
    expect(placed).toHaveLength(5);
    return new Set(placed);
  });
  expect(nodes).toEqual(new Set(['h100-80gb-1', 'h100-80gb-2']));
});
