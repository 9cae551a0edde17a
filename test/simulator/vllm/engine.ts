import type { Clock } from '../../../src/runtime/clock.ts';
import type { KvLayout } from './memory.ts';
import type { EngineMetrics, Load } from './metrics.ts';

/** How fast the simulated GPUs are. */
export interface EngineSpeed {
  readonly prefillTokensPerSecond: number;
  /** One decode step of so many running requests. */
  readonly decodeStepSeconds: (running: number) => number;
}

/** About an H100 pair with the FP8 checkpoint: 10k tokens of prompt a second, 110 tokens a second for one request, less each for many. */
export const DEFAULT_SPEED: EngineSpeed = {
  prefillTokensPerSecond: 10_000,
  decodeStepSeconds: (running) => 0.009 + 0.0004 * running,
};

/** Decode steps are played in groups of about this long, so that hundreds of engines cost few timers. */
const GROUP_MS = 100;

export interface GenerationRequest {
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly maxTokens: number;
  /** Chained keys of the prompt's whole blocks, for the prefix cache. */
  readonly prefixKeys: readonly string[];
  /** Called with the number of tokens generated so far, each time it grows. */
  readonly onTokens: (generated: number) => void;
  readonly onEnd: (end: GenerationEnd) => void;
  readonly finishReason: 'stop' | 'length';
}

/** `finished` with all its tokens, `aborted` by its client or a shutdown, or the engine is `dead`. */
export type GenerationEnd = 'finished' | 'aborted' | 'dead';

interface Sequence {
  readonly request: GenerationRequest;
  readonly arrivedAt: number;
  scheduledAt: number | undefined;
  firstTokenAt: number | undefined;
  /** Prompt tokens whose KV is there. */
  prefilled: number;
  cachedTokens: number;
  generated: number;
}

/**
 * The time that a vLLM engine takes: continuous batching with chunked prefill over a block pool, first come first served.
 *
 * Guarantees: every submitted request ends exactly once. A request that can never fit waits for ever, as in vLLM up to 0.18.
 */
export class Engine {
  readonly metrics: EngineMetrics;
  readonly #clock: Clock;
  readonly #layout: KvLayout;
  readonly #batchedTokens: number;
  readonly #speed: EngineSpeed;
  #waiting: Sequence[] = [];
  #running: Sequence[] = [];
  #cancelStep: (() => void) | undefined;
  readonly #prefixes = new Map<string, true>();
  #dead = false;
  #applying = false;

  constructor(options: {
    readonly clock: Clock;
    readonly layout: KvLayout;
    readonly batchedTokens: number;
    readonly speed?: EngineSpeed | undefined;
    readonly metrics: EngineMetrics;
  }) {
    this.#clock = options.clock;
    this.#layout = options.layout;
    this.#batchedTokens = options.batchedTokens;
    this.#speed = options.speed ?? DEFAULT_SPEED;
    this.metrics = options.metrics;
  }

  get dead(): boolean {
    return this.#dead;
  }

  get load(): Load {
    return {
      running: this.#running.length,
      waiting: this.#waiting.length,
      kvCacheUsage: Math.min(1, this.#usedBlocks() / Math.max(1, this.#layout.blocks - 1)),
    };
  }

  /** Queues a request; the answer cancels it. */
  submit(request: GenerationRequest): () => void {
    if (this.#dead) {
      request.onEnd('dead');
      return () => {};
    }
    const sequence: Sequence = {
      request,
      arrivedAt: this.#clock.monotonic(),
      scheduledAt: undefined,
      firstTokenAt: undefined,
      prefilled: 0,
      cachedTokens: 0,
      generated: 0,
    };
    this.#waiting.push(sequence);
    this.#plan();
    return () => this.#end(sequence, 'aborted');
  }

  /** Ends all requests; no further one is taken. */
  kill(end: GenerationEnd): void {
    this.#dead = true;
    this.#cancelStep?.();
    for (const sequence of [...this.#running, ...this.#waiting]) this.#end(sequence, end);
  }

  #plan(): void {
    if (this.#cancelStep || this.#applying || this.#dead) return;
    this.#admit();
    if (this.#running.length === 0) return;

    let budget = this.#batchedTokens;
    const decoding = this.#running.filter((sequence) => sequence.prefilled >= sequence.request.promptTokens);
    budget -= decoding.length;
    const chunks: [Sequence, number][] = [];
    for (const sequence of this.#running) {
      const chunk = Math.min(budget, sequence.request.promptTokens - sequence.prefilled);
      if (chunk <= 0) continue;
      chunks.push([sequence, chunk]);
      budget -= chunk;
    }
    const prefillTokens = chunks.reduce((sum, [, chunk]) => sum + chunk, 0);
    const stepMs = this.#speed.decodeStepSeconds(this.#running.length) * 1000;
    const shortest = Math.min(...decoding.map((sequence) => sequence.request.outputTokens - sequence.generated));
    const steps = chunks.length > 0 ? 1 : Math.max(1, Math.min(shortest, Math.floor(GROUP_MS / stepMs)));
    const durationMs = (prefillTokens / this.#speed.prefillTokensPerSecond) * 1000 + stepMs * steps;
    this.#cancelStep = this.#clock.schedule(durationMs, () => {
      this.#cancelStep = undefined;
      this.#applying = true;
      this.#apply(decoding, chunks, steps, durationMs / 1000);
      this.#applying = false;
      this.#plan();
    });
  }

  #admit(): void {
    while (this.#waiting.length > 0 && this.#running.length < this.#layout.maxNumSeqs) {
      const next = this.#waiting[0]!;
      if (this.#usedBlocks() + this.#layout.blocksFor(next.request.promptTokens + 1) > this.#layout.blocks) return;
      this.#waiting.shift();
      next.scheduledAt ??= this.#clock.monotonic();
      this.#useCache(next);
      this.#running.push(next);
    }
  }

  #useCache(sequence: Sequence): void {
    if (!this.#layout.prefixCaching) return;
    const { promptTokens, prefixKeys } = sequence.request;
    let hits = 0;
    while (hits < prefixKeys.length && this.#prefixes.has(prefixKeys[hits]!)) hits += 1;
    // At least one token is always computed.
    sequence.cachedTokens = Math.min(hits * this.#layout.blockTokens, promptTokens - 1);
    sequence.prefilled = sequence.cachedTokens;
    this.metrics.count('vllm:prefix_cache_queries', promptTokens);
    this.metrics.count('vllm:prefix_cache_hits', sequence.cachedTokens);
    for (const key of prefixKeys) {
      this.#prefixes.delete(key);
      this.#prefixes.set(key, true);
    }
    for (const key of this.#prefixes.keys()) {
      if (this.#prefixes.size <= this.#layout.blocks) break;
      this.#prefixes.delete(key);
    }
  }

  #apply(decoding: readonly Sequence[], chunks: readonly [Sequence, number][], steps: number, seconds: number): void {
    const alive = new Set(this.#running);
    let tokens = 0;
    for (const [sequence, chunk] of chunks) {
      if (!alive.has(sequence)) continue;
      sequence.prefilled += chunk;
      this.metrics.count('vllm:prompt_tokens', chunk);
      tokens += chunk;
      if (sequence.prefilled >= sequence.request.promptTokens) this.#generate(sequence, 1, seconds);
    }
    for (const sequence of decoding) {
      if (!alive.has(sequence)) continue;
      const count = Math.min(steps, sequence.request.outputTokens - sequence.generated);
      tokens += count;
      this.#generate(sequence, count, seconds);
    }
    this.metrics.observe('vllm:iteration_tokens_total', tokens / steps, steps);
    this.#preempt();
  }

  #generate(sequence: Sequence, count: number, seconds: number): void {
    const now = this.#clock.monotonic();
    if (sequence.firstTokenAt === undefined) {
      sequence.firstTokenAt = now;
      this.metrics.observe('vllm:time_to_first_token_seconds', (now - sequence.arrivedAt) / 1000);
    } else if (count > 0) {
      this.metrics.observe('vllm:inter_token_latency_seconds', seconds / count, count);
    }
    sequence.generated += count;
    this.metrics.count('vllm:generation_tokens', count);
    sequence.request.onTokens(sequence.generated);
    if (sequence.generated >= sequence.request.outputTokens) this.#end(sequence, 'finished');
  }

  /** The youngest gives its blocks back when the pool runs over. */
  #preempt(): void {
    while (this.#running.length > 1 && this.#usedBlocks() > this.#layout.blocks) {
      const victim = this.#running.pop()!;
      victim.prefilled = 0;
      this.#waiting.unshift(victim);
      this.metrics.count('vllm:num_preemptions', 1);
    }
  }

  #usedBlocks(): number {
    return this.#running.reduce(
      (sum, { request, generated }) => sum + this.#layout.blocksFor(request.promptTokens + generated),
      0,
    );
  }

  #end(sequence: Sequence, end: GenerationEnd): void {
    const before = this.#running.length + this.#waiting.length;
    this.#running = this.#running.filter((other) => other !== sequence);
    this.#waiting = this.#waiting.filter((other) => other !== sequence);
    if (this.#running.length + this.#waiting.length === before) return;
    if (end === 'finished') this.#observeFinished(sequence);
    else this.metrics.finished(end === 'dead' ? 'error' : 'abort');
    sequence.request.onEnd(end);
    if (this.#running.length === 0) {
      this.#cancelStep?.();
      this.#cancelStep = undefined;
    }
    this.#plan();
  }

  #observeFinished({ request, arrivedAt, scheduledAt, firstTokenAt, generated }: Sequence): void {
    const now = this.#clock.monotonic();
    const seconds = (from: number, to: number) => Math.max(0, (to - from) / 1000);
    this.metrics.finished(request.finishReason);
    this.metrics.observe('vllm:e2e_request_latency_seconds', seconds(arrivedAt, now));
    this.metrics.observe('vllm:request_queue_time_seconds', seconds(arrivedAt, scheduledAt!));
    this.metrics.observe('vllm:request_inference_time_seconds', seconds(scheduledAt!, now));
    this.metrics.observe('vllm:request_prefill_time_seconds', seconds(scheduledAt!, firstTokenAt!));
    this.metrics.observe('vllm:request_decode_time_seconds', seconds(firstTokenAt!, now));
    if (generated > 1)
      this.metrics.observe('vllm:request_time_per_output_token_seconds', seconds(firstTokenAt!, now) / (generated - 1));
    this.metrics.observe('vllm:request_prompt_tokens', request.promptTokens);
    this.metrics.observe('vllm:request_generation_tokens', generated);
    this.metrics.observe('vllm:request_params_max_tokens', request.maxTokens);
  }
}
