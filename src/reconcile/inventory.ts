import type { QwenCoderSpec } from '../api/index.ts';
import { RESOURCE } from '../render/index.ts';
import { type GpuNode, gpuFacts } from '../serving/index.ts';
import type { NodeFacts, PodFacts, Taint } from './facts.ts';

type Placement = QwenCoderSpec['placement'];

/** The GPUs of one node, or what is offered as such. */
export interface NodeGpus {
  readonly product: string | undefined;
  readonly part: string | undefined;
  readonly offered: number;
  /** Held by pods of resources of ours; and by all other pods. */
  readonly engines: number;
  readonly others: number;
  readonly schedulable: boolean;
}

/** A node, and what its labels say of its GPUs: read once, for every plan looks at every node. */
interface Place extends NodeFacts {
  readonly gpu: ReturnType<typeof gpuFacts>;
}

/**
 * Who holds which GPUs, kept up to date change by change: nothing here walks all pods of the cluster.
 *
 * **Guarantees**: a pod counts on its node from its binding until it has ended or is gone; a terminating pod's GPUs are still held.
 */
export class GpuInventory {
  readonly #nodes = new Map<string, Place>();
  /** Node → extended resource → owner key → GPUs. */
  readonly #held = new Map<string, Map<string, Map<string, number>>>();

  setNode(node: NodeFacts): void {
    this.#nodes.set(node.metadata.name!, { ...node, gpu: gpuFacts(node.labels) });
  }

  removeNode(name: string): void {
    this.#nodes.delete(name);
  }

  /** Moves the count from what the pod was to what it is; either may be absent. */
  movePod(before: PodFacts | undefined, after: PodFacts | undefined): void {
    if (before) this.#add(before, -1);
    if (after) this.#add(after, 1);
  }

  /**
   * Nodes where pods of that placement may run and find whole GPUs, as the owner of `ownerKey`'s pods sees them: what those hold counts
   * as free.
   */
  nodes(placement: Placement, ownerKey: string): GpuNode[] {
    const nodes: GpuNode[] = [];
    for (const [name, node] of this.#nodes) {
      const gpus = Number(node.allocatable[placement.resourceName] ?? 0);
      if (gpus < 1 || !mayRun(node, placement)) continue;
      let held = 0;
      for (const [key, count] of this.#held.get(name)?.get(placement.resourceName) ?? [])
        if (key !== ownerKey) held += count;
      const free = Math.max(0, gpus - held);
      nodes.push({ name, ...node.gpu, gpus, free, exists: true });
    }
    return nodes;
  }

  /** What each node offers of that extended resource, and who holds it. */
  *gpus(resourceName: string): Generator<NodeGpus> {
    for (const [name, { gpu, allocatable, schedulable }] of this.#nodes) {
      const offered = Number(allocatable[resourceName] ?? 0);
      const { product, part } = gpu;
      // Not a number is possible too: a user may name a resource that counts bytes.
      if (!(offered >= 1)) continue;
      let engines = 0;
      let others = 0;
      for (const [key, count] of this.#held.get(name)?.get(resourceName) ?? []) {
        if (key.endsWith('/')) others += count;
        else engines += count;
      }
      yield { product, part, offered, engines, others, schedulable };
    }
  }

  #add(pod: PodFacts, sign: 1 | -1): void {
    if (pod.nodeName === undefined || pod.phase === 'Succeeded' || pod.phase === 'Failed') return;
    for (const [resource, count] of Object.entries(pod.gpus)) {
      const onNode = getOrSet(this.#held, pod.nodeName, () => new Map<string, Map<string, number>>());
      const holders = getOrSet(onNode, resource, () => new Map<string, number>());
      const key = ownerKeyOf(pod);
      const now = (holders.get(key) ?? 0) + sign * count;
      if (now > 0) holders.set(key, now);
      else holders.delete(key);
    }
  }
}

/** `namespace/resource`; `namespace/` for pods that are none of ours. */
const ownerKeyOf = (pod: PodFacts): string => `${pod.metadata.namespace}/${pod.metadata.labels?.[RESOURCE] ?? ''}`;

function getOrSet<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = make()));
  return value;
}

function mayRun(node: NodeFacts, { nodeSelector, tolerations, resourceName }: Placement): boolean {
  return (
    node.schedulable &&
    (nodeSelector === undefined ||
      Object.entries(nodeSelector).every(([label, value]) => node.labels[label] === value)) &&
    node.taints.every(
      (taint) =>
        taint.effect === 'PreferNoSchedule' ||
        (taint.key === resourceName && taint.effect === 'NoSchedule') ||
        (tolerations ?? []).some((toleration) => tolerates(toleration, taint)),
    )
  );
}

/** As the scheduler decides it: kubernetes `pkg/apis/core/v1/helper`, `TolerationsTolerateTaint`. */
function tolerates(toleration: NonNullable<Placement['tolerations']>[number], taint: Taint): boolean {
  const { key, operator = 'Equal', value = '', effect } = toleration;
  if (effect !== undefined && effect !== taint.effect) return false;
  if (key !== undefined && key !== '' && key !== taint.key) return false;
  return operator === 'Exists' || value === (taint.value ?? '');
}
