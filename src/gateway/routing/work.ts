/** What a replica does in a second, for comparing requests with one another. */
export interface WorkRates {
  /** Prompt tokens that are not in the cache. */
  readonly promptTokensPerSecond: number;
  /** Seconds of an engine that one generated token takes beside others. */
  readonly secondsPerOutputToken: number;
}

/**
 * Assumed until an engine was measured: 20,000 prompt tokens a second, and a generated token as dear as 8 prompt tokens (a step of
 * 8 ms + 0.15 ms for each of 32 requests). Only their ratio matters to routing: loads are compared, not timed.
 */
export const ASSUMED_RATES: WorkRates = { promptTokensPerSecond: 20_000, secondsPerOutputToken: 8 / 20_000 };

/** A request as far as its work goes. */
export interface Tokens {
  readonly promptTokens: number;
  /** Of these, those that the replica is believed to have in its cache. */
  readonly cachedTokens: number;
  readonly outputTokens: number;
}

/** Work of a request in seconds of an engine. */
export const estimatedWork = (
  { promptTokens, cachedTokens, outputTokens }: Tokens,
  rates: WorkRates = ASSUMED_RATES,
): number =>
  Math.max(0, promptTokens - cachedTokens) / rates.promptTokensPerSecond + outputTokens * rates.secondsPerOutputToken;

/** Until answers were seen: about the mean of coding and conversation traffic that was published (28 to 343 tokens). */
const FIRST_GUESS = 200;
/** Each answer moves the estimate by this part of the difference: the last hundred count. */
const STEP = 0.02;

/**
 * How long answers are, learned from those that ended.
 *
 * `max_tokens` is an upper bound and nothing more: agents ask for 32,000 and get 300.
 */
export class OutputEstimate {
  #mean = FIRST_GUESS;

  observe(outputTokens: number): void {
    this.#mean += (outputTokens - this.#mean) * STEP;
  }

  /** Tokens that a request will likely generate; `most` is its `max_tokens`. */
  expected(most = Infinity): number {
    return Math.min(most, this.#mean);
  }
}
