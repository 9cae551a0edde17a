import type { AdminApi } from './admin-api.ts';
import type { Cluster } from './cluster.ts';
import { eventually } from './world.ts';

const GROUP = 'monitoring.coreos.com';

const text = { type: 'string' };
const texts = { type: 'array', items: text };
const textMap = { type: 'object', additionalProperties: text };
const object = (properties: object, required: readonly string[] = []): object => ({
  type: 'object',
  properties,
  ...(required.length > 0 && { required }),
});
const list = (items: object): object => ({ type: 'array', items });

const duration = { type: 'string', pattern: '^([0-9]+(ms|[smhdwy]))+$' };
const labelSelector = object({
  matchLabels: textMap,
  matchExpressions: list(object({ key: text, operator: text, values: texts }, ['key', 'operator'])),
});
const namespaceSelector = object({ any: { type: 'boolean' }, matchNames: texts });
const relabeling = object({
  sourceLabels: texts,
  separator: text,
  targetLabel: text,
  regex: text,
  replacement: text,
  action: { type: 'string', enum: ['replace', 'keep', 'drop', 'labelmap', 'labeldrop', 'labelkeep'] },
});
const endpoint = object({
  port: text,
  path: text,
  scheme: { type: 'string', enum: ['http', 'https'] },
  interval: duration,
  scrapeTimeout: duration,
  honorLabels: { type: 'boolean' },
  relabelings: list(relabeling),
  metricRelabelings: list(relabeling),
});
const rule = {
  ...object({ alert: text, record: text, expr: text, for: duration, labels: textMap, annotations: textMap }, ['expr']),
};

/**
 * The kinds of the Prometheus operator that the chart makes, by the part of their fields that it could use: its API reference, v0.90
 * (https://prometheus-operator.dev/docs/api-reference/api/). Whatever else a manifest names is unknown here, and refused.
 */
const SPECS: Readonly<Record<string, object>> = {
  ServiceMonitor: object(
    { selector: labelSelector, namespaceSelector, endpoints: list(endpoint), targetLabels: texts, jobLabel: text },
    ['selector', 'endpoints'],
  ),
  PodMonitor: object(
    {
      selector: labelSelector,
      namespaceSelector,
      podMetricsEndpoints: list(endpoint),
      podTargetLabels: texts,
      jobLabel: text,
    },
    ['selector', 'podMetricsEndpoints'],
  ),
  PrometheusRule: object({ groups: list(object({ name: text, interval: duration, rules: list(rule) }, ['name'])) }),
};

/** Defines these kinds in a cluster. Nothing acts on their objects. */
export async function definePrometheusKinds(cluster: Cluster): Promise<void> {
  const definitions = Object.entries(SPECS).map(([kind, spec]) => definition(kind, spec));
  await cluster.kubectl(['create', '-f', '-'], {
    input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items: definitions }),
  });
  // Kinds are served a moment before the API server tells of their fields.
  await eventually(async () => {
    const { paths } = await cluster.api.call<{ paths: object }>('/openapi/v3');
    if (!(`apis/${GROUP}/v1` in paths)) throw new Error(`nothing is told of ${GROUP}/v1`);
    await tellsOfAll(cluster.api);
  });
}

async function tellsOfAll(api: AdminApi): Promise<void> {
  const { components } = await api.call<{ components: { schemas: object } }>(`/openapi/v3/apis/${GROUP}/v1`);
  const told = Object.keys(components.schemas);
  const missing = Object.keys(SPECS).filter((kind) => !told.some((name) => name.endsWith(`.${kind}`)));
  if (missing.length > 0) throw new Error(`nothing is told of ${missing.join(', ')}`);
}

function definition(kind: string, spec: object): object {
  const singular = kind.toLowerCase();
  const plural = `${singular}s`;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${GROUP}` },
    spec: {
      group: GROUP,
      scope: 'Namespaced',
      names: { kind, plural, singular },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: { openAPIV3Schema: object({ spec }, ['spec']) },
        },
      ],
    },
  };
}
