import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { QwenCoderSpec } from '../../src/api/index.ts';
import {
  type Attempt,
  type Calibration,
  calibrationFrom,
  calibrationKey,
  failed,
  informed,
  isGuess,
  loaded,
  measuredOverhead,
  observed,
  planServing,
  LEAST_OVERHEAD_BYTES,
  memoryFailure,
  type PlanOutcome,
  type PlanRequest,
  readLog,
  readMetrics,
  type ServingPlan,
  tune,
  vllmArgs,
} from '../../src/serving/index.ts';
import { GIB, kvGeometry, loadVerdict, MAX_POSITIONS, type Quantization } from '../simulator/vllm/memory.ts';
import { VllmProcess } from '../simulator/vllm/process.ts';
import { isAtLeast } from '../simulator/vllm/version.ts';
import { Hub } from '../simulator/hub.ts';
import { ManualClock, settle } from '../support/manual-clock.ts';
import { type Card, LABELS, node, spec } from './builders.ts';

/** A kind of engine whose true overhead nobody tells the operator. */
interface World {
  readonly card: Card;
  readonly tensorParallelSize: number;
  readonly quantization: Quantization;
  readonly version: string;
  readonly hiddenGiB: number;
  /** Requests of full length that the user asks for. */
  readonly asked: number;
}

const CARDS: readonly Card[] = ['L4', 'RTX4090', 'RTX5090', 'L40S', 'A100', 'H100', 'RTXPRO6000', 'H200', 'B200'];
const VERSIONS = ['0.15.1', '0.18.1', '0.19.1', '0.22.1', '0.26.0', '0.29.0', '0.33.0'];
const HIDDEN_GIB = [0, 1.1, 2.6, 4, 5.3, 8];
const ASKED = [1, 4, 16];
const LEAST_TOKENS = 8192;

/** The longest context of which the asked requests are held, by the simulator's own arithmetic. */
function trueMaximum({ card, tensorParallelSize, quantization, version, hiddenGiB, asked }: World): number {
  const { memoryBytes } = node(card, tensorParallelSize);
  const verdict = loadVerdict({
    version,
    quantization,
    gpus: { count: tensorParallelSize, product: LABELS[card], memoryBytes: memoryBytes! },
    tensorParallelSize,
    pipelineParallelSize: 1,
    gpuMemoryUtilization: isAtLeast(version, '0.20.0') ? 0.92 : 0.9,
    maxModelLen: 1,
    maxNumSeqs: 1,
    kvCacheDtype: 'auto',
    prefixCaching: null,
    kvCacheMemoryBytes: null,
    hiddenOverheadBytes: hiddenGiB * GIB,
  });
  if (!verdict.ok) return 0;
  const { blocks, prefixCaching } = verdict.layout;
  const { blockTokens, stateBlocks } = kvGeometry(tensorParallelSize, 2, prefixCaching);
  const each = Math.floor((isAtLeast(version, '0.29.0') ? blocks - 1 : blocks) / asked) - stateBlocks;
  return Math.min(MAX_POSITIONS, Math.max(0, each * blockTokens));
}

const isLoadable = (quantization: Quantization, tensorParallelSize: number): boolean =>
  quantization === 'BF16' || tensorParallelSize <= 4;

/** Every combination that can serve 8,192 tokens in truth. */
const worlds: readonly World[] = CARDS.flatMap((card) =>
  [1, 2, 4, 8].flatMap((tensorParallelSize) =>
    (['FP8', 'BF16'] as const)
      .filter((quantization) => isLoadable(quantization, tensorParallelSize))
      .flatMap((quantization) =>
        VERSIONS.flatMap((version) =>
          HIDDEN_GIB.flatMap((hiddenGiB) =>
            ASKED.map((asked) => ({ card, tensorParallelSize, quantization, version, hiddenGiB, asked })),
          ),
        ),
      ),
  ),
).filter((world) => trueMaximum(world) >= LEAST_TOKENS);

/** Of those without room for the full context every third, of those with it every eleventh. */
const sampled: readonly World[] = [
  ...worlds.filter((world) => trueMaximum(world) < MAX_POSITIONS).filter((_, index) => index % 3 === 0),
  ...worlds.filter((world) => trueMaximum(world) === MAX_POSITIONS).filter((_, index) => index % 11 === 0),
];

let directory: string;
let hub: Hub;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'qwen-coder-tuning-'));
  hub = await Hub.start();
  hub.writeCheckpoint('Qwen/Qwen3-Coder-Next-FP8', join(directory, 'FP8'));
  hub.writeCheckpoint('Qwen/Qwen3-Coder-Next', join(directory, 'BF16'));
});
afterAll(async () => {
  await hub.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** An address of the loopback network that no simulator's pods have, and no other test. */
const ADDRESS = `127.252.${Math.floor(process.pid / 250) % 250}.${(process.pid % 250) + 1}`;

/** One start of the engine that a plan renders: its log, and its metrics if it serves. */
async function start(world: World, plan: ServingPlan, wanted: QwenCoderSpec) {
  const clock = new ManualClock();
  const log: string[] = [];
  const engine = new VllmProcess({
    clock,
    version: plan.engineVersion,
    args: vllmArgs(plan, wanted, '/models').map((arg) => arg.replace('$(POD_IP)', '127.0.0.1')),
    env: {},
    gpus: { count: plan.gpusPerReplica, product: plan.gpuProduct!, memoryBytes: plan.gpuMemoryBytes! },
    hostPath: (path) => join(directory, path.replace('/models', world.quantization)),
    podAddress: ADDRESS,
    write: (_, line) => log.push(line),
    loadSeconds: 1,
    hiddenOverheadGiB: () => world.hiddenGiB,
  });
  const exited = engine.exited.then(() => true);
  let isOver = false;
  while (!isOver && engine.engine === undefined) {
    await clock.advance(1000);
    isOver = await Promise.race([exited, settle().then(() => false)]);
  }
  const metrics = engine.engine?.metrics.render(engine.engine.load);
  engine.signal('SIGKILL');
  await exited;
  return { log: log.join('\n'), metrics };
}

interface Result {
  readonly starts: number;
  readonly lengths: readonly number[];
  readonly final: ServingPlan;
  readonly last: ReturnType<typeof tune>['state'];
  /** Whether the first plan held only if the estimate of the overhead was too high. */
  readonly isGuess: boolean;
}

const wantedIn = (world: World): QwenCoderSpec =>
  spec({
    model: { quantization: world.quantization, source: { type: 'Volume', claimName: 'weights' } },
    engine: { version: world.version },
    parallelism: { tensorParallelSize: world.tensorParallelSize },
    context: { minConcurrency: world.asked },
  });

/** The first plan, of which nothing is measured. */
const planOf = (world: World, overheadBytes?: PlanRequest['overheadBytes']): PlanOutcome =>
  planServing({ spec: wantedIn(world), nodes: [node(world.card, world.tensorParallelSize)], overheadBytes });

/** What the operator does with one resource, restarts whenever it wants to. Undefined where the planner refuses the resource. */
async function serve(world: World, hints: Map<string, Calibration>): Promise<Result | undefined> {
  const wanted = wantedIn(world);
  const hint = (footprint: Parameters<typeof calibrationKey>[0]) => hints.get(calibrationKey(footprint, '')!);
  const outcome = planOf(world, (footprint) => measuredOverhead(hint(footprint), footprint));
  if (!outcome.fits) return undefined;
  let plan = informed(outcome.plan, wanted, [], hint(outcome.plan));
  let attempts: readonly Attempt[] = [];
  const lengths: number[] = [];
  for (;;) {
    lengths.push(plan.maxModelLen);
    if (lengths.length > 12) throw new Error(`it loops: ${JSON.stringify({ world, lengths })}`);
    const { log, metrics } = await start(world, plan, wanted);
    const failure = memoryFailure(readLog(log));
    const observation = metrics ? loaded(readMetrics(metrics), plan, wanted) : failure && failed(failure, plan, wanted);
    if (!observation) throw new Error(`nothing was learned of ${JSON.stringify(world)}:\n${log}`);
    const calibration = calibrationFrom(observation, plan, wanted, 'now');
    if (calibration) hints.set(calibrationKey(plan, '')!, calibration);
    attempts = observed(attempts, plan, wanted, observation, 'now');
    const verdict = tune(plan, wanted, attempts);
    if (verdict.state !== 'Step') {
      return { starts: lengths.length, lengths, final: plan, last: verdict.state, isGuess: isGuess(outcome.plan) };
    }
    plan = verdict.to;
  }
}

const percent = (value: number): string => `${(value * 100).toFixed(1)} %`;

describe('a tuning campaign', () => {
  const results: { world: World; truth: number; first: Result; second: Result }[] = [];
  const refused: World[] = [];

  beforeAll(async () => {
    for (const world of sampled) {
      const hints = new Map<string, Calibration>();
      const first = await serve(world, hints);
      const second = first && (await serve(world, hints));
      if (first && second) results.push({ world, truth: trueMaximum(world), first, second });
      else refused.push(world);
    }
  }, 120_000);

  test('no kind that serves in truth is refused, but where an engine would have to do with less overhead than there is', () => {
    const all = worlds.filter((world) => !planOf(world).fits);
    expect(all.length / worlds.length).toBeLessThan(0.005);
    for (const { hiddenGiB } of [...all, ...refused]) expect(hiddenGiB * GIB).toBeLessThan(LEAST_OVERHEAD_BYTES);
  });

  const of = (part: (result: (typeof results)[number]) => number): number[] => results.map(part);

  test('covers at least 200 kinds of engines, at least half of them without room for the full context', () => {
    expect(results.length).toBeGreaterThanOrEqual(200);
    expect(of(({ truth }) => truth).filter((truth) => truth < MAX_POSITIONS).length).toBeGreaterThanOrEqual(
      results.length / 2,
    );
  });

  test('after the first measurement a resource has at least 90 % of what truly fits, and never more', () => {
    const ratios = of(({ truth, first }) => first.final.maxModelLen / truth);
    expect(Math.min(...ratios)).toBeGreaterThanOrEqual(0.9);
    expect(Math.max(...ratios)).toBeLessThanOrEqual(1 / 0.97);
  });

  test('a second resource of the same kind begins with at least 97 % of it, and is never restarted', () => {
    const ratios = of(({ truth, second }) => second.lengths[0]! / truth);
    expect(Math.min(...ratios)).toBeGreaterThanOrEqual(0.97);
    expect(of(({ second }) => second.starts)).toEqual(results.map(() => 1));
  });

  test('no resource is restarted more than twice, and no length is tried twice', () => {
    expect(Math.max(...of(({ first }) => first.starts - 1))).toBeLessThanOrEqual(2);
    for (const { first } of results) expect(new Set(first.lengths).size).toBe(first.lengths.length);
  });

  test('prints its numbers', () => {
    const ratios = of(({ truth, first }) => first.final.maxModelLen / truth);
    const guesses = of(({ truth, first }) => first.lengths[0]! / truth);
    const seconds = of(({ truth, second }) => second.lengths[0]! / truth);
    const restarts = Map.groupBy(results, ({ first }) => first.starts - 1);
    const least = (values: readonly number[]) => percent(Math.min(...values));
    const mean = (values: readonly number[]) => percent(values.reduce((sum, value) => sum + value, 0) / values.length);
    const lines = [
      `combinations: ${results.length}, ${results.filter(({ truth }) => truth < MAX_POSITIONS).length} of them with less than ${MAX_POSITIONS} tokens in truth; ${refused.length} more refused`,
      `of all ${worlds.length} kinds that serve in truth: ${percent(worlds.filter((world) => !planOf(world).fits).length / worlds.length)} refused`,
      `plans that were guesses: ${results.filter(({ first }) => first.isGuess).length}`,
      `first plan, by the guess: least ${least(guesses)}, most ${percent(Math.max(...guesses))} of the true maximum`,
      `tuned: least ${least(ratios)}, mean ${mean(ratios)}`,
      `second resource of the kind: least ${least(seconds)}, mean ${mean(seconds)}`,
      `restarts: ${[...restarts]
        .sort(([a], [b]) => a - b)
        .map(([count, some]) => `${count} in ${some.length}`)
        .join(', ')}`,
    ];
    console.log(lines.join('\n'));
    expect(lines).toHaveLength(7);
  });
});
