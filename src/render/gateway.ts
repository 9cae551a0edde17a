import type { QwenCoderSpec } from '../api/v1alpha1.ts';
import type { Deployment, KubeObject, PodDisruptionBudget, ServiceAccount } from '../kube/wire.ts';
import { ENGINE_PORT } from '../serving/index.ts';
import { API_KEY, CONTROL_KEY, ENGINE_KEY } from './keys.ts';
import { COMPONENT, childLabels, childNames, gatewaySelector } from './labels.ts';
import {
  type K8s,
  KubeDeployment,
  KubePodDisruptionBudget,
  KubeServiceAccount,
  int,
  manifest,
  quantities,
  text,
} from './manifest.ts';
import { type Owner, metadata } from './metadata.ts';
import { NONROOT, containerSecurity, podSecurity } from './pod-parts.ts';

/** Where clients, the operator, and the kubelet and scrapers reach a gateway pod. */
export const GATEWAY_PORTS = { http: 8000, control: 8001, metrics: 8080 } as const;

const KEYS_DIR = '/etc/qwen-coder/keys';
const API_KEYS_DIR = '/etc/qwen-coder/api-keys';
const TLS_DIR = '/etc/qwen-coder/tls';

/** Requests that are under way have this long (design decision 11), and stopping takes a moment more. */
const DRAIN_SECONDS = 540;
const STOP_SECONDS = 30;

/** Secrets that a gateway reads besides those of its user. */
export interface GatewayKeys {
  /** Of the key that the operator shows. */
  readonly control: string;
  /** Of the key that the engines ask for. */
  readonly engine: string;
}

/** Secret and key of it with the API keys of clients; undefined where nobody is asked for one. */
export function apiKeysRef(
  resource: string,
  { endpoint: { authentication } }: QwenCoderSpec,
): { readonly name: string; readonly key: string } | undefined {
  if (authentication.type === 'None') return undefined;
  return authentication.secretRef ?? { name: childNames.apiKey(resource), key: API_KEY };
}

/** Secret with the certificate that gateways serve; an Ingress or a Gateway has its own. */
export const certificateOf = ({ endpoint: { expose } }: QwenCoderSpec): string | undefined =>
  expose.type === 'ClusterIP' ? expose.tlsSecretName : undefined;

/**
 * The proxy in front of the engines. Nothing in it depends on the plan or on how many engines there are: the operator tells that to its
 * pods, so that no gateway restarts when engines do.
 */
export function gatewayDeployment(owner: Owner, spec: QwenCoderSpec, image: string, keys: GatewayKeys): Deployment {
  const { name } = owner;
  const identity = gatewaySelector(name);
  return manifest<K8s.KubeDeploymentProps, Deployment>(KubeDeployment, {
    metadata: metadata(owner, childNames.gateway(name), 'gateway'),
    spec: {
      replicas: spec.endpoint.gateway.replicas,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: int(1), maxUnavailable: int(0) } },
      revisionHistoryLimit: 0,
      selector: { matchLabels: identity },
      template: {
        metadata: { labels: childLabels(name, 'gateway') },
        spec: {
          serviceAccountName: childNames.gateway(name),
          automountServiceAccountToken: false,
          enableServiceLinks: false,
          terminationGracePeriodSeconds: DRAIN_SECONDS + STOP_SECONDS,
          securityContext: podSecurity(NONROOT),
          nodeSelector: { 'kubernetes.io/os': 'linux' },
          ...(spec.placement.tolerations && { tolerations: [...spec.placement.tolerations] as K8s.Toleration[] }),
          ...(spec.imagePullSecrets && { imagePullSecrets: spec.imagePullSecrets }),
          topologySpreadConstraints: [
            {
              maxSkew: 1,
              topologyKey: 'kubernetes.io/hostname',
              whenUnsatisfiable: 'ScheduleAnyway',
              labelSelector: { matchLabels: identity },
              matchLabelKeys: ['pod-template-hash'],
            },
          ],
          containers: [container(owner, spec, image)],
          volumes: volumes(owner, spec, keys),
        },
      },
    },
  });
}

/**
 * The image's own are for an operator, which waits most of its time; with its small young generation a request costs a gateway half as much again.
 * Node's code in large pages, where the kernel gives them, takes a seventh off a request that comes alone.
 */
export const GATEWAY_NODE_OPTIONS = '--max-semi-space-size=16 --use-largepages=silent';

function container({ name }: Owner, spec: QwenCoderSpec, image: string): K8s.Container {
  const { model, endpoint } = spec;
  const authenticated = apiKeysRef(name, spec) !== undefined;
  const certificate = certificateOf(spec);
  const probe = (path: string, more: Partial<K8s.Probe>): K8s.Probe => ({
    httpGet: { path, port: text('metrics') },
    ...more,
  });
  return {
    name: 'gateway',
    image,
    imagePullPolicy: 'IfNotPresent',
    args: [
      'gateway',
      `--models=${[model.servedName, ...(model.aliases ?? [])].join(',')}`,
      `--engines=${childNames.engines(name)}:${ENGINE_PORT}`,
      `--gateways=${endpoint.gateway.replicas}`,
      `--engine-key-file=${KEYS_DIR}/${ENGINE_KEY}`,
      `--control-key-file=${KEYS_DIR}/${CONTROL_KEY}`,
      authenticated ? `--api-keys-file=${API_KEYS_DIR}/keys` : '--anonymous=true',
      ...(certificate ? [`--tls-cert-file=${TLS_DIR}/tls.crt`, `--tls-key-file=${TLS_DIR}/tls.key`] : []),
      `--drain-seconds=${DRAIN_SECONDS}`,
    ],
    env: [{ name: 'NODE_OPTIONS', value: GATEWAY_NODE_OPTIONS }],
    ports: Object.entries(GATEWAY_PORTS).map(([port, containerPort]) => ({ name: port, containerPort })),
    readinessProbe: probe('/readyz', { periodSeconds: 5, timeoutSeconds: 3 }),
    livenessProbe: probe('/healthz', { periodSeconds: 10, failureThreshold: 3, timeoutSeconds: 5 }),
    // Under load it has 190 to 300 MiB. The bodies of all requests may have 256 MiB besides.
    resources: { requests: quantities({ cpu: '100m', memory: '256Mi' }), limits: quantities({ memory: '1Gi' }) },
    securityContext: { ...containerSecurity, readOnlyRootFilesystem: true },
    // The one sentence that says which file is missing.
    terminationMessagePolicy: 'FallbackToLogsOnError',
    volumeMounts: [
      { name: 'keys', mountPath: KEYS_DIR, readOnly: true },
      ...(authenticated ? [{ name: 'api-keys', mountPath: API_KEYS_DIR, readOnly: true }] : []),
      ...(certificate ? [{ name: 'tls', mountPath: TLS_DIR, readOnly: true }] : []),
    ],
  };
}

/** Those of users are optional: a gateway says which one it misses, a kubelet tells it in an Event alone. */
function volumes({ name }: Owner, spec: QwenCoderSpec, keys: GatewayKeys): K8s.Volume[] {
  const apiKeys = apiKeysRef(name, spec);
  const certificate = certificateOf(spec);
  const item = (secret: string, key: string): K8s.VolumeProjection => ({
    secret: { name: secret, items: [{ key, path: key }] },
  });
  return [
    { name: 'keys', projected: { sources: [item(keys.engine, ENGINE_KEY), item(keys.control, CONTROL_KEY)] } },
    ...(apiKeys
      ? [
          {
            name: 'api-keys',
            secret: { secretName: apiKeys.name, items: [{ key: apiKeys.key, path: 'keys' }], optional: true },
          },
        ]
      : []),
    ...(certificate ? [{ name: 'tls', secret: { secretName: certificate, optional: true } }] : []),
  ];
}

/** One gateway at a time may be evicted; one that does not work may always be. */
export const gatewayBudget = (owner: Owner): PodDisruptionBudget =>
  manifest(KubePodDisruptionBudget, {
    metadata: metadata(owner, childNames.gateway(owner.name), 'gateway'),
    spec: {
      maxUnavailable: int(1),
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
      selector: { matchLabels: gatewaySelector(owner.name) },
    },
  });

/** An identity without rights and without a token; not the engines', so that meshes can tell them apart. */
export const gatewayAccount = (owner: Owner): ServiceAccount =>
  manifest(KubeServiceAccount, {
    metadata: metadata(owner, childNames.gateway(owner.name), 'gateway'),
    automountServiceAccountToken: false,
  });

/** What the live gateways of a resource tell of the installation that they came from; undefined where there are none. */
export function liveGateway(
  children: readonly KubeObject[],
): { readonly image: string; readonly keysName: string } | undefined {
  const deployment: Deployment | undefined = children.find(
    ({ kind, metadata }) => kind === 'Deployment' && metadata?.labels?.[COMPONENT] === 'gateway',
  );
  const { containers = [], volumes = [] } = deployment?.spec?.template.spec ?? {};
  const image = containers[0]?.image;
  const keys = volumes
    .flatMap(({ projected }) => projected?.sources ?? [])
    .find(({ secret }) => secret?.items?.some(({ key }) => key === CONTROL_KEY));
  const keysName = keys?.secret?.name;
  return image === undefined || keysName === undefined ? undefined : { image, keysName };
}
