import type { ServingPlan } from './plan.ts';
import { gib } from './words.ts';

/** Whether a plan loads only if its engine takes less overhead than is estimated. */
export const isGuess = ({ estimatedOverheadBytes }: ServingPlan): boolean => estimatedOverheadBytes !== undefined;

/** What may prove wrong in a plan that is a guess, in numbers and whole sentences; undefined of a plan that is none. */
export function caveatOf({ memory, estimatedOverheadBytes }: ServingPlan): string | undefined {
  if (memory === undefined || estimatedOverheadBytes === undefined) return undefined;
  return `This is a guess: it loads if an engine takes at most ${gib(memory.overhead)} of a GPU besides weights and KV cache; ${gib(estimatedOverheadBytes)} is the estimate. The first start tells.`;
}
