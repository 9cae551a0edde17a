import type {
  V1ControllerRevision,
  V1Deployment,
  V1Job,
  V1Node,
  V1ObjectMeta,
  V1OwnerReference,
  V1PersistentVolumeClaim,
  V1Pod,
  V1PodDisruptionBudget,
  V1PodTemplateSpec,
  V1Service,
  V1ServiceAccount,
} from '@kubernetes/client-node';

/** The JSON that travels for a client-node model: dates are strings, `_from` is `from`. */
export type Wire<T> = T extends Date
  ? string
  : T extends readonly (infer U)[]
    ? Wire<U>[]
    : T extends object
      ? { [K in keyof T as K extends `_${infer N}` ? N : K]: Wire<T[K]> }
      : T;

export type ObjectMeta = Wire<V1ObjectMeta>;
export type OwnerReference = Wire<V1OwnerReference>;

/** Any object of the API. */
export interface KubeObject {
  apiVersion?: string;
  kind?: string;
  metadata?: ObjectMeta;
}

export type Pod = Wire<V1Pod>;
export type Node = Wire<V1Node>;
export type Deployment = Wire<V1Deployment>;
export type Job = Wire<V1Job>;
export type Service = Wire<V1Service>;
export type ServiceAccount = Wire<V1ServiceAccount>;
export type PersistentVolumeClaim = Wire<V1PersistentVolumeClaim>;
export type PodDisruptionBudget = Wire<V1PodDisruptionBudget>;
export type ControllerRevision = Wire<V1ControllerRevision>;
export type PodTemplateSpec = Wire<V1PodTemplateSpec>;

/** Names one object of a known kind; `namespace` is absent for cluster-scoped kinds. */
export interface ObjectKey {
  readonly namespace?: string;
  readonly name: string;
}

/** What a cache hands out: shared by all readers, so nobody may write to it. */
export type DeepReadonly<T> = T extends (...args: never[]) => unknown
  ? T
  : T extends readonly (infer U)[]
    ? readonly DeepReadonly<U>[]
    : T extends object
      ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
      : T;
