import { isAtLeast, isNewWording } from './version.ts';

export const GIB = 1024 ** 3;
const MIB = 1024 ** 2;

/** Qwen3-Coder-Next, as its config.json has it. */
const LAYERS_PER_GROUP = 12;
const ATTENTION_HEADS = 16;
const KV_HEADS = 2;
const HEAD_DIM = 256;
const EXPERT_WIDTH = 512;
const FP8_BLOCK = 128;
export const MAX_POSITIONS = 262_144;

/** GiB of one GPU by tensor parallel size. Arithmetic on the model's shapes and on how vLLM's qwen3_next.py shards them. */
const WEIGHTS_GIB: Readonly<Record<Quantization, Readonly<Record<number, number>>>> = {
  BF16: { 1: 148.41, 2: 74.25, 4: 37.18, 8: 18.65, 16: 9.38 },
  FP8: { 1: 74.85, 2: 37.47, 4: 18.79, 8: 9.45, 16: 4.78 },
};

/** MiB of one GPU where the node has no memory label. */
const PRODUCT_MIB: readonly (readonly [RegExp, number])[] = [
  [/\bL4\b/, 23_034],
  [/4090/, 24_564],
  [/5090/, 32_607],
  [/L40S?/, 46_068],
  [/A100.*80GB/, 81_920],
  [/A100/, 40_960],
  [/H100/, 81_559],
  [/RTX-?PRO-?6000/i, 97_887],
  [/H200/, 143_771],
  [/B200/, 183_359],
  [/MI300X/i, 196_592],
];

const SEE = 'See https://docs.vllm.ai/en/latest/configuration/conserving_memory/ for more details.';

export type Quantization = 'BF16' | 'FP8';

/** The GPUs that a container was given. */
export interface Gpus {
  readonly count: number;
  readonly product: string;
  /** Of one GPU. */
  readonly memoryBytes: number;
}

/** Memory of one GPU of a product, as nvidia-smi would say. */
export function productMemory(product: string): number | undefined {
  const mib = PRODUCT_MIB.find(([pattern]) => pattern.test(product))?.[1];
  return mib === undefined ? undefined : mib * MIB;
}

/** What decides whether an engine loads. */
export interface LoadRequest {
  readonly version: string;
  readonly quantization: Quantization;
  readonly gpus: Gpus;
  readonly tensorParallelSize: number;
  readonly pipelineParallelSize: number;
  readonly gpuMemoryUtilization: number;
  /** `-1` asks for the longest that fits; null takes the model's own. */
  readonly maxModelLen: number | null;
  /** Undefined takes vLLM's default for the GPU. */
  readonly maxNumSeqs: number | null;
  readonly kvCacheDtype: string;
  /** Null takes the version's default. */
  readonly prefixCaching: boolean | null;
  readonly kvCacheMemoryBytes: number | null;
  /** Activations, CUDA context, NCCL and graphs: what nobody knows until a real GPU ran it. */
  readonly hiddenOverheadBytes: number;
}

/** A layout that loads. */
export interface KvLayout extends Measured {
  readonly blocks: number;
  readonly maxModelLen: number;
  readonly maxNumSeqs: number;
  readonly prefixCaching: boolean;
  /** Requests of `maxModelLen` that fit at once. */
  readonly concurrency: number;
  /** Blocks that a request of so many tokens holds. */
  readonly blocksFor: (tokens: number) => number;
  /** Set when `auto` was asked for. */
  readonly autoFitFrom: number | undefined;
}

/** Who dies, with what exception; `worker` failures show as a failed worker process first when there are several. */
export interface LoadFailure {
  readonly where: 'config' | 'worker' | 'core';
  readonly error: string;
  /** What was measured, and logged, before it died; absent before the weights are loaded. */
  readonly measured?: Measured;
}

/** What vLLM logs about memory on its way. */
export interface Measured {
  readonly weightsBytes: number;
  readonly kvBytes: number;
  /** Tokens of one block. */
  readonly blockTokens: number;
}

export type LoadVerdict =
  | { readonly ok: true; readonly layout: KvLayout }
  | { readonly ok: false; readonly failure: LoadFailure };

const fail = (where: LoadFailure['where'], error: string, measured?: Measured): LoadVerdict => ({
  ok: false,
  failure: { where, error, ...(measured && { measured }) },
});
/** As Python prints `round(x, 2)`. */
export const gib = (bytes: number): string => {
  const rounded = Math.round((bytes / GIB) * 100) / 100;
  return Number.isInteger(rounded) ? `${rounded}.0` : `${rounded}`;
};

/**
 * Whether vLLM of this version would load the model on these GPUs, in its own words if not.
 *
 * The KV arithmetic equals vLLM's own planner (`get_kv_cache_configs`), which the tests hold it to.
 */
export function loadVerdict(request: LoadRequest): LoadVerdict {
  const { version, gpus, quantization, tensorParallelSize: tp } = request;
  const configError = checkConfig(request);
  if (configError) return fail('config', configError);

  const weightsBytes = (WEIGHTS_GIB[quantization][tp]! / request.pipelineParallelSize) * GIB;
  if (quantization === 'FP8' && (EXPERT_WIDTH / tp) % FP8_BLOCK !== 0) {
    const size = EXPERT_WIDTH / tp;
    return fail(
      'worker',
      `ValueError: Weight input_size_per_partition = ${size} is not divisible by weight quantization block_k = ${FP8_BLOCK}.`,
    );
  }
  if (weightsBytes + 0.5 * GIB > gpus.memoryBytes) return fail('worker', outOfMemory(gpus, 0.5 * GIB));

  const desired = gpus.memoryBytes * request.gpuMemoryUtilization;
  const free = desired - weightsBytes - request.hiddenOverheadBytes;
  const kvBytes = request.kvCacheMemoryBytes ?? free;
  if (request.kvCacheMemoryBytes !== null && weightsBytes + request.hiddenOverheadBytes + kvBytes > gpus.memoryBytes) {
    return fail('worker', outOfMemory(gpus, kvBytes));
  }
  return planKv(request, weightsBytes, kvBytes, version);
}

function checkConfig({
  tensorParallelSize: tp,
  pipelineParallelSize: pp,
  gpus,
  maxModelLen,
}: LoadRequest): string | undefined {
  if (maxModelLen !== null && maxModelLen > MAX_POSITIONS) {
    return (
      `pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig\n` +
      `  Value error, User-specified max_model_len (${maxModelLen}) is greater than the derived max_model_len ` +
      `(max_position_embeddings=${MAX_POSITIONS} or model_max_length=None in model's config.json). ` +
      'To allow overriding this maximum, set the env var VLLM_ALLOW_LONG_MAX_MODEL_LEN=1.'
    );
  }
  if (ATTENTION_HEADS % tp !== 0) {
    return (
      `pydantic_core._pydantic_core.ValidationError: 1 validation error for VllmConfig\n` +
      `  Value error, Total number of attention heads (${ATTENTION_HEADS}) must be divisible by tensor parallel size (${tp}).`
    );
  }
  const world = tp * pp;
  if (world > gpus.count) {
    return (
      `pydantic_core._pydantic_core.ValidationError: 1 validation error for ParallelConfig\n` +
      `  Value error, World size (${world}) is larger than the number of available GPUs (${gpus.count}) in this node. ` +
      "If this is intentional and you are using:\n- ray, set '--distributed-executor-backend ray'.\n" +
      "- multiprocessing, set '--nnodes' appropriately."
    );
  }
  return undefined;
}

function planKv(request: LoadRequest, weightsBytes: number, kvBytes: number, version: string): LoadVerdict {
  const { tensorParallelSize: tp } = request;
  const prefixCaching = request.prefixCaching ?? isAtLeast(version, '0.26.0');
  const geometry = kvGeometry(tp, request.kvCacheDtype.startsWith('fp8') ? 1 : 2, prefixCaching);
  const { blockTokens, blockBytes, blocksFor, stateBlocks } = geometry;
  const measured: Measured = { weightsBytes, kvBytes, blockTokens };
  if (kvBytes <= 0) {
    return fail(
      'core',
      'ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing the engine' +
        (isNewWording(version)
          ? ' (this flag also controls CPU memory reservation on the CPU backend, despite its name)'
          : '') +
        `. ${SEE}`,
      measured,
    );
  }
  const blocks = Math.floor(kvBytes / blockBytes);
  // The block that 0.29.0 and later keep for themselves.
  const usable = isAtLeast(version, '0.29.0') ? blocks - 1 : blocks;
  const longest = Math.max(0, Math.min(MAX_POSITIONS, (usable - stateBlocks) * blockTokens));
  const auto = request.maxModelLen === -1;
  const asked = auto || request.maxModelLen === null ? MAX_POSITIONS : request.maxModelLen;

  // Up to 0.18 only the first KV group is counted, which holds no tokens: almost anything passes.
  const seesTokens = isAtLeast(version, '0.19.0');
  const needed = seesTokens ? blocksFor(asked) : stateBlocks / 3;
  let maxModelLen = asked;
  if (needed > usable) {
    if (auto) {
      if (longest <= 0) {
        return fail(
          'core',
          'ValueError: Cannot auto-fit max_model_len: not enough GPU memory available to serve even a single token. ' +
            'Try increasing `gpu_memory_utilization`.',
          measured,
        );
      }
      maxModelLen = longest;
    } else {
      return fail(
        'core',
        kvTooSmall(
          version,
          asked,
          needed * blockBytes,
          kvBytes - (blocks - usable) * blockBytes,
          seesTokens ? longest : 0,
        ),
        measured,
      );
    }
  }

  const maxNumSeqs = request.maxNumSeqs ?? defaultMaxNumSeqs(request.gpus);
  if (isAtLeast(version, '0.20.0') && maxNumSeqs > blocks) {
    return fail(
      'core',
      `ValueError: max_num_seqs (${maxNumSeqs}) exceeds available Mamba cache blocks (${blocks}). ` +
        'Each decode sequence requires one Mamba cache block, so CUDA graph capture cannot proceed. ' +
        `Please lower max_num_seqs to at most ${blocks} or increase gpu_memory_utilization.`,
      measured,
    );
  }
  return {
    ok: true,
    layout: {
      ...measured,
      blocks,
      maxModelLen,
      maxNumSeqs,
      prefixCaching,
      concurrency: blocks / blocksFor(maxModelLen),
      blocksFor,
      autoFitFrom: auto ? MAX_POSITIONS : undefined,
    },
  };
}

/** How the hybrid model's cache is cut into blocks: one block id spans 12 layers, and state pages set its size. */
export function kvGeometry(tp: number, bytesPerValue: number, prefixCaching: boolean) {
  const attention = 2 * Math.max(1, KV_HEADS / tp) * HEAD_DIM * bytesPerValue;
  const state = 3 * (8192 / tp) * 2 + (32 / tp) * 128 * 128 * 2;
  const blockTokens = 16 * Math.ceil(state / (16 * attention));
  // Three groups of state layers; aligned prefix caching keeps the state twice.
  const stateBlocks = 3 * (prefixCaching ? 2 : 1);
  return {
    blockTokens,
    blockBytes: LAYERS_PER_GROUP * blockTokens * attention,
    stateBlocks,
    blocksFor: (tokens: number): number => Math.ceil(tokens / blockTokens) + stateBlocks,
  };
}

/** Batch defaults of vLLM's server by GPU. */
const defaultMaxNumSeqs = (gpus: Gpus): number =>
  gpus.memoryBytes >= 70 * GIB && !/A100/i.test(gpus.product) ? 1024 : 256;

/** `--max-num-batched-tokens` where nobody says otherwise. */
export function defaultBatchedTokens(version: string, gpus: Gpus): number {
  if (gpus.memoryBytes < 70 * GIB || /A100/i.test(gpus.product)) return 2048;
  return gpus.memoryBytes >= 160 * GIB && isNewWording(version) ? 16_384 : 8192;
}

function kvTooSmall(version: string, maxModelLen: number, needed: number, available: number, estimate: number): string {
  const based =
    estimate > 0 ? ` Based on the available memory, the estimated maximum model length is ${estimate}.` : '';
  return (
    `ValueError: To serve at least one request with the ${isAtLeast(version, '0.19.0') ? "model's" : "models's"} max seq len (${maxModelLen}), ` +
    `(${gib(needed)} GiB KV cache is needed, which is larger than the available KV cache memory (${gib(available)} GiB).${based} ` +
    `Try increasing \`gpu_memory_utilization\`${isAtLeast(version, '0.20.0') ? ' (which also controls CPU memory on the CPU backend)' : ''} ` +
    `or decreasing \`max_model_len\` when initializing the engine. ${SEE}`
  );
}

/** PyTorch's words when so many bytes more cannot be had. */
export function outOfMemory(gpus: Gpus, wanted: number): string {
  const capacity = gib(gpus.memoryBytes);
  return (
    `torch.OutOfMemoryError: CUDA out of memory. Tried to allocate ${gib(wanted)} GiB. GPU 0 has a total capacity of ${capacity} GiB ` +
    `of which 118.25 MiB is free. Including non-PyTorch memory, this process has ${gib(gpus.memoryBytes - 0.12 * GIB)} GiB memory in use.`
  );
}
