type Unit = 'short' | 's' | 'bytes' | 'reqps' | 'percentunit';

interface Panel {
  readonly title: string;
  readonly unit: Unit;
  /** Of 24 columns. */
  readonly width: number;
  readonly type: 'timeseries' | 'stat' | 'table';
  /** Legend → expression. */
  readonly queries: Readonly<Record<string, string>>;
}

const HEIGHT = 7;
const DATASOURCE = { type: 'prometheus', uid: '${datasource}' };

/** Restricts what is told of resources to those that were chosen above. */
const CHOSEN = 'resource_namespace=~"$namespace",resource_name=~"$resource"';
const OURS = 'and on (job, instance) qwen_coder_build_info';
const RESOURCE = 'resource_namespace, resource_name';
const LEGEND = '{{resource_namespace}}/{{resource_name}}';

const graph = (title: string, queries: Panel['queries'], unit: Unit = 'short', width = 8): Panel => ({
  type: 'timeseries',
  title,
  unit,
  width,
  queries,
});
const stat = (title: string, expr: string, unit: Unit = 'short'): Panel => ({
  type: 'stat',
  title,
  unit,
  width: 4,
  queries: { '': expr },
});
const list = (title: string, expr: string, width: number): Panel => ({
  type: 'table',
  title,
  unit: 'short',
  width,
  queries: { '': expr },
});

/** A quantile of a histogram over time. */
const quantile = (part: number, histogram: string, selector = ''): string =>
  `histogram_quantile(${part}, sum by (le) (rate(${histogram}_bucket${selector}[$__rate_interval])))`;
const rateOf = (by: string, counter: string, selector = ''): string =>
  `sum by (${by}) (rate(${counter}${selector}[$__rate_interval]))`;
const condition = (selector: string): string => `qwen_coder_resource_condition{${CHOSEN},${selector}}`;
const resourcesWith = (selector: string): string => `count(max by (${RESOURCE}) (${condition(selector)})) or vector(0)`;
const replicas = (state: string): string =>
  `max by (${RESOURCE}) (qwen_coder_resource_replicas{${CHOSEN},state="${state}"})`;

const ROWS: Readonly<Record<string, readonly Panel[]>> = {
  Resources: [
    stat('Ready', resourcesWith('condition="Ready",status="True"')),
    stat('Not ready', resourcesWith('condition="Ready",status!="True"')),
    stat('Stalled', resourcesWith('condition="Stalled",status="True"')),
    stat('Replicas ready', `sum(${replicas('ready')})`),
    stat('Replicas wanted', `sum(${replicas('wanted')})`),
    stat('GPUs free', 'sum(max by (product) (qwen_coder_gpus{state="free"}))'),
    list('Not Ready, and why', `max by (${RESOURCE}, reason) (${condition('condition="Ready",status!="True"')})`, 12),
    list(
      'Plans',
      `max by (${RESOURCE}, gpus, quantization, context, engine_version) (qwen_coder_resource_info{${CHOSEN}})`,
      12,
    ),
    graph('Replicas missing', { [LEGEND]: `${replicas('wanted')} - ${replicas('ready')}` }),
    graph('GPUs by state', { '{{product}} {{state}}': 'max by (product, state) (qwen_coder_gpus)' }),
    graph('Resources by reason of Ready', {
      '{{reason}}': `count by (reason) (max by (${RESOURCE}, reason) (${condition('condition="Ready"')}))`,
    }),
  ],
  Endpoints: [
    graph(
      'Requests',
      { '{{code}}': `${rateOf('code', 'qwen_coder_gateway_requests_total', `{${CHOSEN}}`)} > 0` },
      'reqps',
    ),
    graph(
      'Time to the first token',
      {
        p50: quantile(0.5, 'qwen_coder_gateway_time_to_first_token_seconds', `{${CHOSEN}}`),
        p95: quantile(0.95, 'qwen_coder_gateway_time_to_first_token_seconds', `{${CHOSEN}}`),
      },
      's',
    ),
    graph('Tokens a second', { '{{kind}}': rateOf('kind', 'qwen_coder_gateway_tokens_total', `{${CHOSEN}}`) }),
    graph('Requests at engines, by key', {
      '{{key}}': `sum by (key) (qwen_coder_gateway_key_in_flight{${CHOSEN}}) > 0`,
    }),
    graph('Requests that wait, by key', { '{{key}}': `sum by (key) (qwen_coder_gateway_held{${CHOSEN}}) > 0` }),
    graph(
      'Longest wait',
      { [LEGEND]: `max by (${RESOURCE}) (qwen_coder_gateway_longest_held_seconds{${CHOSEN}})` },
      's',
    ),
  ],
  Work: [
    graph(
      'Reconciles',
      { '{{result}}': rateOf('result', 'controller_runtime_reconcile_total', '{controller="qwencoderdeployment"}') },
      'reqps',
    ),
    graph(
      'Time of a reconcile',
      {
        p50: quantile(0.5, 'controller_runtime_reconcile_time_seconds', '{controller="qwencoderdeployment"}'),
        p99: quantile(0.99, 'controller_runtime_reconcile_time_seconds', '{controller="qwencoderdeployment"}'),
      },
      's',
    ),
    graph('Queue', {
      'waiting, {{priority}}': `sum by (priority) (workqueue_depth{name="qwencoderdeployment"})`,
      'in work': 'sum(controller_runtime_active_workers{controller="qwencoderdeployment"})',
    }),
    graph(
      'Time in the queue',
      { p99: quantile(0.99, 'workqueue_queue_duration_seconds', '{name="qwencoderdeployment"}') },
      's',
    ),
    graph(
      'Writes',
      {
        '{{verb}} {{kind}}': `${rateOf('kind, verb', 'qwen_coder_writes_total')} > 0`,
        status: 'sum(rate(qwen_coder_status_writes_total[$__rate_interval]))',
      },
      'reqps',
    ),
    graph('Plans', { '{{outcome}}': `${rateOf('outcome', 'qwen_coder_plans_total')} > 0` }, 'reqps'),
  ],
  'API server': [
    graph(
      'Requests',
      {
        '{{method}} {{code}}': `sum by (method, code) (rate(rest_client_requests_total[$__rate_interval]) ${OURS}) > 0`,
      },
      'reqps',
    ),
    graph(
      'Time of a request, p99',
      {
        '{{verb}}': `histogram_quantile(0.99, sum by (verb, le) (rate(rest_client_request_duration_seconds_bucket{verb!="GET"}[$__rate_interval]) ${OURS}))`,
      },
      's',
    ),
    graph(
      'Silence on watches',
      { '{{instance}} {{kind}}': 'max by (instance, kind) (qwen_coder_watch_silence_seconds)' },
      's',
    ),
    graph('Objects in the cache', { '{{kind}}': 'max by (kind) (qwen_coder_cached_objects)' }),
    graph(
      'Watch and Lease errors',
      {
        '{{kind}}': `${rateOf('kind', 'qwen_coder_watch_errors_total')} > 0`,
        Lease: 'sum(rate(qwen_coder_lease_errors_total[$__rate_interval]))',
      },
      'reqps',
    ),
    graph('Leader', { '{{instance}}': `leader_election_master_status ${OURS}` }),
  ],
  Process: [
    graph('Memory', { '{{instance}}': `process_resident_memory_bytes ${OURS}` }, 'bytes'),
    graph('CPU', { '{{instance}}': `rate(process_cpu_seconds_total[$__rate_interval]) ${OURS}` }, 'percentunit'),
    graph('Event-loop lag, p99', { '{{instance}}': `nodejs_eventloop_lag_p99_seconds ${OURS}` }, 's'),
  ],
};

/** A Grafana dashboard. It asks for its data source, namespace and resource. */
export const dashboard = (): object => ({
  uid: 'qwen-coder-operator',
  title: 'Qwen coder operator',
  tags: ['kubernetes', 'qwen-coder-operator'],
  schemaVersion: 39,
  editable: true,
  graphTooltip: 1,
  refresh: '30s',
  time: { from: 'now-6h', to: 'now' },
  templating: {
    list: [
      { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus' },
      variable('namespace', 'label_values(qwen_coder_resource_unobserved_generations, resource_namespace)'),
      variable(
        'resource',
        'label_values(qwen_coder_resource_unobserved_generations{resource_namespace=~"$namespace"}, resource_name)',
      ),
    ],
  },
  panels: panels(),
});

/** Every expression of the dashboard. */
export const dashboardExpressions = (): string[] =>
  Object.values(ROWS).flatMap((row) => row.flatMap(({ queries }) => Object.values(queries)));

const variable = (name: string, query: string): object => ({
  name,
  type: 'query',
  datasource: DATASOURCE,
  query: { query, refId: name },
  refresh: 2,
  sort: 1,
  multi: true,
  includeAll: true,
  allValue: '.*',
  current: { selected: true, text: ['All'], value: ['$__all'] },
});

/** Panels from left to right, in lines of 24 columns, under the title of their row. */
function panels(): object[] {
  const result: object[] = [];
  let y = 0;
  const add = (panel: object): void => void result.push({ id: result.length + 1, ...panel });
  for (const [title, row] of Object.entries(ROWS)) {
    add({ type: 'row', title, collapsed: false, gridPos: { x: 0, y, w: 24, h: 1 }, panels: [] });
    y += 1;
    let x = 0;
    for (const [index, panel] of row.entries()) {
      add({ ...grafanaPanel(panel), gridPos: { x, y, w: panel.width, h: HEIGHT } });
      x += panel.width;
      if (index < row.length - 1 && x + row[index + 1]!.width <= 24) continue;
      x = 0;
      y += HEIGHT;
    }
  }
  return result;
}

function grafanaPanel({ type, title, unit, queries }: Panel): object {
  const isTable = type === 'table';
  return {
    type,
    title,
    datasource: DATASOURCE,
    targets: Object.entries(queries).map(([legendFormat, expr], index) => ({
      refId: String.fromCodePoint(65 + index),
      datasource: DATASOURCE,
      expr,
      legendFormat,
      ...(type === 'timeseries' ? {} : { instant: true }),
      ...(isTable && { format: 'table' }),
    })),
    fieldConfig: { defaults: { unit, ...(type === 'timeseries' && { min: 0 }) }, overrides: [] },
    ...(isTable && {
      transformations: [{ id: 'organize', options: { excludeByName: { Time: true, Value: true } } }],
    }),
  };
}
