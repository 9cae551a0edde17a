import { COMPONENTS, FP8_BLOCK, GIB, MODEL } from './model-profile.ts';
import type { VllmQuantization } from './plan.ts';

/** Tensor parallel sizes that divide the model's 16 attention heads. */
export const TENSOR_PARALLEL_SIZES = [1, 2, 4, 8, 16] as const;

/**
 * Tensor parallel sizes that load a quantization: block FP8 needs every GPU's share of the 512 wide shared expert to be a multiple of
 * 128, with expert parallelism too (vLLM `fp8_utils.validate_fp8_block_shape`).
 */
export const tensorParallelSizes = (quantization: VllmQuantization): readonly number[] => LOADABLE_SIZES[quantization];

const LOADABLE_SIZES: Readonly<Record<VllmQuantization, readonly number[]>> = {
  BF16: TENSOR_PARALLEL_SIZES,
  FP8: TENSOR_PARALLEL_SIZES.filter((size) => (MODEL.expertWidth / size) % FP8_BLOCK === 0),
};

/** Bytes of weights on one GPU. */
export function weightBytesPerGpu(quantization: VllmQuantization, tensorParallelSize: number): number {
  const { Even, KvHeads, None } = WEIGHT_BYTES[quantization];
  return Even / tensorParallelSize + KvHeads / Math.min(tensorParallelSize, MODEL.kvHeads) + None;
}

/** Bytes of a whole checkpoint in GPU memory, by how tensor parallelism divides them. */
const WEIGHT_BYTES = { BF16: weightBytes(() => 2), FP8: weightBytes((fp8) => (fp8 ? 1 + 4 / FP8_BLOCK ** 2 : 2)) };

function weightBytes(bytesEach: (fp8: boolean) => number) {
  const bytes = { Even: 0, KvHeads: 0, None: 0 };
  for (const { parameters, sharding, fp8 } of Object.values(COMPONENTS)) bytes[sharding] += parameters * bytesEach(fp8);
  return bytes;
}

/**
 * Bytes of one GPU that neither weights nor KV cache get: activations at their peak, CUDA graphs, NCCL and the CUDA context.
 *
 * A guess until a GPU was measured; vLLM logs the real numbers ("Model loading took", "Available KV cache memory").
 */
export const overheadBytesPerGpu = (tensorParallelSize: number): number => (tensorParallelSize === 1 ? 3 : 4) * GIB;

/**
 * What no engine does with less, on any card: the CUDA context, NCCL's buffers and the activations of the smallest batch. An estimate too,
 * at the low end: what lies between this and `overheadBytesPerGpu` only a start can tell.
 */
export const LEAST_OVERHEAD_BYTES = GIB;

/** What decides the shape of the KV cache on one GPU. */
export interface KvShape {
  readonly tensorParallelSize: number;
  readonly kvCacheDtype: 'BF16' | 'FP8';
  /** Prefix caching keeps a second copy of each GDN state (`--mamba-cache-mode align`). */
  readonly prefixCaching: boolean;
  /** Blocks of the pool that no request can have; a fact of the engine's version. */
  readonly reservedBlocks: number;
}

/** The KV cache's blocks on one GPU. */
export interface KvGeometry {
  /** Tokens of one block of attention keys and values. */
  readonly blockTokens: number;
  /** Bytes of one block over all layers. */
  readonly blockBytes: number;
  /** Blocks that a request holds whatever its length: the states of its GDN layers. */
  readonly stateBlocks: number;
  readonly reservedBlocks: number;
}

const BF16_BYTES = 2;

/**
 * How vLLM cuts KV memory into blocks for this model. A block is as long as it takes one attention layer's page to hold one GDN
 * layer's state, so that both kinds of layers share one pool.
 *
 * Assumes: attention kernels whose smallest block is 16 tokens (32 or 64 on some newer cards); GDN state in bfloat16; no speculative
 * decoding; GDN prefill without FlashInfer's checkpoints, which hold one block more a group.
 * Guarantees: equal to `get_kv_cache_configs` of vLLM 0.22.1 and 0.33.0 on its sampled answers.
 */
export function kvGeometry(shape: KvShape): KvGeometry {
  const { tensorParallelSize, kvCacheDtype, prefixCaching, reservedBlocks } = shape;
  const { kvHeads, headDim, gdnKeyHeads, gdnValueHeads, gdnHeadDim, gdnConvKernel, attentionLayers, gdnGroups } = MODEL;
  const kvHeadsPerGpu = Math.max(1, kvHeads / tensorParallelSize);
  const tokenBytes = 2 * kvHeadsPerGpu * headDim * (kvCacheDtype === 'FP8' ? 1 : 2);
  const convChannels = (2 * gdnKeyHeads + gdnValueHeads) * gdnHeadDim;
  const convBytes = (gdnConvKernel - 1) * (convChannels / tensorParallelSize) * BF16_BYTES;
  const stateBytes = (gdnValueHeads / tensorParallelSize) * gdnHeadDim * gdnHeadDim * BF16_BYTES;
  const blockTokens = 16 * Math.ceil((convBytes + stateBytes) / (16 * tokenBytes));
  return {
    blockTokens,
    blockBytes: attentionLayers * blockTokens * tokenBytes,
    stateBlocks: gdnGroups * (prefixCaching ? 2 : 1),
    reservedBlocks,
  };
}

/** Blocks that `kvBytes` on one GPU make (`num_gpu_blocks`). */
export const poolBlocks = (geometry: KvGeometry, kvBytes: number): number =>
  Math.max(0, Math.floor(kvBytes / geometry.blockBytes));

/** Blocks that one request of `tokens` holds at its end. */
export const needBlocks = (geometry: KvGeometry, tokens: number): number =>
  Math.ceil(tokens / geometry.blockTokens) + geometry.stateBlocks;

/** Whether `requests` requests of `tokens` are held at once by a pool of `blocks`. */
export const fits = (geometry: KvGeometry, blocks: number, tokens: number, requests = 1): boolean =>
  requests * needBlocks(geometry, tokens) <= blocks - geometry.reservedBlocks;

/** Longest request of which `requests` are held at once: whole blocks, at most the model's context, 0 when there is none. */
export function maxTokens(geometry: KvGeometry, blocks: number, requests = 1): number {
  const each = Math.floor((blocks - geometry.reservedBlocks) / requests) - geometry.stateBlocks;
  return Math.min(MODEL.contextTokens, Math.max(0, each) * geometry.blockTokens);
}

/** How many requests of `tokens` are held at once. */
export const concurrency = (geometry: KvGeometry, blocks: number, tokens: number): number =>
  Math.max(0, Math.floor((blocks - geometry.reservedBlocks) / needBlocks(geometry, tokens)));

/** The figure that vLLM logs as "Maximum concurrency" and exports as `kv_cache_max_concurrency`. */
export const loggedConcurrency = (geometry: KvGeometry, blocks: number, tokens: number): number =>
  blocks / needBlocks(geometry, tokens);
