import { type Facts, type LiveSlot, type PodFacts, isFailing, isReady, isTerminating } from './facts.ts';

/** A controller makes the next pod within a second; one that was away takes longer. */
const SUCCESSOR_MS = 60_000;

/**
 * Engine pods that something is wrong with, those of the target revision first, then by slot and name.
 *
 * Guarantees: of a slot that has a living pod it is that one, and what ended the pod before it only as long as its successor has not
 * answered: an eviction is not over because another pod is being tried.
 */
export const failingPods = ({ slots }: Pick<Facts, 'slots'>, target: string | undefined): PodFacts[] =>
  slots
    .filter((slot) => !isReady(slot))
    .toSorted((a, b) => Number(b.revisionHash === target) - Number(a.revisionHash === target))
    .flatMap(({ pods }: LiveSlot) => {
      const [alive, over] = [pods.filter(isAlive), pods.filter(isOver)];
      return [...byName(alive), ...byName(over.filter((pod) => alive.every((next) => hasFollowed(next, pod))))];
    })
    .filter(isFailing);

export const isAlive = (pod: PodFacts): boolean =>
  !isTerminating(pod) && pod.phase !== 'Failed' && pod.phase !== 'Succeeded';

const isOver = (pod: PodFacts): boolean => !isTerminating(pod) && !isAlive(pod);

/** Whether it was made because the other one failed, and has not answered yet. */
function hasFollowed({ engine }: PodFacts, { failure }: PodFacts): boolean {
  if (engine === undefined || engine.hasStarted || failure?.atMs === undefined) return false;
  return Math.abs(engine.createdMs - failure.atMs) < SUCCESSOR_MS;
}

const byName = (pods: readonly PodFacts[]): PodFacts[] =>
  pods.toSorted((a, b) => a.metadata.name!.localeCompare(b.metadata.name!));
