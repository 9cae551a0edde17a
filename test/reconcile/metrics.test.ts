import { describe, expect, test } from 'vitest';
import type { QwenCoderDeployment, QwenCoderStatus } from '../../src/api/index.ts';
import { GpuInventory } from '../../src/reconcile/inventory.ts';
import { OperatorMetrics, type Scraped, collectFrom } from '../../src/reconcile/metrics.ts';
import { Metrics } from '../../src/runtime/index.ts';
import { planServing } from '../../src/serving/index.ts';
import { gpuNode, pod, spec } from '../support/builders.ts';
import { ManualClock } from '../support/manual-clock.ts';

interface World {
  readonly resources?: readonly QwenCoderDeployment[];
  readonly watches?: ReturnType<Scraped['watches']>;
  readonly inventory?: GpuInventory;
}

function setUp({ resources = [], watches = [], inventory = new GpuInventory() }: World = {}) {
  const metrics = new Metrics();
  const clock = new ManualClock();
  const operator = new OperatorMetrics(metrics, clock, { version: '1.2.3', node: 'v24.0.0' });
  collectFrom(metrics, { resources: () => resources, watches: () => watches, inventory });
  const lines = async (name = 'qwen_coder_'): Promise<string[]> =>
    (await metrics.text()).split('\n').filter((line) => line.startsWith(name) && !line.includes('_bucket{'));
  return { metrics, operator, lines };
}

const resource = (name: string, status: QwenCoderStatus, generation = 1) =>
  ({
    apiVersion: 'qwencoder.dev/v1alpha1',
    kind: 'QwenCoderDeployment',
    metadata: { namespace: 'team-a', name, uid: name, generation },
    spec: {},
    status,
  }) as unknown as QwenCoderDeployment;

const served: QwenCoderStatus = {
  observedGeneration: 1,
  conditions: [
    { type: 'Ready', status: 'True', reason: 'Serving', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' },
  ],
  plan: { engine: 'VLLM', engineVersion: '0.33.0', quantization: 'FP8', gpus: '2x H100-80GB', maxModelLen: 262144 },
  replicas: 3,
  readyReplicas: 2,
  scaling: { desiredReplicas: 3 },
};

const child = (kind: string) => ({ kind, metadata: { name: 'coder' } });

describe('OperatorMetrics', () => {
  test('everything that is counted is there at 0 before anything happened', async () => {
    const lines = await setUp().lines();
    const counted = lines.filter((line) => !line.startsWith('qwen_coder_writes_total'));
    expect(counted.filter((line) => !line.endsWith(' 0'))).toEqual([
      'qwen_coder_build_info{version="1.2.3",node_version="v24.0.0"} 1',
    ]);
    expect(counted.filter((line) => line.startsWith('qwen_coder_plans_total'))).toHaveLength(11);
    expect(counted.filter((line) => line.startsWith('qwen_coder_watch_errors_total'))).toHaveLength(14);
    const writes = lines.filter((line) => line.startsWith('qwen_coder_writes_total'));
    expect(writes).toHaveLength(30);
    expect(writes).toContain('qwen_coder_writes_total{kind="Deployment",verb="update"} 0');
  });

  test('writes count by kind and verb', async () => {
    const { operator, lines } = setUp();
    const object = child('Deployment');
    operator.wrote({ do: 'create', object, reason: '' });
    operator.wrote({ do: 'apply', object, live: object, reason: '' });
    operator.wrote({ do: 'apply', object, live: object, reason: '' });
    operator.wrote({ do: 'delete', object: child('Job'), reason: '' });
    operator.statusWritten();
    const writes = (await lines('qwen_coder_')).filter((line) => /writes_total.* [1-9]/.test(line));
    expect(writes).toEqual([
      'qwen_coder_writes_total{kind="Deployment",verb="create"} 1',
      'qwen_coder_writes_total{kind="Deployment",verb="update"} 2',
      'qwen_coder_writes_total{kind="Job",verb="delete"} 1',
      'qwen_coder_status_writes_total 1',
    ]);
  });

  test('plans count by outcome and are timed; the plan is the same', async () => {
    const { operator, lines } = setUp();
    const plan = operator.measured(planServing);
    const request = { spec: spec(), nodes: [gpuNode()] };
    expect(plan(request)).toEqual(planServing(request));
    expect(plan({ spec: spec(), nodes: [] })).toMatchObject({ reason: 'NoGpuNodes' });
    expect((await lines('qwen_coder_plans_total')).filter((line) => !line.endsWith(' 0'))).toEqual([
      'qwen_coder_plans_total{outcome="Planned"} 1',
      'qwen_coder_plans_total{outcome="NoGpuNodes"} 1',
    ]);
    expect(await lines('qwen_coder_plan_duration_seconds_count')).toEqual(['qwen_coder_plan_duration_seconds_count 2']);
  });

  test('interrupted watches count by kind, failed attempts at the Lease by themselves', async () => {
    const { operator, lines } = setUp();
    operator.watchFailed('Pod');
    operator.leaseFailed();
    expect((await lines()).filter((line) => /_errors_total.* [1-9]/.test(line))).toEqual([
      'qwen_coder_watch_errors_total{kind="Pod"} 1',
      'qwen_coder_lease_errors_total 1',
    ]);
  });
});

describe('what is read at each scrape', () => {
  test('a resource shows its conditions, its plan, its replicas and the edits that nobody looked at', async () => {
    const { lines } = setUp({ resources: [resource('coder', served, 3)] });
    const of = 'resource_namespace="team-a",resource_name="coder"';
    expect(await lines('qwen_coder_resource_')).toEqual([
      `qwen_coder_resource_condition{${of},condition="Ready",status="True",reason="Serving"} 1`,
      `qwen_coder_resource_info{${of},engine="VLLM",engine_version="0.33.0",quantization="FP8",gpus="2x H100-80GB",context="262144"} 1`,
      `qwen_coder_resource_replicas{${of},state="wanted"} 3`,
      `qwen_coder_resource_replicas{${of},state="running"} 3`,
      `qwen_coder_resource_replicas{${of},state="ready"} 2`,
      `qwen_coder_resource_unobserved_generations{${of}} 2`,
    ]);
  });

  test('a resource that nobody has looked at yet has no condition and no plan', async () => {
    const { lines } = setUp({ resources: [resource('coder', {})] });
    expect(await lines('qwen_coder_resource_condition')).toEqual([]);
    expect(await lines('qwen_coder_resource_info')).toEqual([]);
    expect(await lines('qwen_coder_resource_unobserved_generations')).toEqual([
      'qwen_coder_resource_unobserved_generations{resource_namespace="team-a",resource_name="coder"} 1',
    ]);
  });

  test('series of a deleted resource are gone', async () => {
    const resources = [resource('coder', served)];
    const { lines } = setUp({ resources });
    expect(await lines('qwen_coder_resource_')).not.toEqual([]);
    resources.pop();
    expect(await lines('qwen_coder_resource_')).toEqual([]);
  });

  test('each GPU is counted once: with engines, with others, free, or free where no pod may go', async () => {
    const inventory = new GpuInventory();
    const node = (name: string, product: string, schedulable = true) =>
      inventory.setNode({
        metadata: { name },
        labels: { 'nvidia.com/gpu.product': product },
        allocatable: { 'nvidia.com/gpu': '8' },
        taints: [],
        schedulable,
      });
    node('node-1', 'NVIDIA-H100-80GB-HBM3');
    node('node-2', 'NVIDIA-H100-80GB-HBM3', false);
    node('node-3', 'NVIDIA-L40S');
    node('node-4', 'NVIDIA-H100-80GB-HBM3-MIG-1g.10gb');
    inventory.movePod(undefined, pod());
    const stranger = { name: 'theirs', namespace: 'team-b', uid: 'theirs', resourceVersion: '1' };
    inventory.movePod(undefined, { ...pod({ gpus: { 'nvidia.com/gpu': 1 } }), metadata: stranger });
    const { lines } = setUp({ inventory });
    expect(await lines('qwen_coder_gpus')).toEqual([
      'qwen_coder_gpus{product="H100-80GB",state="engines"} 2',
      'qwen_coder_gpus{product="H100-80GB",state="others"} 1',
      'qwen_coder_gpus{product="H100-80GB",state="free"} 5',
      'qwen_coder_gpus{product="H100-80GB",state="cordoned"} 8',
      'qwen_coder_gpus{product="L40S-48GB",state="engines"} 0',
      'qwen_coder_gpus{product="L40S-48GB",state="others"} 0',
      'qwen_coder_gpus{product="L40S-48GB",state="free"} 8',
      'qwen_coder_gpus{product="L40S-48GB",state="cordoned"} 0',
    ]);
  });

  test('caches show their size and how long nothing was heard', async () => {
    const { lines } = setUp({ watches: [{ kind: 'Pod', objects: 12, silentMs: 1500 }] });
    expect([...(await lines('qwen_coder_cached')), ...(await lines('qwen_coder_watch_silence'))]).toEqual([
      'qwen_coder_cached_objects{kind="Pod"} 12',
      'qwen_coder_watch_silence_seconds{kind="Pod"} 1.5',
    ]);
  });
});
