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
 * The endpoints to use: the operator's word while it is there. Without it those that DNS lists, as its last word told of them, and what drained
 * by then; or its last word, where DNS lists none.
 *
 * An address that DNS lists no longer may be a stranger's by now, or an engine's that is not ready: it gets nothing as long as others do.
 */
export function endpointsBy({ told, discovered, isLinked }: Knowledge): readonly Endpoint[] {
  if (told === undefined) return discovered;
  if (isLinked || discovered.length === 0) return told;
  const known = new Map(told.map((endpoint) => [endpoint.address, endpoint]));
  // The id that the operator gave stays, and with it connections and what their replica is known to hold.
  const listed = discovered.map((endpoint) => known.get(endpoint.address) ?? endpoint);
  return [...new Set([...listed, ...told.filter(({ state }) => state === 'Draining')])];
}
