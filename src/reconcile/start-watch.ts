import type { Revision } from '../render/index.ts';
import { type StartBudget, type StartProgress, startBudget, startProgress } from '../serving/index.ts';
import { type EngineReports, knownOf } from './engine-reports.ts';
import { type Facts, type LiveSlot, type PodFacts, isFailing, isReady, isTerminating } from './facts.ts';

/** How the slowest start of a resource stands. */
export interface SlowestStart extends StartProgress {
  readonly pod: string;
}

/**
 * The start that has used up most of its budget; undefined while nothing starts. Logs are read only of starts that take a tenth of their
 * budget or more, and no oftener than it takes to say something new.
 */
export function watchStarts(
  key: string,
  facts: Facts,
  target: Revision | undefined,
  reports: EngineReports,
  nowMs: number,
  signal: AbortSignal,
): SlowestStart | undefined {
  const starts = facts.slots.filter((slot) => !isReady(slot)).flatMap((slot) => startOf(slot));
  let slowest: SlowestStart | undefined;
  for (const pod of starts) {
    const revision = facts.revisions.find(({ hash }) => hash === revisionOf(pod, facts)) ?? target;
    if (revision === undefined) continue;
    const budget = startBudget(revision.plan, facts.spec, earlierSeconds(revision, facts.revisions));
    const progress = progressOf(key, pod, budget, reports, nowMs, signal);
    if (slowest === undefined || progress.share > slowest.share) slowest = { ...progress, pod: pod.metadata.name! };
  }
  return slowest;
}

function progressOf(
  key: string,
  pod: PodFacts,
  budget: StartBudget,
  reports: EngineReports,
  nowMs: number,
  signal: AbortSignal,
): StartProgress {
  const { createdMs, scheduledMs } = pod.engine!;
  const startedMs = pod.container?.runningSinceMs;
  const silent = { createdMs, scheduledMs, startedMs, weightsPercent: undefined, weightsSeconds: undefined };
  const stepMs = Math.min(budget.weightsSeconds, budget.warmUpSeconds) * 100;
  if (startedMs === undefined || nowMs - startedMs < stepMs) return startProgress(silent, budget, nowMs);
  const log = knownOf(reports.start(key, pod, stepMs, signal));
  // Where the log may not be read, nothing tells the one from the other.
  const { weightsSeconds: reading, warmUpSeconds } = budget;
  if (log?.state !== 'read')
    return startProgress(silent, { ...budget, weightsSeconds: reading + warmUpSeconds }, nowMs);
  const { weightsPercent, weightsSeconds } = log.value;
  return startProgress({ ...silent, weightsPercent, weightsSeconds }, budget, nowMs);
}

/** The pod that starts in a slot. One that ended with an error is in trouble, one that answered before is not well: other matters. */
const startOf = (slot: LiveSlot): PodFacts[] =>
  slot.pods.filter((pod) => pod.engine?.hasStarted === false && !isFailing(pod) && !isTerminating(pod)).slice(0, 1);

const revisionOf = (pod: PodFacts, { slots }: Facts): string | undefined =>
  slots.find((slot) => slot.pods.includes(pod))?.revisionHash;

/** What the slowest earlier load of the same weights took. */
function earlierSeconds({ plan }: Revision, revisions: readonly Revision[]): number | undefined {
  const known = revisions
    .filter((revision) => revision.plan.repository === plan.repository && revision.loadSeconds !== undefined)
    .map(({ loadSeconds }) => loadSeconds!);
  return known.length === 0 ? undefined : Math.max(...known);
}

/** What the first load of a revision took, in seconds, by the times of a ready pod; undefined where they are not known. */
export function loadSecondsOf(slots: readonly LiveSlot[], revision: Revision): number | undefined {
  for (const slot of slots) {
    if (slot.revisionHash !== revision.hash) continue;
    for (const { ready, engine, container } of slot.pods) {
      if (!ready || engine?.readyMs === undefined || container?.runningSinceMs === undefined) continue;
      return Math.max(0, Math.round((engine.readyMs - container.runningSinceMs) / 1000));
    }
  }
  return undefined;
}
