import type { QwenCoderSpec } from '../api/v1alpha1.ts';
import { checkEngineArgs, hasPrefixCaching } from './engines/vllm-args.ts';
import { DEFAULT_VLLM_VERSION, findVllmVersion, SUPPORTED_VLLM, type VllmVersion } from './engines/vllm-versions.ts';
import { TENSOR_PARALLEL_SIZES, tensorParallelSizes } from './memory.ts';
import { CHECKPOINTS, FP8_BLOCK, MODEL, VLLM_QUANTIZATIONS } from './model-profile.ts';
import { type GpuQuota, type PlanFailure, refuse, type VllmQuantization } from './plan.ts';
import { type NodeSharing, nodeSharing } from './room.ts';

/** What a spec asks of the GPUs, with defaults resolved. */
export interface Demand {
  readonly version: VllmVersion;
  /** Formats that may be served, preferred first. */
  readonly quantizations: readonly VllmQuantization[];
  /** The pinned size; undefined to choose one. */
  readonly tensorParallelSize: number | undefined;
  /** The pinned length; undefined to choose one. */
  readonly maxModelLen: number | undefined;
  /** The pinned number of sequences; undefined to choose one. */
  readonly maxNumSeqs: number | undefined;
  /** Requests of full length that must be held at once. */
  readonly concurrency: number;
  /** Replicas that are wanted from the start. */
  readonly replicas: number;
  readonly nodeSharing: NodeSharing;
  readonly utilizationPercent: number;
  readonly kvCacheDtype: 'BF16' | 'FP8';
  readonly prefixCaching: boolean;
  /** Oldest NVIDIA driver that will do; undefined where the user's image or variables settle it. */
  readonly leastDriver: number | undefined;
  /** Whether the engine runs in the user's own image. */
  readonly hasOwnImage: boolean;
  /** What a replica's GPUs must not exceed; undefined where nothing limits them. */
  readonly quota: GpuQuota | undefined;
}

/** Reads the demand out of a spec, or says which field cannot be served by any GPU. */
export function readDemand(spec: QwenCoderSpec, quota?: GpuQuota): Demand | PlanFailure {
  const { engine, parallelism, context, scaling } = spec;
  const range = `${SUPPORTED_VLLM.oldest} to ${SUPPORTED_VLLM.newest}`;
  if (engine.type !== 'VLLM') {
    return refuse(
      'UnsupportedEngineVersion',
      `spec.engine.type is ${engine.type}; this version of the operator serves with vLLM ${range} only.`,
      'Set spec.engine.type to VLLM, or leave it out.',
    );
  }
  const asked = engine.version ?? DEFAULT_VLLM_VERSION;
  const version = findVllmVersion(asked);
  if (version === undefined) {
    return refuse(
      'UnsupportedEngineVersion',
      `spec.engine.version is ${asked}; the operator knows the flags of vLLM ${range}.`,
      `Set spec.engine.version to one of ${range}, or leave it out for ${DEFAULT_VLLM_VERSION}.`,
    );
  }
  const argument = checkEngineArgs(spec, version.version);
  if (argument) return refuse(argument.reason, argument.message, argument.remedy);
  const quantizations = readQuantizations(spec);
  if ('fits' in quantizations) return quantizations;
  const parallelismFailure = checkParallelism(spec, quantizations);
  if (parallelismFailure) return parallelismFailure;
  return {
    version,
    quantizations,
    tensorParallelSize: parallelism.tensorParallelSize,
    maxModelLen: context.maxModelLen,
    maxNumSeqs: context.maxNumSeqs,
    // More than the engine decodes together need not be held.
    concurrency: Math.min(context.minConcurrency, context.maxNumSeqs ?? Infinity),
    replicas: Math.max(1, scaling.mode === 'Builtin' ? scaling.minReplicas : (spec.replicas ?? 1)),
    nodeSharing: nodeSharing(spec),
    utilizationPercent: context.gpuMemoryUtilizationPercent ?? version.utilizationPercent,
    kvCacheDtype: context.kvCacheDtype === 'FP8' ? 'FP8' : 'BF16',
    prefixCaching: hasPrefixCaching(spec, version.version),
    leastDriver: engine.image !== undefined || bringsOwnCuda(spec) ? undefined : version.leastDriver,
    hasOwnImage: engine.image !== undefined,
    quota,
  };
}

/** The image holds libraries for older drivers of data center GPUs, which vLLM uses when told so. */
const bringsOwnCuda = ({ engine }: QwenCoderSpec): boolean =>
  engine.env?.some(({ name }) => name === 'VLLM_ENABLE_CUDA_COMPATIBILITY') ?? false;

const isVllmQuantization = (name: string): name is VllmQuantization =>
  VLLM_QUANTIZATIONS.some((known) => known === name);

function readQuantizations({ model }: QwenCoderSpec): readonly VllmQuantization[] | PlanFailure {
  const { quantization, repository, source } = model;
  const choices = VLLM_QUANTIZATIONS.join(' or ');
  if (quantization !== undefined && !isVllmQuantization(quantization)) {
    return refuse(
      'InvalidQuantization',
      `spec.model.quantization is ${quantization}; vLLM serves this model in ${choices}.`,
      `Set spec.model.quantization to ${choices}, or leave it out.`,
    );
  }
  const published = VLLM_QUANTIZATIONS.find((name) => CHECKPOINTS[name].repository === repository);
  if (quantization !== undefined && published !== undefined && published !== quantization) {
    return refuse(
      'InvalidQuantization',
      `spec.model.quantization is ${quantization}, and spec.model.repository ${repository} holds ${published}.`,
      `Set spec.model.repository to ${CHECKPOINTS[quantization].repository} or leave it out, or set spec.model.quantization to ${published}.`,
    );
  }
  const given = quantization ?? published;
  if (given !== undefined) return [given];
  if (repository === undefined && source.type === 'HuggingFace') return VLLM_QUANTIZATIONS;
  const where =
    repository === undefined ? `spec.model.source is a ${source.type}` : `spec.model.repository is ${repository}`;
  return refuse(
    'InvalidQuantization',
    `${where}, and nothing tells the number format of that checkpoint.`,
    `Set spec.model.quantization to the checkpoint's format, ${choices}.`,
  );
}

function checkParallelism(spec: QwenCoderSpec, quantizations: readonly VllmQuantization[]): PlanFailure | undefined {
  const { tensorParallelSize: size, pipelineParallelSize: stages } = spec.parallelism;
  if (stages > 1) {
    return refuse(
      'InvalidParallelism',
      `spec.parallelism.pipelineParallelSize is ${stages}; this version of the operator keeps a replica on one node, in one stage.`,
      'Leave spec.parallelism.pipelineParallelSize out and use spec.parallelism.tensorParallelSize.',
    );
  }
  if (size === undefined) return undefined;
  if (!TENSOR_PARALLEL_SIZES.some((valid) => valid === size)) {
    return refuse(
      'InvalidParallelism',
      `spec.parallelism.tensorParallelSize is ${size}; the model's ${MODEL.attentionHeads} attention heads are divided by ${TENSOR_PARALLEL_SIZES.join(', ')} only.`,
      'Set spec.parallelism.tensorParallelSize to one of these, or leave it out.',
    );
  }
  if (quantizations.some((quantization) => tensorParallelSizes(quantization).includes(size))) return undefined;
  return refuse(
    'InvalidParallelism',
    `spec.parallelism.tensorParallelSize is ${size} with FP8; each GPU's share of the ${MODEL.expertWidth} wide shared expert would be ${MODEL.expertWidth / size}, and FP8 blocks are ${FP8_BLOCK} wide.`,
    'Set spec.parallelism.tensorParallelSize to 4 or less (two replicas of 4 use 8 GPUs), or spec.model.quantization to BF16.',
  );
}
