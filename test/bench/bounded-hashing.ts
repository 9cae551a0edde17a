import { scramble } from '../../src/gateway/routing/index.ts';

/** Places of each replica on the ring, and how far above the mean one may be loaded: the defaults of KubeAI's PrefixHash. */
const PLACES = 256;
const LOAD_FACTOR = 1.25;

/**
 * Consistent hashing with bounded loads, as KubeAI has it: the hash of a prompt's first characters names a place on a ring, and the first replica
 * from there takes the request whose requests in flight are not above the mean by more than a quarter.
 */
export class BoundedHashing {
  readonly #ring: readonly { readonly at: number; readonly replica: number }[];

  constructor(replicas: number, seed: number) {
    this.#ring = Array.from({ length: replicas * PLACES }, (_, place) => ({
      at: scramble(scramble(place) ^ seed),
      replica: place % replicas,
    })).sort((one, other) => one.at - other.at);
  }

  choose(first: number, inFlight: readonly number[]): number {
    const mean = (inFlight.reduce((sum, count) => sum + count, 0) + 1) / inFlight.length;
    const hash = scramble(first);
    const start = this.#ring.findIndex(({ at }) => at >= hash);
    for (let step = 0; step < this.#ring.length; step += 1) {
      const { replica } = this.#ring[(Math.max(0, start) + step) % this.#ring.length]!;
      if (inFlight[replica]! <= mean * LOAD_FACTOR) return replica;
    }
    return this.#ring[0]!.replica;
  }
}
