import type { Clock } from '../runtime/clock.ts';

/** client-go `tools/cache/reflector.go`: 800 ms … 30 s, ×2, forgotten after 2 minutes without a failure. */
const FIRST_MS = 800;
const LAST_MS = 30_000;
const HEALTHY_MS = 120_000;

/** How long to wait before a stream that failed is opened again: full jitter, for ever. */
export class ReconnectBackoff {
  readonly #clock: Clock;
  readonly #random: () => number;
  #failures = 0;
  #failedAt = 0;

  constructor(clock: Clock, random: () => number) {
    this.#clock = clock;
    this.#random = random;
  }

  /** Counts a failure and returns the wait in milliseconds, at least `atLeastMs`. */
  next(atLeastMs = 0): number {
    const now = this.#clock.monotonic();
    if (now - this.#failedAt >= HEALTHY_MS) this.#failures = 0;
    const ceiling = Math.min(LAST_MS, FIRST_MS * 2 ** Math.min(this.#failures, 16));
    this.#failures += 1;
    const waitMs = Math.max(atLeastMs, Math.ceil(ceiling * this.#random()));
    // Health is counted from when the next try may start, not from the failure.
    this.#failedAt = now + waitMs;
    return waitMs;
  }
}
