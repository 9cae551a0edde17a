import type { QwenCoderSpec } from '../api/index.ts';
import type { KubeObject } from '../kube/index.ts';
import {
  type Installation,
  type LiveVolume,
  type Revision,
  type Slot,
  type WeightsAccess,
  children,
} from '../render/index.ts';
import { type Facts, type LiveSlot, type ModelState, isAvailable, isReady } from './facts.ts';
import { rollout } from './rollout.ts';
import { loadSecondsOf } from './start-watch.ts';
import type { Target } from './target.ts';

/** Revisions kept besides those in use (design decision 6). */
const KEPT_REVISIONS = 5;

/** What the children of a resource follow from. */
export interface Desire {
  readonly facts: Facts;
  readonly target: Target;
  readonly model: ModelState;
  /** The claim of the target's weights as it is. */
  readonly volume: LiveVolume | undefined;
  /** Replicas that the spec asks for, suspended or not. */
  readonly wanted: number;
  readonly access?: WeightsAccess | undefined;
  readonly installation: Installation;
}

/** How many replicas the spec asks for, whoever set the number. */
export function wantedReplicas({ scaling, replicas }: QwenCoderSpec): number {
  switch (scaling.mode) {
    case 'Builtin':
      return scaling.minReplicas;
    case 'External':
    case 'None':
      return replicas ?? 1;
  }
}

/** The slots that a resource should have now. */
export function desiredSlots({ facts, target, model, wanted }: Desire): Slot[] {
  const chosen = target.planned && isAvailable(model) ? target.revision : undefined;
  return rollout(wanted, facts.spec.suspend, chosen, knownRevisions(facts, target), facts.slots);
}

/** The children that a resource should have now, in the order in which they are applied. */
export function desiredChildren(desire: Desire): KubeObject[] {
  const { facts, target, volume, access, installation } = desire;
  const { owner, spec, slots } = facts;
  const chosen = target.planned ? target.revision : undefined;
  const planned = desiredSlots(desire);
  const inUse = new Set([
    ...planned.map(({ revision }) => revision.hash),
    ...slots.map(({ revisionHash }) => revisionHash),
  ]);
  const kept = knownRevisions(facts, target).filter(
    (revision, index) => index < KEPT_REVISIONS || inUse.has(revision.hash),
  );
  return children({ owner, spec, target: chosen, revisions: kept, slots: planned, volume, access, installation });
}

/** The target first, then the others, newest first. */
const knownRevisions = ({ revisions, slots }: Facts, target: Target): readonly Revision[] =>
  target.planned
    ? [withServed(target.revision, slots), ...revisions.filter(({ hash }) => hash !== target.revision.hash)]
    : revisions;

/** A revision has served once an engine of it was ready: its plan is then known to work. */
const withServed = (revision: Revision, slots: readonly LiveSlot[]): Revision =>
  revision.served || !slots.some((slot) => slot.revisionHash === revision.hash && isReady(slot))
    ? revision
    : { ...revision, served: true, loadSeconds: loadSecondsOf(slots, revision) };

/** Older weights stay until every slot has left them; without a plan nothing is thrown away. */
export const isRollingOut = (slots: readonly LiveSlot[], target: Target): boolean =>
  !target.planned ||
  slots.some((slot) => slot.revisionHash !== target.revision.hash) ||
  (slots.length > 0 && !slots.some(isReady));
