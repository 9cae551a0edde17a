import type { PodDisruptionBudget, Service, ServiceAccount } from '../kube/wire.ts';
import { ENGINE_PORT } from './engine-template.ts';
import { childNames, engineSelector } from './labels.ts';
import { KubePodDisruptionBudget, KubeService, KubeServiceAccount, int, manifest, text } from './manifest.ts';
import { type Owner, metadata } from './metadata.ts';

/** The default of HTTP, so that URLs need no port. */
const ENDPOINT_PORT = 80;

const enginePort = (port: number) => ({ name: 'http', port, targetPort: text('http'), protocol: 'TCP' });

/** The endpoint that users and tools talk to: every ready engine. */
export const endpointService = (owner: Owner): Service =>
  manifest(KubeService, {
    metadata: metadata(owner, childNames.endpoint(owner.name), 'endpoint'),
    spec: { type: 'ClusterIP', selector: engineSelector(owner.name), ports: [enginePort(ENDPOINT_PORT)] },
  });

/** DNS names of the engines one by one. */
export const enginesService = (owner: Owner): Service =>
  manifest(KubeService, {
    metadata: metadata(owner, childNames.engines(owner.name), 'engine'),
    spec: { clusterIp: 'None', selector: engineSelector(owner.name), ports: [enginePort(ENGINE_PORT)] },
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
