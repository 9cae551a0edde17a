import { type Component, childLabels } from './labels.ts';
import type { K8s } from './manifest.ts';

/** The resource as its children see it. */
export interface Owner {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/**
 * Metadata of a child: its labels and its one controller owner, so that the API server removes it with the resource. It does not block
 * the owner's deletion: where that is enforced, it would need rights on finalizers.
 */
export const metadata = (owner: Owner, name: string, component: Component): K8s.ObjectMeta => ({
  name,
  namespace: owner.namespace,
  labels: childLabels(owner.name, component),
  ownerReferences: [
    {
      apiVersion: owner.apiVersion,
      kind: owner.kind,
      name: owner.name,
      uid: owner.uid,
      controller: true,
    },
  ],
});
