import type { QwenCoderSpec } from '../api/v1alpha1.ts';
import type { PodDisruptionBudget, Service, ServiceAccount } from '../kube/wire.ts';
import { ENGINE_PORT } from '../serving/index.ts';
import { certificateOf } from './gateway.ts';
import { childNames, engineSelector, gatewaySelector } from './labels.ts';
import { KubePodDisruptionBudget, KubeService, KubeServiceAccount, int, manifest, text } from './manifest.ts';
import { type Owner, metadata } from './metadata.ts';

/** Of the endpoint's Service where gateways serve HTTP. */
export const ENDPOINT_PORT = 80;

const servicePort = (name: string, port: number) => ({ name, port, targetPort: text('http'), protocol: 'TCP' });

/** The endpoint that users and tools talk to: the gateways, at the default port of HTTP or HTTPS, so that URLs need none. */
export const endpointService = (owner: Owner, spec: QwenCoderSpec): Service =>
  manifest(KubeService, {
    metadata: metadata(owner, childNames.endpoint(owner.name), 'endpoint'),
    spec: {
      type: 'ClusterIP',
      selector: gatewaySelector(owner.name),
      ports: [certificateOf(spec) === undefined ? servicePort('http', ENDPOINT_PORT) : servicePort('https', 443)],
    },
  });

/** DNS names of the engines one by one. */
export const enginesService = (owner: Owner): Service =>
  manifest(KubeService, {
    metadata: metadata(owner, childNames.engines(owner.name), 'engine'),
    spec: { clusterIp: 'None', selector: engineSelector(owner.name), ports: [servicePort('http', ENGINE_PORT)] },
  });

/** One engine at a time may be evicted; one that does not work may always be. */
export const disruptionBudget = (owner: Owner): PodDisruptionBudget =>
  manifest(KubePodDisruptionBudget, {
    metadata: metadata(owner, childNames.engine(owner.name), 'engine'),
    spec: {
      maxUnavailable: int(1),
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
      selector: { matchLabels: engineSelector(owner.name) },
    },
  });

/** An identity without rights and without a token. */
export const engineAccount = (owner: Owner): ServiceAccount =>
  manifest(KubeServiceAccount, {
    metadata: metadata(owner, childNames.engine(owner.name), 'engine'),
    automountServiceAccountToken: false,
  });
