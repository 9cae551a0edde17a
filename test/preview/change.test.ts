import { describe, expect, test } from 'vitest';
import type { QwenCoderDeployment, QwenCoderSpecInput } from '../../src/api/index.ts';
import type { Deployment, Job, KubeObject } from '../../src/kube/index.ts';
import { type Preview, preview } from '../../src/preview/preview.ts';
import type { Change } from '../../src/preview/report.ts';
import { presumedInstallation } from '../../src/preview/presumed-installation.ts';
import { idleCluster, Snapshot } from '../../src/preview/snapshot.ts';
import { PLAIN } from '../../src/preview/terminal.ts';
import { textOf } from '../../src/preview/text.ts';
import type { NodeFacts, PodFacts, QuotaFacts } from '../../src/reconcile/facts.ts';
import { REVISION, SLOT } from '../../src/render/index.ts';
import { parseNodes } from '../../src/serving/index.ts';
import { installation, pod, spec } from '../support/builders.ts';

const KEY = 'team-a/coder';
const UID = 'uid-coder';

const wish = (input: QwenCoderSpecInput) => ({
  name: 'coder',
  namespace: 'team-a',
  uid: UID,
  spec: spec(input),
  isNamed: true,
});

const h100s: NodeFacts = {
  kind: 'Node',
  metadata: { name: 'node-1' },
  labels: { 'nvidia.com/gpu.product': 'NVIDIA-H100-80GB-HBM3' },
  allocatable: { 'nvidia.com/gpu': '8' },
  taints: [],
  schedulable: true,
};

/** A cluster in which a resource of that spec has come to rest; `unready` slots have an engine that does not answer. */
function settled(input: QwenCoderSpecInput, unready: readonly number[] = []): Snapshot {
  const cluster = idleCluster(parseNodes('8xH100-80GB'));
  const { ahead } = preview(wish(input), { cluster, namespace: 'team-a', installation, isLive: false });
  const children = ahead.children.map((child): KubeObject => (child.kind === 'Job' ? completed(child) : child));
  const pods = (ahead.children as Deployment[])
    .filter(({ kind, spec }) => kind === 'Deployment' && spec!.replicas === 1)
    .map(({ spec }): PodFacts => {
      const labels = spec!.template.metadata!.labels!;
      const slot = Number(labels[SLOT]);
      return pod({ slot, revision: labels[REVISION]!, ready: !unready.includes(slot) });
    });
  const resource = {
    apiVersion: 'qwencoder.dev/v1alpha1',
    kind: 'QwenCoderDeployment',
    metadata: { name: 'coder', namespace: 'team-a', uid: UID, generation: 1 },
    spec: spec(input),
  } as QwenCoderDeployment;
  return new Snapshot({ nodes: [h100s], pods, live: new Map([[KEY, { resource, children }]]) });
}

const completed = (job: Job): Job => ({ ...job, status: { conditions: [{ type: 'Complete', status: 'True' }] } });

const apply = (cluster: Snapshot, input: QwenCoderSpecInput, image?: string): Preview =>
  preview(wish(input), {
    cluster,
    namespace: 'team-a',
    installation: presumedInstallation({}),
    image,
    isLive: true,
  });

const changeOf = (cluster: Snapshot, input: QwenCoderSpecInput): Change => apply(cluster, input).report.change!;

const two: QwenCoderSpecInput = { scaling: { mode: 'None' }, replicas: 2 };
const nothing = { restarts: [], starts: [], stops: [] };

describe('what applying a resource changes', () => {
  test.each<{ name: string; before: QwenCoderSpecInput; after: QwenCoderSpecInput }>([
    { name: 'live-same', before: two, after: two },
    { name: 'live-two-restart', before: two, after: { ...two, tools: { enabled: false } } },
    { name: 'live-other-weights', before: two, after: { ...two, model: { quantization: 'BF16' } } },
    { name: 'live-fits-nowhere', before: two, after: { ...two, placement: { products: ['B200-180GB'] } } },
    { name: 'live-one-more', before: two, after: { ...two, replicas: 3 } },
  ])('$name reads as reviewed', async ({ name, before, after }) => {
    const text = textOf(apply(settled(before), after).report, PLAIN);
    await expect(`${text}\n`).toMatchFileSnapshot(`../golden/plan/${name}.txt`);
  });

  test('live-new reads as reviewed', async () => {
    const cluster = new Snapshot({ nodes: [h100s], pods: [], live: new Map() });
    const text = textOf(apply(cluster, two).report, PLAIN);
    await expect(`${text}\n`).toMatchFileSnapshot('../golden/plan/live-new.txt');
  });

  const l40s: NodeFacts = {
    ...h100s,
    metadata: { name: 'node-2' },
    labels: { 'nvidia.com/gpu.product': 'NVIDIA-L40S' },
    allocatable: { 'nvidia.com/gpu': '4' },
  };
  const stranger = (gpus: number): PodFacts => ({
    ...pod({ name: 'training' }),
    metadata: { name: 'training', namespace: 'team-b' },
    nodeName: 'node-1',
    gpus: { 'nvidia.com/gpu': gpus },
  });
  const busy = (gpus: number, ...nodes: NodeFacts[]) =>
    new Snapshot({ nodes: [h100s, ...nodes], pods: [stranger(gpus)], live: new Map() });

  test('what waits for GPUs, and what could start sooner, read as reviewed', async () => {
    const shapes: QwenCoderSpecInput = {
      placement: { nodeShapes: [{ product: 'NVIDIA-L40S', memory: '48Gi', gpus: 4 }] },
    };
    const texts = [
      apply(busy(8, l40s), {}),
      apply(busy(6, l40s, { ...l40s, metadata: { name: 'node-3' } }), {
        ...two,
        storage: { accessMode: 'ReadWriteMany' },
      }),
      apply(busy(8), shapes),
      apply(busy(8), {}),
    ].map(({ report }) => textOf({ ...report, change: undefined, rejected: [] }, PLAIN));
    await expect(`${texts.join('\n\n\n')}\n`).toMatchFileSnapshot('../golden/plan/waits-for-gpus.txt');
  });

  test('what could start sooner is in the data too, and not of a resource that is to run nothing', () => {
    const set = { placement: { products: ['L40S-48GB'] } };
    expect(apply(busy(8, l40s), {}).report).toMatchObject({ alternative: { startable: 1, set } });
    for (const input of [{ suspend: true }, { scaling: { mode: 'External' as const }, replicas: 0 }])
      expect(apply(busy(8, l40s), input).report).toMatchObject({ alternative: undefined });
  });

  test('the same spec writes nothing at all, whatever secret and image the operator has', () => {
    expect(changeOf(settled(two), two)).toMatchObject({ ...nothing, exists: true, writes: [] });
  });

  test('another image of gateways, where one is named, restarts gateways and no engine', () => {
    const { change } = apply(settled(two), two, 'qwen-coder-operator:9.9.9').report;
    expect(change).toMatchObject(nothing);
    expect(change!.writes).toMatchObject([{ kind: 'Deployment', name: 'coder-gateway' }]);
  });

  test('a default that is written out, and the planned value, restart nothing', () => {
    const change = changeOf(settled(two), { ...two, tools: { enabled: true }, context: { maxModelLen: 262144 } });
    expect(change).toMatchObject(nothing);
  });

  test('engines that answer restart one after another; those that do not go at once with the first', () => {
    const three = { ...two, replicas: 3 };
    const edit = { ...three, tools: { enabled: false } };
    const names = (...slots: number[]) => slots.map((slot) => `coder-engine-${slot}`);
    expect(changeOf(settled(three), edit).restarts).toEqual([names(0), names(1), names(2)]);
    expect(changeOf(settled(three, [1, 2]), edit).restarts).toEqual([names(0, 1, 2)]);
  });

  test('fewer replicas stop the highest; suspension stops all and restarts none', () => {
    expect(changeOf(settled(two), { ...two, replicas: 1 })).toMatchObject({ ...nothing, stops: ['coder-engine-1'] });
    const suspended = changeOf(settled(two), { ...two, suspend: true, tools: { enabled: false } });
    expect(suspended).toMatchObject({ ...nothing, stops: ['coder-engine-0', 'coder-engine-1'] });
  });

  test('a resource that wakes with another engine starts engines and restarts none', () => {
    const change = changeOf(settled({ ...two, suspend: true }), { ...two, tools: { enabled: false } });
    expect(change).toMatchObject({ ...nothing, starts: ['coder-engine-0', 'coder-engine-1'] });
  });

  test('replicas that an autoscaler wrote stay where the file has none', () => {
    const external: QwenCoderSpecInput = { scaling: { mode: 'External' } };
    expect(changeOf(settled({ ...external, replicas: 3 }), external)).toMatchObject({ ...nothing, writes: [] });
  });

  test('other weights are fetched anew, a new mirror verifies those that are there', () => {
    expect(changeOf(settled(two), { ...two, model: { quantization: 'BF16' } }).weights).toMatchObject({
      state: 'ToFetch',
      isAnew: true,
      bytes: 159_350_000_000,
    });
    const mirrored = { model: { source: { type: 'HuggingFace' as const, endpoint: 'https://hub.corp.local' } } };
    expect(changeOf(settled(two), { ...two, ...mirrored })).toMatchObject({
      ...nothing,
      weights: { state: 'ToVerify' },
    });
  });

  test('a quota refuses what it never lets in, says how many replicas it does, and is of its own namespace', async () => {
    const quota = (namespace: string, gpus: number): QuotaFacts => ({
      metadata: { name: 'gpus', namespace },
      gpus: { 'nvidia.com/gpu': gpus },
      scopes: [],
    });
    const under = (...quotas: QuotaFacts[]) =>
      apply(new Snapshot({ nodes: [h100s], pods: [], quotas, live: new Map() }), two);
    const texts = [under(quota('team-a', 1)), under(quota('team-a', 3)), under(quota('team-b', 1))].map(({ report }) =>
      textOf({ ...report, change: undefined }, PLAIN),
    );
    await expect(`${texts.join('\n\n\n')}\n`).toMatchFileSnapshot('../golden/plan/quotas.txt');
  });

  test('what fits nowhere leaves running engines and their weights alone', () => {
    const { restarts, stops, writes } = changeOf(settled(two), { ...two, placement: { products: ['B200-180GB'] } });
    expect({ restarts, stops, writes }).toEqual({ restarts: [], stops: [], writes: [] });
  });
});
