import { COMPONENTS, GIB, MIB, MODEL } from '../model-profile.ts';

/** A GGUF checkpoint of the model. */
interface GgufCheckpoint {
  /** Bytes of its files. */
  readonly bytes: number;
  /** Where the size is from. */
  readonly source: string;
}

/** Sizes as published. Of `UD-Q4_K_XL` none was found. */
export const GGUF_CHECKPOINTS = {
  Q4_K_M: { bytes: 48.5e9, source: 'download log of the published file: 48 GB; model card of a derivative' },
  MXFP4: { bytes: 44.7 * GIB, source: 'a comparison of quantizations of this model' },
  Q5_K_M: { bytes: 52.9 * GIB, source: 'a comparison of quantizations of this model' },
  'UD-Q5_K_M': { bytes: 55.2 * GIB, source: 'a comparison of quantizations of this model' },
  Q8_0: { bytes: 84.7e9, source: '79.67 B parameters of 8.5 bits; its publisher says 85 GB' },
  BF16: { bytes: 159.4e9, source: '79.67 B parameters of 16 bits' },
} as const satisfies Record<string, GgufCheckpoint>;

export type GgufQuantization = keyof typeof GGUF_CHECKPOINTS;

/** Bytes of 32 values of a KV cache type (`--cache-type-k`, `--cache-type-v`), from ggml's block layouts. */
export const KV_BLOCK_BYTES = {
  f32: 128,
  f16: 64,
  bf16: 64,
  q8_0: 34,
  q5_1: 24,
  q5_0: 22,
  q4_1: 20,
  q4_0: 18,
  iq4_nl: 18,
} as const;

export type KvCacheType = keyof typeof KV_BLOCK_BYTES;

/** How llama-server is asked to run. */
export interface GgufRequest {
  readonly quantization: GgufQuantization;
  /** `--ctx-size`: tokens of the whole KV pool. A slot may have all of it with `--kv-unified`, else its share. */
  readonly contextTokens: number;
  /** `--parallel`. */
  readonly slots: number;
  readonly cacheType: KvCacheType;
}

/** Where the memory goes, in bytes. */
export interface GgufMemory {
  /** On the GPUs, over all of them. */
  readonly weights: number;
  readonly kvCache: number;
  /** States of the GDN layers, one set a slot. */
  readonly states: number;
  /** On each GPU: activations. */
  readonly computePerGpu: number;
  /** In host RAM: experts of the first layers, `--n-cpu-moe`. */
  readonly hostExperts: number;
}

/** Layers with experts: all of them. `--cpu-moe` keeps the experts of as many in host RAM. */
export const EXPERT_LAYERS = 48;

/** Share of the parameters that are routed experts. */
const EXPERT_SHARE =
  COMPONENTS.routedExperts.parameters / Object.values(COMPONENTS).reduce((sum, { parameters }) => sum + parameters, 0);

/** Mixed quantizations keep more bits for the rest of the model: 4.98 against 4.51 on average in a measured IQ4_NL file (1,403 of 42,875 MiB). */
const REST_BITS = 1.1;

/** Bytes of everything but the routed experts. */
function restBytes(quantization: GgufQuantization): number {
  const isUniform = quantization === 'BF16' || quantization === 'Q8_0';
  return GGUF_CHECKPOINTS[quantization].bytes * (1 - EXPERT_SHARE) * (isUniform ? 1 : REST_BITS);
}

/**
 * Memory of llama-server with the experts of `expertLayersOnHost` layers in host RAM.
 *
 * KV cache and states are what llama.cpp 0.7.0 allocated for this model's shapes (6,144 MiB of f16 for 262,144 tokens, 75.4 MiB a slot).
 * The compute buffer was measured on a CPU (90 MiB and 1 KiB a token); GPUs are assumed to need the same.
 */
export function ggufMemory(request: GgufRequest, expertLayersOnHost: number): GgufMemory {
  const { quantization, contextTokens, slots, cacheType } = request;
  const { attentionLayers, kvHeads, headDim } = MODEL;
  const valuesPerToken = attentionLayers * 2 * kvHeads * headDim;
  const rest = restBytes(quantization);
  const experts = GGUF_CHECKPOINTS[quantization].bytes - rest;
  const hostExperts = experts * (expertLayersOnHost / EXPERT_LAYERS);
  return {
    weights: rest + experts - hostExperts,
    kvCache: contextTokens * (valuesPerToken / 32) * KV_BLOCK_BYTES[cacheType],
    states: slots * STATE_BYTES,
    computePerGpu: 90 * MIB + contextTokens * 1024,
    hostExperts,
  };
}

/** Float32 states of the GDN layers of one slot. */
const STATE_BYTES = (() => {
  const { attentionLayers, gdnGroups, gdnKeyHeads, gdnValueHeads, gdnHeadDim, gdnConvKernel } = MODEL;
  const recurrent = gdnValueHeads * gdnHeadDim * gdnHeadDim;
  const convolution = (gdnConvKernel - 1) * (2 * gdnKeyHeads + gdnValueHeads) * gdnHeadDim;
  return attentionLayers * gdnGroups * (recurrent + convolution) * 4;
})();

/** What llama-server leaves free on each GPU (`--fit-target`). */
const FREE_PER_GPU = 1024 * MIB;
/** What the process itself needs of host RAM, and the embedding table that it keeps there. */
const HOST_OVERHEAD = 2 * GIB;

/** The hardware, in bytes. */
export interface GgufHost {
  readonly gpus: readonly number[];
  /** RAM that the pod may use. */
  readonly ram: number;
}

/** Whether llama-server finds room. Layers go to the GPUs in proportion to their memory; one layer more or less on each is allowed for. */
export function ggufFits(request: GgufRequest, expertLayersOnHost: number, { gpus, ram }: GgufHost): boolean {
  const { weights, kvCache, states, computePerGpu, hostExperts } = ggufMemory(request, expertLayersOnHost);
  if (gpus.length === 0 || hostExperts + HOST_OVERHEAD > ram) return false;
  const usable = gpus.map((bytes) => bytes - FREE_PER_GPU - computePerGpu);
  const total = usable.reduce((sum, bytes) => sum + bytes, 0);
  const demand = weights + kvCache + states;
  const uneven = gpus.length === 1 ? 0 : demand / EXPERT_LAYERS;
  return usable.every((bytes) => bytes > 0 && (demand * bytes) / total + uneven <= bytes);
}

/**
 * The fewest layers whose experts must stay in host RAM: each costs speed, all of them about a third. Undefined where not even
 * `--cpu-moe` fits.
 */
export function leastExpertLayersOnHost(request: GgufRequest, host: GgufHost): number | undefined {
  for (let layers = 0; layers <= EXPERT_LAYERS; layers += 1) if (ggufFits(request, layers, host)) return layers;
  return undefined;
}
