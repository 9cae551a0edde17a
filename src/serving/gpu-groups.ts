import type { QwenCoderSpec } from '../api/v1alpha1.ts';
import { catalogueMemoryBytes, findGpu, hasMemory, isProduct, isWholeGpu, shortName } from './gpu-catalogue.ts';
import { type GpuNode, type PlanFailure, refuse } from './plan.ts';
import { quantityBytes } from './quantity.ts';
import { compareText, gib, listOf } from './words.ts';

/** Nodes whose GPUs are one and the same to the planner. */
export interface GpuGroup {
  /** The label that affinity requires. */
  readonly product: string | undefined;
  /** Name for people. */
  readonly name: string;
  /** Least memory of a card in the group; undefined when neither label nor catalogue knows it. */
  readonly memoryBytes: number | undefined;
  readonly computeCapability: number | undefined;
  readonly isAmd: boolean;
  readonly nodes: readonly GpuNode[];
}

/** Ada, Hopper and later multiply FP8; older NVIDIA cards unpack it to bfloat16 first. */
const FP8_COMPUTE_CAPABILITY = 89;

/** Whether the cards multiply FP8 themselves; false where nothing tells. */
export const multipliesFp8 = ({ computeCapability, isAmd }: GpuGroup): boolean =>
  isAmd || (computeCapability ?? 0) >= FP8_COMPUTE_CAPABILITY;

/** GPUs of the group's largest node. */
export const largestNode = (group: GpuGroup): number => Math.max(...group.nodes.map((node) => node.gpus));

/** The GPUs that declared node shapes would bring, as nodes that do not exist yet. */
export const shapeNodes = (spec: QwenCoderSpec): GpuNode[] =>
  (spec.placement.nodeShapes ?? []).map(({ product, memory, gpus }, index) => ({
    name: `shape/${index}`,
    product,
    // What is called "80Gi" has less: what its driver will report is what counts.
    memoryBytes: Math.min(quantityBytes(memory), catalogueMemoryBytes(product) ?? Infinity),
    computeCapability: findGpu(product)?.computeCapability,
    gpus,
    free: 0,
    exists: false,
  }));

/** The GPUs that a spec allows, of existing nodes and declared shapes, or which field rules all of them out. */
export function findGpus(spec: QwenCoderSpec, existing: readonly GpuNode[]): readonly GpuGroup[] | PlanFailure {
  const { resourceName, products, minMemory } = spec.placement;
  const known = new Set(existing.map((node) => node.name));
  const all = [...existing, ...shapeNodes(spec).filter((node) => !known.has(node.name))];
  const offering = all.filter((node) => node.gpus > 0);
  const whole = offering.filter(({ product }) => product === undefined || isWholeGpu(product));
  if (whole.length === 0) {
    const parts = listOf(offering.map((node) => node.product!));
    return refuse(
      'NoGpuNodes',
      `No node offers whole GPUs as ${resourceName}${parts === '' ? '' : `; ${parts} are parts of GPUs`}.`,
      'Install the device plugin of the GPUs, correct spec.placement.resourceName or nodeSelector, or declare spec.placement.nodeShapes for pools that scale from zero.',
    );
  }
  const named = products?.length
    ? whole.filter(({ product }) => product !== undefined && products.some((entry) => isProduct(entry, product)))
    : whole;
  if (named.length === 0) {
    return refuse(
      'UnknownGpuProduct',
      `spec.placement.products asks for ${products!.join(', ')}; the GPU nodes have ${listOf(whole.map(describeProduct))}.`,
      'Use a value of the node label nvidia.com/gpu.product or its short name in spec.placement.products, or leave it out.',
    );
  }
  if (minMemory === undefined) return groupNodes(named);
  const large = named.filter((node) => {
    const memory = memoryOf(node);
    return memory !== undefined && hasMemory(node.product, memory, quantityBytes(minMemory));
  });
  if (large.length > 0) return groupNodes(large);
  const had = named.map((node) => `${shortName(node.product)} (${describeMemory(memoryOf(node))})`);
  return refuse(
    'NoFittingGpu',
    `spec.placement.minMemory is ${minMemory}; the GPU nodes have ${listOf(had)}.`,
    'Lower spec.placement.minMemory, or add nodes or spec.placement.nodeShapes with larger GPUs.',
  );
}

const memoryOf = (node: GpuNode): number | undefined =>
  node.memoryBytes ?? (node.product === undefined ? undefined : catalogueMemoryBytes(node.product));

function describeProduct({ product }: GpuNode): string {
  if (product === undefined) return 'GPUs without a product label';
  return shortName(product) === product ? product : `${product} (${shortName(product)})`;
}

const describeMemory = (bytes: number | undefined): string => (bytes === undefined ? 'memory unknown' : gib(bytes));

/** How far apart the memory of two cards of one product may be reported by different drivers. */
const SAME_MEMORY = 1.05;

/**
 * Groups nodes by product, and within a product by memory where it really differs: there are cards of one name with twice the memory.
 *
 * Guarantees: the same groups in the same order, whatever the order of the nodes.
 */
export function groupNodes(nodes: readonly GpuNode[]): GpuGroup[] {
  const sorted = nodes
    .map((node) => ({ node, memory: memoryOf(node) }))
    .sort(
      (left, right) =>
        compareText(left.node.product ?? '', right.node.product ?? '') ||
        (left.memory ?? 0) - (right.memory ?? 0) ||
        compareText(left.node.name, right.node.name),
    );
  const groups: { product: string | undefined; memory: number | undefined; nodes: GpuNode[] }[] = [];
  for (const { node, memory } of sorted) {
    const last = groups.at(-1);
    const isSame = last?.product === node.product && last && hasSameMemory(last.memory, memory);
    if (isSame) last.nodes.push(node);
    else groups.push({ product: node.product, memory, nodes: [node] });
  }
  return groups.map(({ product, memory, nodes }) => {
    const model = product === undefined ? undefined : findGpu(product);
    const labelled = nodes.find((node) => node.computeCapability !== undefined)?.computeCapability;
    return {
      product,
      name: shortName(product),
      memoryBytes: memory,
      computeCapability: labelled ?? model?.computeCapability,
      isAmd: model?.vendor === 'AMD',
      nodes,
    };
  });
}

const hasSameMemory = (least: number | undefined, memory: number | undefined): boolean =>
  least === undefined || memory === undefined ? least === memory : memory <= least * SAME_MEMORY;
