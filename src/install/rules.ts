import type * as K8s from 'cdk8s-plus-28/lib/imports/k8s.js';
import { GROUP, PLURAL } from '../api/index.ts';

/**
 * What the operator does with children: look a name up, watch, apply (which creates) and prune. It prunes every kind: an older version may
 * have made children that this one does not know.
 */
const CHILDREN = ['get', 'list', 'watch', 'create', 'patch', 'delete'];

/** In every namespace that is served: resources and what they own. No Secret is read, no Role made, no `exec`; of a pod's inside its log. */
export const SERVING_RULES: K8s.PolicyRule[] = [
  { apiGroups: [GROUP], resources: [PLURAL], verbs: ['list', 'watch'] },
  { apiGroups: [GROUP], resources: [`${PLURAL}/status`], verbs: ['patch'] },
  { apiGroups: [''], resources: ['services', 'serviceaccounts', 'persistentvolumeclaims'], verbs: CHILDREN },
  // Keys of endpoints are made and never looked at.
  { apiGroups: [''], resources: ['secrets'], verbs: ['create'] },
  { apiGroups: ['apps'], resources: ['deployments', 'controllerrevisions'], verbs: CHILDREN },
  { apiGroups: ['batch'], resources: ['jobs'], verbs: CHILDREN },
  { apiGroups: ['policy'], resources: ['poddisruptionbudgets'], verbs: CHILDREN },
  { apiGroups: ['networking.k8s.io'], resources: ['networkpolicies', 'ingresses'], verbs: CHILDREN },
  { apiGroups: ['gateway.networking.k8s.io'], resources: ['httproutes'], verbs: CHILDREN },
  // What a namespace may hold is asked before weights for more than that are fetched.
  { apiGroups: [''], resources: ['resourcequotas'], verbs: ['list', 'watch'] },
  // What an engine says as it starts and as it fails stands in its log alone, and why a Job has no pod in an Event alone.
  { apiGroups: [''], resources: ['pods/log'], verbs: ['get'] },
  { apiGroups: ['events.k8s.io'], resources: ['events'], verbs: ['list', 'create', 'patch'] },
];

/** In the whole cluster, whatever is served: a GPU held by a stranger's pod is not free. */
export const ACCOUNTING_RULES: K8s.PolicyRule[] = [
  { apiGroups: [''], resources: ['pods', 'nodes'], verbs: ['list', 'watch'] },
];

/** In the operator's own namespace: what engines measured. The installation makes it: RBAC could not limit `create` to its name. */
export const calibrationRules = (name: string): K8s.PolicyRule[] => [
  { apiGroups: [''], resources: ['configmaps'], resourceNames: [name], verbs: ['get', 'patch'] },
];

/** In the operator's own namespace: the one Secret that it reads, its own. The installation makes it. */
export const secretRules = (name: string): K8s.PolicyRule[] => [
  { apiGroups: [''], resources: ['secrets'], resourceNames: [name], verbs: ['get', 'patch'] },
];

/** In the operator's own namespace: its Lease. RBAC cannot limit `create` to a name. */
export const leaseRules = (name: string): K8s.PolicyRule[] => [
  { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['create'] },
  { apiGroups: ['coordination.k8s.io'], resources: ['leases'], resourceNames: [name], verbs: ['get', 'update'] },
];
