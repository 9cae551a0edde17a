import { type Revision, engineInputs, newRevision, planInputs } from '../render/index.ts';
import { type GpuNode, type PlanOutcome, type RejectedCandidate, planServing } from '../serving/index.ts';
import type { Facts } from './facts.ts';
import type { Planner } from './metrics.ts';

/** The revision that the observed spec asks for, or why there is none. */
export type Target =
  | { readonly planned: true; readonly revision: Revision; readonly rejected: readonly RejectedCandidate[] }
  | { readonly planned: false; readonly outcome: Extract<PlanOutcome, { fits: false }> };

/**
 * Chooses the revision for the observed spec.
 *
 * **Guarantees**: a spec that was rendered before gets that very revision, so restarts and upgrades of the operator change no engine; an
 * edit that leaves the plan's inputs alone keeps the plan; a plan is left only when its GPUs are gone, or when it never served and its
 * pods find no node, and then only for one that fits.
 */
export function chooseTarget(facts: Facts, plan: Planner = planServing): Target {
  const { spec, revisions, owner } = facts;
  const inputs = engineInputs(spec);
  const number = (revisions[0]?.number ?? 0) + 1;
  const kept = revisions.find((revision) => revision.inputs === inputs);
  if (kept && !shouldReplan(kept, facts)) return { planned: true, revision: kept, rejected: [] };

  const samePlan = kept ?? revisions.find((revision) => revision.planInputs === planInputs(spec));
  if (samePlan && !kept && !shouldReplan(samePlan, facts)) {
    return asRevision(newRevision(owner.name, spec, samePlan.plan, number), revisions, []);
  }
  const outcome = plan({ spec, nodes: facts.nodes() });
  if (outcome.fits) return asRevision(newRevision(owner.name, spec, outcome.plan, number), revisions, outcome.rejected);
  if (kept) return { planned: true, revision: kept, rejected: outcome.rejected };
  return { planned: false, outcome };
}

/** A template that exists already keeps its object; only what it was chosen for is noted anew. */
function asRevision(fresh: Revision, revisions: readonly Revision[], rejected: readonly RejectedCandidate[]): Target {
  const same = revisions.find((revision) => revision.hash === fresh.hash);
  return {
    planned: true,
    revision: same ? { ...same, inputs: fresh.inputs, planInputs: fresh.planInputs } : fresh,
    rejected,
  };
}

function shouldReplan(revision: Revision, facts: Facts): boolean {
  if (!revision.served && facts.isUnplaced) return true;
  if (facts.pods.some((pod) => pod.nodeName !== undefined)) return false;
  return !facts.nodes().some((node) => offers(node, revision));
}

const offers = (node: GpuNode, { plan }: Revision): boolean =>
  node.product === plan.gpuProduct && node.gpus >= plan.gpusPerReplica;
