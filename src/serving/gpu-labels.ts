import { catalogueMemoryBytes, findGpu } from './gpu-catalogue.ts';
import { MIB } from './model-profile.ts';
import type { GpuNode } from './plan.ts';

/** Labels of NVIDIA GPU feature discovery. */
const NVIDIA_PRODUCT = 'nvidia.com/gpu.product';
const COMPUTE_MAJOR = 'nvidia.com/gpu.compute.major';
const COMPUTE_MINOR = 'nvidia.com/gpu.compute.minor';
/** Major version of the NVIDIA driver. The first counts; the second is what older releases of GPU feature discovery write. */
export const DRIVER_LABELS = ['nvidia.com/cuda.driver-version.major', 'nvidia.com/cuda.driver.major'];
/** The label of AMD's node labeller; its label for memory is rounded to what the card is called, so the catalogue knows better. */
const AMD_PRODUCT = 'amd.com/gpu.product-name';

/** How often a GPU is offered, and how it is shared then: `time-slicing`, `mps`, or `none`. */
const REPLICAS = 'nvidia.com/gpu.replicas';
const SHARING_STRATEGY = 'nvidia.com/gpu.sharing-strategy';
/**
 * With the strategy `single` the slices of MIG are offered as if they were GPUs, and described by labels as no GPU is. With `mixed` they
 * have names of their own, and what is left are whole GPUs.
 */
const MIG_STRATEGY = 'nvidia.com/mig.strategy';
const MIG_SLICES = 'nvidia.com/gpu.slices.gi';

/** Memory of one GPU in MiB, by NVIDIA GPU feature discovery. */
export const MEMORY_LABEL = 'nvidia.com/gpu.memory';

/** The node label that names the product of the GPUs that are asked for as that extended resource. */
export const productLabel = (resourceName: string): string =>
  resourceName.startsWith('amd.com/') ? AMD_PRODUCT : NVIDIA_PRODUCT;

/** What a node's labels say of its GPUs; the catalogue answers where only the product is known. */
export function gpuFacts(
  labels: Readonly<Record<string, string>>,
): Pick<GpuNode, 'product' | 'memoryBytes' | 'computeCapability' | 'driver' | 'part'> {
  const product = labels[NVIDIA_PRODUCT] ?? labels[AMD_PRODUCT];
  const known = <T>(tell: (label: string) => T): T | undefined => (product === undefined ? undefined : tell(product));
  const [memoryMib, major] = [Number(labels[MEMORY_LABEL]), Number(labels[COMPUTE_MAJOR])];
  const driver = DRIVER_LABELS.map((label) => Number(labels[label])).find((major) => major > 0);
  const part = partOf(labels);
  return {
    product,
    ...(part !== undefined && { part }),
    ...(driver !== undefined && { driver }),
    memoryBytes: memoryMib > 0 ? memoryMib * MIB : known(catalogueMemoryBytes),
    computeCapability:
      major > 0 ? major * 10 + Number(labels[COMPUTE_MINOR] ?? 0) : known((label) => findGpu(label)?.computeCapability),
  };
}

/** What each GPU of a node is in place of a whole one. The suffix of the product says the same, unless it was set by hand. */
function partOf(labels: Readonly<Record<string, string>>): string | undefined {
  const sharing = labels[SHARING_STRATEGY] ?? 'none';
  if (sharing !== 'none') return sharing;
  if (Number(labels[REPLICAS]) > 1) return `${labels[REPLICAS]} replicas of one GPU`;
  if (labels[MIG_STRATEGY] === 'single' && labels[MIG_SLICES] !== undefined) return 'MIG';
  return undefined;
}
