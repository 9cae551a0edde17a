import { type BlockHash } from './block-hashes.ts';
import { attraction } from './rendezvous.ts';

/** A replica as the table of sent blocks knows it. */
export interface Holder {
  readonly salt: number;
}

/** Ways of a set: a block is in one of so many places. */
const WAYS = 4;
/** Parts that a cache's worth of blocks is counted in: how finely it is known since when the cache holds everything. */
const PARTS = 8;

/** When the cache of a replica was filled, part by part. */
interface Filling {
  /** Tenths of a second when each of the last parts was begun, oldest first. */
  readonly marks: number[];
  blocks: number;
}

/**
 * Which blocks were sent to which replica, as far as its cache still holds them.
 *
 * An engine's cache drops what was used longest ago. So a block is taken for held when it was sent since the replica last got a cache's worth of
 * blocks that were new to it.
 *
 * **Guarantees** `8 · entries` bytes whatever is sent, and one small object for each replica that was not dropped. Where the table is full,
 * what was sent longest ago goes first.
 */
export class SentBlocks {
  readonly #tags: Uint32Array;
  /** Tenths of a second, 0 where there is nothing. */
  readonly #times: Uint32Array;
  readonly #sets: number;
  readonly #blocksPerPart: number;
  readonly #fillings = new Map<number, Filling>();

  /**
   * @param entries A power of two.
   * @param cacheBlocks Blocks of one replica's cache that are this gateway's to fill.
   */
  constructor(entries: number, cacheBlocks: number) {
    this.#tags = new Uint32Array(entries);
    this.#times = new Uint32Array(entries);
    this.#sets = entries / WAYS;
    this.#blocksPerPart = Math.max(1, cacheBlocks / PARTS);
  }

  /** How many blocks of the chain, from its beginning, the replica is believed to hold. */
  held(blocks: readonly BlockHash[], { salt }: Holder): number {
    const since = this.#heldSince(salt);
    // Whoever holds a block holds those before it, which were used no earlier.
    let [from, to] = [0, blocks.length];
    while (from < to) {
      const middle = (from + to + 1) >>> 1;
      const at = this.#find(blocks[middle - 1]!, salt);
      if (at >= 0 && this.#times[at]! >= since) from = middle;
      else to = middle - 1;
    }
    return from;
  }

  /** Notes that a chain was sent to a replica. */
  add(blocks: readonly BlockHash[], { salt }: Holder, nowMs: number): void {
    const now = Math.floor(nowMs / 100) + 1;
    const since = this.#heldSince(salt);
    let fresh = 0;
    for (const block of blocks) {
      let at = this.#find(block, salt);
      if (at < 0 || this.#times[at]! < since) fresh += 1;
      if (at < 0) at = this.#oldest(block, salt);
      this.#tags[at] = attraction(block, salt);
      this.#times[at] = now;
    }
    this.#fill(salt, fresh, now);
  }

  /** Forgets replicas that are not among these. */
  keepOnly(replicas: readonly Holder[]): void {
    const salts = new Set(replicas.map(({ salt }) => salt));
    for (const salt of this.#fillings.keys()) if (!salts.has(salt)) this.#fillings.delete(salt);
  }

  #heldSince(salt: number): number {
    const filling = this.#fillings.get(salt);
    return filling && filling.marks.length > PARTS ? filling.marks[0]! : 1;
  }

  #fill(salt: number, blocks: number, now: number): void {
    let filling = this.#fillings.get(salt);
    if (filling === undefined) this.#fillings.set(salt, (filling = { marks: [now], blocks: 0 }));
    filling.blocks += blocks;
    for (; filling.blocks >= this.#blocksPerPart; filling.blocks -= this.#blocksPerPart) {
      filling.marks.push(now);
      if (filling.marks.length > PARTS + 1) filling.marks.shift();
    }
  }

  #set(block: BlockHash, salt: number): number {
    return ((((block % 2 ** 32) ^ salt) >>> 0) % this.#sets) * WAYS;
  }

  #find(block: BlockHash, salt: number): number {
    const tag = attraction(block, salt);
    const set = this.#set(block, salt);
    for (let at = set; at < set + WAYS; at += 1) if (this.#tags[at] === tag && this.#times[at] !== 0) return at;
    return -1;
  }

  #oldest(block: BlockHash, salt: number): number {
    const set = this.#set(block, salt);
    let oldest = set;
    for (let at = set + 1; at < set + WAYS; at += 1) if (this.#times[at]! < this.#times[oldest]!) oldest = at;
    return oldest;
  }
}
