import type { Endpoint } from './replicas.ts';

/** What is known of the engines, and from whom. */
export interface Knowledge {
  /** By the operator; undefined while it has never said anything. */
  readonly told: readonly Endpoint[] | undefined;
  /** By DNS, which knows engines that are ready and neither their names nor who drains. */
  readonly discovered: readonly Endpoint[];
  /** Whether the operator is there. */
  readonly isLinked: boolean;
}

/**
 * The endpoints to use: the operator's word while it is there; without it its last word, and what DNS has come to know since. Whether one
 * of the last word is still there shows when it is asked.
 */
export function endpointsBy({ told, discovered, isLinked }: Knowledge): readonly Endpoint[] {
  if (told === undefined) return discovered;
  if (isLinked) return told;
  const known = new Set(told.map(({ address }) => address));
  return [...told, ...discovered.filter(({ address }) => !known.has(address))];
}
