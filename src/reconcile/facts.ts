import type { QwenCoderSpec } from '../api/index.ts';
import type { KubeObject, ObjectMeta } from '../kube/index.ts';
import type { Owner, Revision } from '../render/index.ts';
import type { ContainerEnd, GpuNode, GpuQuota, ServedModel } from '../serving/index.ts';
import type { LiveChild } from './live-child.ts';

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
  /** How the main container stands; undefined for pods that are none of ours, and before the kubelet has seen it. */
  readonly container: ContainerFacts | undefined;
  /** Why the kubelet ended the pod as a whole. */
  readonly failure: PodFailure | undefined;
  readonly restarts: number;
  /** Its address; of pods of ours. */
  readonly ip?: string | undefined;
  /** Of engine pods of ours. */
  readonly engine?: EngineFacts | undefined;
  /** What an engine serves in place of what it was told to; such a one does not count as ready. */
  readonly servesInstead?: readonly ServedModel[] | undefined;
}

export interface PodFailure {
  readonly reason: string;
  readonly message: string;
  /** Milliseconds since the epoch; undefined where the status has no times. */
  readonly atMs: number | undefined;
}

/** What else tuning and the start budget look at. Times are milliseconds since the epoch. */
export interface EngineFacts {
  readonly createdMs: number;
  readonly scheduledMs: number | undefined;
  /** Whether it has answered since: what no longer answers is not starting. */
  readonly hasStarted: boolean;
  /** Since when it answers. */
  readonly readyMs: number | undefined;
  /** Since when it does not. */
  readonly unreadyMs?: number | undefined;
  /** Whether the run that ended last had answered. */
  readonly endedServing?: boolean | undefined;
}

/** What is kept of a container: enough to say why it does not run. */
export interface ContainerFacts {
  readonly name: string;
  /** What it waits for, where that is no ordinary part of its way up. */
  readonly waiting: { readonly reason: string; readonly message: string } | undefined;
  /** How its last run ended; the message is at most what a kubelet keeps, 4 KiB. */
  readonly end: ContainerEnd | undefined;
  /** Runs that have ended. With the pod's UID it names a run for good. */
  readonly ended: number;
  /** Whether a run is under way, and since when. */
  readonly runningSinceMs: number | undefined;
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

/** What is kept of a ResourceQuota: what it lets in, not what is used of it. */
export interface QuotaFacts extends KubeObject {
  readonly metadata: ObjectMeta;
  /** By extended resource, what pods of the namespace may hold together; empty for quotas of other things. */
  readonly gpus: Readonly<Record<string, number>>;
  /** Which pods it is about: those of which all hold. */
  readonly scopes: readonly QuotaScope[];
}

export interface QuotaScope {
  readonly scopeName: string;
  readonly operator: string;
  readonly values: readonly string[];
}

/** One replica's place as it is. */
export interface LiveSlot {
  readonly index: number;
  /** Hash of the revision in its Deployment's template. */
  readonly revisionHash: string;
  readonly pods: readonly PodFacts[];
  /** Why the API server refuses its pods, in the words of the Deployment. */
  readonly refusal?: string | undefined;
}

/** The gateways as they are. */
export interface GatewayFacts {
  /** Terminating ones included. */
  readonly pods: readonly PodFacts[];
  /** Secrets that their Deployment mounts; none while there is none. */
  readonly secrets: readonly string[];
  /** Why the API server refuses its pods, in the words of the Deployment. */
  readonly refusal: string | undefined;
}

/** How the weights of the target revision stand. */
export type ModelState =
  | { readonly state: 'not-fetched'; readonly source: 'Volume' | 'Image' }
  | { readonly state: 'missing' }
  | {
      readonly state: 'fetching';
      readonly unschedulable: string | undefined;
      /** Last words of the newest try that failed. */
      readonly trouble: string | undefined;
      /** The pod of that try, or one that cannot begin. */
      readonly pod?: PodFacts | undefined;
      /** The Job, while it has no pod at all. */
      readonly podless?: Podless | undefined;
    }
  | {
      readonly state: 'failed';
      readonly message: string;
      readonly failedAtMs: number;
      readonly pod?: PodFacts | undefined;
    }
  | { readonly state: 'verified' };

/** A Job whose pod was not made yet, or was refused. */
export interface Podless {
  readonly uid: string;
  readonly createdAtMs: number;
}

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
  readonly gateway: GatewayFacts;
  /** A pod of the resource, an engine or the one that fetches weights, finds no node. */
  readonly isUnplaced: boolean;
  /** Live children by kind and name. */
  readonly children: readonly LiveChild[];
  /** What limits the GPUs of its pods most. */
  readonly quota: GpuQuota | undefined;
  /** GPU nodes as this resource may see them: its own pods' GPUs count as free. Computed when asked for. */
  readonly nodes: () => readonly GpuNode[];
}

/** Whether engines may start on them. */
export const isAvailable = (model: ModelState): boolean => model.state === 'verified' || model.state === 'not-fetched';

export const isReady = (slot: LiveSlot): boolean => slot.pods.some(isServing);
/** Whether it cannot begin, its last run ended and it has not answered since, it went silent, or it answers as another model. */
export const isFailing = (pod: PodFacts): boolean =>
  !pod.ready &&
  (pod.failure !== undefined ||
    pod.container?.waiting !== undefined ||
    pod.container?.end !== undefined ||
    pod.servesInstead !== undefined ||
    isSilent(pod));
/** Whether the run that goes on answered, and does not any more. */
export const isSilent = ({ ready, container, engine }: PodFacts): boolean =>
  !ready &&
  engine?.hasStarted === true &&
  engine.unreadyMs !== undefined &&
  container?.runningSinceMs !== undefined &&
  engine.unreadyMs > container.runningSinceMs;
/** Whether it serves and is to stay. */
export const isServing = (pod: PodFacts): boolean => pod.ready && !isTerminating(pod);
export const isTerminating = (pod: PodFacts): boolean => pod.metadata.deletionTimestamp !== undefined;
