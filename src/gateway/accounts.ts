import type { Metrics } from '../runtime/index.ts';
import type { AccessLog } from './access-log.ts';
import { OPERATION_NAMES } from './operations.ts';
import type { Usage } from './usage.ts';

/** One request as it ended. */
export interface Account {
  readonly requestId: string;
  readonly operation: string;
  /** Name of the key; empty where none is asked for, or the request had none. */
  readonly holder: string;
  /** Empty where the request named none that is served. */
  readonly model: string;
  /** Status that was sent; 499 where the client left before the end, 0 where the engine broke off after it. */
  readonly status: number;
  readonly replica: string | undefined;
  readonly retries: number;
  readonly milliseconds: number;
  /** Time that it waited for a place. */
  readonly heldMs: number;
  /** From the request's arrival to the first bytes of an engine. */
  readonly firstMs?: number | undefined;
  /** From the first to the last bytes of a stream of an engine. */
  readonly streamMs?: number | undefined;
  readonly usage: Usage | undefined;
}

/** As vLLM's own histogram has them. */
const FIRST_SECONDS = [0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640];
const INTER_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5];
const HELD_SECONDS = [0.01, 0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 1200];

/** Labels of keys and of models: whoever has more of them counts the rest as `other`. */
const MOST_HOLDERS = 200;
const MOST_MODELS = 20;

/** Counts what was served to whom, and writes one line a request. No prompt and no answer is in either. */
export class Accounts {
  readonly #log: AccessLog;
  readonly #requests;
  readonly #tokens;
  readonly #first;
  readonly #inter;
  readonly #held;
  readonly #retries;
  #answered = 0;
  #firstMs = 0;

  constructor(metrics: Metrics, log: AccessLog) {
    this.#log = log;
    const key = { atMost: MOST_HOLDERS };
    const model = { atMost: MOST_MODELS };
    this.#requests = metrics.counter({
      name: 'qwen_coder_gateway_requests_total',
      help: 'Requests by key, model, operation and status; 499 is a client that left, 0 an engine that broke off.',
      labels: { key, model, operation: { atMost: OPERATION_NAMES.length }, code: { atMost: 40 } },
    });
    this.#tokens = metrics.counter({
      name: 'qwen_coder_gateway_tokens_total',
      help: 'Tokens by key, model and kind: of prompts, of prompts and found in an engine cache, generated.',
      labels: { key, model, kind: ['prompt', 'cached', 'generated'] },
    });
    this.#first = metrics.histogram({
      name: 'qwen_coder_gateway_time_to_first_token_seconds',
      help: 'Time from a request to the first bytes of its answer.',
      labels: { key, model },
      buckets: FIRST_SECONDS,
    });
    this.#inter = metrics.histogram({
      name: 'qwen_coder_gateway_inter_token_seconds',
      help: 'Mean time between the tokens of a stream.',
      labels: { key, model },
      buckets: INTER_SECONDS,
    });
    this.#held = metrics.histogram({
      name: 'qwen_coder_gateway_held_seconds',
      help: 'Time that a request waited for a place at an engine.',
      labels: { key },
      buckets: HELD_SECONDS,
    });
    this.#retries = metrics.counter({
      name: 'qwen_coder_gateway_retries_total',
      help: 'Requests that were tried a second time, since an engine could not be reached or took none.',
    });
  }

  /** Requests that had an answer, and the sum of their times to the first token in milliseconds. */
  get totals(): { readonly answered: number; readonly firstMs: number } {
    return { answered: this.#answered, firstMs: this.#firstMs };
  }

  book(account: Account): void {
    const { holder: key, model, operation, status, firstMs, streamMs, heldMs, usage } = account;
    this.#requests.inc({ key, model, operation, code: String(status) });
    if (account.retries > 0) this.#retries.inc();
    if (heldMs > 0) this.#held.observe({ key }, heldMs / 1000);
    if (firstMs !== undefined) {
      this.#answered += 1;
      this.#firstMs += firstMs;
      this.#first.observe({ key, model }, firstMs / 1000);
    }
    if (usage) {
      this.#tokens.inc({ key, model, kind: 'prompt' }, usage.promptTokens);
      if (usage.cachedTokens > 0) this.#tokens.inc({ key, model, kind: 'cached' }, usage.cachedTokens);
      this.#tokens.inc({ key, model, kind: 'generated' }, usage.generatedTokens);
      if (streamMs !== undefined && usage.generatedTokens > 1)
        this.#inter.observe({ key, model }, streamMs / 1000 / (usage.generatedTokens - 1));
    }
    this.#log.write(account);
  }
}
