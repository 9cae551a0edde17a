import type { QwenCoderSpec } from '../api/v1alpha1.ts';
import type { KubeObject } from '../kube/wire.ts';
import { digest } from './digest.ts';
import { APPLIED } from './labels.ts';
import type { Owner } from './metadata.ts';
import { type Revision, revisionObject } from './revision.ts';
import { disruptionBudget, endpointService, engineAccount, enginesService } from './services.ts';
import { type Slot, slotDeployment } from './slot.ts';
import { type LiveVolume, weightsClaim, weightsJob } from './weights.ts';
import type { WeightsAccess } from './weights-access.ts';

/** What a resource should own now. */
export interface Wanted {
  readonly owner: Owner;
  readonly spec: QwenCoderSpec;
  /** The revision that the observed spec asks for; undefined while none can be planned. */
  readonly target: Revision | undefined;
  /** Every revision to keep, the target included. */
  readonly revisions: readonly Revision[];
  readonly slots: readonly Slot[];
  /** The claim of the target's weights as it is. */
  readonly volume?: LiveVolume | undefined;
  readonly access?: WeightsAccess | undefined;
}

/**
 * The children of a resource, in the order in which they are applied: what pods need comes before pods.
 * Each carries the digest of its own rendering, so that a field which is no longer rendered is noticed.
 */
export function children({ owner, spec, target, revisions, slots, volume, access }: Wanted): KubeObject[] {
  const weights =
    target === undefined
      ? []
      : [weightsClaim(owner, spec, target.plan, volume), weightsJob(owner, spec, target.plan, access, volume)];
  return [
    engineAccount(owner),
    endpointService(owner),
    enginesService(owner),
    disruptionBudget(owner),
    ...revisions.map((revision) => revisionObject(owner, revision)),
    ...weights,
    ...slots.map((slot) => slotDeployment(owner, slot)),
  ]
    .filter((child) => child !== undefined)
    .map(stamped);
}

const stamped = (child: KubeObject): KubeObject => ({
  ...child,
  metadata: { ...child.metadata, annotations: { ...child.metadata?.annotations, [APPLIED]: digest(child) } },
});
