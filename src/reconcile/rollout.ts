import type { Revision, Slot } from '../render/index.ts';
import { type LiveSlot, isReady } from './facts.ts';

/**
 * Which slots should exist, and at which revision.
 *
 * **Guarantees**: slots are numbered from 0 without gaps and the highest go first when fewer are wanted; a slot that serves an older
 * revision moves to the target only while every slot already there is ready, and one at a time; a slot that does not serve moves at
 * once; without a target, or before its weights are there, running slots stay as they are and no slot is made.
 */
export function rollout(
  wanted: number,
  suspended: boolean,
  target: Revision | undefined,
  revisions: readonly Revision[],
  live: readonly LiveSlot[],
): Slot[] {
  const known = new Map(revisions.map((revision) => [revision.hash, revision]));
  const atTarget = live.filter((slot) => slot.revisionHash === target?.hash);
  let mayMove = atTarget.every(isReady);
  const slots: Slot[] = [];
  for (let index = 0; index < wanted; index += 1) {
    const slot = live.find((candidate) => candidate.index === index);
    const current = slot && known.get(slot.revisionHash);
    const revision = next(slot, current);
    if (revision) slots.push({ index, revision, replicas: suspended ? 0 : 1 });
  }
  return slots;

  function next(slot: LiveSlot | undefined, current: Revision | undefined): Revision | undefined {
    if (target === undefined || current?.hash === target.hash) return current ?? target;
    if (slot === undefined || current === undefined || !isReady(slot)) return target;
    if (!mayMove) return current;
    mayMove = false;
    return target;
  }
}
