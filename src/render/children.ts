import type { QwenCoderSpec } from '../api/v1alpha1.ts';
import type { KubeObject } from '../kube/wire.ts';
import { digest } from './digest.ts';
import { APPLIED } from './labels.ts';
import type { Owner } from './metadata.ts';
import { gatewayAccount, gatewayBudget, gatewayDeployment } from './gateway.ts';
import type { Installation } from './installation.ts';
import { engineKeysOf } from './keys.ts';
import { exposure } from './exposure.ts';
import { networkPolicies } from './network-policies.ts';
import { networkProbe } from './network-probe.ts';
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
  readonly installation: Installation;
}

/**
 * The children of a resource, in the order in which they are applied: what pods need comes before pods.
 * Each carries the digest of its own rendering, so that a field which is no longer rendered is noticed.
 */
export function children(wanted: Wanted): KubeObject[] {
  const { owner, spec, target, revisions, slots, volume, access, installation } = wanted;
  const { secretName } = installation.keysOf(owner);
  const keys = { control: secretName, engine: engineKeysName(revisions) ?? secretName };
  const weights =
    target === undefined
      ? []
      : [weightsClaim(owner, spec, target.plan, volume), weightsJob(owner, spec, target.plan, access, volume)];
  return [
    engineAccount(owner),
    gatewayAccount(owner),
    endpointService(owner, spec),
    enginesService(owner),
    ...networkPolicies(owner, spec, installation),
    disruptionBudget(owner),
    gatewayBudget(owner),
    gatewayDeployment(owner, spec, installation.image, keys),
    ...revisions.map((revision) => revisionObject(owner, revision)),
    ...weights,
    ...slots.map((slot) => slotDeployment(owner, slot)),
    networkProbe(owner, spec, installation.image),
    // Last: where the cluster does not know its kind, everything else is there.
    exposure(owner, spec),
  ]
    .filter((child) => child !== undefined)
    .map(stamped);
}

/**
 * The Secret with the engines' key: of the newest revision that has one, so that it never changes for as long as there is a revision. The
 * key of a new secret of the operator would be refused by every engine that was started with the old one.
 */
export function engineKeysName(revisions: readonly Revision[]): string | undefined {
  for (const { template } of revisions) {
    const name = engineKeysOf(template);
    if (name !== undefined) return name;
  }
  return undefined;
}

const stamped = (child: KubeObject): KubeObject => ({
  ...child,
  metadata: { ...child.metadata, annotations: { ...child.metadata?.annotations, [APPLIED]: digest(child) } },
});
