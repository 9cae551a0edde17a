import type { Demand } from './demand.ts';
import type { GpuGroup } from './gpu-groups.ts';
import {
  concurrency,
  fits,
  type KvGeometry,
  kvGeometry,
  LEAST_OVERHEAD_BYTES,
  maxTokens,
  needBlocks,
  overheadBytesPerGpu,
  poolBlocks,
  weightBytesPerGpu,
} from './memory.ts';
import type { GpuMemory, PlanRequest, VllmQuantization } from './plan.ts';
import { gib, requests } from './words.ts';

/** Shortest context that is planned when none is asked for: below it a coding tool cannot hold its own prompt. */
export const LEAST_PLANNED_TOKENS = 8_192;

/** Context where nothing is known of the GPUs' memory. */
const PROVISIONAL_TOKENS = 32_768;

/** Most requests decoded together, when planned: vLLM's own default for cards under 70 GiB; beyond it each one gets slow. */
const MOST_PLANNED_SEQS = 256;

/** The same where the size of the KV pool is unknown. */
const PROVISIONAL_SEQS = 32;

/** Spare KV memory, as a multiple of what is asked, that keeps a plan good if the overhead was guessed too low. */
const HEADROOM = 1.25;

/** bfloat16 needs Ampere or later. */
const LEAST_COMPUTE_CAPABILITY = 80;

/** A way to serve. */
export interface Candidate {
  readonly quantization: VllmQuantization;
  readonly group: GpuGroup;
  readonly tensorParallelSize: number;
}

/** A candidate that serves what is asked. */
export interface Fit {
  readonly candidate: Candidate;
  readonly maxModelLen: number;
  readonly maxNumSeqs: number;
  /** Undefined without memory facts. */
  readonly sized: SizedFit | undefined;
}

/** What memory facts tell about a candidate that serves. */
export interface SizedFit {
  /** Requests of full length that are held at once. */
  readonly concurrency: number;
  /** KV blocks of the pool. */
  readonly blocks: number;
  readonly memory: GpuMemory;
  readonly hasHeadroom: boolean;
  /** Set in a guess: the estimate, which is more than `memory.overhead`, the most that it loads with. */
  readonly estimatedOverheadBytes?: number;
}

/** A candidate that does not. */
export interface Misfit {
  readonly candidate: Candidate;
  /** Goes on after the candidate's name: "needs 41.5 GiB a GPU …". Made when asked for: most are not. */
  readonly reason: () => string;
  /** Bytes a GPU that are missing; undefined where memory is not what is missing. */
  readonly shortfallBytes: number | undefined;
  /**
   * How it serves if the estimate of its overhead is too high: at the shortest length, so that it loads if anything does. Undefined where
   * that is out of the question: it was measured, or not even the least overhead leaves room.
   */
  readonly guess?: () => Fit | undefined;
}

/** Whether a candidate serves what is asked, and with which numbers. */
export function judge(
  demand: Demand,
  candidate: Candidate,
  overheadBytes?: PlanRequest['overheadBytes'],
): Fit | Misfit {
  const { group, tensorParallelSize } = candidate;
  const misfit = (reason: () => string): Misfit => ({ candidate, reason, shortfallBytes: undefined });
  const { mostGpus, computeCapability } = group;
  if (mostGpus < tensorParallelSize) {
    return misfit(() => `needs ${tensorParallelSize} GPUs on one node; the largest node has ${mostGpus}`);
  }
  if (exceedsQuota(demand, tensorParallelSize)) {
    const { name, gpus } = demand.quota!;
    const needed = tensorParallelSize === 1 ? '1 GPU' : `${tensorParallelSize} GPUs`;
    return misfit(() => `needs ${needed}; ResourceQuota ${name} allows the namespace ${gpus}`);
  }
  if (computeCapability !== undefined && computeCapability < LEAST_COMPUTE_CAPABILITY) {
    const version = (times10: number): string => (times10 / 10).toFixed(1);
    return misfit(
      () => `has compute capability ${version(computeCapability)}; bfloat16 needs ${version(LEAST_COMPUTE_CAPABILITY)}`,
    );
  }
  if (group.isAmd && !demand.hasOwnImage) {
    return misfit(
      () =>
        `needs an image built for ROCm in spec.engine.image; vllm/vllm-openai:v${demand.version.version} is built for CUDA`,
    );
  }
  const { memoryBytes } = group;
  if (memoryBytes === undefined) return provisionalFit(demand, candidate);
  const measured = overheadBytes?.({
    gpuProduct: group.product,
    engineVersion: demand.version.version,
    tensorParallelSize,
    quantization: candidate.quantization,
    kvCacheDtype: demand.kvCacheDtype,
  });
  if (measured !== undefined) return judgeMemory(demand, candidate, memoryBytes, measured);
  const estimate = overheadBytesPerGpu(tensorParallelSize);
  const verdict = judgeMemory(demand, candidate, memoryBytes, estimate);
  return 'reason' in verdict
    ? { ...verdict, guess: () => guessFit(demand, candidate, memoryBytes, estimate) }
    : verdict;
}

/** Whether no pod of so many GPUs is let into the namespace, however few others hold. */
export const exceedsQuota = ({ quota }: Pick<Demand, 'quota'>, gpus: number): boolean =>
  quota !== undefined && gpus > quota.gpus;

function provisionalFit(demand: Demand, candidate: Candidate): Fit {
  return {
    candidate,
    maxModelLen: demand.maxModelLen ?? PROVISIONAL_TOKENS,
    maxNumSeqs: demand.maxNumSeqs ?? Math.max(demand.concurrency, PROVISIONAL_SEQS),
    sized: undefined,
  };
}

function judgeMemory(demand: Demand, candidate: Candidate, total: number, overhead: number): Fit | Misfit {
  const { version, concurrency: asked } = demand;
  const { reservedBlocks } = version;
  const { usable, weights, geometry } = layoutOf(demand, candidate, total);
  const left = usable - weights - overhead;
  const blocks = poolBlocks(geometry, left);
  const bytesOf = (tokens: number): number =>
    (asked * needBlocks(geometry, tokens) + reservedBlocks) * geometry.blockBytes;

  const least = demand.maxModelLen ?? LEAST_PLANNED_TOKENS;
  const needed = bytesOf(least);
  const misfit = (shortfallBytes: number, reason: () => string): Misfit => ({ candidate, reason, shortfallBytes });
  if (left <= 0) {
    return misfit(needed - left, () => {
      const parts = `${gib(weights)} of weights, about ${gib(overhead)} of overhead`;
      return `needs ${gib(weights + overhead)} a GPU before any request (${parts}); ${gib(usable)} of ${gib(total)} are usable`;
    });
  }
  if (!fits(geometry, blocks, least, asked)) {
    return misfit(needed - left, () => {
      const held = concurrency(geometry, blocks, least);
      return `needs ${gib(needed)} of KV memory a GPU for ${requests(asked)} of ${least} tokens; ${gib(left)} are left, enough for ${held}`;
    });
  }
  const seqs = demand.maxNumSeqs;
  if (seqs !== undefined && version.seqsBoundByPool && seqs > blocks) {
    return misfit(
      (seqs - blocks) * geometry.blockBytes,
      () =>
        `has room for ${blocks} KV blocks, and vLLM ${version.version} does not start with more sequences than blocks; spec.context.maxNumSeqs is ${seqs}`,
    );
  }
  const maxModelLen = demand.maxModelLen ?? maxTokens(geometry, blocks, asked);
  return {
    candidate,
    maxModelLen,
    maxNumSeqs: seqs ?? plannedSeqs(geometry, blocks, asked),
    sized: {
      concurrency: concurrency(geometry, blocks, maxModelLen),
      blocks,
      memory: { total, usable, weights, overhead, kvPool: blocks * geometry.blockBytes },
      hasHeadroom: left >= bytesOf(maxModelLen) * HEADROOM,
    },
  };
}

/** What a candidate's memory is like whatever its overhead is. */
function layoutOf(demand: Demand, { quantization, tensorParallelSize }: Candidate, total: number) {
  const { version, kvCacheDtype, prefixCaching, utilizationPercent } = demand;
  return {
    usable: Math.floor((total * utilizationPercent) / 100),
    weights: weightBytesPerGpu(quantization, tensorParallelSize),
    geometry: kvGeometry({
      tensorParallelSize,
      kvCacheDtype,
      prefixCaching,
      reservedBlocks: version.reservedBlocks,
    }),
  };
}

/** What a candidate serves that the estimate rules out: no more KV memory than what is asked, so that all the rest may be overhead. */
function guessFit(demand: Demand, candidate: Candidate, total: number, estimate: number): Fit | undefined {
  const { version, concurrency: asked, maxNumSeqs } = demand;
  const { usable, weights, geometry } = layoutOf(demand, candidate, total);
  const maxModelLen = demand.maxModelLen ?? LEAST_PLANNED_TOKENS;
  const held = asked * needBlocks(geometry, maxModelLen) + version.reservedBlocks;
  const blocks = version.seqsBoundByPool ? Math.max(held, maxNumSeqs ?? 0) : held;
  const kvPool = blocks * geometry.blockBytes;
  const overhead = Math.floor(usable - weights - kvPool);
  if (overhead < LEAST_OVERHEAD_BYTES) return undefined;
  return {
    candidate,
    maxModelLen,
    maxNumSeqs: maxNumSeqs ?? plannedSeqs(geometry, blocks, asked),
    sized: {
      concurrency: concurrency(geometry, blocks, maxModelLen),
      blocks,
      memory: { total, usable, weights, overhead, kvPool },
      hasHeadroom: false,
      estimatedOverheadBytes: estimate,
    },
  };
}

/** How many sequences are decoded together where nobody says: what the pool holds, up to vLLM's own default, and what is asked at least. */
export const plannedSeqs = (geometry: KvGeometry, blocks: number, asked: number): number =>
  Math.max(asked, Math.min(MOST_PLANNED_SEQS, concurrency(geometry, blocks, 1)));
