import { type Installation, type LiveVolume, REVISION, claimSize, engineImage } from '../render/index.ts';
import type { Clock } from '../runtime/index.ts';
import {
  type ContainerEvidence,
  type Diagnosis,
  type EngineReason,
  type FetchReason,
  type LogFindings,
  type ServingPlan,
  type Situation,
  diagnoseEngine,
  diagnoseFetch,
  diagnoseIdentity,
  diagnoseRefusal,
  identityOf,
  readLog,
} from '../serving/index.ts';
import type { Desire } from './desired.ts';
import type { EngineLogs, LogReading } from './engine-logs.ts';
import { failingPods, isAlive } from './failing-pods.ts';
import { type Facts, type ModelState, type PodFacts, isSilent } from './facts.ts';
import { type GatewayFailure, gatewayFailure } from './gateway-failure.ts';
import type { SlowestStart } from './start-watch.ts';

/** A Job makes its pod at once; one that has none after this long was refused it. */
const PODLESS_MS = 3000;
/** Nothing tells that a refused pod could be made now but the pod itself; the words of the refusal may change. */
const LOOK_AGAIN_MS = 30_000;

/** What fails in a resource, one of each kind. */
export interface Failures {
  /** Of the target revision before others, then the first by slot. */
  readonly engine?: EngineFailure | undefined;
  readonly fetch?: Diagnosis<FetchReason> | undefined;
  /** Engine pods that the API server refuses. */
  readonly refusal?: Diagnosis<'PodRejected'> | undefined;
  readonly gateway?: GatewayFailure | undefined;
}

export interface EngineFailure {
  readonly pod: PodFacts;
  readonly diagnosis: Diagnosis<EngineReason>;
  /** What the log of its last run told; undefined where nothing is known of it. */
  readonly findings: LogFindings | undefined;
  /** Whether more is to come: until the log is there, its last words must do. */
  readonly isLogLate: boolean;
}

export interface FailureFinderOptions {
  readonly clock: Clock;
  readonly logs: Pick<EngineLogs, 'read'>;
  /** Keys that the operator derived: a log that quotes them is not passed on as it is. */
  readonly keysOf: Installation['keysOf'];
  /** Why the API server takes no pods of a Job, in its controller's words; undefined where it said nothing. */
  readonly refusalOf: (
    job: { readonly namespace: string; readonly uid: string },
    signal: AbortSignal,
  ) => Promise<string | undefined>;
}

/** What failures are looked for in. */
export type Subject = Pick<Desire, 'facts' | 'target' | 'model' | 'volume'>;

/**
 * Finds what fails in a resource, with the logs that it takes.
 *
 * **Guarantees**: asks the API server for nothing while nothing fails; reads the log of one engine at a time.
 */
export class FailureFinder {
  readonly #options: FailureFinderOptions;

  constructor(options: FailureFinderOptions) {
    this.#options = options;
  }

  /**
   * What fails, and after how long to look again though nothing may change.
   *
   * @param start The start that has used up most of its budget.
   */
  async find(
    subject: Subject,
    start: SlowestStart | undefined,
    signal: AbortSignal,
  ): Promise<{ failures: Failures; lookAgainMs: number | undefined }> {
    const { facts, target, model, volume } = subject;
    const secrets = this.#secretsOf(facts);
    const fetch = target.planned ? await this.#fetch(facts, target.revision.plan, model, volume, signal) : undefined;
    const refused = facts.slots.find((slot) => slot.refusal !== undefined && !slot.pods.some(isAlive));
    return {
      failures: {
        engine: await this.#engine(subject, start, signal),
        fetch,
        refusal: refused && diagnoseRefusal(refused.refusal!, secrets),
        gateway: gatewayFailure(facts, secrets),
      },
      lookAgainMs: isPodless(model) ? podlessLook(model, this.#options.clock.now()) : undefined,
    };
  }

  async #engine(
    { facts, target, volume }: Subject,
    start: SlowestStart | undefined,
    signal: AbortSignal,
  ): Promise<EngineFailure | undefined> {
    const chosen = target.planned ? target.revision : undefined;
    const overdue = start?.isExceeded ? start : undefined;
    const slow = facts.pods.filter(({ metadata }) => metadata.name === overdue?.pod);
    for (const pod of [...failingPods(facts, chosen?.hash), ...slow]) {
      const hash = pod.metadata.labels?.[REVISION];
      const revision = facts.revisions.find((one) => one.hash === hash) ?? chosen;
      const plan = revision?.plan;
      if (plan === undefined) continue;
      const identity = identityOf(revision?.template.spec?.containers[0]?.args);
      if (pod.servesInstead !== undefined && identity !== undefined) {
        const diagnosis = diagnoseIdentity(pod.servesInstead, identity, this.#situation(facts, plan, volume));
        return { pod, diagnosis, findings: undefined, isLogLate: false };
      }
      const { evidence, isLogLate } = await this.#evidence(
        facts,
        pod,
        slow.includes(pod) ? overdue : undefined,
        signal,
      );
      const diagnosis = diagnoseEngine(evidence, this.#situation(facts, plan, volume));
      if (diagnosis) return { pod, diagnosis, findings: evidence.log, isLogLate };
    }
    return undefined;
  }

  async #evidence(
    facts: Facts,
    pod: PodFacts,
    overdue: SlowestStart | undefined,
    signal: AbortSignal,
  ): Promise<{ evidence: ContainerEvidence; isLogLate: boolean }> {
    const { owner } = facts;
    const { container, failure } = pod;
    const secrets = this.#secretsOf(facts);
    // What silenced it stands in the log of the run that goes on.
    const silent = isSilent(pod);
    const end = silent ? undefined : container?.end;
    const hasRun = end !== undefined || container?.runningSinceMs !== undefined;
    const { findings, isLate } =
      container !== undefined && hasRun && !container.waiting
        ? await this.#options.logs.read(
            {
              namespace: owner.namespace,
              pod: pod.metadata.name!,
              uid: pod.metadata.uid!,
              container: container.name,
              ended: container.ended,
              isPrevious: end !== undefined && container.ended === pod.restarts,
              isRunning: end === undefined,
            },
            `${owner.namespace}/${owner.name}`,
            secrets,
            signal,
          )
        : NO_LOG;
    return {
      evidence: {
        waiting: container?.waiting,
        end,
        // Without a log there is its end, which the kubelet keeps of a run that failed.
        log: findings ?? (end === undefined || end.message === '' ? undefined : readLog(end.message, secrets)),
        isLogLate: isLate,
        hasServed: silent || pod.engine?.endedServing === true,
        podFailure: failure,
        overdue,
        isSilent: silent,
      },
      isLogLate: isLate,
    };
  }

  async #fetch(
    facts: Facts,
    plan: ServingPlan,
    model: ModelState,
    volume: LiveVolume | undefined,
    signal: AbortSignal,
  ): Promise<Diagnosis<FetchReason> | undefined> {
    if (model.state !== 'fetching' && model.state !== 'failed') return undefined;
    const { owner } = facts;
    const secrets = this.#secretsOf(facts);
    const container = model.pod?.container;
    if (model.pod) {
      const { waiting, end } = container ?? {};
      const log = end === undefined ? undefined : readLog(end.message, secrets);
      const evidence = { waiting, end, log, podFailure: model.pod.failure, overdue: undefined };
      return diagnoseFetch(evidence, this.#situation(facts, plan, volume));
    }
    if (!isPodless(model) || podlessLook(model, this.#options.clock.now()) !== LOOK_AGAIN_MS) return undefined;
    const refusal = await this.#options.refusalOf({ namespace: owner.namespace, uid: model.podless.uid }, signal);
    return refusal === undefined ? undefined : diagnoseRefusal(refusal, secrets);
  }

  #situation(facts: Facts, plan: ServingPlan, volume: LiveVolume | undefined): Situation {
    const { spec } = facts;
    const { size: _size, ...storage } = spec.storage;
    const memoryLimit = spec.engine.resources?.limits?.['memory'];
    return {
      plan,
      memoryLimit,
      volumeSize: volume?.size,
      plannedVolumeSize: claimSize({ ...spec, storage }, plan),
      image: engineImage(spec, plan),
      hasHubToken: spec.model.source.type === 'HuggingFace' && spec.model.source.secretRef !== undefined,
      source: spec.model.source.type,
      secrets: this.#secretsOf(facts),
    };
  }

  /** Values that the operator knows: those of the engine's variables, and the keys that it derived. Others' Secrets it cannot read. */
  #secretsOf({ owner, spec }: Facts): string[] {
    const { engineKey, controlKey } = this.#options.keysOf(owner);
    const values = (spec.engine.env ?? []).flatMap(({ value }) => (value === undefined ? [] : [value]));
    return [engineKey, controlKey, ...values];
  }
}

const NO_LOG: LogReading = { findings: undefined, isLate: false };

type PodlessModel = Extract<ModelState, { state: 'fetching' }> & { podless: object };

const isPodless = (model: ModelState): model is PodlessModel =>
  model.state === 'fetching' && model.podless !== undefined;

/** A Job is given a moment before somebody asks why it has no pod. */
function podlessLook({ podless }: PodlessModel, now: number): number {
  const age = now - podless.createdAtMs;
  return age < PODLESS_MS ? PODLESS_MS - age : LOOK_AGAIN_MS;
}
