import type { K8s } from './manifest.ts';

/** How weights Jobs reach the hub from this cluster: a matter of its network, so the operator is told, not the resource. */
export interface WeightsAccess {
  /** URL of an HTTP proxy. */
  readonly proxy?: string | undefined;
  /** Hosts that are reached without it, comma-separated. */
  readonly noProxy?: string | undefined;
  /** A ConfigMap in the namespace of the resource, and the key of the PEM bundle in it. */
  readonly authorities?: { readonly configMap: string; readonly key: string } | undefined;
}

const AUTHORITIES_DIR = '/etc/weights-authorities';

/** The pod with what it needs to reach the hub that way; the very pod when nothing is asked for. */
export function withAccess(template: K8s.PodTemplateSpec, access: WeightsAccess): K8s.PodTemplateSpec {
  const env = accessEnv(access);
  const { authorities } = access;
  if (env.length === 0) return template;
  const spec = template.spec!;
  return {
    ...template,
    spec: {
      ...spec,
      containers: spec.containers.map((container) => ({
        ...container,
        env: [...container.env!, ...env],
        volumeMounts: [
          ...container.volumeMounts!,
          ...(authorities ? [{ name: 'authorities', mountPath: AUTHORITIES_DIR, readOnly: true }] : []),
        ],
      })),
      volumes: [
        ...spec.volumes!,
        ...(authorities ? [{ name: 'authorities', configMap: { name: authorities.configMap } }] : []),
      ],
    },
  };
}

function accessEnv({ proxy, noProxy, authorities }: WeightsAccess): K8s.EnvVar[] {
  const bundle = authorities && `${AUTHORITIES_DIR}/${authorities.key}`;
  return Object.entries({
    HTTP_PROXY: proxy,
    HTTPS_PROXY: proxy,
    NO_PROXY: noProxy,
    // huggingface_hub is on requests before 1.0 and on httpx since.
    REQUESTS_CA_BUNDLE: bundle,
    SSL_CERT_FILE: bundle,
    // Some hf_xet releases trust only the authorities that they were built with (huggingface/xet-core#389).
    HF_HUB_DISABLE_XET: bundle && '1',
  }).flatMap(([name, value]) => (value === undefined ? [] : [{ name, value }]));
}
