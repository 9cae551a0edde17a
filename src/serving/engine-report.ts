import { GIB } from './model-profile.ts';

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

/** Why an engine did not load that asked for too much memory. */
export interface MemoryFailure {
  readonly outcome: 'DoesNotFit' | 'OutOfMemory';
  /** The engine's own words. */
  readonly message: string;
  /** Bytes a GPU that were left for the KV cache, to be counted on; undefined where the engine had not measured them. */
  readonly kvBytes: number | undefined;
}

/** What a log tells of a start. */
export interface StartReport {
  /** Seconds that the weights took. */
  readonly weightsSeconds: number | undefined;
  /** Part of the checkpoint's files that are read, in percent. */
  readonly weightsPercent: number | undefined;
  /** Bytes for the KV cache on the GPU that has least. */
  readonly kvBytes: number | undefined;
  readonly areGraphsCaptured: boolean;
  readonly failure: MemoryFailure | undefined;
}

/** vLLM prints GiB with two decimals: the value may be half of the last one less. */
const ROUNDING_BYTES = 0.005 * GIB;

// Wording of vLLM 0.15.1 to 0.33.0 (`gpu_model_runner.py`, `gpu_worker.py`, `kv_cache_utils.py`, `kv_cache_planning.py`, `weight_utils.py`).
const LOADED = /Model loading took (?:[\d.]+) GiB(?: memory)? and ([\d.]+) seconds/;
const SHARDS = /Loading safetensors checkpoint shards:\s+(\d+)% Completed/g;
const AVAILABLE = /Available KV cache memory: (-?[\d.]+) GiB/g;
const GRAPHS = /Graph capturing finished in/;
const TOO_SMALL =
  /To serve at least one request with the models?'s max seq len \(\d+\), \([\d.]+ GiB KV cache is needed, which is larger than the available KV cache memory \(([\d.]+) GiB\)\.?(?: Based on the available memory, the estimated maximum model length is \d+\.)?/;
const NOTHING_LEFT = /No available memory for the cache blocks\.|Cannot auto-fit max_model_len: [^.]*\./;
const TOO_MANY_SEQUENCES = /max_num_seqs \(\d+\) exceeds available Mamba cache blocks \(\d+\)\./;
const OUT_OF_MEMORY = /CUDA out of memory[^\n]{0,200}/;

/**
 * Reads an engine's log, or the end of one.
 *
 * **Guarantees**: a failure is one of memory; another process on the GPU ("Free memory on device … is less than desired") is none, since
 * no other length would help; of several numbers the least counts.
 */
export function readEngineLog(text: string): StartReport {
  const all = [...text.matchAll(AVAILABLE)].map(([, gib]) => Number(gib) * GIB - ROUNDING_BYTES);
  const kvBytes = all.length > 0 ? Math.min(...all) : undefined;
  const isLoaded = LOADED.test(text);
  const shards = [...text.matchAll(SHARDS)].at(-1)?.[1];
  const weights = LOADED.exec(text)?.[1];
  return {
    weightsSeconds: weights === undefined ? undefined : Number(weights),
    weightsPercent: shards === undefined ? undefined : Number(shards),
    kvBytes,
    areGraphsCaptured: GRAPHS.test(text),
    failure: failureIn(text, kvBytes, isLoaded),
  };
}

function failureIn(text: string, kvBytes: number | undefined, isLoaded: boolean): MemoryFailure | undefined {
  const small = TOO_SMALL.exec(text);
  if (small) {
    const message = small[0];
    return { outcome: 'DoesNotFit', message, kvBytes: kvBytes ?? Number(small[1]) * GIB - ROUNDING_BYTES };
  }
  const nothing = NOTHING_LEFT.exec(text);
  if (nothing) return { outcome: 'DoesNotFit', message: nothing[0], kvBytes: kvBytes ?? 0 };
  const sequences = TOO_MANY_SEQUENCES.exec(text);
  if (sequences) return { outcome: 'DoesNotFit', message: sequences[0], kvBytes };
  const memory = OUT_OF_MEMORY.exec(text);
  if (memory === null) return undefined;
  // A log that is there from its beginning and has no loaded model: not even the weights fit.
  const isBeforeWeights = /Starting to load model/.test(text) && !isLoaded;
  return { outcome: 'OutOfMemory', message: memory[0].trim(), kvBytes: kvBytes ?? (isBeforeWeights ? 0 : undefined) };
}
