import type { Demand } from './demand.ts';
import { multipliesFp8 } from './gpu-groups.ts';
import { VLLM_QUANTIZATIONS } from './model-profile.ts';
import { readiness, type Room, roomOn } from './room.ts';
import type { Candidate, Fit } from './verdict.ts';
import { compareNumbers, compareText } from './words.ts';

/** Contexts from this part of the longest on count as equally long: nobody doubles the GPUs for two per cent. */
const LONG_ENOUGH = 0.9;

/** A candidate that serves, and how many replicas of it can start now. */
export interface Choice extends Fit {
  readonly room: Room;
}

/** Best first, by the order that `planServing` documents. Plans with memory facts rule out provisional ones. */
export function ranked(demand: Demand, fitting: readonly Fit[]): readonly Choice[] {
  const sized = fitting.filter((fit) => fit.sized !== undefined);
  const rivals = sized.length > 0 ? sized : fitting;
  const longEnough = LONG_ENOUGH * Math.max(...rivals.map(({ maxModelLen }) => maxModelLen));
  return rivals
    .map((fit) => {
      const { group, tensorParallelSize } = fit.candidate;
      const choice: Choice = { ...fit, room: roomOn(group.nodes, tensorParallelSize, demand) };
      return { choice, rank: rankOf(choice, longEnough) };
    })
    .toSorted(
      (left, right) =>
        compareRanks(left.rank, right.rank) ||
        compareText(left.choice.candidate.group.product ?? '', right.choice.candidate.group.product ?? ''),
    )
    .map(({ choice }) => choice);
}

/** What a choice is ranked by, the first that differs decides and less is better. */
function rankOf(choice: Choice, longEnough: number): readonly number[] {
  const { candidate, maxModelLen, sized, room } = choice;
  const { quantization, tensorParallelSize } = candidate;
  return [
    -Math.min(maxModelLen, longEnough),
    // Where memory is unknown, more GPUs are likelier to be enough.
    sized ? tensorParallelSize : -tensorParallelSize,
    isNative(candidate) ? 0 : 1,
    VLLM_QUANTIZATIONS.indexOf(quantization),
    sized?.hasHeadroom === true ? 0 : 1,
    -readiness(room),
    -room.together,
    tightness(choice),
    -maxModelLen,
  ];
}

function compareRanks(left: readonly number[], right: readonly number[]): number {
  for (const [index, value] of left.entries()) {
    const order = compareNumbers(value, right[index]!);
    if (order !== 0) return order;
  }
  return 0;
}

const isNative = ({ quantization, group }: Candidate): boolean => quantization === 'BF16' || multipliesFp8(group);

/** Smallest card first; of guesses the likeliest to load first. */
const tightness = ({ candidate, sized }: Fit): number =>
  sized?.estimatedOverheadBytes === undefined ? (candidate.group.memoryBytes ?? 0) : -sized.memory.overhead;
