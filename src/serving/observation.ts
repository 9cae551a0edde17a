import type { QwenCoderSpec } from '../api/v1alpha1.ts';
import type { Calibration } from './calibration.ts';
import type { EngineMetrics } from './engine-report.ts';
import { poolBlocks } from './memory.ts';
import type { ServingPlan } from './plan.ts';
import type { MemoryFailure } from './start-report.ts';
import { geometryOf, type Observation } from './tuning.ts';

/**
 * What a loaded engine's metrics say of its plan; undefined where they do not name its KV blocks.
 *
 * Guarantees: blocks are counted in those of our geometry. Some attention kernels need larger ones, of which the same memory makes fewer.
 */
export function loaded(metrics: EngineMetrics, plan: ServingPlan, spec: QwenCoderSpec): Observation | undefined {
  const { kvBlocks, blockTokens } = metrics;
  if (kvBlocks === undefined) return undefined;
  const expected = geometryOf(plan, spec).blockTokens;
  const times = blockTokens !== undefined && blockTokens > expected ? blockTokens / expected : 1;
  return { outcome: 'Fits', kvBlocks: Math.floor(kvBlocks * times) };
}

/** What a loaded engine's log says of its plan, where its metrics cannot be read. */
export const loadedByLog = (kvBytes: number, plan: ServingPlan, spec: QwenCoderSpec): Observation => ({
  outcome: 'Fits',
  kvBlocks: poolBlocks(geometryOf(plan, spec), kvBytes),
});

/** What an engine's failure says of its plan. */
export const failed = (failure: MemoryFailure, plan: ServingPlan, spec: QwenCoderSpec): Observation => ({
  outcome: failure.outcome,
  message: failure.message,
  kvBlocks: failure.kvBytes === undefined ? undefined : poolBlocks(geometryOf(plan, spec), failure.kvBytes),
});

/** The calibration that an observation amounts to; undefined where it has no numbers. */
export const calibrationFrom = (
  { kvBlocks }: Pick<Observation, 'kvBlocks'>,
  plan: ServingPlan,
  spec: QwenCoderSpec,
  now: string,
): Calibration | undefined =>
  kvBlocks === undefined
    ? undefined
    : {
        gpuMemoryBytes: plan.gpuMemoryBytes,
        utilizationPercent: plan.gpuMemoryUtilizationPercent,
        kvBytes: kvBlocks * geometryOf(plan, spec).blockBytes,
        measuredAt: now,
      };
