import { describe, expect, test } from 'vitest';
import { chooseTarget } from '../../src/reconcile/target.ts';
import { type Revision, engineInputs, newRevision, planInputs } from '../../src/render/index.ts';
import type { QwenCoderSpecInput } from '../../src/api/index.ts';
import { facts, gpuNode, plan, pod, revision, spec } from '../support/builders.ts';

/** A revision as it was frozen for that spec; its template is marked, so that a new rendering shows. */
const frozen = (input: QwenCoderSpecInput = {}, over: Partial<Revision> = {}): Revision =>
  revision({ inputs: engineInputs(spec(input)), planInputs: planInputs(spec(input)), ...over });

const l40s = gpuNode({ product: 'NVIDIA-L40S', memoryBytes: 46068 * 2 ** 20, computeCapability: 89 });
const unschedulable = pod({
  ready: false,
  nodeName: undefined,
  unschedulable: '0/3 nodes are available: 3 Insufficient nvidia.com/gpu.',
});

function chosen(...args: Parameters<typeof facts>): Revision {
  const target = chooseTarget(facts(...args));
  if (!target.planned) throw new Error(target.outcome.message);
  return target.revision;
}

describe('chooseTarget', () => {
  test('a new spec is planned and rendered', () => {
    const { plan: made, number, served } = chosen({});
    expect({ made, number, served }).toMatchObject({
      made: { quantization: 'FP8', tensorParallelSize: 2 },
      number: 1,
      served: false,
    });
  });

  test('a spec that was rendered before gets that very revision, whatever a newer operator would render', () => {
    const kept = frozen();
    expect(chosen({ revisions: [kept] })).toBe(kept);
  });

  test('scaling and suspension are no new rendering', () => {
    const kept = frozen();
    expect(
      chosen({ revisions: [kept], spec: spec({ suspend: true, scaling: { mode: 'External' }, replicas: 3 }) }),
    ).toBe(kept);
  });

  test('an edit that the plan does not depend on keeps the plan, though a better one exists', () => {
    const kept = frozen({}, { plan: plan({ maxModelLen: 8192 }) });
    const next = chosen({ revisions: [kept], spec: spec({ sampling: { temperature: 0.5 } }) });
    expect(next.plan.maxModelLen).toBe(8192);
    expect(next.hash).not.toBe(kept.hash);
    expect(next.number).toBe(2);
  });

  test('going back to an earlier spec goes back to its revision', () => {
    const first = frozen({});
    const second = frozen({ sampling: { temperature: 0.5 } }, { hash: 'bbbbbbbbbb', number: 2 });
    expect(chosen({ revisions: [second, first] })).toBe(first);
  });

  test('an edit that renders the same template keeps the revision and notes what it is chosen for', () => {
    const same = newRevision('coder', spec({}), chosen({}).plan, 1);
    const next = chosen({ revisions: [same], spec: spec({ parallelism: { tensorParallelSize: 2 } }) });
    expect(next.hash).toBe(same.hash);
    expect(next.inputs).toBe(engineInputs(spec({ parallelism: { tensorParallelSize: 2 } })));
  });

  test.each([
    { name: 'its GPUs are gone and others fit', over: { nodes: () => [l40s] }, product: 'NVIDIA-L40S' },
    { name: 'its GPUs are gone and nothing fits', over: { nodes: () => [] }, product: 'NVIDIA-H100-80GB-HBM3' },
    {
      name: 'its GPUs are gone from the cache and its pods run',
      over: { nodes: () => [l40s], pods: [pod()] },
      product: 'NVIDIA-H100-80GB-HBM3',
    },
    {
      name: 'its pods find no node though it served',
      over: { nodes: () => [gpuNode({ free: 0 }), l40s], pods: [unschedulable] },
      product: 'NVIDIA-H100-80GB-HBM3',
    },
  ])('a plan when $name', ({ over, product }) => {
    expect(chosen({ revisions: [frozen()], ...over }).plan.gpuProduct).toBe(product);
  });

  test('a plan that never served and whose pods find no node gives way to one that fits', () => {
    const stuck = frozen({ context: { maxModelLen: 32768 } }, { served: false });
    const input = { revisions: [stuck], spec: spec({ context: { maxModelLen: 32768 } }), pods: [unschedulable] };
    expect(chosen({ ...input, nodes: () => [gpuNode({ free: 0 }), l40s] }).plan.gpuProduct).toBe('NVIDIA-L40S');
    expect(chosen({ ...input, nodes: () => [gpuNode({ free: 0 })] }).plan.gpuProduct).toBe('NVIDIA-H100-80GB-HBM3');
  });

  test('a spec that cannot be planned has no target, whatever served before', () => {
    const target = chooseTarget(facts({ revisions: [frozen()], spec: spec({ placement: { products: ['GB9000'] } }) }));
    expect(target).toMatchObject({ planned: false, outcome: { reason: 'UnknownGpuProduct' } });
  });
});
