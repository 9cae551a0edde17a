import type { Demand } from './demand.ts';
import { findGpu, type GpuModel } from './gpu-catalogue.ts';
import { type GpuGroup, multipliesFp8 } from './gpu-groups.ts';
import { tensorParallelSizes, weightBytesPerGpu } from './memory.ts';
import { MIB } from './model-profile.ts';
import type { VllmQuantization } from './plan.ts';
import { type Candidate, exceedsQuota, type Fit, judge, type Misfit } from './verdict.ts';
import { anyOf } from './words.ts';

/** Most of a GPU's memory that is suggested to a user; the rest is for the driver and for what else runs there. */
const MOST_UTILIZATION_PERCENT = 95;

/** What a user can do when nothing fits: fields to change for the nearest candidate, and GPUs that would do. */
export function remediesFor(demand: Demand, groups: readonly GpuGroup[], nearest: Misfit): string {
  const changes = changesFor(demand, nearest.candidate);
  return [
    changes.length === 0 ? '' : `Set ${anyOf(changes)}.`,
    roomyCards(demand),
    isForLlamaCpp(groups)
      ? '4-bit GGUF checkpoints on llama.cpp are made for such cards; this version of the operator does not serve them.'
      : '',
  ]
    .filter((remedy) => remedy !== '')
    .join(' ');
}

/** Fields that would make a candidate fit, each alone. */
function changesFor(demand: Demand, candidate: Candidate): string[] {
  const wouldFit = (change: Partial<Demand>): Fit | undefined => {
    const verdict = judge({ ...demand, ...change }, candidate);
    return 'reason' in verdict ? undefined : verdict;
  };
  const changes: string[] = [];
  const smaller = tensorParallelSizes(candidate.quantization).findLast(
    (size) => size < candidate.tensorParallelSize && isServed(demand, { ...candidate, tensorParallelSize: size }),
  );
  if (demand.tensorParallelSize !== undefined && smaller !== undefined) {
    changes.push(`spec.parallelism.tensorParallelSize to ${smaller}`);
  }
  const fewer = greatest(demand.concurrency - 1, (concurrency) => wouldFit({ concurrency }) !== undefined);
  if (fewer > 0) changes.push(`spec.context.minConcurrency to ${fewer}`);
  const shorter = demand.maxModelLen === undefined ? undefined : wouldFit({ maxModelLen: undefined });
  if (shorter) changes.push(`spec.context.maxModelLen to ${shorter.maxModelLen} or less`);
  const unpinned = demand.maxNumSeqs === undefined ? undefined : wouldFit({ maxNumSeqs: undefined });
  if (unpinned?.sized) changes.push(`spec.context.maxNumSeqs to ${unpinned.sized.blocks} or less`);
  if (demand.kvCacheDtype === 'BF16' && multipliesFp8(candidate.group) && wouldFit({ kvCacheDtype: 'FP8' })) {
    changes.push('spec.context.kvCacheDtype to FP8');
  }
  if (
    demand.utilizationPercent < MOST_UTILIZATION_PERCENT &&
    wouldFit({ utilizationPercent: MOST_UTILIZATION_PERCENT })
  ) {
    changes.push(`spec.context.gpuMemoryUtilizationPercent to ${MOST_UTILIZATION_PERCENT}`);
  }
  return changes;
}

/** The greatest of 1 to `most` for which something holds that holds for all smaller ones; 0 when there is none. */
function greatest(most: number, holds: (value: number) => boolean): number {
  let [low, high] = [0, most];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (holds(middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}

const isServed = (demand: Demand, candidate: Candidate): boolean => !('reason' in judge(demand, candidate));

/** Cards that stand for their size when a message says what would fit. */
const REPRESENTATIVES = ['RTX5090-32GB', 'L40S-48GB', 'H100-80GB', 'RTXPRO6000-96GB', 'H200-141GB', 'B200-180GB']
  .map((name) => findGpu(name)!)
  .map((model) => ({ nominalGib: model.nominalGib, group: nodeOf(model) }));

/** Which GPUs would do what is asked, by size: for the first quantization that any of them serves. */
function roomyCards(demand: Demand): string {
  for (const quantization of demand.quantizations) {
    const cards: { size: number; text: string }[] = [];
    for (const { nominalGib, group } of REPRESENTATIVES) {
      const size = smallestSize(demand, quantization, group);
      if (size === undefined || size === cards.at(-1)?.size) continue;
      cards.push({ size, text: `${size}x ${nominalGib} GB` });
    }
    if (cards.length > 0)
      return `${quantization} fits on ${anyOf(cards.map(({ text }) => text))} in one node, or more.`;
  }
  if (exceedsQuota(demand, demand.tensorParallelSize ?? 1)) return '';
  return 'Ask for a shorter context or fewer requests at once.';
}

/** As many cards of a model in one node as a replica can have. */
function nodeOf({ name, labels, memoryMib, computeCapability }: GpuModel): GpuGroup {
  const memoryBytes = memoryMib * MIB;
  return { product: labels[0], name, memoryBytes, computeCapability, isAmd: false, mostGpus: 16, nodes: [] };
}

function smallestSize(demand: Demand, quantization: VllmQuantization, group: GpuGroup): number | undefined {
  const pinned = demand.tensorParallelSize;
  return tensorParallelSizes(quantization).find(
    (tensorParallelSize) =>
      (pinned === undefined || tensorParallelSize === pinned) &&
      isServed(demand, { quantization, group, tensorParallelSize }),
  );
}

/** Whether no node's GPUs together hold the FP8 weights. */
function isForLlamaCpp(groups: readonly GpuGroup[]): boolean {
  const least = weightBytesPerGpu('FP8', 1);
  return groups.every(
    ({ memoryBytes, nodes }) => memoryBytes !== undefined && nodes.every(({ gpus }) => gpus * memoryBytes < least),
  );
}
