/** Bytes of one GiB. */
export const GIB = 1024 ** 3;

/** Bytes of one MiB, the unit of `nvidia.com/gpu.memory`. */
export const MIB = 1024 ** 2;

/** Number formats of the published checkpoints that vLLM loads. */
export const VLLM_QUANTIZATIONS = ['FP8', 'BF16'] as const;

/**
 * Qwen3-Coder-Next, from its `config.json` (`qwen3_next`, `Qwen3NextForCausalLM`).
 *
 * Every fourth of the 48 layers is full attention; the other 36 are Gated DeltaNet (GDN), whose state does not grow with the
 * length of a request.
 */
export const MODEL = {
  /** `max_position_embeddings`. */
  contextTokens: 262_144,
  attentionHeads: 16,
  kvHeads: 2,
  headDim: 256,
  attentionLayers: 12,
  /** Layers are grouped by twelves for the KV cache: one group of attention layers and these of GDN layers. */
  gdnGroups: 3,
  gdnKeyHeads: 16,
  gdnValueHeads: 32,
  gdnHeadDim: 128,
  gdnConvKernel: 4,
  /** Width of one routed expert and of the shared expert: what block FP8 has to cut into multiples of 128. */
  expertWidth: 512,
} as const;

/** Block size of the FP8 checkpoint's scales; a GPU's share of a weight must be a multiple of it. */
export const FP8_BLOCK = 128;

interface Component {
  readonly parameters: number;
  /** How tensor parallelism divides it: evenly, not at all, or only as far as there are KV heads. */
  readonly sharding: 'Even' | 'None' | 'KvHeads';
  /** Whether the FP8 checkpoint stores it in FP8 with one float32 scale a 128 × 128 block, rather than in bfloat16. */
  readonly fp8: boolean;
}

/**
 * Parameters by component: 79,674,391,296 in all, as llama.cpp counts them (79.67 B).
 *
 * Sharding as in vLLM's `models/qwen3_next.py`. The list of unconverted modules of the FP8 checkpoint is inferred from Qwen's other
 * FP8 checkpoints; `in_proj_ba` is too narrow for a block.
 */
export const COMPONENTS = {
  routedExperts: { parameters: 77_309_411_328, sharding: 'Even', fp8: true },
  router: { parameters: 50_331_648, sharding: 'None', fp8: false },
  sharedExpert: { parameters: 150_994_944, sharding: 'Even', fp8: true },
  sharedExpertGate: { parameters: 98_304, sharding: 'None', fp8: false },
  gdnInProjectionQkvz: { parameters: 905_969_664, sharding: 'Even', fp8: true },
  gdnInProjectionBa: { parameters: 4_718_592, sharding: 'Even', fp8: false },
  gdnConvolution: { parameters: 1_179_648, sharding: 'Even', fp8: false },
  gdnDecay: { parameters: 2_304, sharding: 'Even', fp8: false },
  gdnNorm: { parameters: 4_608, sharding: 'None', fp8: false },
  gdnOutProjection: { parameters: 301_989_888, sharding: 'Even', fp8: true },
  attentionQueryAndGate: { parameters: 201_326_592, sharding: 'Even', fp8: true },
  attentionKey: { parameters: 12_582_912, sharding: 'KvHeads', fp8: true },
  attentionValue: { parameters: 12_582_912, sharding: 'KvHeads', fp8: true },
  attentionOutput: { parameters: 100_663_296, sharding: 'Even', fp8: true },
  attentionNorms: { parameters: 6_144, sharding: 'None', fp8: false },
  layerNorms: { parameters: 196_608, sharding: 'None', fp8: false },
  finalNorm: { parameters: 2_048, sharding: 'None', fp8: false },
  embedding: { parameters: 311_164_928, sharding: 'Even', fp8: false },
  head: { parameters: 311_164_928, sharding: 'Even', fp8: false },
} as const satisfies Record<string, Component>;

/** A published checkpoint. */
export interface Checkpoint {
  readonly repository: string;
  /** Bytes of its files: parameters × bytes each, inferred; a user of the FP8 one reports 80 GB. */
  readonly bytes: number;
}

/** Official checkpoints that vLLM serves. */
export const CHECKPOINTS = {
  BF16: { repository: 'Qwen/Qwen3-Coder-Next', bytes: 159_350_000_000 },
  FP8: { repository: 'Qwen/Qwen3-Coder-Next-FP8', bytes: 80_400_000_000 },
} as const satisfies Record<(typeof VLLM_QUANTIZATIONS)[number], Checkpoint>;
