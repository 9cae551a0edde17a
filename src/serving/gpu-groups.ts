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
  /** GPUs of the largest node. */
  readonly mostGpus: number;
  readonly nodes: readonly GpuNode[];
}

/** Ada, Hopper and later multiply FP8; older NVIDIA cards unpack it to bfloat16 first. */
const FP8_COMPUTE_CAPABILITY = 89;

/** Whether the cards multiply FP8 themselves; false where nothing tells. */
export const multipliesFp8 = ({ computeCapability, isAmd }: GpuGroup): boolean =>
  isAmd || (computeCapability ?? 0) >= FP8_COMPUTE_CAPABILITY;

/** The GPUs that declared node shapes would bring, as nodes that do not exist yet. */
const shapeNodes = (spec: QwenCoderSpec): GpuNode[] =>
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

/** Whether what a node offers are GPUs, not parts of them: by its labels, and by the product that they name. */
export const hasWholeGpus = ({ product, part }: { product: string | undefined; part?: string | undefined }): boolean =>
  part === undefined && (product === undefined || isWholeGpu(product));

const describePart = ({ product, part }: GpuNode): string =>
  part === undefined || (product !== undefined && !isWholeGpu(product)) ? product! : `${product ?? 'GPUs'} (${part})`;

/** Nodes with the same label and the same memory. */
interface Shelf {
  readonly product: string | undefined;
  readonly memoryBytes: number | undefined;
  readonly nodes: GpuNode[];
}

/** The GPUs that a spec allows, of existing nodes and declared shapes, or which field rules all of them out. */
export function findGpus(spec: QwenCoderSpec, existing: readonly GpuNode[]): readonly GpuGroup[] | PlanFailure {
  const { resourceName, products, minMemory } = spec.placement;
  const nodes = [...existing, ...shapeNodes(spec)];
  const whole = shelve(nodes);
  if (whole.length === 0) {
    const parts = listOf(nodes.filter(({ gpus }) => gpus >= 1).map(describePart));
    return refuse(
      'NoGpuNodes',
      `No node offers whole GPUs as ${resourceName}${parts === '' ? '' : `; ${parts} are parts of GPUs`}.`,
      `${parts === '' ? 'Install the device plugin of the GPUs' : 'Offer whole GPUs on some nodes, without MIG and without sharing in the device plugin'}, correct spec.placement.resourceName or nodeSelector, or declare spec.placement.nodeShapes for pools that scale from zero.`,
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
  if (minMemory === undefined) return groupsOf(named);
  const least = quantityBytes(minMemory);
  const large = named.filter(
    ({ product, memoryBytes }) => memoryBytes !== undefined && hasMemory(product, memoryBytes, least),
  );
  if (large.length > 0) return groupsOf(large);
  const had = named.map(({ product, memoryBytes }) => `${shortName(product)} (${describeMemory(memoryBytes)})`);
  return refuse(
    'NoFittingGpu',
    `spec.placement.minMemory is ${minMemory}; the GPU nodes have ${listOf(had)}.`,
    'Lower spec.placement.minMemory, or add nodes or spec.placement.nodeShapes with larger GPUs.',
  );
}

/** Nodes with whole GPUs by label and memory: thousands of nodes are a handful of kinds, and the rest of the plan looks at kinds. */
function shelve(nodes: readonly GpuNode[]): Shelf[] {
  const byProduct = new Map<string | undefined, Map<number | undefined, Shelf>>();
  for (const node of nodes) {
    const { product, part, gpus } = node;
    if (!(gpus >= 1) || part !== undefined) continue;
    let byMemory = byProduct.get(product);
    if (byMemory === undefined) byProduct.set(product, (byMemory = new Map()));
    const shelf = byMemory.get(node.memoryBytes);
    if (shelf) shelf.nodes.push(node);
    else byMemory.set(node.memoryBytes, { product, memoryBytes: memoryOf(node), nodes: [node] });
  }
  return [...byProduct].flatMap(([product, byMemory]) => (hasWholeGpus({ product }) ? [...byMemory.values()] : []));
}

const memoryOf = (node: GpuNode): number | undefined =>
  node.memoryBytes ?? (node.product === undefined ? undefined : catalogueMemoryBytes(node.product));

function describeProduct({ product }: Shelf): string {
  if (product === undefined) return 'GPUs without a product label';
  return shortName(product) === product ? product : `${product} (${shortName(product)})`;
}

const describeMemory = (bytes: number | undefined): string => (bytes === undefined ? 'memory unknown' : gib(bytes));

/** How far apart the memory of two cards of one product may be reported by different drivers. */
const SAME_MEMORY = 1.05;

/**
 * Groups by product, and within a product by memory where it really differs: there are cards of one name with twice the memory.
 *
 * Guarantees: the same groups in the same order, whatever the order of the nodes.
 */
function groupsOf(shelves: readonly Shelf[]): GpuGroup[] {
  const sorted = shelves.toSorted(
    (left, right) =>
      compareText(left.product ?? '', right.product ?? '') || (left.memoryBytes ?? 0) - (right.memoryBytes ?? 0),
  );
  const groups: Shelf[] = [];
  for (const shelf of sorted) {
    const last = groups.at(-1);
    if (last?.product === shelf.product && last && hasSameMemory(last.memoryBytes, shelf.memoryBytes)) {
      last.nodes.push(...shelf.nodes);
    } else {
      groups.push({ ...shelf, nodes: [...shelf.nodes] });
    }
  }
  return groups.map(({ product, memoryBytes, nodes }) => {
    const model = product === undefined ? undefined : findGpu(product);
    return {
      product,
      name: shortName(product),
      memoryBytes,
      computeCapability: leastCapability(nodes) ?? model?.computeCapability,
      isAmd: model?.vendor === 'AMD',
      mostGpus: nodes.reduce((most, { gpus }) => Math.max(most, gpus), 0),
      nodes,
    };
  });
}

/** By the nodes' own labels. */
function leastCapability(nodes: readonly GpuNode[]): number | undefined {
  let least: number | undefined;
  for (const { computeCapability } of nodes) {
    if (computeCapability !== undefined && !(least! <= computeCapability)) least = computeCapability;
  }
  return least;
}

const hasSameMemory = (least: number | undefined, memory: number | undefined): boolean =>
  least === undefined || memory === undefined ? least === memory : memory <= least * SAME_MEMORY;
