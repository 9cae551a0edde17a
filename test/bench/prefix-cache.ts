/** The prefix cache of an engine: of so many blocks those that were used last. */
export class PrefixCache {
  readonly #capacity: number;
  /** In the order of use, longest ago first. */
  readonly #blocks = new Set<number>();

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Takes a chain in and answers how many blocks of its beginning were there. */
  use(chain: readonly number[]): number {
    let hits = 0;
    while (hits < chain.length && this.#blocks.has(chain[hits]!)) hits += 1;
    // The end goes first: a block without those before it is of no use.
    for (let at = chain.length - 1; at >= 0; at -= 1) {
      this.#blocks.delete(chain[at]!);
      this.#blocks.add(chain[at]!);
    }
    for (const oldest of this.#blocks) {
      if (this.#blocks.size <= this.#capacity) break;
      this.#blocks.delete(oldest);
    }
    return hits;
  }
}
