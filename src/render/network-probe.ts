import type { QwenCoderSpec } from '../api/v1alpha1.ts';
import type { Job } from '../kube/wire.ts';
import { digest } from './digest.ts';
import { childLabels, childNames } from './labels.ts';
import { type K8s, KubeJob, manifest } from './manifest.ts';
import { type Owner, metadata } from './metadata.ts';
import { ENGINE_EGRESS } from './network-policies.ts';
import { NONROOT, containerSecurity, podSecurity } from './pod-parts.ts';

/** What `qwen-coder network-probe` ends with where something got out. */
export const GOT_OUT = 3;

const RETRIES = 3;

/** The models of 1.28 ask for `onPodConditions` too, of which a rule must have no more than one. */
const FOR_GOOD = {
  action: 'FailJob',
  onExitCodes: { containerName: 'probe', operator: 'In', values: [GOT_OUT] },
} as unknown as K8s.PodFailurePolicyRule;

export const networkProbeName = (resource: string): string =>
  childNames.networkProbe(resource, digest(ENGINE_EGRESS).slice(0, 6));

/**
 * A pod under the network rules of the engines that tries to get out, once for each wording of these rules; undefined where there are
 * none. It fails for good where it got out, and is tried again where it could not run.
 */
export function networkProbe(owner: Owner, spec: QwenCoderSpec, image: string): Job | undefined {
  if (spec.network.isolation === 'Open') return undefined;
  return manifest<K8s.KubeJobProps, Job>(KubeJob, {
    metadata: metadata(owner, networkProbeName(owner.name), 'network-probe'),
    spec: {
      backoffLimit: RETRIES,
      podFailurePolicy: { rules: [FOR_GOOD] },
      template: {
        metadata: { labels: childLabels(owner.name, 'network-probe') },
        spec: {
          serviceAccountName: childNames.engine(owner.name),
          automountServiceAccountToken: false,
          enableServiceLinks: false,
          restartPolicy: 'Never',
          securityContext: podSecurity(NONROOT),
          nodeSelector: { 'kubernetes.io/os': 'linux' },
          ...(spec.placement.tolerations && { tolerations: [...spec.placement.tolerations] as K8s.Toleration[] }),
          ...(spec.imagePullSecrets && { imagePullSecrets: spec.imagePullSecrets }),
          containers: [
            {
              name: 'probe',
              image,
              imagePullPolicy: 'IfNotPresent',
              args: ['network-probe'],
              securityContext: { ...containerSecurity, readOnlyRootFilesystem: true },
              terminationMessagePolicy: 'FallbackToLogsOnError',
            },
          ],
        },
      },
    },
  });
}
