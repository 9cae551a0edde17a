import type { QwenCoderSpec } from '../api/index.ts';
import type { KubeObject, ObjectMeta } from '../kube/index.ts';
import type { Owner, Revision } from '../render/index.ts';
import type { GpuNode, MemoryFailure } from '../serving/index.ts';

/** What is kept of a Pod: enough to count its GPUs and to say how it does. */
export interface PodFacts extends KubeObject {
  readonly metadata: ObjectMeta;
  readonly nodeName: string | undefined;
  /** Whole GPUs by extended resource name; empty for pods without. */
  readonly gpus: Readonly<Record<string, number>>;
  readonly phase: string;
  readonly ready: boolean;
  /** The scheduler's message while it finds no node. */
  readonly unschedulable: string | undefined;
  /** Why the first container in trouble is: it waits for something other than its start, or it ended badly and is not ready since. */
  readonly trouble: { readonly reason: string; readonly message: string } | undefined;
  readonly restarts: number;
  /** Of engine pods of ours. */
  readonly engine?: EngineFacts | undefined;
}

/** What tuning and the start budget look at. Times are milliseconds since the epoch. */
export interface EngineFacts {
  readonly ip: string | undefined;
  /** How its last run ended, where that was for want of memory. */
  readonly memoryFailure: MemoryFailure | undefined;
  readonly createdMs: number;
  readonly scheduledMs: number | undefined;
  /** The start of the container that runs. */
  readonly startedMs: number | undefined;
  /** Whether it has answered since: what no longer answers is not starting. */
  readonly hasStarted: boolean;
  /** Since when it answers. */
  readonly readyMs: number | undefined;
}

/** What is kept of a Node. Heartbeats change none of it. */
export interface NodeFacts extends KubeObject {
  readonly metadata: ObjectMeta;
  readonly labels: Readonly<Record<string, string>>;
  readonly allocatable: Readonly<Record<string, string>>;
  readonly taints: readonly Taint[];
  readonly schedulable: boolean;
}

export interface Taint {
  readonly key: string;
  readonly value?: string;
  readonly effect: string;
}

/** One replica's place as it is. */
export interface LiveSlot {
  readonly index: number;
  /** Hash of the revision in its Deployment's template. */
  readonly revisionHash: string;
  readonly pods: readonly PodFacts[];
}

/** How the weights of the target revision stand. */
export type ModelState =
  | { readonly state: 'not-fetched'; readonly source: 'Volume' | 'Image' }
  | { readonly state: 'missing' }
  | { readonly state: 'fetching'; readonly unschedulable: string | undefined; readonly trouble: string | undefined }
  | { readonly state: 'failed'; readonly message: string; readonly failedAtMs: number }
  | { readonly state: 'verified' };

/** Everything that a decision about one resource looks at, and nothing else. */
export interface Facts {
  readonly owner: Owner;
  readonly generation: number;
  readonly spec: QwenCoderSpec;
  /** Newest first. */
  readonly revisions: readonly Revision[];
  readonly slots: readonly LiveSlot[];
  /** Engine pods, terminating ones included. */
  readonly pods: readonly PodFacts[];
  /** A pod of the resource, an engine or the one that fetches weights, finds no node. */
  readonly isUnplaced: boolean;
  /** Live children by kind and name. */
  readonly children: readonly KubeObject[];
  /** GPU nodes as this resource may see them: its own pods' GPUs count as free. Computed when asked for. */
  readonly nodes: () => readonly GpuNode[];
}

/** Whether engines may start on them. */
export const isAvailable = (model: ModelState): boolean => model.state === 'verified' || model.state === 'not-fetched';

export const isReady = (slot: LiveSlot): boolean => slot.pods.some((pod) => pod.ready && !isTerminating(pod));
export const isTerminating = (pod: PodFacts): boolean => pod.metadata.deletionTimestamp !== undefined;
