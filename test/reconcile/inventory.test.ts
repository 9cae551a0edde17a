import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { NodeFacts, PodFacts } from '../../src/reconcile/facts.ts';
import { GpuInventory } from '../../src/reconcile/inventory.ts';
import { pod, spec } from '../support/builders.ts';
import type { QwenCoderSpecInput } from '../../src/api/index.ts';

const node = (name: string, over: Partial<NodeFacts> = {}): NodeFacts => ({
  metadata: { name },
  labels: { 'nvidia.com/gpu.product': 'NVIDIA-H100-80GB-HBM3', 'nvidia.com/gpu.memory': '81559' },
  allocatable: { 'nvidia.com/gpu': '8' },
  taints: [{ key: 'nvidia.com/gpu', effect: 'NoSchedule' }],
  schedulable: true,
  ...over,
});
const placement = (input: QwenCoderSpecInput['placement'] = {}) => spec({ placement: input }).placement;
const inventory = (...nodes: NodeFacts[]) => {
  const gpus = new GpuInventory();
  for (const one of nodes) gpus.setNode(one);
  return gpus;
};
const free = (gpus: GpuInventory, key = 'team-b/other') => gpus.nodes(placement(), key).map(({ free: count }) => count);

describe('GpuInventory', () => {
  test('a node is what its labels say', () => {
    expect(inventory(node('a')).nodes(placement(), '')).toEqual([
      {
        name: 'a',
        product: 'NVIDIA-H100-80GB-HBM3',
        memoryBytes: 81559 * 2 ** 20,
        computeCapability: 90,
        gpus: 8,
        free: 8,
        exists: true,
      },
    ]);
  });

  test('a node without labels is known by its GPUs alone', () => {
    expect(inventory(node('a', { labels: {} })).nodes(placement(), '')).toMatchObject([
      { product: undefined, memoryBytes: undefined, gpus: 8 },
    ]);
  });

  test('GPUs are held from binding until the pod has ended, while it terminates too', () => {
    const gpus = inventory(node('node-1'));
    const pending = pod({ nodeName: undefined });
    gpus.movePod(undefined, pending);
    expect(free(gpus)).toEqual([8]);
    gpus.movePod(pending, pod());
    expect(free(gpus)).toEqual([6]);
    gpus.movePod(pod(), pod({ leaving: true }));
    expect(free(gpus)).toEqual([6]);
    gpus.movePod(pod({ leaving: true }), pod({ phase: 'Succeeded' }));
    expect(free(gpus)).toEqual([8]);
  });

  test('what a resource holds itself is free to it', () => {
    const gpus = inventory(node('node-1'));
    gpus.movePod(undefined, pod());
    expect(free(gpus, 'team-a/coder')).toEqual([8]);
  });

  test.each([
    { name: 'cordoned', over: { schedulable: false } },
    { name: 'that drives pods away', over: { taints: [{ key: 'nvidia.com/gpu', effect: 'NoExecute' }] } },
    { name: 'with a taint that is not tolerated', over: { taints: [{ key: 'dedicated', effect: 'NoSchedule' }] } },
    { name: 'without the resource', over: { allocatable: {} } },
  ])('a node $name offers nothing', ({ over }) => {
    expect(inventory(node('a', over)).nodes(placement(), '')).toEqual([]);
  });

  test.each([
    { name: 'by key', toleration: { key: 'dedicated', operator: 'Exists' as const } },
    { name: 'by value', toleration: { key: 'dedicated', value: 'llm' } },
    { name: 'by everything', toleration: { operator: 'Exists' as const } },
  ])('a taint is tolerated $name', ({ toleration }) => {
    const tainted = node('a', { taints: [{ key: 'dedicated', value: 'llm', effect: 'NoSchedule' }] });
    expect(inventory(tainted).nodes(placement({ tolerations: [toleration] }), '')).toHaveLength(1);
  });

  test('a node selector leaves only nodes that match it', () => {
    const gpus = inventory(node('a', { labels: { pool: 'x' } }), node('b', { labels: { pool: 'y' } }));
    expect(gpus.nodes(placement({ nodeSelector: { pool: 'y' } }), '').map(({ name }) => name)).toEqual(['b']);
  });

  test('any history of pods counts what the pods of the end hold', () => {
    const state = fc.record({
      nodeName: fc.constantFrom('node-1', 'node-2', undefined),
      phase: fc.constantFrom('Pending', 'Running', 'Failed'),
    });
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(5), fc.option(state, { nil: undefined })), { maxLength: 40 }), (history) => {
        const gpus = inventory(
          node('node-1', { allocatable: { 'nvidia.com/gpu': '100' } }),
          node('node-2', { allocatable: { 'nvidia.com/gpu': '100' } }),
        );
        const pods = new Map<number, PodFacts | undefined>();
        for (const [id, next] of history) {
          const after = next && pod({ name: `pod-${id}`, ...next });
          gpus.movePod(pods.get(id), after);
          pods.set(id, after);
        }
        const held = (name: string) =>
          [...pods.values()].filter((one) => one?.nodeName === name && one.phase !== 'Failed').length * 2;
        expect(free(gpus)).toEqual([100 - held('node-1'), 100 - held('node-2')]);
      }),
    );
  });
});
