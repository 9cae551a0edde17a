import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { QwenCoderSpec, QwenCoderSpecInput } from '../../src/api/v1alpha1.ts';
import {
  caveatOf,
  fits,
  GIB,
  hasPrefixCaching,
  kvGeometry,
  MIB,
  planServing,
  poolBlocks,
  tensorParallelSizes,
  vllmVersion,
  type GpuNode,
  type PlanOutcome,
} from '../../src/serving/index.ts';
import { CLUSTERS } from './clusters.ts';
import { LABELS, node, plainNode, plan, planned, refusal, spec, type Card } from './builders.ts';

/** An outcome in two lines. */
function describePlan(outcome: PlanOutcome): string {
  if (!outcome.fits) return `${outcome.reason}: ${outcome.message}\n  ${outcome.remedy}`;
  const { quantization, tensorParallelSize, gpuName, maxModelLen, concurrency, maxNumSeqs, memory } = outcome.plan;
  const kv = memory ? `, KV ${(memory.kvPool / GIB).toFixed(1)} GiB a GPU` : '';
  const caveat = caveatOf(outcome.plan);
  return `${quantization} on ${tensorParallelSize}x ${gpuName}: ${maxModelLen} tokens x ${concurrency ?? '?'}, ${maxNumSeqs} sequences${kv}${caveat === undefined ? '' : `\n  ${caveat}`}`;
}

describe('planner', () => {
  test('plans of clusters, one by one', async () => {
    const report = CLUSTERS.map(({ name, spec: input, nodes, quota }) => {
      const outcome = planServing({ spec: spec(input), nodes, quota });
      const rejected = outcome.rejected.map(
        ({ quantization, tensorParallelSize, gpuName, reason }) =>
          `  - ${quantization} on ${tensorParallelSize}x ${gpuName} ${reason}`,
      );
      const next =
        outcome.fits && outcome.runnerUp ? [`  next ${describePlan({ ...outcome, plan: outcome.runnerUp })}`] : [];
      const sooner =
        outcome.fits && outcome.alternative
          ? [
              `  sooner ${describePlan({ ...outcome, plan: outcome.alternative.plan })}; ${outcome.alternative.startable} can start, with ${JSON.stringify(outcome.alternative.set)}`,
            ]
          : [];
      return [name, `  ${describePlan(outcome)}`, ...next, ...sooner, ...rejected].join('\n');
    });
    await expect(`${report.join('\n\n')}\n`).toMatchFileSnapshot('../golden/planner/clusters.txt');
  });

  test('an empty spec on H100 gets FP8 on two of them at full context', () => {
    const nodes = [node('H100', 8, { name: 'a' }), node('H100', 8, { name: 'b' })];
    expect(planned({}, ...nodes)).toMatchObject({
      engine: 'VLLM',
      engineVersion: '0.33.0',
      quantization: 'FP8',
      repository: 'Qwen/Qwen3-Coder-Next-FP8',
      revision: 'main',
      gpuProduct: 'NVIDIA-H100-80GB-HBM3',
      gpuName: 'H100-80GB',
      gpusPerReplica: 2,
      tensorParallelSize: 2,
      maxModelLen: 262_144,
      maxNumSeqs: 256,
      concurrency: 10,
      weightBytes: 80_400_000_000,
    });
  });

  test('the order of nodes does not matter', () => {
    const nodes = CLUSTERS.flatMap(({ nodes }) => nodes)
      .filter((node) => node.product !== undefined)
      .map((node, index) => ({ ...node, name: `${node.name}-${index}` }));
    fc.assert(
      fc.property(fc.shuffledSubarray(nodes), (some) => {
        const sorted = [...some].sort((left, right) => left.name.localeCompare(right.name));
        expect(plan({}, ...some)).toEqual(plan({}, ...sorted));
      }),
      { numRuns: 50 },
    );
  });
});

describe('drivers', () => {
  const old = node('H100', 2, { driver: 550 });

  test('too old for the CUDA of the engine are refused before anything is pulled, with every way out', () => {
    const why = refusal({}, old);
    expect(why).toContain(
      'DriverTooOld: vLLM 0.33.0 needs an NVIDIA driver of 580 or newer; the GPU nodes that it would fit on have 550.',
    );
    for (const way of [
      '580 or newer',
      'spec.engine.version to 0.19.1',
      'VLLM_ENABLE_CUDA_COMPATIBILITY',
      'spec.engine.image',
    ])
      expect(why).toContain(way);
  });

  test.each<{ name: string; spec: QwenCoderSpecInput }>([
    { name: 'an engine of older CUDA', spec: { engine: { version: '0.19.1' } } },
    { name: "the user's image", spec: { engine: { image: 'registry.local/vllm:cuda12' } } },
    {
      name: 'libraries for older drivers',
      spec: { engine: { env: [{ name: 'VLLM_ENABLE_CUDA_COMPATIBILITY', value: '1' }] } },
    },
  ])('do with $name', ({ spec }) => {
    expect(planned(spec, old)).toMatchObject({ gpuName: 'H100-80GB' });
  });

  test('that no label tells of are taken to do', () => {
    expect(planned({}, node('H100', 2))).toMatchObject({ gpuName: 'H100-80GB' });
  });

  test('are not blamed where the cards would not do either', () => {
    expect(refusal({}, node('L4', 2, { driver: 550 }), node('L4', 1, { driver: 580 }))).toContain('NoFittingGpu');
  });
});

describe('a quota', () => {
  const under = (gpus: number | undefined, input: QwenCoderSpecInput, nodes: readonly GpuNode[]): PlanOutcome =>
    planServing({ spec: spec(input), nodes, quota: gpus === undefined ? undefined : { name: 'gpus', gpus } });
  const clusters = fc.constantFrom(...CLUSTERS);

  test('is blamed if and only if the same request fits without it, and never exceeded', () => {
    fc.assert(
      fc.property(clusters, fc.integer({ min: 0, max: 16 }), ({ spec: input = {}, nodes }, gpus) => {
        const [limited, unlimited] = [under(gpus, input, nodes), under(undefined, input, nodes)];
        const { asked, isBlamed } = limited.fits
          ? { asked: limited.plan.gpusPerReplica, isBlamed: false }
          : { asked: 0, isBlamed: limited.reason === 'QuotaTooSmall' };
        expect(asked).toBeLessThanOrEqual(gpus);
        expect(isBlamed).toBe(unlimited.fits && !limited.fits);
      }),
    );
  });

  test('that is raised to the number in the message is enough, and one less is not', () => {
    const sized = CLUSTERS.filter(({ nodes }) => nodes.every(({ memoryBytes }) => memoryBytes !== undefined));
    const refused = sized.flatMap(({ spec: input = {}, nodes }) => {
      const none = under(0, input, nodes);
      if (none.fits || none.reason !== 'QuotaTooSmall') return [];
      return [{ input, nodes, needed: Number(/needs (\d+) or more/.exec(none.message)![1]) }];
    });
    expect(refused.length).toBeGreaterThan(20);
    for (const { input, nodes, needed } of refused) {
      expect(under(needed, input, nodes).fits).toBe(true);
      expect(under(needed - 1, input, nodes)).toMatchObject({ fits: false, reason: 'QuotaTooSmall' });
    }
  });

  test('with room for more than a node has changes nothing', () => {
    fc.assert(
      fc.property(clusters, fc.integer({ min: 64, max: 1024 }), ({ spec: input = {}, nodes }, gpus) => {
        expect(under(gpus, input, nodes)).toEqual(under(undefined, input, nodes));
      }),
    );
  });

  test('makes a plan that starts every replica worth more than one that starts some', () => {
    const nodes = [node('L40S', 8), node('H200', 8)];
    const two: QwenCoderSpecInput = {
      model: { quantization: 'BF16' },
      context: { maxModelLen: 32_768, minConcurrency: 1 },
      scaling: { mode: 'None' },
      replicas: 2,
    };
    expect(under(4, two, nodes)).toMatchObject({ plan: { gpusPerReplica: 2 } });
  });
});

describe('a guess', () => {
  const L40S_PAIR = [node('L40S', 2)];

  test('is made where only the estimate of the overhead is in the way, at the shortest length, with the room it has', () => {
    const { memory, estimatedOverheadBytes, ...made } = planned({}, ...L40S_PAIR);
    expect(made).toMatchObject({ quantization: 'FP8', tensorParallelSize: 2, maxModelLen: 8192, concurrency: 4 });
    expect(estimatedOverheadBytes).toBe(4 * GIB);
    expect(memory!.overhead).toBeLessThan(4 * GIB);
    expect(memory!.weights + memory!.overhead + memory!.kvPool).toBeLessThanOrEqual(memory!.usable);
  });

  test('holds what is pinned', () => {
    const context = { maxModelLen: 65_536, minConcurrency: 2, maxNumSeqs: 200 };
    expect(planned({ context }, ...L40S_PAIR)).toMatchObject({ maxModelLen: 65_536, maxNumSeqs: 200 });
  });

  test('comes after every plan that holds by the estimate, taken GPUs and declared ones included', () => {
    for (const other of [node('H100', 8, { free: 0 }), plainNode(4)]) {
      expect(planned({}, ...L40S_PAIR, other).estimatedOverheadBytes).toBeUndefined();
    }
    const placement = { nodeShapes: [{ product: LABELS.H100, memory: '80Gi', gpus: 8 }] };
    expect(planned({ placement }, ...L40S_PAIR).gpuName).toBe('H100-80GB');
  });

  test("is no other plan's runner-up", () => {
    expect(plan({}, ...L40S_PAIR, node('H100', 8))).toMatchObject({ fits: true, runnerUp: undefined });
  });

  test('of several on as many GPUs is the one with most room', () => {
    expect(planned({}, node('L4', 4), node('RTX4090', 4)).gpuName).toBe('RTX4090-24GB');
  });

  test('is not made where not even the least overhead leaves room', () => {
    expect(refusal({ context: { minConcurrency: 16 } }, node('L4', 4))).toContain('NoFittingGpu');
  });

  test('is not made where a larger quota or a newer driver would bring a plan that holds', () => {
    const quota = { name: 'gpus', gpus: 2 };
    expect(planServing({ spec: spec(), nodes: [node('L40S', 4)], quota })).toMatchObject({ reason: 'QuotaTooSmall' });
    expect(plan({}, ...L40S_PAIR, node('H100', 2, { driver: 550 }))).toMatchObject({ reason: 'DriverTooOld' });
    const none = planServing({ spec: spec(), nodes: L40S_PAIR, quota: { name: 'gpus', gpus: 1 } });
    expect(none).toMatchObject({ message: expect.stringContaining('FP8 on 2x L40S-48GB may serve 8192 tokens') });
  });

  test('is not made against a measurement', () => {
    const outcome = planServing({ spec: spec(), nodes: L40S_PAIR, overheadBytes: () => 3.9 * GIB });
    expect(outcome).toMatchObject({ fits: false, reason: 'NoFittingGpu' });
    const roomy = planServing({ spec: spec(), nodes: L40S_PAIR, overheadBytes: () => 2 * GIB });
    expect(roomy).toMatchObject({ fits: true, plan: { tensorParallelSize: 2 } });
    expect(roomy.fits && roomy.plan.maxModelLen).toBeGreaterThan(32_768);
  });
});

describe('pinned fields', () => {
  test.each<{ name: string; spec: QwenCoderSpecInput; expected: object }>([
    {
      name: 'quantization',
      spec: { model: { quantization: 'BF16' } },
      expected: { quantization: 'BF16', tensorParallelSize: 4 },
    },
    {
      name: 'an official repository, which says the format',
      spec: { model: { repository: 'Qwen/Qwen3-Coder-Next' } },
      expected: { quantization: 'BF16' },
    },
    {
      name: 'a fine-tune with its format',
      spec: { model: { repository: 'team/coder', quantization: 'FP8', revision: 'abc' } },
      expected: { quantization: 'FP8', repository: 'team/coder', revision: 'abc' },
    },
    {
      name: 'tensor parallelism',
      spec: { parallelism: { tensorParallelSize: 4 } },
      expected: { quantization: 'FP8', tensorParallelSize: 4, gpusPerReplica: 4 },
    },
    {
      name: 'a size that only BF16 loads at',
      spec: { parallelism: { tensorParallelSize: 8 } },
      expected: { quantization: 'BF16', tensorParallelSize: 8 },
    },
    { name: 'length', spec: { context: { maxModelLen: 100_000 } }, expected: { maxModelLen: 100_000 } },
    { name: 'sequences', spec: { context: { maxNumSeqs: 1000 } }, expected: { maxNumSeqs: 1000 } },
    {
      name: 'utilization',
      spec: { context: { gpuMemoryUtilizationPercent: 80 } },
      expected: { gpuMemoryUtilizationPercent: 80, concurrency: 7 },
    },
    {
      name: 'FP8 KV, which holds twice as many',
      spec: { context: { kvCacheDtype: 'FP8' } },
      expected: { kvCacheDtype: 'FP8', concurrency: 20 },
    },
    {
      name: 'concurrency, on more GPUs',
      spec: { context: { minConcurrency: 16 } },
      expected: { maxModelLen: 262_144, concurrency: 16, tensorParallelSize: 4 },
    },
    {
      name: 'concurrency, with a shorter context',
      spec: { context: { minConcurrency: 32 } },
      expected: { quantization: 'FP8', maxModelLen: 136_000, concurrency: 32, tensorParallelSize: 4 },
    },
    {
      name: 'a product by its short name',
      spec: { placement: { products: ['h200-141gb'] } },
      expected: { gpuName: 'H200-141GB', tensorParallelSize: 1 },
    },
    {
      name: 'a product by its label',
      spec: { placement: { products: ['NVIDIA-H200', 'NVIDIA-B200'] } },
      expected: { gpuName: 'H200-141GB' },
    },
    { name: 'least memory', spec: { placement: { minMemory: '100Gi' } }, expected: { gpuName: 'H200-141GB' } },
    {
      name: 'least memory as the card is called',
      spec: { placement: { minMemory: '80Gi', products: ['H100-80GB'] } },
      expected: { gpuName: 'H100-80GB' },
    },
  ])('$name is obeyed', ({ name, spec, expected }) => {
    const others = name.includes('product') || name.startsWith('least') ? [node('H200', 8)] : [];
    expect(planned(spec, node('H100', 8), ...others)).toMatchObject(expected);
  });

  test('fewer sequences than the asked concurrency ask for no more memory than they can use', () => {
    const context = { maxModelLen: 262_144, maxNumSeqs: 1 };
    expect(planned({ context }, node('RTXPRO6000', 1))).toMatchObject({
      maxModelLen: 262_144,
      maxNumSeqs: 1,
      concurrency: 1,
    });
  });
});

describe('ranking', () => {
  const two: QwenCoderSpecInput = { scaling: { mode: 'None' }, replicas: 2 };
  const shared: QwenCoderSpecInput = { storage: { accessMode: 'ReadWriteMany' } };
  const scattered = [
    node('H100', 2, { name: 'a' }),
    node('H100', 2, { name: 'b' }),
    node('RTXPRO6000', 8, { free: 4 }),
  ];

  test.each<{ name: string; spec?: QwenCoderSpecInput; nodes: readonly GpuNode[]; expected: object }>([
    {
      name: 'fewer GPUs come before free ones',
      nodes: [node('H100', 8, { free: 0 }), node('L40S', 8)],
      expected: { gpuName: 'H100-80GB', tensorParallelSize: 2 },
    },
    {
      name: 'cards that multiply the format come before free ones',
      nodes: [node('H100', 8, { free: 0 }), node('A100', 8)],
      expected: { gpuName: 'H100-80GB' },
    },
    {
      name: 'FP8 comes before free GPUs',
      spec: { parallelism: { tensorParallelSize: 4 } },
      nodes: [node('H100', 8, { free: 0 }), node('A100', 8)],
      expected: { gpuName: 'H100-80GB', quantization: 'FP8' },
    },
    {
      name: 'memory to spare comes before free GPUs',
      spec: { context: { minConcurrency: 8 } },
      nodes: [node('B200', 8, { free: 0 }), node('H200', 8)],
      expected: { gpuName: 'B200-180GB' },
    },
    {
      name: 'of cards that serve alike those come first that start more of the wanted replicas',
      spec: { ...shared, scaling: { minReplicas: 4, maxReplicas: 4 } },
      nodes: [node('H100', 8, { free: 6 }), node('RTXPRO6000', 4, { name: 'a' }), node('RTXPRO6000', 4, { name: 'b' })],
      expected: { gpuName: 'RTXPRO6000-96GB', tensorParallelSize: 2 },
    },
    {
      name: 'one replica that can start is enough for one that is wanted',
      nodes: [node('H100', 8, { free: 2 }), node('RTXPRO6000', 8)],
      expected: { gpuName: 'H100-80GB' },
    },
    {
      name: 'free GPUs that are scattered over nodes do not hold a replica',
      nodes: [node('H100', 8, { name: 'a', free: 1 }), node('H100', 8, { name: 'b', free: 1 }), node('RTXPRO6000', 8)],
      expected: { gpuName: 'RTXPRO6000-96GB' },
    },
    {
      name: 'replicas on several nodes cannot start on a volume that one node mounts',
      spec: { ...two, placement: { topologySpread: 'Host' } },
      nodes: scattered,
      expected: { gpuName: 'RTXPRO6000-96GB' },
    },
    {
      name: 'as many replicas as can be lie on one node',
      spec: { ...two, ...shared },
      nodes: scattered,
      expected: { gpuName: 'RTXPRO6000-96GB' },
    },
    {
      name: 'replicas that are to be spread need not',
      spec: { ...two, ...shared, placement: { topologySpread: 'Host' } },
      nodes: scattered,
      expected: { gpuName: 'H100-80GB' },
    },
    {
      name: 'a pool that can be scaled up comes before GPUs that others hold',
      spec: { placement: { nodeShapes: [{ product: LABELS.RTXPRO6000, memory: '96Gi', gpus: 4 }] } },
      nodes: [node('H100', 8, { free: 0 })],
      expected: { gpuName: 'RTXPRO6000-96GB', tensorParallelSize: 2 },
    },
    {
      name: 'a pool that can be scaled up does not come before GPUs that are free',
      spec: { placement: { nodeShapes: [{ product: LABELS.H100, memory: '80Gi', gpus: 4 }] } },
      nodes: [node('RTXPRO6000', 8)],
      expected: { gpuName: 'RTXPRO6000-96GB', tensorParallelSize: 2 },
    },
    {
      name: 'a much longer context comes before free GPUs',
      nodes: [node('RTXPRO6000', 1), node('H100', 8, { free: 0 })],
      expected: { gpuName: 'H100-80GB', maxModelLen: 262_144 },
    },
    {
      name: 'FP8 comes first on cards that multiply it',
      spec: { parallelism: { tensorParallelSize: 4 } },
      nodes: [node('H100', 8)],
      expected: { quantization: 'FP8' },
    },
    {
      name: 'BF16 comes first on cards that do not, at the same number of GPUs',
      spec: { parallelism: { tensorParallelSize: 4 } },
      nodes: [node('A100', 8)],
      expected: { quantization: 'BF16' },
    },
    {
      name: 'the smaller of two cards is taken',
      nodes: [node('B200', 8), node('H200', 8)],
      expected: { gpuName: 'H200-141GB', concurrency: 8 },
    },
    {
      name: 'the larger one is taken where the smaller has nothing to spare',
      spec: { context: { minConcurrency: 8 } },
      nodes: [node('B200', 8), node('H200', 8)],
      expected: { gpuName: 'B200-180GB', concurrency: 14 },
    },
    {
      name: 'cards of one name with twice the memory are cards of their own',
      nodes: [node('RTX4090', 8, { name: 'a' }), node('RTX4090', 4, { name: 'b', memoryBytes: 49_140 * MIB })],
      expected: { gpuProduct: LABELS.RTX4090, gpuMemoryBytes: 49_140 * MIB, tensorParallelSize: 4 },
    },
    {
      name: 'the least memory counts where drivers report the same card differently',
      nodes: [node('H100', 8, { name: 'a', memoryBytes: 81_920 * MIB }), node('H100', 8, { name: 'b' })],
      expected: { gpuMemoryBytes: 81_559 * MIB },
    },
    {
      name: 'the catalogue fills in where a node has a product label alone',
      nodes: [node('H100', 8, { memoryBytes: undefined, computeCapability: undefined })],
      expected: { gpuMemoryBytes: 81_559 * MIB, tensorParallelSize: 2 },
    },
    {
      name: 'a declared card has the memory that its driver will report',
      spec: { placement: { nodeShapes: [{ product: LABELS.H100, memory: '80Gi', gpus: 8 }] } },
      nodes: [],
      expected: { gpuMemoryBytes: 81_559 * MIB },
    },
    {
      name: 'a declared card that nobody knows has what was declared',
      spec: { placement: { nodeShapes: [{ product: 'NVIDIA-Rubin-CPX', memory: '128Gi', gpus: 2 }] } },
      nodes: [],
      expected: { gpuName: 'Rubin-CPX', gpuMemoryBytes: 128 * GIB, tensorParallelSize: 1 },
    },
  ])('$name', ({ spec = {}, nodes, expected }) => {
    expect(planned(spec, ...nodes)).toMatchObject(expected);
  });
});

describe('what could start sooner than the plan', () => {
  const { H100, RTXPRO6000, L40S } = LABELS;
  const shapes = { placement: { nodeShapes: [{ product: L40S, memory: '48Gi', gpus: 4 }] } };

  test.each<{ name: string; spec?: QwenCoderSpecInput; nodes: readonly GpuNode[]; expected: object }>([
    {
      name: 'are other cards, by their short name',
      nodes: [node('H100', 8, { free: 0 }), node('L40S', 8)],
      expected: {
        plan: { gpuName: 'L40S-48GB', maxModelLen: 262_144 },
        startable: 1,
        set: { placement: { products: ['L40S-48GB'] } },
      },
    },
    {
      name: 'are other cards by their label, where others have the same name',
      nodes: [node('H100', 8, { free: 0 }), node('H100', 8, { name: 'pcie', product: 'NVIDIA-H100-PCIe' })].map(
        (one, index) => ({ ...one, computeCapability: index === 0 ? 90 : 80 }),
      ),
      expected: { startable: 1, set: { placement: { products: ['NVIDIA-H100-PCIe'] } } },
    },
    {
      name: 'is a replica of fewer GPUs, with a shorter context',
      nodes: [node('RTXPRO6000', 2, { name: 'a', free: 1 }), node('RTXPRO6000', 2, { name: 'b', free: 1 })],
      expected: {
        plan: { gpuProduct: RTXPRO6000, maxModelLen: 106_624 },
        set: { parallelism: { tensorParallelSize: 1 } },
      },
    },
    {
      name: 'is a replica of fewer GPUs on other cards',
      nodes: [node('H200', 8, { free: 0 }), node('RTXPRO6000', 2, { free: 1 })],
      expected: {
        plan: { gpuProduct: RTXPRO6000, tensorParallelSize: 1 },
        set: { placement: { products: ['RTXPRO6000-96GB'] }, parallelism: { tensorParallelSize: 1 } },
      },
    },
    {
      name: 'are cards that start some of the replicas where none start all',
      spec: { scaling: { mode: 'None' }, replicas: 3 },
      nodes: [node('H100', 8, { free: 2 }), node('L40S', 8)],
      expected: { plan: { gpuProduct: L40S }, startable: 2 },
    },
    {
      name: 'is a pool that can grow',
      spec: shapes,
      nodes: [node('H100', 8, { free: 0 })],
      expected: { plan: { gpuProduct: L40S }, startable: 0, set: { placement: { products: ['L40S-48GB'] } } },
    },
  ])('$name', ({ spec = {}, nodes, expected }) => {
    expect(plan(spec, ...nodes)).toMatchObject({ alternative: expected });
  });

  test.each<{ name: string; spec?: QwenCoderSpecInput; nodes: readonly GpuNode[] }>([
    { name: 'it can start itself', nodes: [node('H100', 8, { free: 2 }), node('L40S', 8)] },
    { name: 'its own pool can grow', spec: shapes, nodes: [node('L40S', 8, { free: 0 })] },
    { name: 'all are taken', nodes: [node('H100', 8, { free: 1 }), node('L40S', 8, { free: 3 })] },
    {
      name: 'a quota lets no more in',
      spec: { scaling: { mode: 'None' }, replicas: 3 },
      nodes: [node('H100', 8), node('A100', 8)],
    },
    { name: 'only a guess could', nodes: [node('H100', 8, { free: 0 }), node('L40S', 2)] },
  ])('is not told where $name', ({ spec: input = {}, nodes }) => {
    const quota = { name: 'gpus', gpus: 4 };
    expect(planServing({ spec: spec(input), nodes, quota })).toMatchObject({ fits: true, alternative: undefined });
  });

  test('does not change with the names of nodes or who holds a few GPUs more', () => {
    const free = (some: number) => plan({}, node('H100', 8, { free: 0 }), node('L40S', 8, { free: some }));
    expect(free(4)).toEqual(free(8));
    expect(free(4)).toMatchObject({ plan: { gpuProduct: H100 } });
  });
});

describe('refusals', () => {
  const h100 = [node('H100', 8)];

  const REFUSALS: readonly { name: string; spec: QwenCoderSpecInput; nodes: readonly GpuNode[] }[] = [
    { name: 'no nodes', spec: {}, nodes: [] },
    { name: 'no GPUs on nodes', spec: {}, nodes: [plainNode(0)] },
    {
      name: 'a product that nobody has',
      spec: { placement: { products: ['B200-180GB'] } },
      nodes: [node('H100', 8), node('L40S', 4), plainNode(2)],
    },
    {
      name: 'more memory than any card has',
      spec: { placement: { minMemory: '100Gi' } },
      nodes: [node('H100', 8), node('L40S', 4), plainNode(2)],
    },
    { name: 'more GPUs than a node has', spec: { parallelism: { tensorParallelSize: 16 } }, nodes: h100 },
    { name: 'BF16 on two 80 GB cards', spec: { model: { quantization: 'BF16' } }, nodes: [node('H100', 2)] },
    {
      name: 'a length that does not fit as often as asked',
      spec: { context: { maxModelLen: 262_144 } },
      nodes: [node('RTXPRO6000', 1)],
    },
    {
      name: 'more requests than fit at any length',
      spec: { context: { minConcurrency: 100 } },
      nodes: [node('RTXPRO6000', 1)],
    },
    { name: 'more sequences than blocks', spec: { context: { maxNumSeqs: 1024 } }, nodes: [node('RTXPRO6000', 1)] },
    {
      name: 'cards without bfloat16',
      spec: {},
      nodes: [node('L4', 8, { product: 'Tesla-T4', memoryBytes: 15_360 * MIB, computeCapability: 75 })],
    },
    { name: 'a version too old', spec: { engine: { version: '0.14.1' } }, nodes: h100 },
    { name: 'an unknown flag', spec: { engine: { args: ['--swap-space=4'] } }, nodes: h100 },
    { name: 'a managed flag', spec: { engine: { args: ['-tp', '4'] } }, nodes: h100 },
    {
      name: 'a format that the repository does not hold',
      spec: { model: { quantization: 'FP8', repository: 'Qwen/Qwen3-Coder-Next' } },
      nodes: h100,
    },
    { name: 'a repository of unknown format', spec: { model: { repository: 'team/coder' } }, nodes: h100 },
    {
      name: 'a volume of unknown format',
      spec: { model: { source: { type: 'Volume', claimName: 'weights' } } },
      nodes: h100,
    },
  ];

  test('each names the field, the numbers and a remedy', async () => {
    const report = REFUSALS.map(
      ({ name, spec, nodes }) => `${name}\n  ${refusal(spec, ...nodes).replace('\n', '\n  ')}\n`,
    );
    await expect(report.join('\n')).toMatchFileSnapshot('../golden/planner/refusals.txt');
  });

  // The schema refuses these already; a resource stored before it did must not crash the planner.
  test.each<{ name: string; broken: (valid: QwenCoderSpec) => QwenCoderSpec; reason: string; message: RegExp }>([
    {
      name: 'three GPUs a replica',
      broken: (valid) => ({ ...valid, parallelism: { ...valid.parallelism, tensorParallelSize: 3 } }),
      reason: 'InvalidParallelism',
      message: /tensorParallelSize is 3; the model's 16 attention heads are divided by 1, 2, 4, 8, 16 only/,
    },
    {
      name: 'FP8 over eight GPUs',
      broken: (valid) => ({
        ...valid,
        model: { ...valid.model, quantization: 'FP8' },
        parallelism: { ...valid.parallelism, tensorParallelSize: 8 },
      }),
      reason: 'InvalidParallelism',
      message:
        /tensorParallelSize is 8 with FP8; each GPU's share of the 512 wide shared expert would be 64, and FP8 blocks are 128 wide/,
    },
    {
      name: 'a format that vLLM is not given',
      broken: (valid) => ({ ...valid, model: { ...valid.model, quantization: 'Q4_K_M' } }),
      reason: 'InvalidQuantization',
      message: /spec\.model\.quantization is Q4_K_M; vLLM serves this model in FP8 or BF16/,
    },
    {
      name: 'two pipeline stages',
      broken: (valid) => ({ ...valid, parallelism: { ...valid.parallelism, pipelineParallelSize: 2 } }),
      reason: 'InvalidParallelism',
      message: /pipelineParallelSize is 2/,
    },
    {
      name: 'another engine',
      broken: (valid) => ({ ...valid, engine: { ...valid.engine, type: 'Ollama' } }),
      reason: 'UnsupportedEngineVersion',
      message: /spec\.engine\.type is Ollama/,
    },
  ])('$name', ({ broken, reason, message }) => {
    expect(planServing({ spec: broken(spec()), nodes: h100 })).toMatchObject({
      fits: false,
      reason,
      message: expect.stringMatching(message) as unknown,
    });
  });
});

describe('every plan', () => {
  const cards = Object.keys(LABELS).filter((card): card is Card => card !== 'MI300X');
  const nodes = fc.array(
    fc.record({ card: fc.constantFrom(...cards), gpus: fc.constantFrom(1, 2, 4, 8, 16), busy: fc.nat({ max: 16 }) }),
    { minLength: 1, maxLength: 4 },
  );
  const cluster = nodes.map((kinds) =>
    kinds.map(({ card, gpus, busy }, index) => node(card, gpus, { name: `n${index}`, free: Math.max(0, gpus - busy) })),
  );
  const input: fc.Arbitrary<QwenCoderSpecInput> = fc.record({
    model: fc.constantFrom({}, { quantization: 'BF16' }, { quantization: 'FP8' }),
    engine: fc.constantFrom({}, { version: '0.15.1' }, { version: '0.22.1' }, { args: ['--no-enable-prefix-caching'] }),
    context: fc.record(
      {
        maxModelLen: fc.integer({ min: 1024, max: 262_144 }),
        minConcurrency: fc.integer({ min: 1, max: 40 }),
        kvCacheDtype: fc.constantFrom('BF16' as const, 'FP8' as const),
        gpuMemoryUtilizationPercent: fc.integer({ min: 50, max: 98 }),
        maxNumSeqs: fc.integer({ min: 1, max: 4096 }),
      },
      { requiredKeys: [] },
    ),
  });

  test('holds what was asked, on GPUs that one node has', () => {
    fc.assert(
      fc.property(cluster, input, (nodes, input) => {
        const outcome = plan(input, ...nodes);
        if (!outcome.fits) return;
        const { plan: chosen } = outcome;
        const { context } = spec(input);
        expect(tensorParallelSizes(chosen.quantization)).toContain(chosen.tensorParallelSize);
        expect(nodes.some((node) => node.product === chosen.gpuProduct && node.gpus >= chosen.gpusPerReplica)).toBe(
          true,
        );
        expect(chosen.maxModelLen).toBeGreaterThanOrEqual(context.maxModelLen ?? 8192);
        expect(chosen.maxModelLen).toBeLessThanOrEqual(context.maxModelLen ?? 262_144);
        const asked = Math.min(context.minConcurrency, context.maxNumSeqs ?? Infinity);
        expect(chosen.concurrency).toBeGreaterThanOrEqual(asked);
        expect(chosen.maxNumSeqs).toBeGreaterThanOrEqual(asked);
        const { total, usable, weights, overhead, kvPool } = chosen.memory!;
        expect(usable).toBeLessThanOrEqual((total * chosen.gpuMemoryUtilizationPercent) / 100);
        expect(weights + overhead + kvPool).toBeLessThanOrEqual(usable);
        const geometry = kvGeometry({
          tensorParallelSize: chosen.tensorParallelSize,
          kvCacheDtype: chosen.kvCacheDtype,
          prefixCaching: hasPrefixCaching(spec(input), chosen.engineVersion),
          reservedBlocks: vllmVersion(chosen.engineVersion).reservedBlocks,
        });
        const blocks = poolBlocks(geometry, kvPool);
        expect(fits(geometry, blocks, chosen.maxModelLen, asked)).toBe(true);
        expect(chosen.maxNumSeqs <= blocks || !vllmVersion(chosen.engineVersion).seqsBoundByPool).toBe(true);
      }),
      { numRuns: 100 },
    );
  });

  test('is hardly ever shorter, and never by more than a tenth, on cards with more memory', () => {
    const memory = fc.integer({ min: 16 * 1024, max: 200 * 1024 });
    fc.assert(
      fc.property(memory, fc.nat({ max: 50 * 1024 }), fc.constantFrom(1, 2, 4, 8), input, (mib, more, gpus, input) => {
        const on = (mib: number) => plan(input, node('H100', gpus, { memoryBytes: mib * MIB }));
        const [less, larger] = [on(mib), on(mib + more)];
        expect(!less.fits || (larger.fits && larger.plan.maxModelLen >= less.plan.maxModelLen * 0.9)).toBe(true);
      }),
      { numRuns: 100 },
    );
  });

  test('and every field that a remedy names makes the request fit', () => {
    fc.assert(
      fc.property(cluster, input, (nodes, input) => {
        const outcome = plan(input, ...nodes);
        const remedy = outcome.fits ? '' : outcome.remedy;
        for (const [, section, field, value] of remedy.matchAll(/spec\.(context|parallelism)\.(\w+) to (\w+)/g)) {
          const changed = {
            ...input,
            [section!]: { ...input[section as 'context'], [field!]: value === 'FP8' ? value : Number(value) },
          };
          expect(plan(changed, ...nodes)).toMatchObject({ fits: true });
        }
      }),
      { numRuns: 150 },
    );
  });

  test('and every refusal says why, and what to do', () => {
    fc.assert(
      fc.property(cluster, input, (nodes, input) => {
        const outcome = plan(input, ...nodes);
        for (const { reason } of outcome.rejected) expect(reason).toMatch(/^(needs|has|is) .*\d/);
        if (outcome.fits) return;
        expect(outcome.message).toMatch(/\.$/);
        expect(outcome.remedy).toMatch(/^[A-Z].*\.$/);
        expect(`${outcome.message} ${outcome.remedy}`).not.toMatch(/NaN|Infinity|undefined| -\d/);
      }),
      { numRuns: 100 },
    );
  });
});
