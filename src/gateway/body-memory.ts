import { Refusal } from './refusal.ts';

const RETRY_AFTER_SECONDS = 5;

/**
 * Memory for the bodies of requests, from their first byte to the end of their answer: until then another engine may have to be sent them.
 *
 * **Guarantees**: all of them together have no more than so many bytes, and those of one key no more than they leave to others. So a key that
 * sends more than the gateway can hold is told so, and the next one still finds room.
 */
export class BodyMemory {
  readonly #most: number;
  /** Holder → bytes. */
  readonly #held = new Map<string, number>();
  #total = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get total(): number {
    return this.#total;
  }

  /** **Fails when** there is no room for so many more: a `Refusal`. */
  take(holder: string, bytes: number): void {
    const held = (this.#held.get(holder) ?? 0) + bytes;
    const total = this.#total + bytes;
    if (held > this.#most - total) {
      throw new Refusal(
        'NoEngine',
        `The gateway holds ${mebibytes(this.#total)} MiB of requests, ${mebibytes(held - bytes)} MiB of them of this key, and has no room for more.`,
        RETRY_AFTER_SECONDS,
      );
    }
    this.#held.set(holder, held);
    this.#total = total;
  }

  give(holder: string, bytes: number): void {
    if (bytes === 0) return;
    const held = this.#held.get(holder)! - bytes;
    if (held === 0) this.#held.delete(holder);
    else this.#held.set(holder, held);
    this.#total -= bytes;
  }
}

const mebibytes = (bytes: number): number => Math.round(bytes / 2 ** 20);
