import type { Chart } from 'cdk8s';
import * as k8s from 'cdk8s-plus-28/lib/imports/k8s.js';
import { type Identity, selector } from './identity.ts';

/** The manager takes up to 34 s to finish what it does, release the Lease and close its streams. */
const STOP_SECONDS = 40;

/** The user `nonroot` of distroless images. */
const NONROOT = 65532;

/** What runs. */
export interface Program {
  readonly version: string;
  readonly image: string;
  /** Those besides its place in the cluster. */
  readonly flags: readonly string[];
}

/** The operator: one pod leads, the other is warm. */
export function operatorDeployment(chart: Chart, who: Identity, program: Program): k8s.KubeDeployment {
  const matchLabels = selector(who);
  const version = { 'app.kubernetes.io/version': program.version };
  return new k8s.KubeDeployment(chart, 'deployment', {
    metadata: { name: who.name, namespace: who.namespace, labels: version },
    spec: {
      replicas: 2,
      selector: { matchLabels },
      template: {
        metadata: { labels: { ...matchLabels, ...version } },
        spec: {
          serviceAccountName: who.name,
          automountServiceAccountToken: true,
          enableServiceLinks: false,
          terminationGracePeriodSeconds: STOP_SECONDS,
          securityContext: {
            runAsNonRoot: true,
            runAsUser: NONROOT,
            runAsGroup: NONROOT,
            seccompProfile: { type: 'RuntimeDefault' },
          },
          nodeSelector: { 'kubernetes.io/os': 'linux' },
          topologySpreadConstraints: [
            {
              maxSkew: 1,
              topologyKey: 'kubernetes.io/hostname',
              whenUnsatisfiable: 'ScheduleAnyway',
              labelSelector: { matchLabels },
              matchLabelKeys: ['pod-template-hash'],
            },
          ],
          containers: [operatorContainer(who, program)],
        },
      },
    },
  });
}

function operatorContainer(who: Identity, { image, flags }: Program): k8s.Container {
  const probe = (path: string, more: Partial<k8s.Probe>): k8s.Probe => ({
    httpGet: { path, port: k8s.IntOrString.fromString('http') },
    ...more,
  });
  return {
    name: 'operator',
    image,
    imagePullPolicy: 'IfNotPresent',
    args: ['operator', `--lease-namespace=${who.namespace}`, `--lease-name=${who.name}`, `--image=${image}`, ...flags],
    ports: [{ name: 'http', containerPort: 8080 }],
    readinessProbe: probe('/readyz', { periodSeconds: 5, timeoutSeconds: 3 }),
    // A blocked event loop does not answer either: half a minute of it, and the other pod has long taken over.
    livenessProbe: probe('/healthz', { periodSeconds: 10, failureThreshold: 3, timeoutSeconds: 5 }),
    // V8 takes half of the limit as its heap, and 259 MB at least.
    resources: {
      requests: { cpu: k8s.Quantity.fromString('50m'), memory: k8s.Quantity.fromString('192Mi') },
      limits: { memory: k8s.Quantity.fromString('512Mi') },
    },
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      readOnlyRootFilesystem: true,
    },
  };
}
