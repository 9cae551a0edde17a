import { Spec, type QwenCoderSpec, type QwenCoderSpecInput } from '../../src/api/v1alpha1.ts';
import {
  catalogueMemoryBytes,
  findGpu,
  planServing,
  type GpuNode,
  type PlanOutcome,
  type ServingPlan,
} from '../../src/serving/index.ts';

/** A spec with every default, besides what is given. */
export const spec = (input: QwenCoderSpecInput = {}): QwenCoderSpec => Spec.parse(input);

/** Labels of GPUs as nodes carry them. */
export const LABELS = {
  L4: 'NVIDIA-L4',
  RTX4090: 'NVIDIA-GeForce-RTX-4090',
  RTX5090: 'NVIDIA-GeForce-RTX-5090',
  L40S: 'NVIDIA-L40S',
  A100: 'NVIDIA-A100-SXM4-80GB',
  H100: 'NVIDIA-H100-80GB-HBM3',
  RTXPRO6000: 'NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition',
  H200: 'NVIDIA-H200',
  B200: 'NVIDIA-B200',
  MI300X: 'AMD_Instinct_MI300X_OAM',
} as const;

export type Card = keyof typeof LABELS;

/** An idle node of that many GPUs of a kind, as GPU feature discovery describes it. */
export function node(card: Card, gpus: number, more: Partial<GpuNode> = {}): GpuNode {
  const product = LABELS[card];
  return {
    name: `${card.toLowerCase()}-${gpus}`,
    product,
    memoryBytes: catalogueMemoryBytes(product),
    computeCapability: findGpu(product)?.computeCapability,
    gpus,
    free: gpus,
    exists: true,
    ...more,
  };
}

/** An idle node whose GPUs carry no labels. */
export const plainNode = (gpus: number, more: Partial<GpuNode> = {}): GpuNode => ({
  name: `plain-${gpus}`,
  product: undefined,
  memoryBytes: undefined,
  computeCapability: undefined,
  gpus,
  free: gpus,
  exists: true,
  ...more,
});

export const plan = (input: QwenCoderSpecInput, ...nodes: readonly GpuNode[]): PlanOutcome =>
  planServing({ spec: spec(input), nodes });

/** The plan of a request that fits. */
export function planned(input: QwenCoderSpecInput, ...nodes: readonly GpuNode[]): ServingPlan {
  const outcome = plan(input, ...nodes);
  if (!outcome.fits) throw new Error(`${outcome.reason}: ${outcome.message}`);
  return outcome.plan;
}

/** Reason, message and remedy of a request that does not. */
export function refusal(input: QwenCoderSpecInput, ...nodes: readonly GpuNode[]): string {
  const outcome = plan(input, ...nodes);
  if (outcome.fits) throw new Error(`fits: ${outcome.plan.tensorParallelSize}x ${outcome.plan.gpuName}`);
  return `${outcome.reason}: ${outcome.message} ${outcome.remedy}`;
}
