import { type Condition, condition } from '../api/index.ts';
import { REVISION, type Revision } from '../render/index.ts';
import { identityOf, isAsTold } from '../serving/index.ts';
import { type EngineReports, knownOf } from './engine-reports.ts';
import type { PodFacts } from './facts.ts';

/** What is known of a resource's engines besides their pods. */
export interface Acquaintance {
  readonly revisions: readonly Revision[];
  /** What engines want to be shown. */
  readonly engineKey: string;
  /** What was said last. */
  readonly conditions: readonly Condition[] | undefined;
}

/**
 * Which engines count as ready: a probe says that something answers, `/v1/models` says whether it is what was asked for.
 *
 * **Guarantees**: an engine that this process saw start counts only after it was asked, so that no request and no rollout goes by one
 * that serves another model; one that was there before counts meanwhile, so that a new operator takes nobody out of service; one that
 * cannot be asked counts as its probe says.
 */
export class ServedModels {
  readonly #reports: Pick<EngineReports, 'models'>;
  /** Runs that were seen before they answered, by resource. */
  readonly #starting = new Map<string, ReadonlySet<string>>();

  constructor(reports: Pick<EngineReports, 'models'>) {
    this.#reports = reports;
  }

  /** The engine pods of a resource as they count. */
  counted(key: string, pods: readonly PodFacts[], known: Acquaintance, signal: AbortSignal): readonly PodFacts[] {
    const before = this.#starting.get(key);
    const starting = new Set(pods.filter((pod) => !pod.ready || before?.has(runOf(pod))).map(runOf));
    this.#starting.set(key, starting);
    const wasWrong = condition(known.conditions, 'EnginesReady')?.reason === 'WrongModelServed';
    return pods.map((pod) =>
      pod.ready ? this.#counted(key, pod, known, wasWrong || starting.has(runOf(pod)), signal) : pod,
    );
  }

  /** Forgets a deleted resource. */
  forget(key: string): void {
    this.#starting.delete(key);
  }

  #counted(
    key: string,
    pod: PodFacts,
    { revisions, engineKey }: Acquaintance,
    isUnproven: boolean,
    signal: AbortSignal,
  ): PodFacts {
    const revision = revisions.find(({ hash }) => hash === pod.metadata.labels?.[REVISION]);
    const identity = identityOf(revision?.template.spec?.containers[0]?.args);
    if (identity === undefined) return pod;
    const models = knownOf(this.#reports.models(key, pod, engineKey, signal));
    if (models === undefined) return isUnproven ? { ...pod, ready: false } : pod;
    if (models.state === 'failed' || isAsTold(models.value, identity)) return pod;
    return { ...pod, ready: false, servesInstead: models.value };
  }
}

const runOf = ({ metadata, restarts }: PodFacts): string => `${metadata.uid} ${restarts}`;
