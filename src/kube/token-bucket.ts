import type { Clock } from '../runtime/clock.ts';

/**
 * Lets `burst` callers through at once and `perSecond` after that, first come, first served, so that no bug of ours can flood the
 * API server.
 */
export class TokenBucket {
  readonly #clock: Clock;
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  #at: number;

  constructor(clock: Clock, perSecond: number, burst: number) {
    this.#clock = clock;
    this.#perMs = perSecond / 1000;
    this.#burst = burst;
    this.#tokens = burst;
    this.#at = clock.monotonic();
  }

  /** Waits for a token. An aborted wait gives its token back. */
  async take(signal?: AbortSignal): Promise<void> {
    const now = this.#clock.monotonic();
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#at) * this.#perMs);
    this.#at = now;
    this.#tokens -= 1;
    if (this.#tokens >= 0) return;
    // The debt is the place in the queue.
    try {
      await this.#clock.sleep(-this.#tokens / this.#perMs, signal);
    } catch (reason) {
      this.#tokens += 1;
      throw reason;
    }
  }
}
