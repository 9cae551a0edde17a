import type { QwenCoderSpec } from '../api/v1alpha1.ts';
import { MEMORY_LABEL, type ServingPlan, productLabel } from '../serving/index.ts';
import { type K8s, quantity } from './manifest.ts';

/** Drivers differ by a few MiB, and cards sold with other memory by far more. */
const MEMORY_TOLERANCE = 0.95;

/** Where engines and the weights Job may run: the plan's GPU product, the user's selector, tolerations of GPU taints. Never a host name. */
export function placement(spec: QwenCoderSpec, plan: ServingPlan) {
  const { placement } = spec;
  return {
    ...(placement.nodeSelector && { nodeSelector: placement.nodeSelector }),
    ...(plan.gpuProduct !== undefined && {
      affinity: {
        nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: gpuNodes(placement.resourceName, plan) },
      },
    }),
    tolerations: [
      { key: placement.resourceName, operator: 'Exists', effect: 'NoSchedule' },
      ...(placement.tolerations ?? []).map((toleration) => toleration as K8s.Toleration),
    ],
    ...(placement.runtimeClassName && { runtimeClassName: placement.runtimeClassName }),
    ...(placement.priorityClassName && { priorityClassName: placement.priorityClassName }),
    ...(spec.imagePullSecrets && { imagePullSecrets: spec.imagePullSecrets }),
    enableServiceLinks: false,
    automountServiceAccountToken: false,
  };
}

/** Nodes of the planned product whose cards have the planned memory, where a label tells it. */
function gpuNodes(resourceName: string, { gpuProduct, gpuMemoryBytes }: ServingPlan): K8s.NodeSelector {
  const product = { key: productLabel(resourceName), operator: 'In', values: [gpuProduct!] };
  if (gpuMemoryBytes === undefined) return { nodeSelectorTerms: [{ matchExpressions: [product] }] };
  const least = Math.floor((gpuMemoryBytes / 2 ** 20) * MEMORY_TOLERANCE);
  return {
    nodeSelectorTerms: [
      { matchExpressions: [product, { key: MEMORY_LABEL, operator: 'Gt', values: [String(least)] }] },
      { matchExpressions: [product, { key: MEMORY_LABEL, operator: 'DoesNotExist' }] },
    ],
  };
}

/** GPUs of one replica, as limits: extended resources cannot be overcommitted, so requests follow. */
export const gpuLimit = (spec: QwenCoderSpec, plan: ServingPlan): Record<string, K8s.Quantity> => ({
  [spec.placement.resourceName]: quantity(String(plan.gpusPerReplica)),
});

/** A user and group for images that run without root: what Pod Security `restricted` asks for. */
export interface NonRootUser {
  readonly uid: number;
  readonly gid: number;
}

export const podSecurity = (user: NonRootUser | undefined): K8s.PodSecurityContext => ({
  ...(user && { runAsNonRoot: true, runAsUser: user.uid, runAsGroup: user.gid, fsGroup: user.gid }),
  seccompProfile: { type: 'RuntimeDefault' },
});

export const containerSecurity: K8s.SecurityContext = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
};

export const secretEnv = (name: string, ref: { name: string; key: string }): K8s.EnvVar => ({
  name,
  valueFrom: { secretKeyRef: { name: ref.name, key: ref.key } },
});
