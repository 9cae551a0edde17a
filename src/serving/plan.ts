import type { QwenCoderSpec } from '../api/v1alpha1.ts';

/** The GPUs of one node, or of a declared node shape that a pool at zero would bring. All memory in bytes. */
export interface GpuNode {
  /** Node name; `shape/<index>` for a declared shape. */
  readonly name: string;
  /** GPU product label as the node carries it (`NVIDIA-H100-80GB-HBM3`); undefined where the node has none. */
  readonly product: string | undefined;
  /** Memory of one GPU; undefined where neither label nor catalogue knows it. */
  readonly memoryBytes: number | undefined;
  /** CUDA compute capability times ten (89, 90, 100); undefined where unknown. */
  readonly computeCapability: number | undefined;
  /** Major version of the NVIDIA driver (570, 580); undefined where no label tells. */
  readonly driver?: number | undefined;
  /** What a label says that each of them is in place of a whole GPU, for people: `time-slicing`. Undefined where none does. */
  readonly part?: string | undefined;
  /** GPUs that the node offers (allocatable). */
  readonly gpus: number;
  /** Of these, not held by pods of others; the planned resource's own pods count as free. */
  readonly free: number;
  /** False for a declared shape. */
  readonly exists: boolean;
}

export type VllmQuantization = 'BF16' | 'FP8';

/** Where the memory of one GPU goes, in bytes. `total` × utilization = the sum of the others + `free`. */
export interface GpuMemory {
  readonly total: number;
  readonly usable: number;
  readonly weights: number;
  readonly overhead: number;
  readonly kvPool: number;
}

/** What the planner chose. Everything a rendered engine needs beyond the spec itself. */
export interface ServingPlan {
  readonly engine: 'VLLM';
  readonly engineVersion: string;
  readonly quantization: VllmQuantization;
  readonly repository: string;
  readonly revision: string;
  /** GPU product label required by affinity; undefined when nodes carry no product label. */
  readonly gpuProduct: string | undefined;
  /** Short name for people: `H100-80GB`. */
  readonly gpuName: string;
  readonly gpuMemoryBytes: number | undefined;
  readonly gpusPerReplica: number;
  readonly tensorParallelSize: number;
  readonly maxModelLen: number;
  readonly maxNumSeqs: number;
  readonly kvCacheDtype: 'BF16' | 'FP8';
  readonly gpuMemoryUtilizationPercent: number;
  /** Requests of `maxModelLen` tokens that fit at once; undefined without GPU memory facts. */
  readonly concurrency: number | undefined;
  /** Undefined without GPU memory facts. */
  readonly memory: GpuMemory | undefined;
  /**
   * Set in a plan that is a guess: the overhead of one GPU by the planner's estimate, with which this plan does not load. It loads with
   * `memory.overhead`, which is less. Undefined in plans that hold by the estimate or by a measurement.
   */
  readonly estimatedOverheadBytes?: number | undefined;
  /** Bytes of the checkpoint: what storage must hold. */
  readonly weightBytes: number;
  /** Oldest NVIDIA driver that the engine runs on; undefined where the user's image or variables settle it, and in plans of old. */
  readonly leastDriver?: number | undefined;
}

/** What decides how much of a GPU an engine takes besides weights and KV cache. Every plan is one. */
export interface Footprint {
  readonly gpuProduct: string | undefined;
  readonly engineVersion: string;
  readonly tensorParallelSize: number;
  readonly quantization: VllmQuantization;
  readonly kvCacheDtype: 'BF16' | 'FP8';
}

/** A combination that cannot serve, with the number that breaks it. */
export interface RejectedCandidate {
  readonly quantization: VllmQuantization;
  readonly gpuName: string;
  readonly tensorParallelSize: number;
  /** One sentence with the numbers in GiB: "needs 37.5 GiB of weights a GPU, 22.1 GiB of 24.0 GiB are usable". */
  readonly reason: string;
}

export type PlanOutcome =
  | {
      readonly fits: true;
      readonly plan: ServingPlan;
      /** The next best on GPUs of another product. */
      readonly runnerUp: ServingPlan | undefined;
      /** Undefined where nothing could start replicas sooner than the plan. */
      readonly alternative: Alternative | undefined;
      readonly rejected: readonly RejectedCandidate[];
    }
  | {
      readonly fits: false;
      /** A reason of the closed list in api/conditions. */
      readonly reason:
        | 'NoGpuNodes'
        | 'NoFittingGpu'
        | 'DriverTooOld'
        | 'QuotaTooSmall'
        | 'UnknownGpuProduct'
        | 'InvalidParallelism'
        | 'UnsupportedEngineVersion'
        | 'ManagedArgument'
        | 'UnknownArgument'
        | 'InvalidQuantization';
      /** What is wrong, which field, with numbers. */
      readonly message: string;
      /** What the user can do. */
      readonly remedy: string;
      readonly rejected: readonly RejectedCandidate[];
    };

/** What could start replicas sooner than the plan, which waits for GPUs, and how to have it. */
export interface Alternative {
  readonly plan: ServingPlan;
  /** Of the wanted replicas, those that can start on free GPUs; 0 where a declared node shape has to bring them. */
  readonly startable: number;
  /** What to set of a spec, as a merge patch, so that this becomes its plan. */
  readonly set: {
    readonly placement?: { readonly products: readonly string[] };
    readonly parallelism?: { readonly tensorParallelSize: number };
    readonly model?: { readonly quantization: VllmQuantization };
  };
}

/** A ResourceQuota that binds the pods of a resource. */
export interface GpuQuota {
  readonly name: string;
  /** GPUs that all pods of the namespace may hold together, whoever holds them now. */
  readonly gpus: number;
}

/** What the planner looks at. */
export interface PlanRequest {
  readonly spec: QwenCoderSpec;
  readonly nodes: readonly GpuNode[];
  /** The tightest one; undefined where none limits the GPUs. */
  readonly quota?: GpuQuota | undefined;
  /** A plan that is kept whatever is planned: the alternative asked for is one to this. */
  readonly kept?: ServingPlan | undefined;
  /** Measured overhead a GPU of memory `gpuMemoryBytes`; the planner's own guess where it is undefined. */
  readonly overheadBytes?: ((footprint: Footprint) => number | undefined) | undefined;
}

/** Whether a label tells that the node's driver is too old. */
export const hasOldDriver = ({ leastDriver }: Pick<ServingPlan, 'leastDriver'>, { driver }: GpuNode): boolean =>
  driver !== undefined && leastDriver !== undefined && driver < leastDriver;

/** Whether pods of a plan find on a node what was planned: the product as whole GPUs, and no driver that is too old. */
export const suits = (plan: ServingPlan, node: GpuNode): boolean =>
  node.product === plan.gpuProduct && node.part === undefined && !hasOldDriver(plan, node);

/** A request that no plan serves. */
export type PlanFailure = Extract<PlanOutcome, { fits: false }>;

/** A refusal before any candidate was tried. */
export const refuse = (reason: PlanFailure['reason'], message: string, remedy: string): PlanFailure => ({
  fits: false,
  reason,
  message,
  remedy,
  rejected: [],
});
