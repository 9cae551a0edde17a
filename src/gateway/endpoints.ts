import type { Endpoint } from './replicas.ts';

/** What is known of the engines, and from whom. */
export interface Knowledge {
  /** By the operator; undefined while it has never said anything. */
  readonly told: readonly Endpoint[] | undefined;
  /** By DNS, which knows engines that are ready and neither their names nor who drains. */
  readonly discovered: readonly Endpoint[];
  /** When the operator left, in milliseconds of a monotonic clock; undefined while it is there. */
  readonly leftMs: number | undefined;
}

/** Within so long another leader comes, as a rule, and until then DNS may be older than the operator's word: clusters cache it for 30 s. */
const BETWEEN_LEADERS_MS = 60_000;

/**
 * The endpoints to use: the operator's word while it is there, and for a minute after with what DNS has come to know. From then on those that DNS
 * lists, as the last word told of them, and what drained by then; where it lists none, the last word.
 *
 * An address that DNS lists no longer may be a stranger's by now, or an engine's that is not ready: it gets nothing as long as others do.
 */
export function endpointsBy({ told, discovered, leftMs }: Knowledge, nowMs: number): readonly Endpoint[] {
  if (told === undefined) return discovered;
  if (leftMs === undefined || discovered.length === 0) return told;
  const known = new Map(told.map((endpoint) => [endpoint.address, endpoint]));
  // The id that the operator gave stays, and with it connections and what their replica is known to hold.
  const listed = discovered.map((endpoint) => known.get(endpoint.address) ?? endpoint);
  const isRecent = nowMs - leftMs < BETWEEN_LEADERS_MS;
  return [...new Set([...listed, ...told.filter(({ state }) => isRecent || state === 'Draining')])];
}
