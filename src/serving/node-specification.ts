import { findGpu, GPU_MODELS, type GpuModel } from './gpu-catalogue.ts';

/** Nodes of one kind, as an item of a node specification describes them. */
export interface NodeGroup {
  readonly nodes: number;
  /** 0 for nodes without GPUs. */
  readonly gpusPerNode: number;
  /** What is in the node; undefined in a node without GPUs, or with GPUs that nobody knows. */
  readonly gpu: GpuModel | undefined;
  /** Whether labels tell what is in the node. */
  readonly isLabelled: boolean;
}

const ITEM =
  /^(?:(?<gpus>[1-9]\d{0,2})x(?<unlabelled>UNLABELLED-?)?(?<product>[\w-]+)?|(?<cpu>CPU))(?:\*(?<nodes>[1-9]\d{0,3}))?$/;

/**
 * Reads nodes from their short form: `8xH100-80GB*3,2xRTX4090-24GB` is three nodes and one. A card goes by its short name or its label,
 * in any case. `8xUNLABELLED` has GPUs and no labels; `8xUNLABELLED-H100-80GB` too, for who knows what they really are; `CPU*2` are nodes
 * without GPUs.
 *
 * Fails when: an item is none of these, or its card is not in the catalogue.
 */
export function parseNodes(specification: string): NodeGroup[] {
  return specification
    .split(',')
    .map((text) => text.trim())
    .filter((text) => text !== '')
    .map(parseItem);
}

function parseItem(text: string): NodeGroup {
  const parts = ITEM.exec(text)?.groups;
  const product = parts?.['product'];
  const gpu = product === undefined ? undefined : findGpu(product);
  const isLabelled = parts?.['unlabelled'] === undefined;
  const isComplete = parts?.['cpu'] !== undefined || gpu !== undefined || (!isLabelled && product === undefined);
  if (!parts || !isComplete) {
    throw new Error(
      `"${text}" is not a node specification: write 8xH100-80GB*3, 8xUNLABELLED or CPU, with one of ${GPU_MODELS.map(({ name }) => name).join(', ')}`,
    );
  }
  return { nodes: Number(parts['nodes'] ?? 1), gpusPerNode: Number(parts['gpus'] ?? 0), gpu, isLabelled };
}
