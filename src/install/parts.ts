import { ApiObject, App, Chart } from 'cdk8s';
import * as k8s from 'cdk8s-plus-28/lib/imports/k8s.js';
import { customResourceDefinition } from '../api/index.ts';
import {
  COMPONENT,
  type Component,
  MANAGED_BY,
  OPERATOR,
  RESOURCE,
  calibrationsName,
  operatorSecretName,
} from '../render/index.ts';
import { type Program, operatorDeployment } from './deployment.ts';
import { EGRESS } from './egress.ts';
import { type Identity, selector } from './identity.ts';
import { ACCOUNTING_RULES, SERVING_RULES, calibrationRules, leaseRules, secretRules } from './rules.ts';

/** One piece of an installation: an object, or rights with their binding. */
export type Part = (chart: Chart, who: Identity) => ApiObject | readonly ApiObject[];

/** A part's objects, labelled as the installation's. */
export function objectsOf(part: Part, who: Identity): object[] {
  const chart = new Chart(new App(), 'part', { labels: selector(who) });
  part(chart, who);
  return chart.toJson() as object[];
}

export const namespace: Part = (chart, who) =>
  new k8s.KubeNamespace(chart, 'namespace', {
    metadata: { name: who.namespace, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
  });

export const crd: Part = (chart) => new ApiObject(chart, 'crd', customResourceDefinition());

export const serviceAccount: Part = (chart, { name, namespace }) =>
  new k8s.KubeServiceAccount(chart, 'serviceaccount', {
    metadata: { name, namespace },
    // The Deployment's pods ask for a token themselves; nobody else gets one.
    automountServiceAccountToken: false,
  });

/** Rights in every namespace. */
export const clusterWideRights: Part = (chart, who) =>
  clusterRights(chart, who, who.name, [...SERVING_RULES, ...ACCOUNTING_RULES]);

/** What remains cluster-wide when namespaces are named. */
export const accountingRights: Part = (chart, who) =>
  clusterRights(chart, who, `${who.name}-gpu-accounting`, ACCOUNTING_RULES);

/** Rights in one named namespace. */
export const servingRights =
  (served: string): Part =>
  (chart, who) =>
    rights(chart, who, { name: who.name, namespace: served }, SERVING_RULES);

export const leaseRights: Part = (chart, who) =>
  rights(chart, who, { name: `${who.name}-lease`, namespace: who.namespace }, leaseRules(who.name));

export const calibrationRights: Part = (chart, who) => {
  const name = calibrationsName(who.name);
  return rights(chart, who, { name, namespace: who.namespace }, calibrationRules(name));
};

/** Empty and without the field that the operator fills, so that a new installation keeps what was measured. */
export const calibrations: Part = (chart, { name, namespace }) =>
  new k8s.KubeConfigMap(chart, 'configmap', { metadata: { name: calibrationsName(name), namespace } });

export const secretRights: Part = (chart, who) => {
  const name = operatorSecretName(who.name);
  return rights(chart, who, { name, namespace: who.namespace }, secretRules(name));
};

/** Empty and without the field that the operator fills, as the calibrations are. */
export const secret: Part = (chart, { name, namespace }) =>
  new k8s.KubeSecret(chart, 'secret', { metadata: { name: operatorSecretName(name), namespace } });

/** The operator would make it too, but then nobody would take it away with the rest. */
export const lease: Part = (chart, { name, namespace }) =>
  new k8s.KubeLease(chart, 'lease', { metadata: { name, namespace } });

export const deployment =
  (program: Program): Part =>
  (chart, who) =>
    operatorDeployment(chart, who, program);

export const disruptionBudget: Part = (chart, who) =>
  new k8s.KubePodDisruptionBudget(chart, 'poddisruptionbudget', {
    metadata: { name: who.name, namespace: who.namespace },
    spec: {
      maxUnavailable: k8s.IntOrString.fromNumber(1),
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
      selector: { matchLabels: selector(who) },
    },
  });

export const metricsService: Part = (chart, who) =>
  new k8s.KubeService(chart, 'service', {
    metadata: { name: `${who.name}-metrics`, namespace: who.namespace },
    spec: {
      selector: selector(who),
      ports: [{ name: 'metrics', port: 8080, targetPort: k8s.IntOrString.fromString('http') }],
    },
  });

export const serviceMonitor: Part = (chart, who) =>
  new ApiObject(chart, 'servicemonitor', {
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'ServiceMonitor',
    metadata: { name: who.name, namespace: who.namespace },
    spec: { selector: { matchLabels: selector(who) }, endpoints: [{ port: 'metrics', interval: '30s' }] },
  });

/** Scrapes the gateways of all resources, and says of each series which resource it is of. */
export const podMonitor: Part = (chart, who) =>
  new ApiObject(chart, 'podmonitor', {
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'PodMonitor',
    metadata: { name: `${who.name}-gateways`, namespace: who.namespace },
    spec: {
      namespaceSelector: { any: true },
      selector: { matchLabels: { [MANAGED_BY]: OPERATOR, [COMPONENT]: 'gateway' satisfies Component } },
      podMetricsEndpoints: [
        {
          port: 'metrics',
          interval: '30s',
          relabelings: [
            { sourceLabels: ['__meta_kubernetes_namespace'], targetLabel: 'resource_namespace' },
            {
              sourceLabels: [`__meta_kubernetes_pod_label_${RESOURCE.replaceAll(/\W/g, '_')}`],
              targetLabel: 'resource_name',
            },
          ],
        },
      ],
    },
  });

/** Scrapes in; calls of the API server, of engines and of gateways out. The kubelet's probes come from the node, which policies let through. */
export const networkPolicy: Part = (chart, who) =>
  new k8s.KubeNetworkPolicy(chart, 'networkpolicy', {
    metadata: { name: who.name, namespace: who.namespace },
    spec: {
      podSelector: { matchLabels: selector(who) },
      policyTypes: ['Ingress', 'Egress'],
      ingress: [{ from: [{ namespaceSelector: {} }], ports: [{ port: k8s.IntOrString.fromString('http') }] }],
      egress: EGRESS.map(({ ports, ...rule }) => ({
        ...rule,
        ports: ports.map(({ port }) => ({ port: k8s.IntOrString.fromNumber(port) })),
      })),
    },
  });

const clusterRights = (chart: Chart, who: Identity, name: string, rules: k8s.PolicyRule[]): ApiObject[] => [
  new k8s.KubeClusterRole(chart, 'clusterrole', { metadata: { name }, rules }),
  new k8s.KubeClusterRoleBinding(chart, 'clusterrolebinding', {
    metadata: { name },
    ...binding('ClusterRole', name, who),
  }),
];

const rights = (
  chart: Chart,
  who: Identity,
  where: { name: string; namespace: string },
  rules: k8s.PolicyRule[],
): ApiObject[] => [
  new k8s.KubeRole(chart, 'role', { metadata: where, rules }),
  new k8s.KubeRoleBinding(chart, 'rolebinding', { metadata: where, ...binding('Role', where.name, who) }),
];

const binding = (kind: string, role: string, { name, namespace }: Identity) => ({
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind, name: role },
  subjects: [{ kind: 'ServiceAccount', name, namespace }],
});
