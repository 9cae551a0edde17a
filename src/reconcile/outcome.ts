import type { LiveVolume, Revision } from '../render/index.ts';
import type { ServingPlan } from '../serving/index.ts';
import type { Failures } from './failures.ts';
import { type Facts, type LiveSlot, type ModelState, isReady } from './facts.ts';
import type { SlowestStart } from './start-watch.ts';
import type { Target } from './target.ts';
import type { Tuning } from './tuner.ts';

/** Something that only a change outside the operator can mend. */
export interface Problem {
  readonly reason: 'NameTaken' | 'ChildRejected' | 'KindNotInstalled';
  readonly message: string;
}

/** What a reconcile found and decided. */
export interface Outcome {
  readonly facts: Facts;
  readonly target: Target;
  readonly model: ModelState;
  /** The claim of the target's weights as it is. */
  readonly volume: LiveVolume | undefined;
  /** Replicas that should run, after scaling and suspension. */
  readonly wanted: number;
  readonly problem: Problem | undefined;
  /** How the target's context length stands. */
  readonly tuning?: Tuning | undefined;
  /** The start that takes longest. */
  readonly start?: SlowestStart | undefined;
  /** What fails among engines and download. */
  readonly failures?: Failures | undefined;
}

/** Wanted slots that answer. */
export const readySlots = ({ facts, wanted }: Outcome): LiveSlot[] =>
  facts.slots.filter((slot) => slot.index < wanted && isReady(slot));

/** The revision that answers now; during a rollout the older one, as long as one of its slots is ready. */
export function currentRevision(outcome: Outcome): Revision | undefined {
  const { facts, target } = outcome;
  const ready = readySlots(outcome);
  const serving = ready.find((slot) => !target.planned || slot.revisionHash !== target.revision.hash) ?? ready[0];
  return facts.revisions.find((revision) => revision.hash === serving?.revisionHash);
}

/** `2x H100-80GB` */
export const gpusText = (plan: ServingPlan): string => `${plan.gpusPerReplica}x ${plan.gpuName}`;
