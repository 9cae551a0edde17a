import type {
  EventsV1Event,
  V1ConfigMap,
  V1Ingress,
  V1Lease,
  V1Namespace,
  V1NetworkPolicy,
  V1PersistentVolume,
  V1ReplicaSet,
  V1ResourceQuota,
  V1Secret,
  V1StorageClass,
} from '@kubernetes/client-node';
import type {
  ControllerRevision,
  Deployment,
  Job,
  KubeObject,
  Node,
  PersistentVolumeClaim,
  Pod,
  PodDisruptionBudget,
  Service,
  ServiceAccount,
  Wire,
} from './wire.ts';

/**
 * One kind of the API, and where it is served. A static table replaces discovery: no request before the first request, and no
 * lower-casing of kinds or names to guess a path.
 */
export interface Resource<T extends KubeObject = KubeObject> {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
  /** Error messages name no value of such an object. */
  readonly sensitive?: boolean;
  /** A definition that somebody installs: without it the API server answers 404. */
  readonly mayBeAbsent?: boolean;
  /** Never set: carries the type of the object. */
  readonly object?: T;
}

export type ConfigMap = Wire<V1ConfigMap>;
export type EventRecord = Wire<EventsV1Event>;
export type Ingress = Wire<V1Ingress>;
export type Lease = Wire<V1Lease>;
export type Namespace = Wire<V1Namespace>;
export type NetworkPolicy = Wire<V1NetworkPolicy>;
export type PersistentVolume = Wire<V1PersistentVolume>;
export type ReplicaSet = Wire<V1ReplicaSet>;
export type ResourceQuota = Wire<V1ResourceQuota>;
export type Secret = Wire<V1Secret>;
export type StorageClass = Wire<V1StorageClass>;

/** What is read and written of a route; https://gateway-api.sigs.k8s.io/reference/spec/#httproute. */
export interface HTTPRoute extends KubeObject {
  spec?: Record<string, unknown>;
  status?: {
    parents?: {
      parentRef: { name: string; namespace?: string; sectionName?: string };
      conditions?: { type: string; status: string; reason?: string; message?: string }[];
    }[];
  };
}

/** Loose on purpose: the schema inside has keys (`x-kubernetes-…`) that no client model spells as the wire does. */
export interface CustomResourceDefinition extends KubeObject {
  spec?: Record<string, unknown>;
  status?: { conditions?: { type: string; status: string; reason?: string; message?: string }[] };
}

const namespaced = <T extends KubeObject>(
  group: string,
  version: string,
  kind: string,
  plural: string,
): Resource<T> => ({
  group,
  version,
  kind,
  plural,
  namespaced: true,
});

const clusterScoped = <T extends KubeObject>(
  group: string,
  version: string,
  kind: string,
  plural: string,
): Resource<T> => ({ group, version, kind, plural, namespaced: false });

export const ConfigMaps = namespaced<ConfigMap>('', 'v1', 'ConfigMap', 'configmaps');
export const ControllerRevisions = namespaced<ControllerRevision>(
  'apps',
  'v1',
  'ControllerRevision',
  'controllerrevisions',
);
export const CustomResourceDefinitions = clusterScoped<CustomResourceDefinition>(
  'apiextensions.k8s.io',
  'v1',
  'CustomResourceDefinition',
  'customresourcedefinitions',
);
export const Deployments = namespaced<Deployment>('apps', 'v1', 'Deployment', 'deployments');
export const Events = namespaced<EventRecord>('events.k8s.io', 'v1', 'Event', 'events');
/** Of the Gateway API, which a cluster may not have. */
export const HTTPRoutes: Resource<HTTPRoute> = {
  ...namespaced<HTTPRoute>('gateway.networking.k8s.io', 'v1', 'HTTPRoute', 'httproutes'),
  mayBeAbsent: true,
};
export const Ingresses = namespaced<Ingress>('networking.k8s.io', 'v1', 'Ingress', 'ingresses');
export const Jobs = namespaced<Job>('batch', 'v1', 'Job', 'jobs');
export const Leases = namespaced<Lease>('coordination.k8s.io', 'v1', 'Lease', 'leases');
export const Namespaces = clusterScoped<Namespace>('', 'v1', 'Namespace', 'namespaces');
export const NetworkPolicies = namespaced<NetworkPolicy>('networking.k8s.io', 'v1', 'NetworkPolicy', 'networkpolicies');
export const Nodes = clusterScoped<Node>('', 'v1', 'Node', 'nodes');
export const PersistentVolumeClaims = namespaced<PersistentVolumeClaim>(
  '',
  'v1',
  'PersistentVolumeClaim',
  'persistentvolumeclaims',
);
export const PersistentVolumes = clusterScoped<PersistentVolume>('', 'v1', 'PersistentVolume', 'persistentvolumes');
export const PodDisruptionBudgets = namespaced<PodDisruptionBudget>(
  'policy',
  'v1',
  'PodDisruptionBudget',
  'poddisruptionbudgets',
);
export const Pods = namespaced<Pod>('', 'v1', 'Pod', 'pods');
export const ReplicaSets = namespaced<ReplicaSet>('apps', 'v1', 'ReplicaSet', 'replicasets');
export const ResourceQuotas = namespaced<ResourceQuota>('', 'v1', 'ResourceQuota', 'resourcequotas');
export const Secrets: Resource<Secret> = { ...namespaced<Secret>('', 'v1', 'Secret', 'secrets'), sensitive: true };
export const ServiceAccounts = namespaced<ServiceAccount>('', 'v1', 'ServiceAccount', 'serviceaccounts');
export const Services = namespaced<Service>('', 'v1', 'Service', 'services');
export const StorageClasses = clusterScoped<StorageClass>('storage.k8s.io', 'v1', 'StorageClass', 'storageclasses');

/** A kind that is not in the table, custom resources first of all. Namespaced unless said otherwise. */
export function customResource<T extends KubeObject>(
  group: string,
  version: string,
  kind: string,
  plural: string,
  options: { readonly namespaced?: boolean } = {},
): Resource<T> {
  return { group, version, kind, plural, namespaced: options.namespaced ?? true };
}

/** `apps/v1`, or `v1` for the core group. */
export const apiVersionOf = ({ group, version }: Pick<Resource, 'group' | 'version'>): string =>
  group === '' ? version : `${group}/${version}`;

/**
 * The path of a collection (no `name`) or of one object. Case is kept and reserved characters are escaped:
 * `ClusterRole acme:Foo` is `/…/clusterroles/acme%3AFoo`.
 *
 * **Fails when** one object of a namespaced kind is asked for without its namespace.
 */
export function pathOf(
  resource: Resource,
  at: { readonly namespace?: string | undefined; readonly name?: string; readonly subresource?: string } = {},
): string {
  const { namespace, name, subresource } = at;
  let path = `${resource.group === '' ? '/api' : '/apis'}/${apiVersionOf(resource)}`;
  if (resource.namespaced) {
    if (namespace !== undefined) path += `/namespaces/${encodeURIComponent(namespace)}`;
    else if (name !== undefined) throw new TypeError(`${resource.kind} ${name}: a namespace is needed`);
  }
  path += `/${resource.plural}`;
  if (name !== undefined) path += `/${encodeURIComponent(name)}`;
  if (subresource !== undefined) path += `/${subresource}`;
  return path;
}
