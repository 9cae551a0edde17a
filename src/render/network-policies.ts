import type { QwenCoderSpec } from '../api/v1alpha1.ts';
import type { NetworkPolicy } from '../kube/resources.ts';
import { ENGINE_PORT } from '../serving/index.ts';
import { GATEWAY_PORTS } from './gateway.ts';
import type { Installation } from './installation.ts';
import { COMPONENT, RESOURCE, childNames, engineSelector, gatewaySelector } from './labels.ts';
import { type K8s, KubeNetworkPolicy, int, manifest } from './manifest.ts';
import { type Owner, metadata } from './metadata.ts';

/** Where a cluster's own DNS may answer from besides its pods: https://kubernetes.io/docs/tasks/administer-cluster/nodelocaldns/. */
const NODE_LOCAL_DNS = '169.254.20.10/32';

/** Who may talk to whom, unless the network is open; the kubelet's probes come from the node, which policies let through. */
export const networkPolicies = (owner: Owner, spec: QwenCoderSpec, installation: Installation): NetworkPolicy[] =>
  spec.network.isolation === 'Open'
    ? []
    : [enginePolicy(owner, installation), gatewayPolicy(owner, spec, installation)];

/** Of the pods that obey the engines' policy: the engines, and the probe that finds out whether it holds. */
export const ENGINE_EGRESS: K8s.NetworkPolicyEgressRule[] = [];

const enginePolicy = (owner: Owner, installation: Installation): NetworkPolicy =>
  manifest(KubeNetworkPolicy, {
    metadata: metadata(owner, childNames.engine(owner.name), 'engine'),
    spec: {
      podSelector: {
        matchLabels: { [RESOURCE]: owner.name },
        matchExpressions: [{ key: COMPONENT, operator: 'In', values: ['engine', 'network-probe'] }],
      },
      policyTypes: ['Ingress', 'Egress'],
      ingress: [
        {
          from: [
            { podSelector: { matchLabels: gatewaySelector(owner.name) } },
            // It reads how much memory an engine found, and whether it works.
            operator(installation),
          ],
          ports: [tcp(ENGINE_PORT)],
        },
      ],
      egress: ENGINE_EGRESS,
    },
  });

const gatewayPolicy = (owner: Owner, spec: QwenCoderSpec, installation: Installation): NetworkPolicy =>
  manifest(KubeNetworkPolicy, {
    metadata: metadata(owner, childNames.gateway(owner.name), 'gateway'),
    spec: {
      podSelector: { matchLabels: gatewaySelector(owner.name) },
      policyTypes: ['Ingress', 'Egress'],
      ingress: [
        { ports: [tcp(GATEWAY_PORTS.http)] },
        { from: [operator(installation)], ports: [tcp(GATEWAY_PORTS.control)] },
        // A rule without peers would let everybody in.
        ...(scrapers(spec).length > 0 ? [{ from: scrapers(spec), ports: [tcp(GATEWAY_PORTS.metrics)] }] : []),
      ],
      egress: [
        { to: [{ podSelector: { matchLabels: engineSelector(owner.name) } }], ports: [tcp(ENGINE_PORT)] },
        {
          to: [{ namespaceSelector: {} }, { ipBlock: { cidr: NODE_LOCAL_DNS } }],
          ports: [{ port: int(53), protocol: 'UDP' }, tcp(53)],
        },
      ],
    },
  });

const tcp = (port: number): K8s.NetworkPolicyPort => ({ port: int(port), protocol: 'TCP' });

const operator = ({ namespace }: Installation): K8s.NetworkPolicyPeer => ({
  namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
  podSelector: { matchLabels: { 'app.kubernetes.io/name': 'qwen-coder-operator' } },
});

/** Pods of the resource's own namespace where no namespace is asked for. */
const scrapers = ({ network: { metricsFrom = [] } }: QwenCoderSpec): K8s.NetworkPolicyPeer[] =>
  metricsFrom.map(({ namespaceLabels, podLabels }) => ({
    ...(namespaceLabels && { namespaceSelector: { matchLabels: namespaceLabels } }),
    podSelector: { matchLabels: podLabels ?? {} },
  }));
