/** What an engine tells on `/metrics`. */
export interface EngineMetrics {
  /** `num_gpu_blocks` of `vllm:cache_config_info`; undefined where the engine does not say. */
  readonly kvBlocks: number | undefined;
  /** Tokens of one of these blocks, by the same line. */
  readonly blockTokens: number | undefined;
  /** Requests that run or wait. */
  readonly requests: number;
  /** Prompt and generated tokens since the engine started: grows whenever it worked. */
  readonly tokens: number;
}

/** Reads `/metrics`. Names that are not there count as nothing. */
export function readMetrics(text: string): EngineMetrics {
  const sum = (name: string): number =>
    [...text.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, 'gm'))].reduce(
      (all, [, value]) => all + Number(value),
      0,
    );
  const config = /^vllm:cache_config_info\{.*\}/m.exec(text)?.[0] ?? '';
  const label = (name: string): number | undefined => {
    const value = Number(new RegExp(`[{,]${name}="(\\d+)"`).exec(config)?.[1]);
    return value > 0 ? value : undefined;
  };
  return {
    kvBlocks: label('num_gpu_blocks'),
    blockTokens: label('block_size'),
    requests: sum('vllm:num_requests_running') + sum('vllm:num_requests_waiting'),
    tokens: sum('vllm:prompt_tokens_total') + sum('vllm:generation_tokens_total'),
  };
}

/** `max_model_len` of `/v1/models`; undefined where the answer has none. */
export function readServedLength(text: string): number | undefined {
  const length = Number(/"max_model_len"\s*:\s*(\d+)/.exec(text)?.[1]);
  return length > 0 ? length : undefined;
}
