import type { Deployment, KubeObject, PersistentVolumeClaim } from '../kube/wire.ts';
import type { Decision } from '../reconcile/decision.ts';
import { desiredChildren } from '../reconcile/desired.ts';
import { type Action, diff } from '../reconcile/diff.ts';
import type { Facts, LiveSlot, ModelState, PodFacts } from '../reconcile/facts.ts';
import { ofKind } from '../reconcile/observe.ts';
import { rollout } from '../reconcile/rollout.ts';
import { SLOT, childNames } from '../render/labels.ts';
import { weightsClaimName } from '../render/weights.ts';

/** What has to be done about the weights before engines start. */
export type WeightsOutlook =
  /** The resource brings a volume or an image. */
  | { readonly state: 'NotFetched' }
  | { readonly state: 'Verified' }
  | { readonly state: 'Fetching' }
  | { readonly state: 'Failed' }
  /** On a volume that exists: what is there is verified, what is missing is fetched. */
  | { readonly state: 'ToVerify'; readonly claim: string }
  /** `isAnew`: the resource has other weights already. */
  | { readonly state: 'ToFetch'; readonly claim: string; readonly bytes: number; readonly isAnew: boolean };

/** What becomes of a resource when its decision is carried out to the end. */
export interface Outlook {
  /** Deployments whose running engine is replaced, in order; those of one entry at once. */
  readonly restarts: readonly (readonly string[])[];
  /** Deployments that come to run an engine. */
  readonly starts: readonly string[];
  /** Deployments whose engine ends for good, or until the resource is no longer suspended. */
  readonly stops: readonly string[];
  /** Undefined without a plan. */
  readonly weights: WeightsOutlook | undefined;
  /** Every write until then, with its reason. */
  readonly actions: readonly Action[];
  /** The children at the end, in the order in which they are applied. */
  readonly children: readonly KubeObject[];
}

/** A pod of an engine that answers, as slots see it. */
const ANSWERING: PodFacts = {
  kind: 'Pod',
  metadata: {},
  nodeName: undefined,
  gpus: {},
  phase: 'Running',
  ready: true,
  unschedulable: undefined,
  container: undefined,
  failure: undefined,
  restarts: 0,
};

/**
 * Carries a decision out in thought: weights come, engines start and answer, until nothing moves any more. Rollout, children and diff are
 * the operator's own.
 *
 * Assumes: weights can be fetched and every engine finds its GPUs and answers.
 */
export function outlook(decision: Decision): Outlook {
  const { facts, target, model, wanted } = decision;
  const { owner, spec } = facts;
  const chosen = target.planned ? target.revision : undefined;
  const { slots, moves } = rolledOut(facts, chosen?.hash, (live) => {
    const revisions = chosen === undefined ? facts.revisions : [chosen, ...facts.revisions];
    return rollout(wanted, spec.suspend, chosen, revisions, live);
  });
  const end: Facts = { ...facts, slots };
  const children = desiredChildren({ ...decision, facts: end, model: { state: 'verified' } });
  const runs = running(facts.children);
  const willRun = running(children);
  const named = (indices: readonly number[]): string[] => indices.map((index) => childNames.slot(owner.name, index));
  const isReplaced = (index: number): boolean => runs.has(index) && willRun.has(index);
  return {
    restarts: moves.map((step) => named(step.filter(isReplaced))).filter((step) => step.length > 0),
    starts: named([...willRun].filter((index) => !runs.has(index))),
    stops: named([...runs].filter((index) => !willRun.has(index))),
    weights: weightsOutlook(facts, target, model),
    actions: diff(owner, children, facts.children, { keepWeights: !target.planned }).actions,
    children,
  };
}

/** Rolls out step by step until nothing moves; `moves` are the slots of each step. */
function rolledOut(
  { slots: live, spec }: Facts,
  target: string | undefined,
  next: (live: readonly LiveSlot[]) => ReturnType<typeof rollout>,
): { readonly slots: readonly LiveSlot[]; readonly moves: readonly (readonly number[])[] } {
  const pods = spec.suspend ? [] : [ANSWERING];
  // An engine that is still starting is waited for, so it answers before anything else moves.
  let slots: readonly LiveSlot[] = live.map((slot) => (slot.revisionHash === target ? { ...slot, pods } : slot));
  const moves: number[][] = [];
  for (;;) {
    const planned = next(slots);
    const moved = planned.filter(
      ({ index, revision }) => slots.find((slot) => slot.index === index)?.revisionHash !== revision.hash,
    );
    slots = planned.map(({ index, revision }) => ({ index, revisionHash: revision.hash, pods }));
    if (moved.length === 0) return { slots, moves };
    moves.push(moved.map(({ index }) => index));
  }
}

/** Slots of Deployments that run an engine. */
const running = (objects: readonly KubeObject[]): Set<number> =>
  new Set(
    ofKind<Deployment>(objects, 'Deployment')
      .filter(({ spec }) => (spec?.replicas ?? 1) > 0)
      .map(({ spec }) => Number(spec?.template.metadata?.labels?.[SLOT]))
      .filter((slot) => !Number.isNaN(slot))
      .sort((left, right) => left - right),
  );

function weightsOutlook(facts: Facts, target: Decision['target'], model: ModelState): WeightsOutlook | undefined {
  if (!target.planned) return undefined;
  switch (model.state) {
    case 'not-fetched':
      return { state: 'NotFetched' };
    case 'verified':
      return { state: 'Verified' };
    case 'fetching':
      return { state: 'Fetching' };
    case 'failed':
      return { state: 'Failed' };
    case 'missing': {
      const { plan } = target.revision;
      const claim = weightsClaimName(facts.owner.name, facts.spec, plan);
      const claims = ofKind<PersistentVolumeClaim>(facts.children, 'PersistentVolumeClaim');
      if (claims.some(({ metadata }) => metadata?.name === claim)) return { state: 'ToVerify', claim };
      return { state: 'ToFetch', claim, bytes: plan.weightBytes, isAnew: ofKind(facts.children, 'Job').length > 0 };
    }
  }
}
