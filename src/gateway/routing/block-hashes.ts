/** What a block hash is: a whole number of 53 bits that covers the block and everything before it. */
export type BlockHash = number;

/**
 * Cuts a text that comes in pieces into blocks of so many UTF-16 units and hashes each together with all before it.
 *
 * **Guarantees**: equal texts have equal hashes however they are cut into pieces; the same in every process, so that two gateways agree.
 * Texts that differ have equal hashes by chance only, about once in 2^53 pairs.
 *
 * The hash is arithmetic, not cryptography, and has no secret seed, which gateways would have to share. Whoever makes two prompts collide
 * gets both sent to one replica, which equal beginnings would do as well; no answer and no cache of an engine depends on it.
 */
export class BlockHashes {
  readonly #unitsPerBlock: number;
  readonly #mostBlocks: number;
  readonly #hashes: BlockHash[] = [];
  #low = 0x2545f491;
  #high = 0x6c62272e;
  /** What is not in a block yet. */
  #rest = '';
  #units = 0;

  constructor(unitsPerBlock: number, mostBlocks: number) {
    this.#unitsPerBlock = unitsPerBlock;
    this.#mostBlocks = mostBlocks;
  }

  /** Whole blocks so far; what is left over is in none. */
  get hashes(): readonly BlockHash[] {
    return this.#hashes;
  }

  /** Units so far, those behind the last block that is kept included. */
  get units(): number {
    return this.#units;
  }

  /** Takes a piece, and answers whether more is wanted: once the most blocks are there, pieces are counted and no longer read. */
  add(piece: string): boolean {
    this.#units += piece.length;
    if (this.#hashes.length === this.#mostBlocks) return false;
    this.#rest += piece;
    if (this.#rest.length >= this.#unitsPerBlock) this.#cut();
    return this.#hashes.length < this.#mostBlocks;
  }

  /** Hashes the blocks that are whole. */
  #cut(): void {
    const words = new Int32Array(Math.ceil(this.#unitsPerBlock / 2));
    const bytes = Buffer.from(words.buffer);
    let at = 0;
    for (; at + this.#unitsPerBlock <= this.#rest.length; at += this.#unitsPerBlock) {
      if (this.#hashes.length === this.#mostBlocks) break;
      bytes.write(this.#rest.slice(at, at + this.#unitsPerBlock), 'utf16le');
      this.#mix(words);
      this.#hashes.push(hashOf(this.#low, this.#high));
    }
    this.#rest = this.#rest.slice(at);
  }

  /** Two lanes: the one multiplies and rotates, the other adds up what the first becomes. Two units at once: about 1 ns a unit. */
  #mix(words: Int32Array): void {
    let low = this.#low;
    let high = this.#high;
    for (let at = 0; at < words.length; at += 1) {
      low = Math.imul(low ^ words[at]!, 0x9e3779b1);
      low = (low << 11) | (low >>> 21);
      high = Math.imul(high + low, 0x7fb5d329) ^ (high >>> 15);
    }
    this.#low = low;
    this.#high = high;
  }
}

const hashOf = (low: number, high: number): BlockHash =>
  (scramble(high ^ 0x51ed270b) & 0x1f_ffff) * 2 ** 32 + scramble(low ^ high);

/** Spreads every bit of a 32-bit number over all of them; unsigned. One to one: numbers that differ stay different. */
export function scramble(value: number): number {
  let mixed = value ^ (value >>> 16);
  mixed = Math.imul(mixed, 0x21f0aaad);
  mixed ^= mixed >>> 15;
  mixed = Math.imul(mixed, 0x735a2d97);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}
