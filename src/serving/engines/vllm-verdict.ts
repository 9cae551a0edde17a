import { MODEL } from '../model-profile.ts';
import { fits, kvGeometry, loggedConcurrency, maxTokens, poolBlocks } from '../memory.ts';
import { compareVersions, SUPPORTED_VLLM, type VllmVersionFacts, vllmVersion } from './vllm-versions.ts';

/** What vLLM is asked when it starts. */
export interface KvRequest {
  readonly tensorParallelSize: number;
  readonly kvCacheDtype: 'BF16' | 'FP8';
  readonly prefixCaching: boolean;
  /** Bytes for the KV cache on one GPU: "Available KV cache memory". */
  readonly kvBytes: number;
  /** `--max-model-len`, or with `auto` the length of the model's configuration. */
  readonly maxModelLen: number;
  /** `--max-model-len auto`: the longest that vLLM believes to fit, instead of an error. */
  readonly auto: boolean;
}

/** What vLLM says. */
export type KvVerdict =
  | {
      readonly starts: true;
      /** Tokens of an attention block. */
      readonly blockTokens: number;
      /** `num_gpu_blocks`. */
      readonly blocks: number;
      /** The length that `/v1/models` tells. */
      readonly maxModelLen: number;
      /** "Maximum concurrency", `kv_cache_max_concurrency`. */
      readonly maxConcurrency: number;
    }
  | { readonly starts: false; readonly blockTokens: number };

/**
 * What a version of vLLM itself makes of an amount of KV memory: its `get_kv_cache_configs` for this model, by version. `fits` of
 * memory.ts tells whether requests are really held.
 *
 * Up to 0.18.1 the two differ: vLLM counts only the states of the GDN layers, so it starts with lengths that no request can have, and
 * leaves `auto` at the model's length. 0.19.1 and later tell the truth; from 0.29.0 on one block is kept back.
 *
 * Guarantees: equal to vLLM's answers in every sampled case of 0.15.0, 0.22.1 and 0.33.0. A version older than the supported ones answers as
 * the oldest of them, which 0.15.0 does.
 *
 * Fails when: the version is younger than the supported ones (`RangeError`).
 */
export function vllmVerdict(version: string, request: KvRequest): KvVerdict {
  const facts = factsOf(version);
  const geometry = kvGeometry({ ...request, reservedBlocks: facts.reservedBlocks });
  const { blockTokens, stateBlocks } = geometry;
  const blocks = poolBlocks(geometry, request.kvBytes);
  const longest = facts.kvVerdictTrusted ? maxTokens(geometry, blocks) : request.maxModelLen;
  const maxModelLen = request.auto ? Math.min(request.maxModelLen, longest) : request.maxModelLen;
  const starts = facts.kvVerdictTrusted
    ? maxModelLen > 0 && fits(geometry, blocks, maxModelLen)
    : blocks >= stateBlocks / MODEL.gdnGroups;
  if (!starts) return { starts, blockTokens };
  return { starts, blockTokens, blocks, maxModelLen, maxConcurrency: loggedConcurrency(geometry, blocks, maxModelLen) };
}

const factsOf = (version: string): VllmVersionFacts =>
  vllmVersion(compareVersions(version, SUPPORTED_VLLM.oldest) < 0 ? SUPPORTED_VLLM.oldest : version);
