import { type Revision, engineInputs, newRevision, planInputs } from '../render/index.ts';
import {
  type Alternative,
  type Attempt,
  type Calibration,
  type Footprint,
  type GpuNode,
  type GpuQuota,
  type PlanOutcome,
  type RejectedCandidate,
  type ServingPlan,
  configurationOf,
  informed,
  isGuess,
  measuredOverhead,
  planServing,
  suits,
  tune,
} from '../serving/index.ts';
import { type Facts, type LiveSlot, isFailing, isReady, isTerminating } from './facts.ts';
import type { Planner } from './metrics.ts';

/** The revision that the observed spec asks for, or why there is none. */
export type Target =
  | {
      readonly planned: true;
      readonly revision: Revision;
      readonly rejected: readonly RejectedCandidate[];
      /** What other GPUs would serve; undefined where there is nothing, or where nothing was planned anew. */
      readonly runnerUp?: ServingPlan | undefined;
      /** What could start sooner; undefined where nothing could, or where nothing waits and nothing was planned anew. */
      readonly alternative?: Alternative | undefined;
    }
  | { readonly planned: false; readonly outcome: Extract<PlanOutcome, { fits: false }> };

/** What earlier engines taught. */
export interface Learned {
  /** Of this resource, from its status. */
  readonly attempts: readonly Attempt[];
  /** Of engines of a kind, of any resource. */
  readonly calibration: (footprint: Footprint) => Calibration | undefined;
  /** Whether no engine of the resource has worked for so long that a restart disturbs nobody. */
  readonly isIdle: boolean;
}

const NOTHING_LEARNED: Learned = { attempts: [], calibration: () => undefined, isIdle: false };

/**
 * Chooses the revision for the observed spec.
 *
 * **Guarantees**: a spec that was rendered before gets that very revision, so restarts and upgrades of the operator change no engine; an
 * edit that leaves the plan's inputs alone keeps the plan; a plan is left only when its GPUs are gone or beyond the quota while no engine
 * has a node, or when it never served and its pods find no node or are beyond the quota, and then only for one that fits; or for another
 * length of the same plan: at once where this one does not work, else when an engine is down anyway or all are idle.
 *
 * @param keysName Of the Secret with the key that engines of a new revision ask for.
 */
export function chooseTarget(
  facts: Facts,
  keysName: string,
  plan: Planner = planServing,
  learned: Learned = NOTHING_LEARNED,
): Target {
  const { spec, revisions, owner } = facts;
  const inputs = engineInputs(spec);
  const number = (revisions[0]?.number ?? 0) + 1;
  const rendered = (made: ServingPlan): Revision => newRevision(owner.name, spec, made, keysName, number);
  const kept = revisions.find((revision) => revision.inputs === inputs);
  if (kept && !shouldReplan(kept, facts)) {
    const better = tuned(kept, facts, plan, learned);
    if (better) return asRevision(rendered(better), revisions, []);
    return { planned: true, revision: kept, rejected: [], alternative: soonerThan(kept, facts, plan, learned) };
  }

  const samePlan = kept ?? revisions.find((revision) => revision.planInputs === planInputs(spec));
  if (samePlan && !kept && !shouldReplan(samePlan, facts)) {
    return asRevision(rendered(samePlan.plan), revisions, []);
  }
  const outcome = planAnew(facts, plan, learned);
  if (outcome.fits) {
    const { plan: made, rejected, runnerUp, alternative } = outcome;
    return { ...asRevision(rendered(made), revisions, rejected), runnerUp, alternative };
  }
  if (kept) return { planned: true, revision: kept, rejected: outcome.rejected };
  return { planned: false, outcome };
}

/**
 * By what was measured, and without it where that leaves nothing: a hint never refuses what the planner would plan. What it would only
 * guess is refused: a guess is good until somebody has measured.
 */
function planAnew(facts: Facts, plan: Planner, learned: Learned): PlanOutcome {
  const { spec } = facts;
  let isHinted = false;
  const calibration: Learned['calibration'] = (footprint) => {
    const found = learned.calibration(footprint);
    isHinted ||= found !== undefined;
    return found;
  };
  const measured = planMeasured(facts, plan, { ...learned, calibration });
  const unhinted = (): PlanOutcome => {
    const outcome = plan({ spec, nodes: facts.nodes(), quota: facts.quota });
    return outcome.fits && isGuess(outcome.plan) ? measured : outcome;
  };
  const outcome = measured.fits || !isHinted ? measured : unhinted();
  if (!outcome.fits) return outcome;
  return { ...outcome, plan: informed(outcome.plan, spec, learned.attempts, learned.calibration(outcome.plan)) };
}

const planMeasured = (
  { spec, nodes, quota }: Facts,
  plan: Planner,
  { calibration }: Learned,
  kept?: ServingPlan,
): PlanOutcome =>
  plan({
    spec,
    nodes: nodes(),
    quota,
    kept,
    overheadBytes: (footprint) => measuredOverhead(calibration(footprint), footprint),
  });

/** What could start sooner than a kept plan whose pods find no node: it is told, and not taken. */
function soonerThan({ plan: kept }: Revision, facts: Facts, plan: Planner, learned: Learned): Alternative | undefined {
  if (!facts.isUnplaced) return undefined;
  const outcome = planMeasured(facts, plan, learned, kept);
  return outcome.fits ? outcome.alternative : undefined;
}

/** The plan to run in place of a kept one; undefined where it is good, or where changing it has to wait. */
function tuned(kept: Revision, facts: Facts, plan: Planner, learned: Learned): ServingPlan | undefined {
  const { spec, slots } = facts;
  const verdict = tune(kept.plan, spec, learned.attempts);
  switch (verdict.state) {
    case 'Step': {
      if (!verdict.isUrgent) return learned.isIdle || slots.some(isDown) ? verdict.to : undefined;
      const isCrowded = (verdict.to.concurrency ?? Infinity) < spec.context.minConcurrency;
      return (isCrowded ? otherwise(kept, facts, plan, learned) : undefined) ?? verdict.to;
    }
    case 'Stuck':
      return otherwise(kept, facts, plan, learned);
    case 'Trying':
    case 'Tuned':
    case 'Pinned':
    case 'Crowded':
      return undefined;
  }
}

/** Other GPUs or another checkpoint for a plan that never served and cannot be tuned into one that does what is asked. */
function otherwise(kept: Revision, facts: Facts, plan: Planner, learned: Learned): ServingPlan | undefined {
  if (kept.served) return undefined;
  const outcome = planMeasured(facts, plan, learned);
  // One download for a guess is enough.
  if (!outcome.fits || isGuess(outcome.plan)) return undefined;
  const hasFailed = learned.attempts.some(
    ({ configuration, outcome: came }) =>
      configuration === configurationOf(outcome.plan, facts.spec) && (came === 'DoesNotFit' || came === 'OutOfMemory'),
  );
  return hasFailed ? undefined : outcome.plan;
}

/** Whether a slot's engine has to start anyway. One that only fails its probe may be at work. */
const isDown = (slot: LiveSlot): boolean =>
  !isReady(slot) &&
  slot.pods
    .filter((pod) => !isTerminating(pod))
    .every((pod) => pod.nodeName === undefined || pod.phase !== 'Running' || isFailing(pod));

/**
 * A template that exists already keeps its object; only what it was chosen for is noted anew. It becomes the newest, so that it is found
 * first when several lengths were tried for the same inputs.
 */
function asRevision(
  fresh: Revision,
  revisions: readonly Revision[],
  rejected: readonly RejectedCandidate[],
): Extract<Target, { planned: true }> {
  const same = revisions.find((revision) => revision.hash === fresh.hash);
  return {
    planned: true,
    revision: same
      ? { ...same, inputs: fresh.inputs, planInputs: fresh.planInputs, number: newest(same, fresh, revisions) }
      : fresh,
    rejected,
  };
}

const newest = (same: Revision, fresh: Revision, revisions: readonly Revision[]): number =>
  revisions.some((other) => other.inputs === fresh.inputs && other.number > same.number) ? fresh.number : same.number;

function shouldReplan(revision: Revision, facts: Facts): boolean {
  if (!revision.served && (facts.isUnplaced || isBeyond(facts.quota, revision))) return true;
  if (facts.pods.some((pod) => pod.nodeName !== undefined)) return false;
  return isBeyond(facts.quota, revision) || !facts.nodes().some((node) => offers(node, revision));
}

const isBeyond = (quota: GpuQuota | undefined, { plan }: Revision): boolean =>
  quota !== undefined && plan.gpusPerReplica > quota.gpus;

const offers = (node: GpuNode, { plan }: Revision): boolean => suits(plan, node) && node.gpus >= plan.gpusPerReplica;
