import type { QwenCoderSpec } from '../api/v1alpha1.ts';
import type { ServingPlan } from './plan.ts';

/** What a starting engine is busy with. */
export type StartPhase = 'Schedule' | 'Image' | 'Weights' | 'WarmUp';

/** What is known of one start. Times are milliseconds since the epoch. */
export interface Start {
  readonly createdMs: number;
  readonly scheduledMs: number | undefined;
  /** The container's start. */
  readonly startedMs: number | undefined;
  /** Part of the weights that is read, in percent; undefined where the log does not tell. */
  readonly weightsPercent: number | undefined;
  /** What reading them took, in seconds; undefined while it goes on, or where the log does not tell. */
  readonly weightsSeconds: number | undefined;
}

/** How long a start may take before somebody should look at it, in seconds. */
export interface StartBudget {
  readonly scheduleSeconds: number;
  readonly imageSeconds: number;
  readonly weightsSeconds: number;
  /** Compiling, measuring memory and capturing graphs. */
  readonly warmUpSeconds: number;
}

/** How a start stands. Equal from one tenth of the budget to the next. */
export interface StartProgress {
  readonly phase: StartPhase;
  /** "weights 40 %, 9 of 14 min". */
  readonly text: string;
  /** Part of the phase's budget that is spent, in tenths; 1 when it is exceeded. */
  readonly share: number;
  readonly isExceeded: boolean;
  /** Milliseconds until it may say something else; undefined when time alone changes nothing more. */
  readonly nextMs: number | undefined;
}

const MINUTE = 60;

/** Kubernetes binds in seconds where GPUs are free; a declared pool first has to bring a node. */
const SCHEDULE_SECONDS = 5 * MINUTE;
const SCHEDULE_NEW_NODE_SECONDS = 15 * MINUTE;

/** The image of vLLM has about 10 GB to unpack. */
const IMAGE_SECONDS = 15 * MINUTE;

/**
 * Bytes a second that slow storage of each kind reads; estimates, at the low end: a gp3 volume of EBS has 125 MiB/s unless more is paid for.
 * 160 GB in 83 s, 1.9 GB/s, are reported of a local disk (vllm-ascend 4357).
 */
const READ_RATES = { Local: 125e6, Shared: 100e6 } as const;

/** Compiling and capturing graphs with nothing cached; estimate. */
const WARM_UP_SECONDS = 10 * MINUTE;

/** A start may take this many times what an earlier one of the same weights took. */
const LEARNED_TIMES = 2;
const LEAST_LOAD_SECONDS = 2 * MINUTE;

/** Parts of a budget after which progress is told again. */
const STEPS = 10;

/**
 * How long a start of a plan may take.
 *
 * @param earlierSeconds the longest load of an earlier start with the same weights; undefined where there is none.
 */
export function startBudget(plan: ServingPlan, spec: QwenCoderSpec, earlierSeconds: number | undefined): StartBudget {
  const { source } = spec.model;
  const isLocal =
    source.type === 'Image' || (source.type === 'HuggingFace' && spec.storage.accessMode === 'ReadWriteOnce');
  const weightsSeconds = plan.weightBytes / READ_RATES[isLocal ? 'Local' : 'Shared'];
  const calculated = weightsSeconds + WARM_UP_SECONDS;
  const loadSeconds =
    earlierSeconds === undefined ? calculated : Math.max(LEAST_LOAD_SECONDS, earlierSeconds * LEARNED_TIMES);
  // Both are learned as one number, and told apart as they are calculated.
  const part = loadSeconds / calculated;
  return {
    scheduleSeconds: spec.placement.nodeShapes?.length ? SCHEDULE_NEW_NODE_SECONDS : SCHEDULE_SECONDS,
    imageSeconds: IMAGE_SECONDS,
    weightsSeconds: weightsSeconds * part,
    warmUpSeconds: WARM_UP_SECONDS * part,
  };
}

const NAMES: Readonly<Record<StartPhase, string>> = {
  Schedule: 'waiting for a node',
  Image: 'pulling the image and mounting volumes',
  Weights: 'weights',
  WarmUp: 'warm-up',
};

/** How a start stands at `nowMs`. A clock that is behind the cluster's counts as no time at all. */
export function startProgress(start: Start, budget: StartBudget, nowMs: number): StartProgress {
  const { phase, sinceMs, seconds } = phaseOf(start, budget);
  const elapsedMs = Math.max(0, nowMs - sinceMs);
  const stepMs = (seconds * 1000) / STEPS;
  const step = Math.min(STEPS, Math.floor(elapsedMs / stepMs));
  const isExceeded = step >= STEPS;
  const { weightsPercent } = start;
  const read = phase === 'Weights' && weightsPercent !== undefined ? ` ${Math.floor(weightsPercent / 10) * 10} %` : '';
  const minutes = Math.ceil(seconds / MINUTE);
  const spent = isExceeded
    ? `more than its ${minutes} min`
    : `${Math.floor((step * stepMs) / 1000 / MINUTE)} of ${minutes} min`;
  return {
    phase,
    text: `${NAMES[phase]}${read}, ${spent}`,
    share: step / STEPS,
    isExceeded,
    nextMs: isExceeded ? undefined : Math.ceil((step + 1) * stepMs - Math.max(0, nowMs - sinceMs)),
  };
}

function phaseOf(start: Start, budget: StartBudget): { phase: StartPhase; sinceMs: number; seconds: number } {
  const { createdMs, scheduledMs, startedMs } = start;
  if (scheduledMs === undefined) return { phase: 'Schedule', sinceMs: createdMs, seconds: budget.scheduleSeconds };
  if (startedMs === undefined) return { phase: 'Image', sinceMs: scheduledMs, seconds: budget.imageSeconds };
  if (start.weightsSeconds === undefined)
    return { phase: 'Weights', sinceMs: startedMs, seconds: budget.weightsSeconds };
  return { phase: 'WarmUp', sinceMs: startedMs + start.weightsSeconds * 1000, seconds: budget.warmUpSeconds };
}
