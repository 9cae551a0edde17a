import { gpuAnnotation, gpus as knownGpus, type GpuName } from '../../cluster/gpu-nodes.ts';
import type { Node, Pod } from '../../../src/kube/wire.ts';
import { type Gpus, productMemory } from '../vllm/memory.ts';

const MIB = 1024 ** 2;
const RESOURCES = ['nvidia.com/gpu', 'amd.com/gpu'];

/** What one GPU of a node really is: what its maker annotated, else what its labels say, else an 80 GB H100. */
export function gpuOf(node: Node | undefined): { readonly product: string; readonly memoryBytes: number } {
  const annotated = node?.metadata?.annotations?.[gpuAnnotation];
  if (annotated !== undefined && Object.hasOwn(knownGpus, annotated)) {
    const { product, memoryMib } = knownGpus[annotated as GpuName];
    return { product, memoryBytes: memoryMib * MIB };
  }
  const labels = node?.metadata?.labels ?? {};
  const product = labels['nvidia.com/gpu.product'] ?? labels['amd.com/gpu.product-name'] ?? 'NVIDIA-H100-80GB-HBM3';
  const mib = Number(labels['nvidia.com/gpu.memory']);
  return { product, memoryBytes: mib > 0 ? mib * MIB : (productMemory(product) ?? 81_559 * MIB) };
}

/** How many GPUs a container was given, by its limits. */
export function gpuCount(limits: Readonly<Record<string, string>> | undefined): number {
  return RESOURCES.reduce((sum, resource) => sum + Number(limits?.[resource] ?? 0), 0);
}

/** The devices of nodes: like a device plugin, it hands out each once. */
export class GpuDevices {
  readonly #byPod = new Map<string, { readonly node: string; readonly count: number }>();

  /** Undefined when the pod got what it asks for, else why not. */
  allocate(pod: Pod, node: Node | undefined): string | undefined {
    const wanted = (pod.spec?.containers ?? []).reduce((sum, { resources }) => sum + gpuCount(resources?.limits), 0);
    if (wanted === 0) return undefined;
    const name = pod.spec?.nodeName ?? '';
    const capacity = RESOURCES.reduce((sum, resource) => sum + Number(node?.status?.allocatable?.[resource] ?? 0), 0);
    const held = [...this.#byPod.values()]
      .filter((holder) => holder.node === name)
      .reduce((sum, { count }) => sum + count, 0);
    if (wanted > capacity - held) {
      return (
        'Pod was rejected: Allocate failed due to requested number of devices unavailable for nvidia.com/gpu. ' +
        `Requested: ${wanted}, Available: ${capacity - held}, which is unexpected`
      );
    }
    this.#byPod.set(pod.metadata?.uid ?? '', { node: name, count: wanted });
    return undefined;
  }

  release(uid: string): void {
    this.#byPod.delete(uid);
  }
}

export const containerGpus = (
  limits: Readonly<Record<string, string>> | undefined,
  node: Node | undefined,
): Gpus | undefined => {
  const count = gpuCount(limits);
  return count === 0 ? undefined : { count, ...gpuOf(node) };
};
