import type { QwenCoderDeployment } from '../api/index.ts';
import type { KubeObject } from '../kube/wire.ts';
import type { NodeFacts, PodFacts, QuotaFacts } from '../reconcile/facts.ts';
import { GpuInventory } from '../reconcile/inventory.ts';
import type { Caches } from '../reconcile/observe.ts';
import { RESOURCE } from '../render/labels.ts';
import { type Calibration, type Calibrations, type NodeGroup, productLabel } from '../serving/index.ts';

/** A resource as the cluster has it. */
export interface Live {
  /** Undefined where there is none, though there may be children of one that was deleted. */
  readonly resource: QwenCoderDeployment | undefined;
  readonly children: readonly KubeObject[];
}

export interface SnapshotParts {
  readonly nodes: readonly NodeFacts[];
  /** Of the whole cluster: they hold GPUs. */
  readonly pods: readonly PodFacts[];
  /** Of the namespaces that were read. */
  readonly quotas?: readonly QuotaFacts[];
  /** What engines measured. */
  readonly calibrations?: Calibrations;
  /** By key. */
  readonly live: ReadonlyMap<string, Live>;
}

/** A cluster at one moment: what the operator would have in its caches. */
export class Snapshot implements Caches {
  readonly inventory = new GpuInventory();
  readonly #parts: SnapshotParts;

  constructor(parts: SnapshotParts) {
    this.#parts = parts;
    for (const node of parts.nodes) this.inventory.setNode(node);
    for (const pod of parts.pods) this.inventory.movePod(undefined, pod);
  }

  resource(key: string): QwenCoderDeployment | undefined {
    return this.#parts.live.get(key)?.resource;
  }

  children(key: string): readonly KubeObject[] {
    return this.#parts.live.get(key)?.children ?? [];
  }

  pods(key: string): readonly PodFacts[] {
    return this.#parts.pods.filter(
      ({ metadata: { namespace, labels } }) => `${namespace}/${labels?.[RESOURCE]}` === key,
    );
  }

  calibration(key: string | undefined): Calibration | undefined {
    return key === undefined ? undefined : this.#parts.calibrations?.get(key);
  }

  quotas(namespace: string): readonly QuotaFacts[] {
    return (this.#parts.quotas ?? []).filter(({ metadata }) => metadata.namespace === namespace);
  }
}

/**
 * A cluster of idle nodes that were described rather than read, with nothing in it.
 *
 * @param labels What every node is labelled with besides its GPUs.
 */
export const idleCluster = (groups: readonly NodeGroup[], labels: Readonly<Record<string, string>> = {}): Snapshot =>
  new Snapshot({
    nodes: groups.flatMap((group, index) =>
      Array.from({ length: group.nodes }, (_, number) => idleNode(`node-${index}-${number}`, group, labels)),
    ),
    pods: [],
    live: new Map(),
  });

function idleNode(name: string, { gpu, gpusPerNode, isLabelled }: NodeGroup, labels: NodeFacts['labels']): NodeFacts {
  const resource = gpu?.vendor === 'AMD' ? 'amd.com/gpu' : 'nvidia.com/gpu';
  return {
    kind: 'Node',
    metadata: { name },
    // The catalogue tells the rest of a known product.
    labels: { ...labels, ...(isLabelled && gpu && { [productLabel(resource)]: gpu.labels[0]! }) },
    allocatable: gpusPerNode > 0 ? { [resource]: String(gpusPerNode) } : {},
    taints: [],
    schedulable: true,
  };
}
