import type { Deployment, PodTemplateSpec } from '../kube/wire.ts';
import { REVISION, SLOT, childNames, engineSelector } from './labels.ts';
import { type K8s, KubeDeployment, manifest } from './manifest.ts';
import { type Owner, metadata } from './metadata.ts';
import type { Revision } from './revision.ts';

/** Rendered slots never progress by a deadline of the Deployment's: a first start may take an hour, and the operator judges it. */
const PROGRESS_DEADLINE_SECONDS = 2 ** 31 - 1;

/** The place of one replica. `replicas: 0` keeps the place and frees its GPUs. */
export interface Slot {
  readonly index: number;
  readonly revision: Revision;
  readonly replicas: 0 | 1;
}

export function slotDeployment(owner: Owner, slot: Slot): Deployment {
  const identity = { ...engineSelector(owner.name), [SLOT]: String(slot.index) };
  const deployment = manifest<K8s.KubeDeploymentProps, Deployment>(KubeDeployment, {
    metadata: metadata(owner, childNames.slot(owner.name, slot.index), 'engine'),
    spec: {
      replicas: slot.replicas,
      // GPUs are exclusive: a rolling update would wait for a second set of them.
      strategy: { type: 'Recreate' },
      revisionHistoryLimit: 0,
      progressDeadlineSeconds: PROGRESS_DEADLINE_SECONDS,
      selector: { matchLabels: identity },
      template: {},
    },
  });
  return { ...deployment, spec: { ...deployment.spec!, template: inSlot(slot.revision, identity) } };
}

/** The frozen template as it is, with the labels of its slot and revision. */
const inSlot = ({ template, hash }: Revision, identity: Record<string, string>): PodTemplateSpec => ({
  ...template,
  metadata: {
    ...template.metadata,
    labels: { ...template.metadata?.labels, ...identity, [REVISION]: hash },
  },
});
