import type { QwenCoderSpec } from '../api/v1alpha1.ts';
import type { GpuNode, GpuQuota } from './plan.ts';

/**
 * How the replicas of a resource lie on nodes: all on `One` where that of the volume with their weights is the only one that can mount it;
 * on `Many` where that is asked for; else on `Few`, so that each pulls less and other nodes stay whole.
 */
export type NodeSharing = 'One' | 'Few' | 'Many';

export function nodeSharing({ model: { source }, storage, placement }: QwenCoderSpec): NodeSharing {
  const isTied =
    source.type === 'HuggingFace' && storage.claimName === undefined && storage.accessMode === 'ReadWriteOnce';
  if (isTied) return 'One';
  return placement.topologySpread === 'None' ? 'Few' : 'Many';
}

/** GPUs as places for replicas. */
export interface Room {
  /** Of the wanted replicas, those that free GPUs and the quota take. */
  readonly startable: number;
  /** Whether a declared node shape could bring GPUs for those that wait. */
  readonly mayCome: boolean;
  /** Of these, the most that one node takes; 0 where replicas are to be spread. */
  readonly together: number;
}

/** What is wanted of nodes. */
export interface Wanted {
  readonly replicas: number;
  readonly quota: GpuQuota | undefined;
  readonly nodeSharing: NodeSharing;
}

/** How soon replicas can start, as a number: each that can start now counts more than a pool that may grow. */
export const readiness = ({ startable, mayCome }: Room): number => 2 * startable + Number(mayCome);

/** Which replicas of so many GPUs can start; each lies on one node. */
export function roomOn(nodes: readonly GpuNode[], gpus: number, { replicas, quota, nodeSharing }: Wanted): Room {
  let [places, most] = [0, 0];
  for (const { free } of nodes) {
    const here = Math.max(0, Math.floor(free / gpus));
    places += here;
    if (here > most) most = here;
  }
  const wanted = Math.min(replicas, quota === undefined ? Infinity : Math.floor(quota.gpus / gpus));
  const startable = Math.min(wanted, nodeSharing === 'One' ? most : places);
  return {
    startable,
    mayCome: startable < wanted && nodes.some((node) => !node.exists && node.gpus >= gpus),
    together: nodeSharing === 'Many' ? 0 : Math.min(wanted, most),
  };
}
