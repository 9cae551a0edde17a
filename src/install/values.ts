import * as z from 'zod';
import { Options } from '../options.ts';
import { EGRESS } from './egress.ts';

const object = z.looseObject({});
const namespaceName = z
  .string()
  .max(63)
  .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/);

/** Flags that the chart sets itself, from what Helm knows or from other values. */
const OWN_FLAGS = ['kubeconfig', 'namespaces', 'lease-namespace', 'lease-name', 'image', 'http-port'];

/** Every value of the Helm chart: its name, what is allowed, what it is when unset and what it means. */
export const Values = z.strictObject({
  image: z
    .strictObject({
      repository: z
        .string()
        .min(1)
        .default('qwen-coder-operator')
        .describe(
          'Where you pushed the image that you built from the Dockerfile; none is published. Gateways run it too.',
        ),
      tag: z.string().default('').describe('The version of the chart when empty; `TAG@sha256:DIGEST` pins it.'),
      pullPolicy: z
        .enum(['Always', 'IfNotPresent', 'Never'])
        .default('IfNotPresent')
        .describe('When nodes pull the image for the operator; for gateways always `IfNotPresent`.'),
    })
    .prefault({}),
  imagePullSecrets: z
    .array(z.strictObject({ name: z.string() }))
    .default([])
    .describe(
      "Secrets for the registry of the image, for pods of the operator. Gateways, which run it too, and engines have those of each resource's `spec.imagePullSecrets`.",
    ),
  replicas: z.int().min(1).max(5).default(2).describe('Pods of the operator; one leads, the others are warm.'),
  namespaces: z
    .array(namespaceName)
    .default([])
    .describe(
      "Namespaces to serve; all when empty. With namespaces the operator gets a Role in each of them, which must exist. What it then still needs in the whole cluster is one ClusterRole that lists and watches nodes and pods: a GPU that a stranger's pod holds is not free.",
    ),
  flags: z
    .record(z.string(), z.union([z.string(), z.number(), z.boolean()]))
    .default({})
    .describe('Flags of `qwen-coder operator` by name; see the table of flags.'),
  env: z
    .array(z.looseObject({ name: z.string() }))
    .default([])
    .describe('More environment variables of the operator.'),
  resources: object
    .default({ limits: { memory: '512Mi' }, requests: { cpu: '50m', memory: '192Mi' } })
    .describe('Of one pod of the operator. V8 takes half of the memory limit as its heap, and 259 MB at least.'),
  nodeSelector: object.default({ 'kubernetes.io/os': 'linux' }).describe('Where the operator runs. It needs no GPU.'),
  tolerations: z.array(object).default([]).describe('Taints that the operator tolerates.'),
  affinity: object.default({}).describe('Affinity of the operator; a spread over hosts is built in.'),
  priorityClassName: z.string().default('').describe('Priority of the operator.'),
  podAnnotations: object.default({}).describe("Annotations of the operator's pods."),
  podSecurityContext: object
    .default({ runAsGroup: 65532, runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: 'RuntimeDefault' } })
    .describe('Where the platform chooses users (OpenShift), set `runAsUser` and `runAsGroup` to null.'),
  crds: z
    .strictObject({
      install: z
        .boolean()
        .default(true)
        .describe('Install and upgrade the CustomResourceDefinition with the release; false when someone else does.'),
      keep: z
        .boolean()
        .default(true)
        .describe('Keep it, and with it every resource and engine, on `helm uninstall`. false deletes them all.'),
    })
    .prefault({}),
  serviceMonitor: z
    .strictObject({
      enabled: z.boolean().default(false).describe('Make a ServiceMonitor; needs the Prometheus operator.'),
      interval: z.string().default('30s').describe('How often it scrapes.'),
      labels: object.default({}).describe('Labels by which your Prometheus selects it.'),
    })
    .prefault({}),
  podMonitor: z
    .strictObject({
      enabled: z
        .boolean()
        .default(false)
        .describe('Make a PodMonitor for the gateways of all resources; needs the Prometheus operator.'),
      interval: z.string().default('30s').describe('How often it scrapes.'),
      labels: object.default({}).describe('Labels by which your Prometheus selects it.'),
    })
    .prefault({}),
  monitoring: z
    .strictObject({
      prometheusRule: z
        .strictObject({
          enabled: z.boolean().default(false).describe('Make a PrometheusRule; needs the Prometheus operator.'),
          labels: object.default({}).describe('Labels by which your Prometheus selects it.'),
          runbook: z
            .string()
            .min(1)
            .default('README.md')
            .describe('Where you keep the README of the operator: alerts link to the headings of its runbook.'),
        })
        .prefault({}),
      dashboard: z
        .strictObject({
          enabled: z.boolean().default(false).describe('Make a ConfigMap with the Grafana dashboard.'),
          labels: object
            .default({ grafana_dashboard: '1' })
            .describe('Labels by which the sidecar of your Grafana selects it.'),
        })
        .prefault({}),
    })
    .prefault({}),
  networkPolicy: z
    .strictObject({
      enabled: z
        .boolean()
        .default(false)
        .describe(
          'Let nothing into the operator but scrapes, and nothing out but calls of the API server, of engines and of gateways.',
        ),
      // An empty list would mean everybody.
      metricsFrom: z
        .array(object)
        .min(1)
        .default([{ namespaceSelector: {} }])
        .describe('Peers that may scrape; every pod of the cluster when unset.'),
      egress: z
        .array(object)
        .min(1)
        .default([...EGRESS])
        .describe(
          'Rules that reach the API server, by port when unset, because its address differs from cluster to cluster; engines, which tell how much memory they found; and gateways, which are told of engines.',
        ),
    })
    .prefault({}),
});

export type Values = z.output<typeof Values>;

/** A JSON schema, as far as it is read here. */
export interface JsonSchema {
  type?: string | undefined;
  description?: string | undefined;
  default?: unknown;
  properties?: Record<string, JsonSchema>;
  [keyword: string]: unknown;
}

/** The flags that may be set, by name. */
export function flagSchemas(): Record<string, JsonSchema> {
  const { properties } = z.toJSONSchema(Options, {
    target: 'draft-7',
    io: 'output',
    unrepresentable: 'any',
  }) as JsonSchema;
  return Object.fromEntries(Object.entries(properties!).filter(([name]) => !OWN_FLAGS.includes(name)));
}

/** What Helm checks values against. */
export function valuesSchema(): JsonSchema {
  const schema = z.toJSONSchema(Values, { target: 'draft-7', io: 'input' }) as JsonSchema;
  const { description } = schema.properties!['flags']!;
  return {
    ...schema,
    properties: {
      ...schema.properties,
      flags: { type: 'object', description, default: {}, properties: flagSchemas(), additionalProperties: false },
      // Helm puts this into the values of a chart that is part of another.
      global: {},
    },
  };
}
