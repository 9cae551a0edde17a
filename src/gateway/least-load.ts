import type { Routing } from './exchanges.ts';

/** The replica with the least work under way; every request counts the same. */
export const leastLoad: Routing = {
  work: () => 1,
  choose: (_generation, replicas) => replicas.reduce((least, replica) => (replica.work < least.work ? replica : least)),
};
