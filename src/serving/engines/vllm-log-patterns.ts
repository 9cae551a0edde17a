import type { LogPattern } from './log-pattern.ts';

/**
 * What vLLM logs about its start, its memory and its end. Each text stands in the sources of the wheels 0.15.0 and 0.33.0, read without
 * vLLM's own prefix; where the two differ, the pattern takes both. A group is named for what it holds: GiB, tokens, counts.
 */
export const VLLM_LOG_PATTERNS = [
  {
    id: 'kv_too_small',
    role: 'cause',
    // `v1/core/kv_cache_utils.py`, later `kv_cache_planning.py`. 0.15.0 says "models's".
    regex:
      /To serve at least one request with the models?'s max seq len \((?<asked>\d+)\), \((?<needed>[\d.]+) GiB KV cache is needed, which is larger than the available KV cache memory \((?<available>[\d.]+) GiB\)\.(?: Based on the available memory, the estimated maximum model length is (?<estimate>\d+)\.)?/,
  },
  { id: 'kv_none', role: 'cause', regex: /No available memory for the cache blocks\./ },
  {
    id: 'auto_fit_failed',
    role: 'cause',
    regex: /Cannot auto-fit max_model_len: not enough GPU memory available to serve even a single token\./,
  },
  {
    id: 'auto_fit_reduced',
    role: 'fact',
    regex:
      /Auto-fit max_model_len: reduced from (?<from>\d+) to (?<to>\d+) to fit in available (?:GPU memory \((?<gpu>[\d.]+) GiB available for KV cache\)|KV cache memory \((?<kv>[\d.]+) GiB)/,
  },
  {
    // Not to be trusted up to 0.18.1, which count one KV group of this model.
    id: 'auto_fit_full',
    role: 'fact',
    regex: /Auto-fit max_model_len: full model context length (?<length>\d+) fits in available/,
  },
  {
    // `config/compilation.py`, from 0.20.2 on.
    id: 'max_num_seqs_blocks',
    role: 'cause',
    regex: /max_num_seqs \((?<seqs>\d+)\) exceeds available Mamba cache blocks \((?<blocks>\d+)\)\./,
  },
  {
    id: 'free_memory',
    role: 'cause',
    regex:
      /Free memory on device (?<device>\S+) \((?<free>[\d.]+)\/(?<total>[\d.]+) GiB\) on startup is less than desired GPU memory utilization \((?<utilization>[\d.]+), (?<wanted>[\d.]+) GiB\)/,
  },
  {
    id: 'len_over_model',
    role: 'cause',
    regex: /User-specified max_model_len \((?<asked>\d+)\) is greater than the derived max_model_len/,
  },
  {
    id: 'tp_heads',
    role: 'cause',
    regex:
      /Total number of attention heads \((?<heads>\d+)\) must be divisible by tensor parallel size \((?<size>\d+)\)\./,
  },
  {
    id: 'fp8_moe_block',
    role: 'cause',
    regex:
      /The (?:output_size of gate's and up's|input_size of down's) weight = (?<width>\d+) is not divisible by weight quantization block_[nk] = (?<block>\d+)\./,
  },
  {
    id: 'fp8_linear_block',
    role: 'cause',
    regex:
      /Weight (?:input_size_per_partition|output_partition_size) = (?<width>\d+) is not divisible by weight quantization block_[nk] = (?<block>\d+)\./,
  },
  {
    id: 'world_size',
    role: 'cause',
    regex: /World size \((?<asked>\d+)\) is larger than the number of available GPUs \((?<seen>\d+)\) in this node/,
  },
  {
    // The text is PyTorch's. It may follow from a cause that names numbers, or be one.
    id: 'cuda_oom',
    role: 'general-cause',
    regex:
      /(?:torch\.OutOfMemoryError: )?CUDA out of memory\. Tried to allocate(?: (?<tried>[\d.]+) (?<triedUnit>[KMG]iB))?(?:\. GPU \d+ has a total capacity of (?<total>[\d.]+) GiB of which (?<free>[\d.]+) (?<freeUnit>[KMG]iB) is free)?/,
  },
  {
    id: 'sampler_oom',
    role: 'cause',
    regex: /CUDA out of memory occurred when warming up sampler with (?<requests>\d+) dummy requests\./,
  },
  { id: 'vllm_port_uri', role: 'cause', regex: /VLLM_PORT '(?<value>[^']*)' appears to be a URI\./ },
  {
    id: 'core_failed',
    role: 'consequence',
    regex: /Engine core initialization failed\. See root cause above\. Failed core proc\(s\): (?<processes>\{.*\})/,
  },
  {
    id: 'worker_failed',
    role: 'consequence',
    regex:
      /WorkerProc initialization failed due to an exception in a background process\. See stack trace for root cause\./,
  },
  {
    id: 'worker_died',
    role: 'consequence',
    regex: /Worker proc (?<name>\S+) died unexpectedly(?: \(exit code: (?<code>-?\d+)\))?, shutting down executor\./,
  },
  {
    // After VLLM_ENGINE_READY_TIMEOUT_S.
    id: 'ready_timeout',
    role: 'consequence',
    regex: /Timed out waiting for engine core processes to start\./,
  },
  {
    // Each worker of a replica says it.
    id: 'kv_memory',
    role: 'fact',
    regex: /Available KV cache memory: (?<gib>-?[\d.]+) GiB/,
    leastOf: 'gib',
  },
  {
    // 0.15.0: of the pool of this model it counts one group of four, so it is no capacity.
    id: 'kv_size_15',
    role: 'fact',
    regex: /GPU KV cache size: (?<tokens>[\d,]+) tokens$/,
  },
  {
    // Below 1.00x up to 0.18.1 it means that the length does not fit.
    id: 'concurrency',
    role: 'fact',
    regex: /Maximum concurrency for (?<length>[\d,]+) tokens per request: (?<times>[\d.]+)x/,
  },
  {
    id: 'block_size',
    role: 'fact',
    regex:
      /Setting attention block size to (?<tokens>\d+) tokens to ensure that attention page size is >= mamba page size\./,
  },
  { id: 'loading', role: 'fact', regex: /Starting to load model / },
  {
    // A progress bar of tqdm's.
    id: 'weights_progress',
    role: 'fact',
    regex: /Loading safetensors checkpoint shards:\s+(?<percent>\d+)% Completed/,
  },
  {
    id: 'model_loaded',
    role: 'fact',
    regex: /Model loading took (?<gib>[\d.]+) GiB(?: memory)? and (?<seconds>[\d.]+) seconds/,
  },
  {
    id: 'graphs',
    role: 'fact',
    regex: /Graph capturing finished in (?<seconds>\d+) secs, took (?<gib>-?[\d.]+) GiB/,
  },
  {
    id: 'engine_up',
    role: 'fact',
    regex: /init engine \(profile, create kv cache, warmup model\) took (?<seconds>[\d.]+) s/,
  },
  {
    // uvicorn's: from here on /health answers.
    id: 'serving',
    role: 'fact',
    regex: /Application startup complete\./,
  },
] as const satisfies readonly LogPattern[];
