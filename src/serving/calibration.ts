import { weightBytesPerGpu } from './memory.ts';
import type { Footprint, ServingPlan } from './plan.ts';

/** What one engine measured, for all engines like it. */
export interface Calibration {
  /** Memory of one GPU as the plan knew it; undefined where nothing told. */
  readonly gpuMemoryBytes: number | undefined;
  readonly utilizationPercent: number;
  /** Bytes a GPU that were left for the KV cache. */
  readonly kvBytes: number;
  /** RFC 3339. */
  readonly measuredAt: string;
}

/** By `calibrationKey`. */
export type Calibrations = ReadonlyMap<string, Calibration>;

/** Measurements of one kind this close together are the same: no write, no new plan. */
const SAME = 0.01;

/**
 * What a calibration holds for, spelled as a key of a ConfigMap; undefined for GPUs without a product label, which may be any.
 *
 * @param variant stands for an engine's own image, arguments and environment; empty where it has none.
 */
export function calibrationKey(footprint: Footprint, variant: string): string | undefined {
  const { gpuProduct, engineVersion, tensorParallelSize, quantization, kvCacheDtype } = footprint;
  if (gpuProduct === undefined) return undefined;
  const parts = [
    gpuProduct,
    `vllm-${engineVersion}`,
    `tp${tensorParallelSize}`,
    quantization,
    `kv-${kvCacheDtype}`,
    variant,
  ];
  return parts.filter((part) => part !== '').join('_');
}

/** Bytes that vLLM may use on one GPU. */
const usable = (gpuMemoryBytes: number, percent: number): number => Math.floor((gpuMemoryBytes * percent) / 100);

/**
 * Bytes a GPU that are neither weights nor KV cache, as measured; undefined where the memory of the GPU was not known.
 *
 * Guarantees: a whole number, so that a pool planned with it has exactly the measured blocks.
 */
export function measuredOverhead(calibration: Calibration | undefined, footprint: Footprint): number | undefined {
  if (calibration?.gpuMemoryBytes === undefined) return undefined;
  const { gpuMemoryBytes, utilizationPercent, kvBytes } = calibration;
  const weights = weightBytesPerGpu(footprint.quantization, footprint.tensorParallelSize);
  return Math.floor(usable(gpuMemoryBytes, utilizationPercent) - weights - kvBytes);
}

/** Bytes a GPU that a plan's KV cache will have by a calibration of its kind; undefined where it cannot tell. */
export function calibratedKvBytes(plan: ServingPlan, calibration: Calibration | undefined): number | undefined {
  if (calibration === undefined) return undefined;
  const overhead = measuredOverhead(calibration, plan);
  if (overhead !== undefined && plan.gpuMemoryBytes !== undefined) {
    const weights = weightBytesPerGpu(plan.quantization, plan.tensorParallelSize);
    return usable(plan.gpuMemoryBytes, plan.gpuMemoryUtilizationPercent) - weights - overhead;
  }
  return calibration.utilizationPercent === plan.gpuMemoryUtilizationPercent ? calibration.kvBytes : undefined;
}

/** Whether a new measurement says what an old one says. */
export const isSameCalibration = (before: Calibration | undefined, after: Calibration): boolean =>
  before !== undefined &&
  before.gpuMemoryBytes === after.gpuMemoryBytes &&
  before.utilizationPercent === after.utilizationPercent &&
  Math.abs(before.kvBytes - after.kvBytes) <= SAME * after.kvBytes;

/** The calibrations that a ConfigMap's data holds. What is no calibration is left out: a broken hint is no hint. */
export function readCalibrations(data: Readonly<Record<string, string>> | undefined): Map<string, Calibration> {
  const found = new Map<string, Calibration>();
  for (const [key, text] of Object.entries(data ?? {})) {
    const calibration = readCalibration(text);
    if (calibration) found.set(key, calibration);
  }
  return found;
}

function readCalibration(text: string): Calibration | undefined {
  let value: Partial<Record<keyof Calibration, unknown>> | null;
  try {
    value = JSON.parse(text) as typeof value;
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { gpuMemoryBytes, utilizationPercent, kvBytes, measuredAt } = value;
  const isBytes = (bytes: unknown): bytes is number => Number.isFinite(bytes) && Number(bytes) >= 0;
  if (!isBytes(kvBytes) || !isBytes(utilizationPercent) || utilizationPercent > 100) return undefined;
  if (gpuMemoryBytes !== undefined && (!isBytes(gpuMemoryBytes) || gpuMemoryBytes <= kvBytes)) return undefined;
  return { gpuMemoryBytes, utilizationPercent, kvBytes, measuredAt: typeof measuredAt === 'string' ? measuredAt : '' };
}

/** The text that `readCalibrations` reads. */
export const writeCalibration = (calibration: Calibration): string => JSON.stringify(calibration);
