/** Upper bounds of vLLM's histograms (`vllm/v1/metrics/loggers.py`). */
const FIRST_TOKEN = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560,
];
const PER_TOKEN = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80];
const REQUEST = [0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680];
const ITERATION = [1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384];

/** 1, 2, 5, 10, … up to `most`. */
function oneTwoFive(most: number): number[] {
  const bounds: number[] = [];
  for (let power = 1; power <= most; power *= 10)
    bounds.push(...[1, 2, 5].map((m) => m * power).filter((bound) => bound <= most));
  return bounds;
}

class Histogram {
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #count = 0;
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = bounds.map(() => 0);
  }

  observe(value: number, times = 1): void {
    const index = this.#bounds.findIndex((bound) => value <= bound);
    if (index !== -1) this.#counts[index]! += times;
    this.#count += times;
    this.#sum += value * times;
  }

  render(name: string, labels: string): string[] {
    let below = 0;
    return [
      ...this.#bounds.map(
        (bound, index) => `${name}_bucket{${labels},le="${float(bound)}"} ${float((below += this.#counts[index]!))}`,
      ),
      `${name}_bucket{${labels},le="+Inf"} ${float(this.#count)}`,
      `${name}_count{${labels}} ${float(this.#count)}`,
      `${name}_sum{${labels}} ${this.#sum}`,
    ];
  }
}

/** A number as Python writes a float. */
const float = (value: number): string => (Number.isInteger(value) ? `${value}.0` : `${value}`);

const HISTOGRAMS = {
  'vllm:time_to_first_token_seconds': ['Histogram of time to first token in seconds.', FIRST_TOKEN],
  'vllm:inter_token_latency_seconds': ['Histogram of inter-token latency in seconds.', PER_TOKEN],
  'vllm:request_time_per_output_token_seconds': ['Histogram of time_per_output_token_seconds per request.', PER_TOKEN],
  'vllm:e2e_request_latency_seconds': ['Histogram of e2e request latency in seconds.', REQUEST],
  'vllm:request_queue_time_seconds': ['Histogram of time spent in WAITING phase for request.', REQUEST],
  'vllm:request_inference_time_seconds': ['Histogram of time spent in RUNNING phase for request.', REQUEST],
  'vllm:request_prefill_time_seconds': ['Histogram of time spent in PREFILL phase for request.', REQUEST],
  'vllm:request_decode_time_seconds': ['Histogram of time spent in DECODE phase for request.', REQUEST],
  'vllm:iteration_tokens_total': ['Histogram of number of tokens per engine_step.', ITERATION],
  'vllm:request_prompt_tokens': ['Number of prefill tokens processed.', undefined],
  'vllm:request_generation_tokens': ['Number of generation tokens processed.', undefined],
  'vllm:request_params_max_tokens': ['Histogram of the max_tokens request parameter.', undefined],
} as const satisfies Record<string, readonly [string, readonly number[] | undefined]>;

const COUNTERS = {
  'vllm:num_preemptions': 'Cumulative number of preemption from the engine.',
  'vllm:prompt_tokens': 'Number of prefill tokens processed.',
  'vllm:generation_tokens': 'Number of generation tokens processed.',
  'vllm:prefix_cache_queries': 'Prefix cache queries, in terms of number of queried tokens.',
  'vllm:prefix_cache_hits': 'Prefix cache hits, in terms of number of cached tokens.',
} as const;

export type FinishedReason = 'stop' | 'length' | 'abort' | 'error';

/** The gauges of the moment. */
export interface Load {
  readonly running: number;
  readonly waiting: number;
  /** 0 to 1. */
  readonly kvCacheUsage: number;
}

/** What an engine counts, exposed with vLLM's names and labels. */
export class EngineMetrics {
  readonly #histograms: Record<keyof typeof HISTOGRAMS, Histogram>;
  readonly #counters: Record<keyof typeof COUNTERS, number>;
  readonly #finished: Record<FinishedReason, number> = { stop: 0, length: 0, abort: 0, error: 0 };
  readonly #modelName: string;
  readonly #waitingByReason: boolean;
  readonly #cacheConfig: Readonly<Record<string, string>>;

  constructor(options: {
    readonly modelName: string;
    readonly maxModelLen: number;
    /** Whether the version splits the waiting requests by reason. */
    readonly waitingByReason: boolean;
    /** Labels of `vllm:cache_config_info`. */
    readonly cacheConfig: Readonly<Record<string, string>>;
  }) {
    this.#modelName = options.modelName;
    this.#waitingByReason = options.waitingByReason;
    this.#cacheConfig = options.cacheConfig;
    const tokens = oneTwoFive(options.maxModelLen);
    this.#histograms = Object.fromEntries(
      Object.entries(HISTOGRAMS).map(([name, [, bounds]]) => [name, new Histogram(bounds ?? tokens)]),
    ) as Record<keyof typeof HISTOGRAMS, Histogram>;
    this.#counters = Object.fromEntries(Object.keys(COUNTERS).map((name) => [name, 0])) as Record<
      keyof typeof COUNTERS,
      number
    >;
  }

  observe(name: keyof typeof HISTOGRAMS, value: number, times = 1): void {
    this.#histograms[name].observe(value, times);
  }

  count(name: keyof typeof COUNTERS, by: number): void {
    this.#counters[name] += by;
  }

  finished(reason: FinishedReason): void {
    this.#finished[reason] += 1;
  }

  /** The text of `/metrics`. */
  render(load: Load): string {
    const labels = `engine="0",model_name="${this.#modelName}"`;
    const lines: string[] = [];
    const add = (name: string, help: string, type: string, samples: readonly string[]) =>
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...samples);
    const gauge = (name: string, help: string, value: number) =>
      add(name, help, 'gauge', [`${name}{${labels}} ${float(value)}`]);

    gauge('vllm:num_requests_running', 'Number of requests in model execution batches.', load.running);
    gauge('vllm:num_requests_waiting', 'Number of requests waiting to be processed.', load.waiting);
    if (this.#waitingByReason) {
      const name = 'vllm:num_requests_waiting_by_reason';
      add(name, 'Number of waiting requests by reason.', 'gauge', [
        `${name}{${labels},reason="capacity"} ${float(load.waiting)}`,
        `${name}{${labels},reason="deferred"} 0.0`,
      ]);
    }
    gauge('vllm:kv_cache_usage_perc', 'KV-cache usage. 1 means 100 percent usage.', load.kvCacheUsage);
    for (const [name, help] of Object.entries(COUNTERS)) {
      const value = this.#counters[name as keyof typeof COUNTERS];
      add(`${name}_total`, help, 'counter', [`${name}_total{${labels}} ${float(value)}`]);
    }
    add(
      'vllm:request_success_total',
      'Count of successfully processed requests.',
      'counter',
      Object.entries(this.#finished).map(
        ([reason, value]) =>
          `vllm:request_success_total{engine="0",finished_reason="${reason}",model_name="${this.#modelName}"} ${float(value)}`,
      ),
    );
    for (const [name, [help]] of Object.entries(HISTOGRAMS)) {
      add(name, help, 'histogram', this.#histograms[name as keyof typeof HISTOGRAMS].render(name, labels));
    }
    const cacheLabels = Object.entries({ ...this.#cacheConfig, engine: '0' }).map(
      ([key, value]) => `${key}="${value}"`,
    );
    add('vllm:cache_config_info', 'Information of the LLMEngine CacheConfig', 'gauge', [
      `vllm:cache_config_info{${cacheLabels.join(',')}} 1.0`,
    ]);
    return `${lines.join('\n')}\n`;
  }
}
