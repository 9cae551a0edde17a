import type * as K8s from 'cdk8s-plus-28/lib/imports/k8s.js';
import { GROUP, PLURAL } from '../api/index.ts';

/** What the operator does with children that stay as long as their resource: look a name up, watch, apply (which creates). */
const STANDING = ['get', 'list', 'watch', 'create', 'patch'];
/** With those that come and go it also prunes. */
const PASSING = [...STANDING, 'delete'];

/** In every namespace that is served: resources and what they own. No Secrets, no Roles, no `exec`. */
export const SERVING_RULES: K8s.PolicyRule[] = [
  { apiGroups: [GROUP], resources: [PLURAL], verbs: ['list', 'watch'] },
  { apiGroups: [GROUP], resources: [`${PLURAL}/status`], verbs: ['patch'] },
  { apiGroups: [''], resources: ['services', 'serviceaccounts'], verbs: STANDING },
  { apiGroups: ['policy'], resources: ['poddisruptionbudgets'], verbs: STANDING },
  { apiGroups: [''], resources: ['persistentvolumeclaims'], verbs: PASSING },
  { apiGroups: ['apps'], resources: ['deployments', 'controllerrevisions'], verbs: PASSING },
  { apiGroups: ['batch'], resources: ['jobs'], verbs: PASSING },
  { apiGroups: ['events.k8s.io'], resources: ['events'], verbs: ['create', 'patch'] },
];

/** In the whole cluster, whatever is served: a GPU held by a stranger's pod is not free. */
export const ACCOUNTING_RULES: K8s.PolicyRule[] = [
  { apiGroups: [''], resources: ['pods', 'nodes'], verbs: ['list', 'watch'] },
];

/** In the operator's own namespace: its Lease. RBAC cannot limit `create` to a name. */
export const leaseRules = (name: string): K8s.PolicyRule[] => [
  { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['create'] },
  { apiGroups: ['coordination.k8s.io'], resources: ['leases'], resourceNames: [name], verbs: ['get', 'update'] },
];
