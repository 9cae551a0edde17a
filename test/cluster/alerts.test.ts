import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ALERTS, RESOURCE_ALERTS, RUNBOOK } from '../../src/install/monitoring/alerts.ts';
import { dashboardExpressions } from '../../src/install/monitoring/dashboard.ts';
import { toYaml } from '../../src/yaml.ts';
import { promtool } from './promtool.ts';

const rules = new URL('../../charts/qwen-coder-operator/files/alerts.yaml', import.meta.url).pathname;

let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'alerts-'));
  await promtool('--version');
});

afterAll(() => rm(directory, { recursive: true, force: true }));

const save = async (name: string, content: unknown): Promise<string> => {
  const path = join(directory, name);
  await writeFile(path, toYaml([content]));
  return path;
};

/** A series and its samples, one a minute, in promtool's notation: `1x90` is 91 times 1. */
type Series = readonly [series: string, values: string];
type Labels = Readonly<Record<string, string>>;

interface Situation {
  readonly name: string;
  readonly series: readonly Series[];
  /** When it is looked at. */
  readonly at: string;
  /** Alert → labels of the one instance that fires, or nothing of it. All other alerts are silent. */
  readonly fires: Readonly<Record<string, Labels>>;
}

const of = 'resource_namespace="team-a",resource_name="coder",namespace="ops",job="qwen",instance="a"';
const subject = { resource_namespace: 'team-a', resource_name: 'coder' };
const condition = (type: string, status: string, reason: string, values = '1x600', more = of): Series => [
  `qwen_coder_resource_condition{${more},condition="${type}",status="${status}",reason="${reason}"}`,
  values,
];
const inThe = (instance: string) => `namespace="ops",job="qwen",instance="${instance}"`;
const installation = { namespace: 'ops', job: 'qwen' };
const build = (instance: string): Series => [`qwen_coder_build_info{${inThe(instance)},version="1"}`, '1x600'];
const leads = (instance: string, values: string): Series => [
  `leader_election_master_status{${inThe(instance)},name="qwen-coder-operator"}`,
  values,
];
const queue = (metric: string, values: string, instance = 'a'): Series => [
  `${metric}{${inThe(instance)},name="qwencoderdeployment",controller="qwencoderdeployment"}`,
  values,
];
const requests = (code: string, values: string): Series => [
  `rest_client_requests_total{${inThe('a')},method="GET",code="${code}"}`,
  values,
];
/** Of a gateway pod, as the PodMonitor labels it. */
const gateway = (metric: string, values: string, pod = 'g', more = ''): Series => [
  `${metric}{resource_namespace="team-a",resource_name="coder",namespace="team-a",job="ops/gateways",instance="${pod}"${more}}`,
  values,
];
/** A pair of operators that is well. */
const well: readonly Series[] = [build('a'), build('b'), leads('a', '1x600'), leads('b', '0x600')];

const SITUATIONS: readonly Situation[] = [
  { name: 'all is well', series: well, at: '60m', fires: {} },
  {
    name: 'a resource serves',
    series: [
      ...well,
      condition('Ready', 'True', 'Serving'),
      condition('EndpointReady', 'True', 'Serving'),
      condition('Stalled', 'False', 'NotStalled'),
      [`qwen_coder_resource_replicas{${of},state="wanted"}`, '1x600'],
      [`qwen_coder_resource_replicas{${of},state="ready"}`, '1x600'],
      [`qwen_coder_resource_unobserved_generations{${of}}`, '0x600'],
    ],
    at: '120m',
    fires: {},
  },
  {
    name: 'a resource is suspended',
    series: [...well, condition('Ready', 'False', 'Suspended'), condition('EndpointReady', 'False', 'Suspended')],
    at: '120m',
    fires: {},
  },
  {
    name: 'an endpoint that answered an hour ago has no engine',
    series: [
      ...well,
      condition('EndpointReady', 'True', 'Serving', '1x30 stale'),
      condition('EndpointReady', 'False', 'NoReadyEngine', '_x30 1x600'),
    ],
    at: '90m',
    fires: { QwenCoderEndpointDown: subject },
  },
  {
    name: 'an endpoint that answered an hour ago has no gateway',
    series: [
      ...well,
      condition('EndpointReady', 'True', 'Serving', '1x30 stale'),
      condition('EndpointReady', 'False', 'GatewayNotReady', '_x30 1x600'),
    ],
    at: '90m',
    fires: { QwenCoderEndpointDown: subject },
  },
  {
    name: 'an endpoint has now no gateway and now no engine',
    series: [
      ...well,
      condition('EndpointReady', 'True', 'Serving', '1x30 stale'),
      condition('EndpointReady', 'False', 'GatewayNotReady', '_x30 1x9 stale _x8 1x9 stale'),
      condition('EndpointReady', 'False', 'NoReadyEngine', '_x40 1x9 stale _x8 1x9 stale'),
    ],
    at: '50m',
    fires: { QwenCoderEndpointDown: subject },
  },
  {
    name: 'an endpoint that has never answered has no engine',
    series: [...well, condition('EndpointReady', 'False', 'NoReadyEngine')],
    at: '90m',
    fires: {},
  },
  {
    name: 'engines do not become ready',
    series: [...well, condition('Ready', 'False', 'EnginesNotReady'), condition('Stalled', 'False', 'NotStalled')],
    at: '50m',
    fires: { QwenCoderNotReady: subject },
  },
  {
    name: 'the reason changes while a resource is not ready, and both operators tell of it',
    series: [
      ...well,
      condition('Ready', 'False', 'NotPlaced', '1x20 stale'),
      condition('Ready', 'False', 'EnginesNotReady', '_x20 1x600'),
      condition('Ready', 'False', 'EnginesNotReady', '_x22 1x600', of.replace('"a"', '"b"')),
    ],
    at: '50m',
    fires: { QwenCoderNotReady: subject },
  },
  {
    name: 'nothing fits: one alert, not two',
    series: [...well, condition('Ready', 'False', 'NotPlanned'), condition('Stalled', 'True', 'NoFittingGpu')],
    at: '60m',
    fires: { QwenCoderStalled: { ...subject, reason: 'NoFittingGpu' } },
  },
  {
    name: 'an engine crashes, starts and crashes',
    series: [
      ...well,
      condition('EnginesReady', 'False', 'CrashLooping', '1 stale _ _ _ _ 1 stale _ _ _ _ 1 stale _ _ _ _ 1'),
    ],
    at: '16m',
    fires: { QwenCoderCrashLooping: subject },
  },
  {
    name: 'an engine that serves runs out of memory every half hour',
    series: [
      ...well,
      [`qwen_coder_resource_replicas{${of},state="ready"}`, '1x29 0x3 1x29 0x3 1x29 0x3 1x60'],
      condition('EnginesReady', 'False', 'OutOfGpuMemory', '_x30 1x3 stale _x28 1x3 stale _x28 1x3 stale'),
    ],
    at: '112m',
    fires: { QwenCoderCrashLooping: subject },
  },
  {
    name: 'an engine that serves crashes once, and an edit restarts three',
    series: [
      ...well,
      [`qwen_coder_resource_replicas{${of},state="ready"}`, '3x9 2x3 3x40 2x3 3x3 2x3 3x3 2x3 3x120'],
      condition('EnginesReady', 'False', 'EngineCrashed', '_x10 1x3 stale'),
    ],
    at: '80m',
    fires: {},
  },
  {
    name: 'the hub is away for an hour, while Jobs come and go',
    series: [
      ...well,
      condition('ModelAvailable', 'False', 'HubUnreachable', '1x18 stale _ _ 1x18 stale _ _ 1x18'),
      condition('Stalled', 'True', 'FetchFailed', '_x10 1x7 stale _x14 1x7 stale _x14 1x7'),
    ],
    at: '50m',
    fires: { QwenCoderHubUnreachable: subject },
  },
  {
    name: 'an engine pod finds no node',
    series: [...well, condition('Placed', 'False', 'Unschedulable')],
    at: '20m',
    fires: { QwenCoderUnschedulable: { ...subject, reason: 'Unschedulable' } },
  },
  {
    name: 'the claim of the weights is not bound',
    series: [...well, condition('ModelAvailable', 'False', 'VolumePending')],
    at: '20m',
    fires: { QwenCoderUnschedulable: { ...subject, reason: 'VolumePending' } },
  },
  {
    name: 'the pod that fetches weights finds no node',
    series: [...well, condition('ModelAvailable', 'False', 'FetchUnschedulable')],
    at: '20m',
    fires: { QwenCoderUnschedulable: { ...subject, reason: 'FetchUnschedulable' } },
  },
  {
    name: 'clients wait for minutes at one of two gateways',
    series: [
      ...well,
      condition('EndpointReady', 'True', 'Serving'),
      gateway('qwen_coder_gateway_longest_held_seconds', '120x60'),
      gateway('qwen_coder_gateway_longest_held_seconds', '0x60', 'h'),
    ],
    at: '15m',
    fires: { QwenCoderRequestsHeld: subject },
  },
  {
    name: 'each wave of requests waits for a minute and is served',
    series: [
      ...well,
      condition('EndpointReady', 'True', 'Serving'),
      gateway('qwen_coder_gateway_longest_held_seconds', '80x4 0 80x4 0 80x4 0 80x4 0'),
    ],
    at: '20m',
    fires: {},
  },
  {
    name: 'a tenth of the requests fail, at two gateways together',
    series: [
      ...well,
      condition('EndpointReady', 'True', 'Serving'),
      gateway('qwen_coder_gateway_requests_total', '0+9x60', 'g', ',code="200",key="alice"'),
      gateway('qwen_coder_gateway_requests_total', '0+1x60', 'g', ',code="0",key="alice"'),
      gateway('qwen_coder_gateway_requests_total', '0+9x60', 'h', ',code="200",key="bob"'),
      gateway('qwen_coder_gateway_requests_total', '0+1x60', 'h', ',code="503",key="bob"'),
    ],
    at: '30m',
    fires: { QwenCoderGatewayErrors: subject },
  },
  {
    name: 'wrong keys, long prompts and clients that leave are no failures',
    series: [
      ...well,
      condition('EndpointReady', 'True', 'Serving'),
      ...['400', '401', '413', '429', '499'].map((code) =>
        gateway('qwen_coder_gateway_requests_total', '0+9x60', 'g', `,code="${code}"`),
      ),
    ],
    at: '30m',
    fires: {},
  },
  {
    name: 'two requests in an hour fail, and there were no others',
    series: [
      ...well,
      condition('EndpointReady', 'True', 'Serving'),
      gateway('qwen_coder_gateway_requests_total', '0x20 1x10 2x60', 'g', ',code="502"'),
    ],
    at: '40m',
    fires: {},
  },
  {
    name: 'a suspended resource refuses whoever asks',
    series: [
      ...well,
      condition('EndpointReady', 'False', 'Suspended'),
      gateway('qwen_coder_gateway_requests_total', '0+9x60', 'g', ',code="503"'),
    ],
    at: '30m',
    fires: {},
  },
  {
    name: 'weights are being fetched for an hour',
    series: [
      ...well,
      condition('Ready', 'False', 'WeightsNotAvailable'),
      condition('ModelAvailable', 'False', 'Fetching'),
    ],
    at: '60m',
    fires: {},
  },
  {
    name: 'weights are being fetched for six hours',
    series: [...well, condition('ModelAvailable', 'False', 'Fetching')],
    at: '365m',
    fires: { QwenCoderWeightsSlow: subject },
  },
  {
    name: 'two of three replicas are ready',
    series: [
      ...well,
      condition('Ready', 'True', 'Serving'),
      [`qwen_coder_resource_replicas{${of},state="wanted"}`, '3x600'],
      [`qwen_coder_resource_replicas{${of},state="ready"}`, '2x600'],
    ],
    at: '65m',
    fires: { QwenCoderReplicasMissing: subject },
  },
  {
    name: 'an edit is not looked at, as both operators see',
    series: [
      ...well,
      [`qwen_coder_resource_unobserved_generations{${of}}`, '1x600'],
      [`qwen_coder_resource_unobserved_generations{${of.replace('"a"', '"b"')}}`, '2x600'],
    ],
    at: '15m',
    fires: { QwenCoderEditIgnored: subject },
  },
  { name: 'nothing is scraped', series: [], at: '15m', fires: { QwenCoderOperatorDown: {} } },
  {
    name: 'a process starts every ten minutes',
    series: [...well, [`process_start_time_seconds{${inThe('a')}}`, '1x9 2x9 3x9 4x9 5x9 6x9 7x9']],
    at: '60m',
    fires: { QwenCoderOperatorRestarting: { ...installation, instance: 'a' } },
  },
  {
    name: 'a process that is none of ours starts every ten minutes, and one of its kind has no leader',
    series: [
      ...well,
      [`process_start_time_seconds{job="other",instance="x"}`, '1x9 2x9 3x9 4x9 5x9 6x9'],
      [`leader_election_master_status{job="other",instance="x",name="other"}`, '0x600'],
    ],
    at: '55m',
    fires: {},
  },
  {
    name: 'nobody leads',
    series: [build('a'), build('b'), leads('a', '0x600'), leads('b', '0x600')],
    at: '10m',
    fires: { QwenCoderNoLeader: installation },
  },
  {
    name: 'leadership passes from one to the other between two scrapes',
    series: [build('a'), build('b'), leads('a', '1x10 1 0x50'), leads('b', '0x10 1x51')],
    at: '11m',
    fires: {},
  },
  {
    name: 'two lead',
    series: [build('a'), build('b'), leads('a', '1x600'), leads('b', '1x600')],
    at: '5m',
    fires: { QwenCoderTwoLeaders: installation },
  },
  {
    name: 'reconciles fail again and again',
    series: [
      ...well,
      [`controller_runtime_reconcile_errors_total{${inThe('a')},controller="qwencoderdeployment"}`, '0+1x60'],
    ],
    at: '40m',
    fires: { QwenCoderReconcileErrors: installation },
  },
  {
    name: 'a reconcile fails every ten minutes',
    series: [
      ...well,
      [
        `controller_runtime_reconcile_errors_total{${inThe('a')},controller="qwencoderdeployment"}`,
        '0x9 1x9 2x9 3x9 4x9 5x9',
      ],
    ],
    at: '55m',
    fires: {},
  },
  {
    name: 'a reconcile hangs',
    series: [...well, queue('workqueue_longest_running_processor_seconds', '0+60x60')],
    at: '20m',
    fires: { QwenCoderQueueStuck: { ...installation, instance: 'a' } },
  },
  {
    name: 'the leader takes nothing from its queue',
    series: [...well, queue('workqueue_depth', '3x60'), queue('workqueue_work_duration_seconds_count', '7x60')],
    at: '25m',
    fires: { QwenCoderQueueStuck: { ...installation, instance: 'a' } },
  },
  {
    name: 'one that stands by keeps its queue',
    series: [
      ...well,
      queue('workqueue_depth', '3x60', 'b'),
      queue('workqueue_work_duration_seconds_count', '0x60', 'b'),
    ],
    at: '25m',
    fires: {},
  },
  {
    name: 'nothing is heard on a watch, with a restart every three minutes',
    series: [
      ...well,
      [`qwen_coder_watch_silence_seconds{${inThe('a')},kind="Pod"}`, '0 60 120 180 0 60 120 180 0 60 120 180'],
    ],
    at: '9m',
    fires: { QwenCoderWatchStale: { ...installation, instance: 'a', kind: 'Pod' } },
  },
  {
    name: 'bookmarks come once a minute',
    series: [...well, [`qwen_coder_watch_silence_seconds{${inThe('a')},kind="Pod"}`, '60x60']],
    at: '30m',
    fires: {},
  },
  {
    name: 'the API server throttles',
    series: [...well, requests('429', '0+30x60'), requests('200', '0+3000x60')],
    at: '30m',
    fires: { QwenCoderApiThrottled: installation },
  },
  {
    name: 'a fifth of the requests fail',
    series: [...well, requests('503', '0+10x60'), requests('<error>', '0+10x60'), requests('200', '0+80x60')],
    at: '30m',
    fires: { QwenCoderApiErrors: installation },
  },
];

/** What Prometheus hands on: labels of the rule and of the series, templates filled in. */
function instance(name: string, labels: Labels): object {
  const { severity, summary, description } = ALERTS.find((alert) => alert.name === name)!;
  const isOfResource = RESOURCE_ALERTS.some((alert) => alert.name === name);
  const filled = description.replaceAll(/\{\{ \$labels\.(\w+) \}\}/g, (_all, label: string) => labels[label]!);
  return {
    exp_labels: { ...labels, severity, ...(isOfResource && { namespace: labels['resource_namespace'] }) },
    exp_annotations: { summary, description: filled, runbook_url: `${RUNBOOK}#${name.toLowerCase()}` },
  };
}

describe('the rules', () => {
  test('are rules to Prometheus', async () => {
    expect(await promtool('check', 'rules', '--lint=all', '--lint-fatal', rules)).toContain(
      `${ALERTS.length} rules found`,
    );
  });

  test('are each tried by a situation in which they fire', () => {
    const tried = new Set(SITUATIONS.flatMap(({ fires }) => Object.keys(fires)));
    expect(ALERTS.map(({ name }) => name).filter((name) => !tried.has(name))).toEqual([]);
  });

  test.each(SITUATIONS)('$name: the right alerts fire, and no other', async ({ name, series, at, fires }) => {
    const path = await save(`${name.replaceAll(/\W+/g, '-')}.yaml`, {
      rule_files: [rules],
      evaluation_interval: '1m',
      tests: [
        {
          interval: '1m',
          input_series: series.map(([selector, values]) => ({ series: selector, values })),
          alert_rule_test: ALERTS.map((alert) => ({
            eval_time: at,
            alertname: alert.name,
            exp_alerts: fires[alert.name] ? [instance(alert.name, fires[alert.name]!)] : [],
          })),
        },
      ],
    });
    expect(await promtool('test', 'rules', path)).toContain('SUCCESS');
  });
});

test('every expression of the dashboard is one to Prometheus', async () => {
  const path = await save('dashboard.yaml', {
    groups: [
      {
        name: 'dashboard',
        rules: dashboardExpressions().map((expr, index) => ({
          record: `panel:${index}`,
          expr: expr.replaceAll('$__rate_interval', '5m').replaceAll('$namespace', '.*').replaceAll('$resource', '.*'),
        })),
      },
    ],
  });
  expect(await promtool('check', 'rules', path)).toContain('SUCCESS');
});
