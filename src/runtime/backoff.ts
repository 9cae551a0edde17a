/** How the delay between two tries of one key grows. */
export interface Backoff {
  readonly baseMs: number;
  readonly capMs: number;
}

/** client-go's `DefaultTypedControllerRateLimiter` starts at 5 ms; its cap of 1,000 s is too long for a resource that people watch. */
export const defaultBackoff: Backoff = { baseMs: 5, capMs: 300_000 };

/** The delay after `failures` failures in a row (1 = the first): `baseMs · 2^(failures − 1)`, at most `capMs`. */
export function backoffMs(failures: number, backoff: Backoff = defaultBackoff): number {
  if (failures <= 0) return 0;
  // 2^1024 is Infinity, which `min` turns into the cap: no failure count overflows.
  return Math.min(backoff.capMs, backoff.baseMs * 2 ** (failures - 1));
}

/**
 * Full jitter: a delay spread evenly over `[0, ms)`, so that those who failed together do not come back together.
 * `random` answers in `[0, 1)`, as `Math.random` does.
 */
export function fullJitterMs(ms: number, random: () => number): number {
  return ms * random();
}

/**
 * A token bucket that gives turns instead of making callers wait: each `reserve` takes a token, from the future if need be, and answers
 * how long it is until then.
 *
 * **Guarantees** at most `burst + perSecond · t` turns within any `t` seconds, until turns would be further away than `maxWaitMs`: from
 * then on they are given at that distance.
 */
export class RetryBucket {
  readonly #perMs: number;
  readonly #burst: number;
  readonly #maxDebt: number;
  #tokens: number;
  #at: number;

  constructor(perSecond: number, burst: number, atMs: number, maxWaitMs = Infinity) {
    this.#perMs = perSecond / 1000;
    this.#burst = burst;
    this.#maxDebt = maxWaitMs * this.#perMs;
    this.#tokens = burst;
    this.#at = atMs;
  }

  /** Takes a token at monotonic time `atMs`; answers the milliseconds until it may be used. */
  reserve(atMs: number): number {
    this.#tokens = Math.min(this.#burst, this.#tokens + Math.max(0, atMs - this.#at) * this.#perMs);
    this.#at = Math.max(this.#at, atMs);
    this.#tokens = Math.max(this.#tokens - 1, -this.#maxDebt);
    return this.#tokens >= 0 ? 0 : -this.#tokens / this.#perMs;
  }
}
