import { Spec, type QwenCoderSpec, type QwenCoderSpecInput } from '../../src/api/index.ts';
import type { ContainerFacts, Facts, LiveSlot, PodFacts } from '../../src/reconcile/facts.ts';
import {
  type Installation,
  type Owner,
  type Revision,
  RESOURCE,
  COMPONENT,
  REVISION,
  SLOT,
  internalKeys,
} from '../../src/render/index.ts';
import type { GpuNode, ServingPlan } from '../../src/serving/index.ts';

const GIB = 2 ** 30;

/** A spec as the API server would store it. */
export const spec = (input: QwenCoderSpecInput = {}): QwenCoderSpec => Spec.parse(input);

export const owner = (over: Partial<Owner> = {}): Owner => ({
  apiVersion: 'qwencoder.dev/v1alpha1',
  kind: 'QwenCoderDeployment',
  namespace: 'team-a',
  name: 'coder',
  uid: 'uid-coder',
  ...over,
});

export const installation: Installation = {
  namespace: 'qwen-coder-system',
  image: 'qwen-coder-operator:1.2.3',
  keysOf: (owner) => internalKeys(owner, 'secret-of-the-operator'),
};

/** FP8 over two H100s: what the empty spec gets on such nodes. */
export const plan = (over: Partial<ServingPlan> = {}): ServingPlan => ({
  engine: 'VLLM',
  engineVersion: '0.33.0',
  quantization: 'FP8',
  repository: 'Qwen/Qwen3-Coder-Next-FP8',
  revision: 'main',
  gpuProduct: 'NVIDIA-H100-80GB-HBM3',
  gpuName: 'H100-80GB',
  gpuMemoryBytes: 81559 * 2 ** 20,
  gpusPerReplica: 2,
  tensorParallelSize: 2,
  maxModelLen: 262144,
  maxNumSeqs: 256,
  kvCacheDtype: 'BF16',
  gpuMemoryUtilizationPercent: 92,
  concurrency: 10,
  memory: { total: 79.6 * GIB, usable: 73.3 * GIB, weights: 37.5 * GIB, overhead: 4 * GIB, kvPool: 31.8 * GIB },
  weightBytes: 80.4e9,
  leastDriver: 580,
  ...over,
});

export const revision = (over: Partial<Revision> = {}): Revision => ({
  hash: 'aaaaaaaaaa',
  inputs: 'inputs',
  planInputs: 'plan-inputs',
  plan: plan(),
  template: { metadata: { labels: {} }, spec: { containers: [{ name: 'engine' }] } },
  served: true,
  number: 1,
  ...over,
});

export const gpuNode = (over: Partial<GpuNode> = {}): GpuNode => ({
  name: 'node-1',
  product: 'NVIDIA-H100-80GB-HBM3',
  memoryBytes: 81559 * 2 ** 20,
  computeCapability: 90,
  gpus: 8,
  free: 8,
  exists: true,
  ...over,
});

export interface PodOver extends Partial<Omit<PodFacts, 'metadata'>> {
  readonly slot?: number;
  readonly revision?: string;
  readonly name?: string;
  readonly leaving?: boolean;
}

/** An engine pod that is ready on a node. */
export function pod({
  slot = 0,
  revision = 'aaaaaaaaaa',
  name = `coder-engine-${slot}-x`,
  leaving = false,
  ...over
}: PodOver = {}): PodFacts {
  return {
    metadata: {
      name,
      namespace: 'team-a',
      uid: `uid-${name}`,
      resourceVersion: '1',
      labels: { [RESOURCE]: 'coder', [COMPONENT]: 'engine', [SLOT]: String(slot), [REVISION]: revision },
      ...(leaving && { deletionTimestamp: '2026-01-01T00:00:00Z' }),
    },
    nodeName: 'node-1',
    gpus: { 'nvidia.com/gpu': 2 },
    phase: 'Running',
    ready: true,
    unschedulable: undefined,
    container: undefined,
    failure: undefined,
    restarts: 0,
    ...over,
  };
}

/** A gateway pod that is ready. */
export const gatewayPod = (over: PodOver = {}): PodFacts => {
  const { metadata, ...facts } = pod({ name: 'coder-gateway-x', gpus: {}, ip: '10.0.1.1', ...over });
  return { ...facts, metadata: { ...metadata, labels: { [RESOURCE]: 'coder', [COMPONENT]: 'gateway' } } };
};

/** A container that runs since the epoch, for the first time. */
export const container = (over: Partial<ContainerFacts> = {}): ContainerFacts => ({
  name: 'engine',
  waiting: undefined,
  end: undefined,
  ended: 0,
  runningSinceMs: 0,
  ...over,
});

/** A slot with one ready pod of its revision. */
export const liveSlot = (index: number, revisionHash = 'aaaaaaaaaa', pods?: readonly PodFacts[]): LiveSlot => ({
  index,
  revisionHash,
  pods: pods ?? [pod({ slot: index, revision: revisionHash })],
});

export const facts = (over: Partial<Facts> = {}): Facts => ({
  owner: owner(),
  generation: 1,
  spec: spec(),
  revisions: [],
  slots: [],
  gateway: { pods: [gatewayPod()], secrets: [], refusal: undefined },
  pods: over.slots?.flatMap(({ pods }) => pods) ?? [],
  isUnplaced: over.pods?.some(({ unschedulable }) => unschedulable !== undefined) ?? false,
  children: [],
  quota: undefined,
  nodes: () => [gpuNode()],
  ...over,
});
