import { type BlockHash, scramble } from './block-hashes.ts';

/** Ways of a set: a block is in one of so many places. */
const WAYS = 4;

/**
 * How much of the recent work went through a prefix, and how much went on beyond it.
 *
 * Work fades by e every `fadeMs`, so that all gateways see the same shares however long they have run: each sees its part of the same traffic.
 *
 * **Guarantees** `16 · entries` bytes whatever comes. Where the table is full, prefixes of little work go first.
 */
export class Traffic {
  readonly #tags: Uint32Array;
  readonly #through: Float32Array;
  readonly #beyond: Float32Array;
  /** Seconds at which the two were true. */
  readonly #at: Float32Array;
  readonly #sets: number;
  readonly #fadeSeconds: number;
  #total = 0;
  #totalAt = 0;

  /** @param entries A power of two. */
  constructor(entries: number, fadeMs: number) {
    this.#tags = new Uint32Array(entries);
    this.#through = new Float32Array(entries);
    this.#beyond = new Float32Array(entries);
    this.#at = new Float32Array(entries);
    this.#sets = entries / WAYS;
    this.#fadeSeconds = fadeMs / 1000;
  }

  add(blocks: readonly BlockHash[], work: number, nowMs: number): void {
    const now = nowMs / 1000;
    this.#total = this.#total * this.#fade(this.#totalAt, now) + work;
    this.#totalAt = now;
    for (let depth = 0; depth < blocks.length; depth += 1) {
      const at = this.#place(blocks[depth]!, now);
      const fade = this.#fade(this.#at[at]!, now);
      this.#through[at] = this.#through[at]! * fade + work;
      this.#beyond[at] = this.#beyond[at]! * fade + (depth + 1 < blocks.length ? work : 0);
      this.#at[at] = now;
    }
  }

  /** The part of all work that went through a prefix, from 0 to 1. */
  share(block: BlockHash, nowMs: number): number {
    const now = nowMs / 1000;
    const at = this.#find(block);
    const total = this.#total * this.#fade(this.#totalAt, now);
    // All work of long ago fades to nothing.
    if (at < 0 || total === 0) return 0;
    return Math.min(1, (this.#through[at]! * this.#fade(this.#at[at]!, now)) / total);
  }

  /** The part of what went on beyond a prefix that went on otherwise than with `next`; undefined where nothing went on. */
  elsewhere(block: BlockHash, next: BlockHash, nowMs: number): number | undefined {
    const now = nowMs / 1000;
    const from = this.#find(block);
    if (from < 0) return undefined;
    const beyond = this.#beyond[from]! * this.#fade(this.#at[from]!, now);
    if (beyond === 0) return undefined;
    const to = this.#find(next);
    if (to < 0) return 1;
    return Math.max(0, 1 - (this.#through[to]! * this.#fade(this.#at[to]!, now)) / beyond);
  }

  #fade(since: number, now: number): number {
    return since === now ? 1 : Math.exp((since - now) / this.#fadeSeconds);
  }

  /** 0 is the tag of an empty place. */
  #tag(block: BlockHash): number {
    return scramble((block % 2 ** 32) ^ Math.floor(block / 2 ** 32)) || 1;
  }

  #find(block: BlockHash): number {
    const tag = this.#tag(block);
    const set = (block % this.#sets) * WAYS;
    for (let at = set; at < set + WAYS; at += 1) if (this.#tags[at] === tag) return at;
    return -1;
  }

  /** Where the prefix is, or where it may be from now on. */
  #place(block: BlockHash, now: number): number {
    const found = this.#find(block);
    if (found >= 0) return found;
    const set = (block % this.#sets) * WAYS;
    const left = (at: number): number => this.#through[at]! * this.#fade(this.#at[at]!, now);
    let least = set;
    for (let at = set + 1; at < set + WAYS; at += 1) if (left(at) < left(least)) least = at;
    this.#tags[least] = this.#tag(block);
    this.#through[least] = 0;
    this.#beyond[least] = 0;
    this.#at[least] = now;
    return least;
  }
}
