import type { QwenCoderSpec } from '../api/v1alpha1.ts';
import { type Calibration, calibratedKvBytes } from './calibration.ts';
import { type Demand, readDemand } from './demand.ts';
import { hasPrefixCaching } from './engines/vllm-args.ts';
import { vllmVersion } from './engines/vllm-versions.ts';
import { concurrency, fits, type KvGeometry, kvGeometry, maxTokens, poolBlocks } from './memory.ts';
import type { ServingPlan } from './plan.ts';
import { engineVariant } from './variant.ts';
import { LEAST_PLANNED_TOKENS, plannedSeqs } from './verdict.ts';
import { gib, requests } from './words.ts';

/** A context length that was tried. What is remembered of it is in the resource's status, so it outlives the operator. */
export interface Attempt {
  /** What was tried at that length, by `configurationOf`. */
  readonly configuration?: string | undefined;
  readonly maxModelLen: number;
  readonly outcome: 'Trying' | 'Fits' | 'DoesNotFit' | 'OutOfMemory';
  /** Why it failed; of one that is tried, why it could not be measured. */
  readonly message?: string | undefined;
  /** KV blocks on one GPU that the engine had, or would have had. */
  readonly kvBlocks?: number | undefined;
  /** RFC 3339: when it was first tried. */
  readonly time: string;
}

/** What became of an engine of a plan. */
export interface Observation {
  readonly outcome: 'Fits' | 'DoesNotFit' | 'OutOfMemory';
  readonly message?: string | undefined;
  /** As the engine counts them; undefined where it could not be read. */
  readonly kvBlocks?: number | undefined;
}

/** How a plan stands towards what was measured. */
export type TuningVerdict =
  /** No engine of this plan has loaded or failed yet. */
  | { readonly state: 'Trying'; readonly attempt: Attempt | undefined; readonly failed: Attempt | undefined }
  /** Its length is what fits, or so near that no restart is worth it. */
  | { readonly state: 'Tuned'; readonly fits: Fitting }
  /** The user pinned it. */
  | { readonly state: 'Pinned'; readonly attempt: Attempt; readonly fits: Fitting | undefined }
  /** Another length is better. Urgent where the present one does not work. */
  | { readonly state: 'Step'; readonly to: ServingPlan; readonly isUrgent: boolean; readonly attempt: Attempt }
  /** It does not work, and no other length would. */
  | { readonly state: 'Stuck'; readonly attempt: Attempt }
  /** It works, at the shortest length there is, for fewer requests than were asked. */
  | { readonly state: 'Crowded'; readonly fits: Fitting };

/** What the measured memory holds. */
export interface Fitting {
  readonly maxModelLen: number;
  /** Requests of that length at once. */
  readonly concurrency: number;
  readonly kvBytes: number;
}

/** Attempts that a status has room for. */
const MOST_ATTEMPTS = 10;

/** A longer context is worth a restart from here on. */
const WORTH_A_STEP_UP = 1.1;

/** Starts of one engine differ by some MiB: a length this little too long is left alone. */
const TOLERANCE = 0.97;

/** A pool for one request is checked by the engine itself, so the next start must not fail for some MiB less. */
const SAFE_FOR_ONE = 0.99;

/** Steps after which another one is no remedy: the first goes by the guess, the next by numbers. */
const MOST_STEPS = 3;

/** A step back where the engine gave no numbers: from the length, and from the part of the GPU that it may use. */
const BLIND_STEP = 0.75;
const OUT_OF_MEMORY_PERCENT = 5;
const LEAST_UTILIZATION_PERCENT = 70;

/** The kind of engine in words: what a failed length was tried on. */
function kindOf(plan: ServingPlan, spec: QwenCoderSpec): string {
  const variant = engineVariant(spec);
  const own = variant === '' ? '' : ` with own settings ${variant}`;
  return `${plan.quantization} on ${plan.tensorParallelSize}x ${plan.gpuProduct ?? plan.gpuName}, KV cache ${plan.kvCacheDtype}, vLLM ${plan.engineVersion}${own}`;
}

/** What an attempt was about, besides its length. */
export const configurationOf = (plan: ServingPlan, spec: QwenCoderSpec): string =>
  `${kindOf(plan, spec)}, ${plan.gpuMemoryUtilizationPercent} %`;

/** How the KV cache of a plan is cut. */
export const geometryOf = (plan: ServingPlan, spec: QwenCoderSpec): KvGeometry =>
  kvGeometry({
    tensorParallelSize: plan.tensorParallelSize,
    kvCacheDtype: plan.kvCacheDtype,
    prefixCaching: hasPrefixCaching(spec, plan.engineVersion),
    reservedBlocks: vllmVersion(plan.engineVersion).reservedBlocks,
  });

/** The attempt at a plan's own length. */
export function attemptAt(attempts: readonly Attempt[], plan: ServingPlan, spec: QwenCoderSpec): Attempt | undefined {
  const configuration = configurationOf(plan, spec);
  return attempts.find((one) => one.configuration === configuration && one.maxModelLen === plan.maxModelLen);
}

/** Notes that a plan is tried. The same array comes back where that is known. */
export function begin(
  attempts: readonly Attempt[],
  plan: ServingPlan,
  spec: QwenCoderSpec,
  now: string,
): readonly Attempt[] {
  if (attemptAt(attempts, plan, spec)) return attempts;
  const { maxModelLen } = plan;
  const configuration = configurationOf(plan, spec);
  const all = [...attempts, { configuration, maxModelLen, outcome: 'Trying', time: now } as const];
  if (all.length <= MOST_ATTEMPTS) return all;
  // What failed here is what must not be forgotten.
  const old = all.findIndex((one) => one.configuration !== configuration);
  return all.toSpliced(Math.max(0, old), 1);
}

/** Notes why an engine that answers could not be measured. The first reason stays: it does not get truer by changing. */
export function unmeasured(
  attempts: readonly Attempt[],
  plan: ServingPlan,
  spec: QwenCoderSpec,
  message: string,
  now: string,
): readonly Attempt[] {
  const known = begin(attempts, plan, spec, now);
  const before = attemptAt(known, plan, spec)!;
  if (before.outcome !== 'Trying' || before.message !== undefined) return known;
  return known.map((attempt) => (attempt === before ? { ...before, message: message.slice(0, 1024) } : attempt));
}

/**
 * Notes what became of a plan. The same array comes back where that is known.
 *
 * Guarantees: an engine that loads though not one request of its length fits, as vLLM up to 0.18 does, has failed.
 */
export function observed(
  attempts: readonly Attempt[],
  plan: ServingPlan,
  spec: QwenCoderSpec,
  observation: Observation,
  now: string,
): readonly Attempt[] {
  const known = begin(attempts, plan, spec, now);
  const before = attemptAt(known, plan, spec)!;
  const { kvBlocks } = observation;
  const isFalse =
    observation.outcome === 'Fits' &&
    kvBlocks !== undefined &&
    !fits(geometryOf(plan, spec), kvBlocks, plan.maxModelLen);
  const { outcome, message } = isFalse
    ? ({
        outcome: 'DoesNotFit',
        message: `It started, and its ${kvBlocks} KV blocks hold no request of that length.`,
      } as const)
    : observation;
  if (before.outcome === outcome && before.kvBlocks !== undefined) return known;
  const after: Attempt = {
    configuration: before.configuration,
    maxModelLen: before.maxModelLen,
    outcome,
    ...(message !== undefined && { message: message.slice(0, 1024) }),
    ...(kvBlocks !== undefined && { kvBlocks }),
    time: before.time,
  };
  // What was learned last goes last.
  return [...known.filter((attempt) => attempt !== before), after];
}

/**
 * What to do about a plan, given what became of it and of its predecessors.
 *
 * Guarantees: a step never goes to a length that failed, nor below 8,192 tokens; it goes straight to what the measured memory holds; a
 * step up is of a tenth at least; a pinned length is left alone; there are few steps, whatever engines measure.
 */
export function tune(plan: ServingPlan, spec: QwenCoderSpec, attempts: readonly Attempt[]): TuningVerdict {
  const attempt = attemptAt(attempts, plan, spec);
  const isPinned = spec.context.maxModelLen !== undefined;
  switch (attempt?.outcome) {
    case undefined:
    case 'Trying':
      return { state: 'Trying', attempt, failed: attempts.findLast((other) => other !== attempt && isFailed(other)) };
    case 'DoesNotFit':
    case 'OutOfMemory': {
      if (isPinned) return { state: 'Pinned', attempt, fits: fittingOf(plan, spec, attempt.kvBlocks) };
      const to = stepBack(plan, spec, attempts, attempt);
      return to ? { state: 'Step', to, isUrgent: true, attempt } : { state: 'Stuck', attempt };
    }
    case 'Fits': {
      const best = fittingOf(plan, spec, attempt.kvBlocks);
      if (isPinned) return { state: 'Pinned', attempt, fits: best };
      const to = attempt.kvBlocks === undefined ? undefined : resized(plan, spec, attempt.kvBlocks);
      // Somebody took the number out of the status: it is measured again.
      if (best === undefined || to === undefined) return { state: 'Trying', attempt, failed: undefined };
      const tried = sameConfiguration(attempts, plan, spec);
      const hasFailed = tried.some((other) => isFailed(other) && other.maxModelLen <= to.maxModelLen);
      // Engines that measure something else each time are not chased.
      const isEnough = tried.length > MOST_STEPS || tried.some(({ maxModelLen }) => maxModelLen === to.maxModelLen);
      const isLonger = to.maxModelLen >= plan.maxModelLen * WORTH_A_STEP_UP && !hasFailed && !isEnough;
      const isShorter = to.maxModelLen < plan.maxModelLen * TOLERANCE && !isEnough;
      if (isLonger || isShorter) return { state: 'Step', to, isUrgent: false, attempt };
      const isCrowded = best.concurrency < asked(spec) * TOLERANCE;
      return { state: isCrowded ? 'Crowded' : 'Tuned', fits: best };
    }
  }
}

/**
 * A plan as it should be by what is known of its kind: by this resource's own attempts first, then by a calibration. The plan itself
 * where nothing is known, or where its length is pinned.
 *
 * Guarantees: it is at no length that failed, as long as a step back is left.
 */
export function informed(
  plan: ServingPlan,
  spec: QwenCoderSpec,
  attempts: readonly Attempt[],
  calibration?: Calibration,
): ServingPlan {
  if (spec.context.maxModelLen !== undefined) return plan;
  const own = measuredBlocks(attempts, plan, spec);
  const bytes = calibratedKvBytes(plan, calibration);
  const blocks = own ?? (bytes === undefined ? undefined : poolBlocks(geometryOf(plan, spec), bytes));
  let next = blocks === undefined ? plan : (resized(plan, spec, blocks) ?? plan);
  for (let steps = 0; steps < MOST_STEPS; steps += 1) {
    const verdict = tune(next, spec, attempts);
    if (verdict.state !== 'Step' || !verdict.isUrgent) break;
    next = verdict.to;
  }
  return next;
}

/** The longest context that the measured blocks hold for the requests that a spec asks for; undefined where nothing is measured. */
function fittingOf(plan: ServingPlan, spec: QwenCoderSpec, kvBlocks: number | undefined): Fitting | undefined {
  if (kvBlocks === undefined) return undefined;
  const geometry = geometryOf(plan, spec);
  const maxModelLen = maxTokens(geometry, kvBlocks, asked(spec));
  const shown = spec.context.maxModelLen === undefined ? Math.min(maxModelLen, plan.maxModelLen) : maxModelLen;
  return {
    maxModelLen,
    concurrency: concurrency(geometry, kvBlocks, Math.max(LEAST_PLANNED_TOKENS, shown)),
    kvBytes: kvBlocks * geometry.blockBytes,
  };
}

/** What was measured, in words. */
export const fittingText = (fitting: Fitting): string =>
  `${requests(fitting.concurrency)} of that length at once in ${gib(fitting.kvBytes)} of KV cache a GPU`;

const isFailed = ({ outcome }: Attempt): boolean => outcome === 'DoesNotFit' || outcome === 'OutOfMemory';

/** The attempts that were about a plan's configuration, at any length. */
function sameConfiguration(attempts: readonly Attempt[], plan: ServingPlan, spec: QwenCoderSpec): readonly Attempt[] {
  const configuration = configurationOf(plan, spec);
  return attempts.filter((one) => one.configuration === configuration);
}

const asked = ({ context }: QwenCoderSpec): number => Math.min(context.minConcurrency, context.maxNumSeqs ?? Infinity);

const measuredBlocks = (attempts: readonly Attempt[], plan: ServingPlan, spec: QwenCoderSpec): number | undefined =>
  sameConfiguration(attempts, plan, spec).findLast(({ kvBlocks }) => kvBlocks !== undefined)?.kvBlocks;

function stepBack(
  plan: ServingPlan,
  spec: QwenCoderSpec,
  attempts: readonly Attempt[],
  { outcome }: Attempt,
): ServingPlan | undefined {
  const failed = attempts.filter((one) => isFailed(one) && one.configuration?.startsWith(`${kindOf(plan, spec)},`));
  if (failed.length > MOST_STEPS) return undefined;
  const blocks = measuredBlocks(attempts, plan, spec);
  const sized = blocks === undefined ? undefined : resized(plan, spec, blocks);
  // What is measured holds nothing: neither length nor less memory helps.
  if (blocks !== undefined && sized === undefined) return undefined;
  if (sized && sized.maxModelLen < plan.maxModelLen) return sized;
  const shorter = Math.floor(Math.min(plan.maxModelLen, sized?.maxModelLen ?? Infinity) * BLIND_STEP);
  const lower = outcome === 'OutOfMemory' ? withLessMemory(plan, spec, blocks) : undefined;
  if (lower) return lower;
  return shorter < LEAST_PLANNED_TOKENS ? undefined : withLength(plan, spec, shorter);
}

/** The pool takes what the utilization leaves, however short a request is: only a lower one frees memory for the rest. */
function withLessMemory(plan: ServingPlan, spec: QwenCoderSpec, blocks: number | undefined): ServingPlan | undefined {
  const percent = plan.gpuMemoryUtilizationPercent - OUT_OF_MEMORY_PERCENT;
  if (spec.context.gpuMemoryUtilizationPercent !== undefined || percent < LEAST_UTILIZATION_PERCENT) return undefined;
  const { memory, gpuMemoryBytes } = plan;
  if (memory === undefined || gpuMemoryBytes === undefined) return undefined;
  const geometry = geometryOf(plan, spec);
  const usable = Math.floor((gpuMemoryBytes * percent) / 100);
  const pool = blocks === undefined ? memory.usable - memory.weights - memory.overhead : blocks * geometry.blockBytes;
  const left = poolBlocks(geometry, pool - (memory.usable - usable));
  return resized({ ...plan, gpuMemoryUtilizationPercent: percent, memory: { ...memory, usable } }, spec, left);
}

/** The plan at another length, without a measured pool to size it by. */
function withLength(plan: ServingPlan, spec: QwenCoderSpec, tokens: number): ServingPlan {
  const geometry = geometryOf(plan, spec);
  const maxModelLen = Math.max(LEAST_PLANNED_TOKENS, Math.floor(tokens / geometry.blockTokens) * geometry.blockTokens);
  const blocks = plan.memory && poolBlocks(geometry, plan.memory.kvPool);
  return {
    ...plan,
    maxModelLen,
    concurrency: blocks === undefined ? undefined : concurrency(geometry, blocks, maxModelLen),
  };
}

/**
 * The plan with the longest context of which a pool of that many blocks holds what is asked. Where not even the shortest one is held as
 * often as asked, the shortest one that is held once; undefined where it is not held at all.
 */
function resized(plan: ServingPlan, spec: QwenCoderSpec, blocks: number): ServingPlan | undefined {
  const demand = readDemand(spec);
  if ('fits' in demand) return undefined;
  const geometry = geometryOf(plan, spec);
  const longest = maxTokens(
    geometry,
    demand.concurrency === 1 ? Math.floor(blocks * SAFE_FOR_ONE) : blocks,
    demand.concurrency,
  );
  const maxModelLen = Math.max(longest, LEAST_PLANNED_TOKENS);
  if (!fits(geometry, blocks, maxModelLen)) return undefined;
  const { memory } = plan;
  const kvPool = blocks * geometry.blockBytes;
  return {
    ...plan,
    maxModelLen,
    maxNumSeqs: seqsFor(demand, geometry, blocks),
    concurrency: concurrency(geometry, blocks, maxModelLen),
    // It is measured now.
    estimatedOverheadBytes: undefined,
    memory: memory && { ...memory, overhead: Math.floor(memory.usable - memory.weights - kvPool), kvPool },
  };
}

/** Newer versions do not start with more sequences than blocks. */
const seqsFor = ({ maxNumSeqs, concurrency: asks }: Demand, geometry: KvGeometry, blocks: number): number =>
  maxNumSeqs ?? Math.min(plannedSeqs(geometry, blocks, asks), Math.max(1, blocks));
