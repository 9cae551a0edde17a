import type { QwenCoderSpec } from '../api/v1alpha1.ts';
import type { HTTPRoute, Ingress } from '../kube/resources.ts';
import { ENDPOINT_PORT } from './services.ts';
import { childNames } from './labels.ts';
import { KubeIngress, manifest } from './manifest.ts';
import { type Owner, metadata } from './metadata.ts';

/** A request may be held for a quarter of an hour and then be answered for a long time. */
const LONGEST_REQUEST_SECONDS = 3600;

/**
 * What keeps the usual Ingress controllers from ending requests before the gateways do, or from holding streams back.
 * https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations/,
 * https://www.haproxy.com/documentation/kubernetes-ingress/community/configuration-reference/ingress/.
 */
const INGRESS_ANNOTATIONS: Readonly<Record<string, string>> = {
  'nginx.ingress.kubernetes.io/proxy-read-timeout': String(LONGEST_REQUEST_SECONDS),
  'nginx.ingress.kubernetes.io/proxy-send-timeout': String(LONGEST_REQUEST_SECONDS),
  'nginx.ingress.kubernetes.io/proxy-body-size': '8m',
  'nginx.ingress.kubernetes.io/proxy-buffering': 'off',
  'haproxy.org/timeout-server': `${LONGEST_REQUEST_SECONDS}s`,
};

/** By which the endpoint is reached from outside the cluster; undefined where it is not. */
export function exposure(owner: Owner, { endpoint: { expose } }: QwenCoderSpec): Ingress | HTTPRoute | undefined {
  switch (expose.type) {
    case 'ClusterIP':
      return undefined;
    case 'Ingress':
      return ingress(owner, expose);
    case 'HTTPRoute':
      return httpRoute(owner, expose);
  }
}

type Expose = QwenCoderSpec['endpoint']['expose'];

const ingress = (owner: Owner, { className, host, tlsSecretName, annotations }: Expose): Ingress =>
  manifest(KubeIngress, {
    metadata: {
      ...metadata(owner, childNames.endpoint(owner.name), 'endpoint'),
      annotations: { ...INGRESS_ANNOTATIONS, ...annotations },
    },
    spec: {
      ...(className !== undefined && { ingressClassName: className }),
      ...(tlsSecretName !== undefined && { tls: [{ hosts: [host!], secretName: tlsSecretName }] }),
      rules: [
        {
          host: host!,
          http: {
            paths: [
              {
                path: '/',
                pathType: 'Prefix',
                backend: { service: { name: childNames.endpoint(owner.name), port: { number: ENDPOINT_PORT } } },
              },
            ],
          },
        },
      ],
    },
  });

/** cdk8s has no model of it. */
const httpRoute = (owner: Owner, { host, parentRefs, annotations }: Expose): HTTPRoute => ({
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind: 'HTTPRoute',
  metadata: {
    ...(metadata(owner, childNames.endpoint(owner.name), 'endpoint') as object),
    ...(annotations && { annotations }),
  },
  spec: {
    parentRefs,
    ...(host !== undefined && { hostnames: [host] }),
    rules: [
      {
        backendRefs: [{ name: childNames.endpoint(owner.name), port: ENDPOINT_PORT }],
        timeouts: { request: '1h', backendRequest: '1h' },
      },
    ],
  },
});
