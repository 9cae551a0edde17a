import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { QwenCoderSpecInput } from '../../src/api/v1alpha1.ts';
import { type Alternative as Offer, type GpuNode, planServing, type ServingPlan } from '../../src/serving/index.ts';
import { GIB, kvGeometry, loadVerdict, MAX_POSITIONS, type Quantization } from '../simulator/vllm/memory.ts';
import { isAtLeast } from '../simulator/vllm/version.ts';
import { type Card, LABELS, node, spec } from './builders.ts';
import { CLUSTERS } from './clusters.ts';

/**
 * The planner judged by the simulator's own account of vLLM's memory, which shares no code with it, and by trying everything. What both
 * call the estimated overhead is written out here once more.
 */
const estimateGiB = (tensorParallelSize: number): number => (tensorParallelSize === 1 ? 3 : 4);

/** The simulator's weights are rounded to hundredths of a GiB: verdicts this close together are not told apart. */
const SLACK_GIB = 0.02;

interface Engine {
  readonly quantization: Quantization;
  readonly tensorParallelSize: number;
  readonly memoryBytes: number;
  readonly product?: string | undefined;
  readonly version?: string;
  readonly utilizationPercent?: number;
  readonly kvCacheDtype?: 'BF16' | 'FP8';
  readonly maxModelLen?: number;
  readonly maxNumSeqs?: number;
}

/** What vLLM says to an engine with that much overhead, and the longest context of which `asked` requests are held. */
function ask(engine: Engine, overheadGiB: number, asked: number): { loads: boolean; longest: number } {
  const { quantization, tensorParallelSize, memoryBytes, product = 'NVIDIA-H100', version = '0.33.0' } = engine;
  const isFp8 = engine.kvCacheDtype === 'FP8';
  const verdict = loadVerdict({
    version,
    quantization,
    gpus: { count: tensorParallelSize, product, memoryBytes },
    tensorParallelSize,
    pipelineParallelSize: 1,
    gpuMemoryUtilization: (engine.utilizationPercent ?? 92) / 100,
    maxModelLen: engine.maxModelLen ?? 1,
    maxNumSeqs: engine.maxNumSeqs ?? 1,
    kvCacheDtype: isFp8 ? 'fp8' : 'auto',
    prefixCaching: null,
    kvCacheMemoryBytes: null,
    hiddenOverheadBytes: overheadGiB * GIB,
  });
  if (!verdict.ok) return { loads: false, longest: 0 };
  const { blocks, prefixCaching } = verdict.layout;
  const { blockTokens, stateBlocks } = kvGeometry(tensorParallelSize, isFp8 ? 1 : 2, prefixCaching);
  const each = Math.floor((isAtLeast(version, '0.29.0') ? blocks - 1 : blocks) / asked) - stateBlocks;
  return { loads: true, longest: Math.min(MAX_POSITIONS, Math.max(0, each * blockTokens)) };
}

describe('by an account of memory that is not its own', () => {
  const plans = CLUSTERS.flatMap(({ name, spec: input, nodes, quota }) => {
    const outcome = planServing({ spec: spec(input), nodes, quota });
    if (!outcome.fits) return [];
    const asked = Math.min(input?.context?.minConcurrency ?? 4, input?.context?.maxNumSeqs ?? Infinity);
    return [outcome.plan, outcome.runnerUp]
      .filter((plan) => plan?.memory !== undefined)
      .map((plan) => ({
        name: `${name}: ${plan!.quantization} on ${plan!.tensorParallelSize}x ${plan!.gpuName}`,
        plan: plan!,
        asked,
      }));
  });

  const verdictOn = (plan: ServingPlan, overheadGiB: number, asked: number) =>
    ask(
      {
        ...plan,
        product: plan.gpuProduct,
        memoryBytes: plan.gpuMemoryBytes!,
        version: plan.engineVersion,
        utilizationPercent: plan.gpuMemoryUtilizationPercent,
      },
      overheadGiB,
      asked,
    );

  test('there are golden plans to judge', () => {
    expect(plans.length).toBeGreaterThan(40);
  });

  test.each(plans)('$name loads, and holds what is asked', ({ plan, asked }) => {
    const isGuess = plan.estimatedOverheadBytes !== undefined;
    const overheadGiB = isGuess ? plan.memory!.overhead / GIB : estimateGiB(plan.tensorParallelSize);
    const { loads, longest } = verdictOn(plan, overheadGiB - SLACK_GIB, asked);
    expect(loads).toBe(true);
    expect(longest).toBeGreaterThanOrEqual(plan.maxModelLen);
  });
});

interface Question {
  readonly nodes: readonly GpuNode[];
  readonly asked: number;
  readonly pinned: number | undefined;
  readonly replicas: number;
  readonly quantization: Quantization | undefined;
  readonly quota: number | undefined;
  readonly lying: 'TiedToAVolume' | 'Anywhere' | 'Spread';
}

/** A way to serve, as somebody would try it by hand. */
interface Alternative {
  readonly engine: Engine;
  readonly product: string;
  /** The context that it has even if its memory is a little less than thought, and the one that it may have. */
  readonly surely: number;
  readonly maybe: number;
  /** Of the wanted replicas, those that free GPUs and the quota take; and those of them that one node does. */
  readonly startable: number;
  readonly together: number;
  /** Whether a quarter of KV memory is to spare even if memory is a little less than thought, and whether it may be. */
  readonly isRoomy: boolean;
  readonly mayBeRoomy: boolean;
}

const LEAST_TOKENS = 8192;

/** Whether the cards multiply the format themselves; of those here only A100 does not multiply FP8. */
const isNative = ({ engine, product }: Alternative): boolean =>
  engine.quantization === 'BF16' || product !== LABELS.A100;

function alternativesTo({ nodes, asked, pinned, replicas, quantization, quota = Infinity, lying }: Question) {
  const all: Alternative[] = [];
  for (const product of new Set(nodes.map((one) => one.product!))) {
    const own = nodes.filter((one) => one.product === product);
    for (const format of quantization ? [quantization] : (['FP8', 'BF16'] as const)) {
      for (const tensorParallelSize of format === 'FP8' ? [1, 2, 4] : [1, 2, 4, 8, 16]) {
        if (quota < tensorParallelSize || !own.some(({ gpus }) => gpus >= tensorParallelSize)) continue;
        const engine = { quantization: format, tensorParallelSize, memoryBytes: own[0]!.memoryBytes! };
        const reaches = (overheadGiB: number, requests: number): number => {
          const { longest } = ask(engine, overheadGiB, requests);
          return longest < (pinned ?? LEAST_TOKENS) ? 0 : (pinned ?? longest);
        };
        const [high, low] = [SLACK_GIB, -SLACK_GIB].map((slack) => estimateGiB(tensorParallelSize) + slack) as [
          number,
          number,
        ];
        const [surely, maybe] = [reaches(high, asked), reaches(low, asked)];
        const places = own.map(({ free }) => Math.floor(free / tensorParallelSize));
        const wanted = Math.min(replicas, Math.floor(quota / tensorParallelSize));
        const onOne = Math.min(wanted, Math.max(...places));
        const onAll = Math.min(
          wanted,
          places.reduce((sum, count) => sum + count, 0),
        );
        all.push({
          engine,
          product,
          surely,
          maybe,
          startable: lying === 'TiedToAVolume' ? onOne : onAll,
          together: lying === 'Spread' ? 0 : onOne,
          isRoomy: surely > 0 && reaches(high, Math.ceil(asked * 1.25) + 1) >= surely,
          mayBeRoomy: reaches(low, Math.floor(asked * 1.25)) >= surely,
        });
      }
    }
  }
  return all;
}

/** Whether one of two that are long enough would be the better choice even if its memory is a little less than thought. */
function isSurelyBetter(one: Alternative, than: Alternative): boolean {
  const isWorse = (is: boolean): number => Number(!is);
  const steps: [number, number][] = [
    [one.engine.tensorParallelSize, than.engine.tensorParallelSize],
    [isWorse(isNative(one)), isWorse(isNative(than))],
    [isWorse(one.engine.quantization === 'FP8'), isWorse(than.engine.quantization === 'FP8')],
    [isWorse(one.isRoomy), isWorse(than.mayBeRoomy)],
    [than.startable, one.startable],
    [than.together, one.together],
    // A big card is not eaten by a small job.
    [one.engine.memoryBytes, than.engine.memoryBytes],
  ];
  const [left, right] = steps.find(([of, other]) => of !== other) ?? [0, 0];
  return left < right;
}

const CARDS: readonly Card[] = ['L4', 'RTX4090', 'RTX5090', 'L40S', 'A100', 'H100', 'RTXPRO6000', 'H200', 'B200'];

const questionOn = (cards: readonly Card[]): fc.Arbitrary<Question> =>
  fc.record({
    nodes: fc
      .array(fc.record({ card: fc.constantFrom(...cards), gpus: fc.constantFrom(1, 2, 4, 8, 16), busy: fc.nat(16) }), {
        minLength: 1,
        maxLength: 5,
      })
      .map((some) =>
        some.map(({ card, gpus, busy }, index) =>
          node(card, gpus, { name: `node-${index}`, free: Math.max(0, gpus - busy) }),
        ),
      ),
    asked: fc.constantFrom(1, 2, 4, 16, 40),
    pinned: fc.constantFrom(undefined, undefined, 16_384, 100_000, MAX_POSITIONS),
    replicas: fc.integer({ min: 1, max: 3 }),
    quantization: fc.constantFrom(undefined, undefined, 'FP8' as const, 'BF16' as const),
    quota: fc.constantFrom(undefined, undefined, 1, 2, 4, 8),
    lying: fc.constantFrom('TiedToAVolume' as const, 'Anywhere' as const, 'Spread' as const),
  });

const question = questionOn(CARDS);
/** Of cards on which the model just fits, or just does not. */
const closeQuestion = questionOn(['L4', 'RTX4090', 'L40S']);
/** Of cards that are alike, so that what is free decides. */
const evenQuestion = questionOn(['A100', 'H100', 'RTXPRO6000']);

function specOf({ asked, pinned, replicas, quantization, lying }: Question): QwenCoderSpecInput {
  return {
    ...(quantization && { model: { quantization } }),
    context: { minConcurrency: asked, ...(pinned !== undefined && { maxModelLen: pinned }) },
    scaling: { mode: 'None' },
    replicas,
    ...(lying !== 'TiedToAVolume' && { storage: { accessMode: 'ReadWriteMany' } }),
    ...(lying === 'Spread' && { placement: { topologySpread: 'Host' } }),
  };
}

const RUNS = { numRuns: 400 };

describe('of everything that could be tried', () => {
  const outcomeOf = (asked: Question, set: Partial<Offer['set']> = {}) => {
    const input = specOf(asked);
    return planServing({
      spec: spec({
        ...input,
        ...(set.parallelism && { parallelism: set.parallelism }),
        model: { ...input.model, ...set.model },
        placement: {
          ...input.placement,
          ...(set.placement && { products: [...set.placement.products] }),
        },
      }),
      nodes: asked.nodes,
      quota: asked.quota === undefined ? undefined : { name: 'gpus', gpus: asked.quota },
    });
  };

  /** The plan, unless it is a guess. */
  function planOf(asked: Question): ServingPlan | undefined {
    const outcome = outcomeOf(asked);
    return outcome.fits && outcome.plan.estimatedOverheadBytes === undefined ? outcome.plan : undefined;
  }

  test('what serves by the estimate is planned, and nothing else is but as a guess', () => {
    fc.assert(
      fc.property(question, (asked) => {
        const all = alternativesTo(asked);
        const isPlanned = planOf(asked) !== undefined;
        expect(isPlanned || all.every(({ surely }) => surely === 0)).toBe(true);
        expect(!isPlanned || all.some(({ maybe }) => maybe > 0)).toBe(true);
      }),
      RUNS,
    );
  });

  test('a guess loads with the room that it has, and not with the estimate', () => {
    fc.assert(
      fc.property(closeQuestion, (asked) => {
        const outcome = outcomeOf(asked);
        fc.pre(outcome.fits && outcome.plan.estimatedOverheadBytes !== undefined);
        if (!outcome.fits) return;
        const { plan } = outcome;
        const engine = { ...plan, memoryBytes: plan.gpuMemoryBytes! };
        const room = ask(engine, plan.memory!.overhead / GIB - SLACK_GIB, asked.asked);
        expect(room).toMatchObject({ loads: true });
        expect(room.longest).toBeGreaterThanOrEqual(plan.maxModelLen);
        const estimated = ask(engine, estimateGiB(plan.tensorParallelSize) + SLACK_GIB, asked.asked);
        expect(estimated.longest).toBeLessThan(plan.maxModelLen);
      }),
      { numRuns: 100 },
    );
  });

  const chosenOf = (plan: ServingPlan, all: readonly Alternative[]): Alternative =>
    all.find(
      ({ engine, product }) =>
        product === plan.gpuProduct &&
        engine.quantization === plan.quantization &&
        engine.tensorParallelSize === plan.tensorParallelSize,
    )!;

  test('no context is longer by more than a tenth, and of those as long none is better', () => {
    fc.assert(
      fc.property(fc.oneof(question, evenQuestion), (asked) => {
        const plan = planOf(asked);
        fc.pre(plan !== undefined);
        const all = alternativesTo(asked);
        const chosen = chosenOf(plan, all);
        expect(plan.maxModelLen).toBeLessThanOrEqual(chosen.maybe);
        expect(plan.maxModelLen).toBeGreaterThanOrEqual(0.9 * Math.max(...all.map(({ surely }) => surely)));
        const enough = 0.9 * Math.max(...all.map(({ maybe }) => maybe));
        const rivals = all.filter(({ surely }) => surely > 0 && surely >= enough);
        expect(rivals.filter((other) => isSurelyBetter(other, chosen))).toEqual([]);
      }),
      RUNS,
    );
  });

  test('a plan that starts fewer replicas than another would comes with one that starts most, and with the fields to set', () => {
    fc.assert(
      fc.property(fc.oneof(question, evenQuestion), (asked) => {
        const outcome = outcomeOf(asked);
        fc.pre(outcome.fits && outcome.plan.estimatedOverheadBytes === undefined);
        if (!outcome.fits) return;
        const all = alternativesTo(asked);
        const { startable } = chosenOf(outcome.plan, all);
        const most = Math.max(...all.filter(({ surely }) => surely > 0).map((other) => other.startable));
        const { alternative } = outcome;
        expect(alternative?.startable ?? startable).toBeGreaterThanOrEqual(most);
        if (alternative === undefined) return;
        expect(alternative.startable).toBeGreaterThan(startable);
        expect(chosenOf(alternative.plan, all).startable).toBe(alternative.startable);
        expect(outcomeOf(asked, alternative.set)).toMatchObject({ fits: true, plan: alternative.plan });
      }),
      RUNS,
    );
  });
});
