import type { QwenCoderSpec, QwenCoderStatus } from '../api/index.ts';
import type { Revision } from '../render/index.ts';
import type { Clock } from '../runtime/index.ts';
import {
  type Attempt,
  type Observation,
  type ServingPlan,
  type TuningVerdict,
  attemptAt,
  begin,
  calibrationFrom,
  calibrationKey,
  engineVariant,
  failed,
  loaded,
  loadedByLog,
  memoryFailure,
  observed,
  tune,
  unmeasured,
} from '../serving/index.ts';
import type { CalibrationStore } from './calibration-store.ts';
import { type EngineReports, type Known, knownOf, retryMs } from './engine-reports.ts';
import { type Facts, type PodFacts, isTerminating } from './facts.ts';
import type { EngineFailure } from './failures.ts';
import { type SlowestStart, watchStarts } from './start-watch.ts';
import type { Learned } from './target.ts';

/** How often at least an engine is asked whether it works, while a step waits for its idleness. */
const IDLE_POLL_MS = 60_000;
/** An engine may be slow to answer once; that it cannot be asked is said when it fails again. */
const TIMES_UNREADABLE = 2;
/** What was decided is in the status, and the next reconcile acts on it. */
const AT_ONCE_MS = 1;
/** Idleness counts for as long as it takes to act on it. */
const FRESH_MS = 5000;

/** How tuning stands after a look at the engines. */
export interface Tuning {
  readonly attempts: readonly Attempt[];
  /** Undefined while there is no plan. */
  readonly verdict: TuningVerdict | undefined;
  /** After how long without a request an engine is restarted for a better context. */
  readonly idleMs: number;
  /** When to look again. */
  readonly lookAgainMs: number | undefined;
}

/** What is known of engines before they are looked at. */
interface Heard {
  readonly attempts: readonly Attempt[];
  /** What engines want to be shown. */
  readonly engineKey: string;
  /** The engine that fails, if one does. */
  readonly failure: EngineFailure | undefined;
}

/** How long a resource's engines have done nothing. */
interface Rest {
  readonly sinceMs: number;
  /** When the engine that was asked first said so last. */
  readonly seenMs: number;
  /** Which engines, and what they had done by then. */
  readonly work: string;
}

/** What a look found. */
interface Seen {
  readonly observation?: Observation | undefined;
  /** Why an engine that answers could not be measured. */
  readonly unreadable?: string | undefined;
  /** When to ask it again. */
  readonly againMs?: number | undefined;
}

export interface TunerOptions {
  readonly reports: EngineReports;
  readonly calibrations: CalibrationStore;
  readonly clock: Clock;
  /** Idle for so long, an engine may be restarted for a better context (design decision 8). */
  readonly idleMs: number;
}

/**
 * Looks at engines and remembers what became of their plans. What to do about it is decided by `serving/tuning.ts` from the status, so a
 * new operator goes on where the last one stopped: the process itself remembers only since when engines are idle.
 */
export class Tuner {
  readonly #options: TunerOptions;
  readonly #rests = new Map<string, Rest>();

  constructor(options: TunerOptions) {
    this.#options = options;
  }

  /** What may be used to choose a target. */
  async learned(
    key: string,
    spec: QwenCoderSpec,
    status: QwenCoderStatus | undefined,
    signal: AbortSignal,
  ): Promise<Learned> {
    const { calibrations } = this.#options;
    await calibrations.load(signal);
    const variant = engineVariant(spec);
    const rest = this.#rests.get(key);
    return {
      attempts: status?.tuning ?? [],
      calibration: (footprint) => calibrations.get(calibrationKey(footprint, variant)),
      isIdle: this.#isIdle(rest),
    };
  }

  /** Notes what became of the engines of a revision. */
  look(
    key: string,
    facts: Facts,
    target: Revision | undefined,
    heard: Heard,
    now: string,
    signal: AbortSignal,
  ): Tuning {
    const { reports, idleMs } = this.#options;
    const { attempts } = heard;
    const nothing = { attempts, verdict: undefined, idleMs, lookAgainMs: undefined };
    reports.keep(key, facts.pods);
    if (target === undefined) return this.#resting(key, nothing);
    const { plan } = target;
    const { spec } = facts;
    const pods = facts.slots
      .filter((slot) => slot.revisionHash === target.hash)
      .flatMap((slot) => slot.pods)
      .filter((pod) => !isTerminating(pod) && pod.nodeName !== undefined);
    if (pods.length === 0) return this.#resting(key, { ...nothing, verdict: tune(plan, spec, attempts) });

    const seen = this.#observe(key, pods, target, facts, heard, signal);
    const after = noted(attempts, plan, spec, seen, now);
    const verdict = tune(plan, spec, after);
    this.#calibrate(attemptAt(after, plan, spec), target, spec, after !== attempts, signal);
    const isWaiting = verdict.state === 'Step' && !verdict.isUrgent;
    const tuning = { attempts: after, verdict, idleMs, lookAgainMs: seen.againMs };
    if (isWaiting) {
      const rest = this.#watchRest(key, pods, heard.engineKey, signal);
      return { ...tuning, lookAgainMs: this.#isIdle(rest) ? AT_ONCE_MS : this.#pollMs };
    }
    if (verdict.state === 'Step') return this.#resting(key, { ...tuning, lookAgainMs: AT_ONCE_MS });
    return this.#resting(key, tuning);
  }

  get #pollMs(): number {
    return Math.min(IDLE_POLL_MS, this.#options.idleMs / 2);
  }

  #isIdle(rest: Rest | undefined): boolean {
    const { clock, idleMs } = this.#options;
    return rest !== undefined && rest.seenMs - rest.sinceMs >= idleMs && clock.monotonic() - rest.seenMs <= FRESH_MS;
  }

  /** How the starts of engines stand. */
  starts(key: string, facts: Facts, target: Revision | undefined, signal: AbortSignal): SlowestStart | undefined {
    const { reports, clock } = this.#options;
    return watchStarts(key, facts, target, reports, clock.now(), signal);
  }

  /** Forgets a deleted resource. */
  forget(key: string): void {
    this.#options.reports.keep(key, []);
    this.#rests.delete(key);
  }

  /** Nothing waits for idleness, so nobody counts it. */
  #resting(key: string, tuning: Tuning): Tuning {
    this.#rests.delete(key);
    return tuning;
  }

  #observe(
    key: string,
    pods: readonly PodFacts[],
    { plan }: Revision,
    { spec }: Facts,
    { attempts, failure, engineKey }: Heard,
    signal: AbortSignal,
  ): Seen {
    const before = attemptAt(attempts, plan, spec);
    const isSettled = before?.outcome === 'DoesNotFit' || before?.outcome === 'OutOfMemory';
    if (isSettled) return {};
    const short = failure?.findings && pods.includes(failure.pod) ? memoryFailure(failure.findings) : undefined;
    // Without its numbers the log is waited for, which may have them.
    if (short && (short.kvBytes !== undefined || !failure!.isLogLate))
      return { observation: failed(short, plan, spec) };
    const answering = pods.find((pod) => pod.ready);
    const isMeasured = before?.outcome === 'Fits' && before.kvBlocks !== undefined;
    if (answering === undefined || isMeasured) return {};
    const { reports } = this.#options;
    const metrics = knownOf(reports.metrics(key, answering, engineKey, Infinity, signal));
    const models = knownOf(reports.models(key, answering, engineKey, signal));
    if (metrics === undefined || models === undefined) return {};
    const served = (models.state === 'read' ? models.value[0]?.maxModelLen : undefined) ?? plan.maxModelLen;
    const observation =
      metrics.state === 'read' && served === plan.maxModelLen ? loaded(metrics.value, plan, spec) : undefined;
    if (observation) return { observation };
    const why = whyNot(metrics, served, plan.maxModelLen);
    const log = knownOf(reports.start(key, answering, Infinity, signal));
    if (log === undefined) return {};
    const kvBytes = log.state === 'read' ? log.value.kvBytes : undefined;
    if (kvBytes !== undefined) return { observation: loadedByLog(kvBytes, plan, spec) };
    const times = Math.max(timesOf(metrics), timesOf(log));
    const text = `pod ${answering.metadata.name}: ${why}, and its log does not tell`;
    return { unreadable: times >= TIMES_UNREADABLE ? text : undefined, againMs: retryMs(times) };
  }

  /** Shares what was measured: when it is news, and where the hint was lost. */
  #calibrate(
    attempt: Attempt | undefined,
    { plan }: Revision,
    spec: QwenCoderSpec,
    isNews: boolean,
    signal: AbortSignal,
  ): void {
    const { calibrations } = this.#options;
    const key = calibrationKey(plan, engineVariant(spec));
    if (key === undefined || attempt === undefined || (!isNews && calibrations.get(key))) return;
    const calibration = calibrationFrom(attempt, plan, spec, attempt.time);
    if (calibration) calibrations.put(key, calibration, signal);
  }

  /** Any request, running or done since the last look, begins the count anew; so does an engine that does not answer. */
  #watchRest(key: string, pods: readonly PodFacts[], engineKey: string, signal: AbortSignal): Rest | undefined {
    const { reports } = this.#options;
    const readings = pods.map((pod) => ({
      pod,
      reading: reports.metrics(key, pod, engineKey, this.#pollMs / 2, signal),
    }));
    if (readings.some(({ reading }) => reading.state === 'reading')) return undefined;
    let work = '';
    let seenMs = Infinity;
    for (const { pod, reading } of readings) {
      if (reading.state !== 'read' || reading.value.requests > 0) {
        this.#rests.delete(key);
        return undefined;
      }
      seenMs = Math.min(seenMs, reading.atMs);
      work += `${pod.metadata.uid}/${pod.restarts}: ${reading.value.tokens} `;
    }
    const before = this.#rests.get(key);
    const rest = { sinceMs: before?.work === work ? before.sinceMs : seenMs, seenMs, work };
    this.#rests.set(key, rest);
    return rest;
  }
}

const timesOf = (known: Known<unknown>): number => (known.state === 'failed' ? known.times : 0);

function noted(
  attempts: readonly Attempt[],
  plan: ServingPlan,
  spec: QwenCoderSpec,
  { observation, unreadable }: Seen,
  now: string,
): readonly Attempt[] {
  if (observation) return observed(attempts, plan, spec, observation, now);
  return unreadable === undefined
    ? begin(attempts, plan, spec, now)
    : unmeasured(attempts, plan, spec, unreadable, now);
}

function whyNot(metrics: Known<unknown>, served: number, planned: number): string {
  if (metrics.state === 'failed') return metrics.message;
  // An address that another pod has by now.
  if (served !== planned) return `/v1/models says ${served} tokens, not ${planned}`;
  return '/metrics does not name its KV blocks';
}
