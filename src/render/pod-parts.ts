import type { QwenCoderSpec } from '../api/v1alpha1.ts';
import { DRIVER_LABELS, MEMORY_LABEL, type ServingPlan, productLabel } from '../serving/index.ts';
import { type K8s, quantity } from './manifest.ts';

/** Drivers differ by a few MiB, and cards sold with other memory by far more. */
const MEMORY_TOLERANCE = 0.95;

/**
 * Where engines and the weights Job may run: the plan's GPU product and driver, the user's selector, tolerations of GPU taints. Never a
 * host name.
 */
export function placement(spec: QwenCoderSpec, plan: ServingPlan) {
  const { placement } = spec;
  const nodes = gpuNodes(placement.resourceName, plan);
  return {
    ...(placement.nodeSelector && { nodeSelector: placement.nodeSelector }),
    ...(nodes && { affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: nodes } } }),
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

type Requirements = readonly K8s.NodeSelectorRequirement[];

/**
 * Nodes of the planned product whose cards have the planned memory and whose driver is new enough, where labels tell. Terms are
 * alternatives; undefined where nothing is asked of nodes.
 */
function gpuNodes(resourceName: string, plan: ServingPlan): K8s.NodeSelector | undefined {
  const { gpuProduct } = plan;
  const product =
    gpuProduct === undefined ? [] : [{ key: productLabel(resourceName), operator: 'In', values: [gpuProduct] }];
  const terms = memories(plan)
    .flatMap((memory) => drivers(plan).map((driver) => [...product, ...memory, ...driver]))
    .filter((requirements) => requirements.length > 0);
  return terms.length === 0
    ? undefined
    : { nodeSelectorTerms: terms.map((matchExpressions) => ({ matchExpressions })) };
}

const isGreater = (key: string, than: number) => ({ key, operator: 'Gt', values: [String(than)] });
const isAbsent = (key: string) => ({ key, operator: 'DoesNotExist' });

function memories({ gpuProduct, gpuMemoryBytes }: ServingPlan): readonly Requirements[] {
  if (gpuProduct === undefined || gpuMemoryBytes === undefined) return [[]];
  const least = Math.floor((gpuMemoryBytes / 2 ** 20) * MEMORY_TOLERANCE);
  return [[isGreater(MEMORY_LABEL, least)], [isAbsent(MEMORY_LABEL)]];
}

/** As labels are read for a plan: the first that is there counts, and without any the driver is taken to do. */
function drivers({ leastDriver }: ServingPlan): readonly Requirements[] {
  if (leastDriver === undefined) return [[]];
  const absent = DRIVER_LABELS.map(isAbsent);
  return [
    ...DRIVER_LABELS.map((label, index) => [...absent.slice(0, index), isGreater(label, leastDriver - 1)]),
    absent,
  ];
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

/** The user `nonroot` of distroless images: the operator's own. */
export const NONROOT: NonRootUser = { uid: 65532, gid: 65532 };

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
