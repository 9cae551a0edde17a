import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { QwenCoderSpecInput } from '../../src/api/index.ts';
import { Deployments, Jobs, type KubeObject, PersistentVolumeClaims, Services } from '../../src/kube/index.ts';
import { CHILD_KINDS } from '../../src/reconcile/apply.ts';
import { COMPONENT } from '../../src/render/index.ts';
import { scaledClock } from '../support/scaled-clock.ts';
import { World, eventually } from './world.ts';

/** Weights that need no download: engines start at once. */
const image: QwenCoderSpecInput = {
  model: { quantization: 'FP8', source: { type: 'Image', reference: 'models/coder-fp8:1' } },
};

let world: World;

beforeAll(async () => {
  world = await World.start({
    nodes: '8xH100-80GB*4,4xL40S-48GB,2xRTX4090-24GB',
    simulator: { clock: scaledClock(20), loadSeconds: 10 },
  });
});

afterAll(async () => {
  await world?.stop();
});

afterEach(() => world.clear());

describe('the network rules of engines, where the network plugin enforces none', () => {
  test('are told to be open, with the remedy, and tried again once the Job is deleted', async () => {
    const namespace = await world.namespace();
    await world.apply(namespace, 'coder', image);
    const notEnforced = { status: 'False', reason: 'NotEnforced' } as const;
    const { message } = await world.condition(namespace, 'coder', 'NetworkLocked', notEnforced);
    const [, name] = /^The pod of Job (coder-network-\w+), under the same rules as the engines, reached/.exec(message)!;
    expect(message).toContain('Use one that does, as Calico or Cilium, then delete the Job');
    const job = async () => world.client.get(Jobs, { namespace, name: name! });
    const first = (await job())!.metadata!.uid;
    await world.client.delete(Jobs, { namespace, name: name! });
    await eventually(async () => {
      const again = await job();
      expect(again?.metadata?.uid).not.toBe(first);
      expect(again?.status?.conditions).toContainEqual(expect.objectContaining({ type: 'Failed', status: 'True' }));
    });
    await world.condition(namespace, 'coder', 'NetworkLocked', notEnforced);
    // Engines serve all the same.
    await world.ready(namespace, 'coder');
  });
});

describe('a resource that was just created', () => {
  test('the empty spec becomes Ready as FP8 on two H100s with the full context', async () => {
    const namespace = await world.namespace();
    await world.apply(namespace, 'coder', {});
    await world.ready(namespace, 'coder');
    const { status } = (await world.resource(namespace, 'coder'))!;
    expect(status!.plan).toMatchObject({
      quantization: 'FP8',
      tensorParallelSize: 2,
      maxModelLen: 262144,
      gpus: '2x H100-80GB',
    });
    expect(status!.plan!.concurrency).toBeGreaterThanOrEqual(4);
    const [engine] = world.simulator.engines().filter((candidate) => candidate.namespace === namespace);
    expect(engine!.maxModelLen).toBe(262144);
    expect(engine!.args).toContain('--tool-call-parser=qwen3_coder');
  });

  test('kubectl works on it as on any resource: wait, explain, get, scale', async () => {
    const namespace = await world.namespace();
    await world.apply(namespace, 'coder', { ...image, scaling: { mode: 'External' } });
    const kubectl = (...args: string[]) => world.cluster.kubectl(['-n', namespace, ...args]);
    expect(await kubectl('wait', '--for=condition=Ready', 'qcd/coder', '--timeout=60s')).toBe(
      'qwencoderdeployment.qwencoder.dev/coder condition met\n',
    );
    expect(await kubectl('explain', 'qcd.spec.context')).toContain('minConcurrency');
    const [header, row] = (await kubectl('get', 'qcd', '-o', 'wide')).trim().split('\n');
    expect(header!.split(/\s{2,}/).map((column) => column.trim())).toEqual([
      'NAME',
      'READY',
      'REPLICAS',
      'ENGINE',
      'GPUS',
      'CONTEXT',
      'REASON',
      'AGE',
      'ENDPOINT',
      'QUANTIZATION',
      'VERSION',
    ]);
    expect(row).toMatch(
      /coder +True +1\/1 +VLLM +2x H100-80GB +262144 +Serving +\w+ +http:\/\/coder\.test-\d+\.svc\/v1 +FP8 +0\.33\.0/,
    );
    await kubectl('scale', 'qcd/coder', '--replicas=2');
    await eventually(async () =>
      expect((await world.resource(namespace, 'coder'))!.status).toMatchObject({ replicas: 2, readyReplicas: 2 }),
    );
    await kubectl('scale', 'qcd/coder', '--replicas=1');
    await eventually(async () =>
      expect((await world.resource(namespace, 'coder'))!.status).toMatchObject({ replicas: 1, readyReplicas: 1 }),
    );
  });

  test('it says per candidate, in GiB, why no GPU fits, and plans once one does', async () => {
    const namespace = await world.namespace();
    await world.apply(namespace, 'coder', { ...image, placement: { products: ['RTX4090-24GB', 'H200-141GB'] } });
    const planned = await world.condition(namespace, 'coder', 'Planned', { status: 'False', reason: 'NoFittingGpu' });
    expect(planned.message).toMatch(/FP8 on 2x RTX4090-24GB, needs 41\.5 GiB .* 22\.1 GiB of 24\.0 GiB are usable/);
    await world.condition(namespace, 'coder', 'Stalled', { status: 'True', reason: 'NoFittingGpu' });
    const { rejected } = (await world.resource(namespace, 'coder'))!.status!.plan!;
    expect(rejected!.map(({ candidate }) => candidate)).toContain('FP8 on 1x RTX4090-24GB');

    const [node] = await world.cluster.addNodes('2xH200-141GB');
    await world.ready(namespace, 'coder');
    expect((await world.resource(namespace, 'coder'))!.status!.plan).toMatchObject({
      gpus: '1x H200-141GB',
      quantization: 'FP8',
    });
    await world.remove(namespace, 'coder');
    await eventually(async () => expect(await world.children(namespace, 'coder')).toEqual([]));
    await world.cluster.removeNode(node!);
  });
});

describe('a name that is taken', () => {
  test('the other object is left alone, the condition names it, and the way is free once it is gone', async () => {
    const namespace = await world.namespace();
    const foreign = {
      metadata: { name: 'coder', namespace, labels: { app: 'theirs' } },
      spec: { ports: [{ port: 1 }] },
    };
    const before = await world.client.create(Services, foreign);
    await world.apply(namespace, 'coder', image);
    const ready = await world.condition(namespace, 'coder', 'Ready', { status: 'False', reason: 'NameTaken' });
    expect(ready.message).toContain('Service coder exists and belongs to someone else');
    expect((await world.client.get(Services, { namespace, name: 'coder' }))!.metadata!.resourceVersion).toBe(
      before.metadata!.resourceVersion,
    );
    await world.client.delete(Services, { namespace, name: 'coder' });
    await world.ready(namespace, 'coder', 60_000);
  });

  test('is left alone in every kind', async () => {
    const namespace = await world.namespace();
    const exposed: QwenCoderSpecInput = { endpoint: { expose: { type: 'Ingress', host: 'coder.local' } } };
    await world.apply(namespace, 'coder', exposed);
    await world.ready(namespace, 'coder');
    const children = await world.children(namespace, 'coder');
    await world.remove(namespace, 'coder');
    const names = new Map(children.map(({ kind, metadata }) => [kind!, metadata!.name!]));
    const podTemplate = (labels: object, restartPolicy: string) => ({
      metadata: { labels },
      spec: { restartPolicy, containers: [{ name: 'theirs', image: 'theirs' }] },
    });
    const labels = { app: 'theirs' };
    const foreign: Record<string, object> = {
      'v1 ServiceAccount': {},
      'v1 PersistentVolumeClaim': {
        spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
      },
      'apps/v1 Deployment': {
        spec: { replicas: 0, selector: { matchLabels: labels }, template: podTemplate(labels, 'Always') },
      },
      'apps/v1 ControllerRevision': { revision: 1, data: {} },
      'batch/v1 Job': { spec: { suspend: true, template: podTemplate({}, 'Never') } },
      'networking.k8s.io/v1 Ingress': {
        spec: { defaultBackend: { service: { name: 'theirs', port: { number: 80 } } } },
      },
      'networking.k8s.io/v1 NetworkPolicy': { spec: { podSelector: { matchLabels: labels } } },
      'policy/v1 PodDisruptionBudget': { spec: { maxUnavailable: 1, selector: { matchLabels: labels } } },
    };
    expect(Object.keys(foreign).map((id) => id.split(' ')[1])).toEqual(
      expect.arrayContaining(
        CHILD_KINDS.filter(({ kind, mayBeAbsent }) => kind !== 'Service' && !mayBeAbsent).map(({ kind }) => kind),
      ),
    );
    for (const [id, rest] of Object.entries(foreign)) {
      const [apiVersion, kind] = id.split(' ') as [string, string];
      const theirs = await world.namespace();
      const metadata = { name: names.get(kind), namespace: theirs, labels };
      await world.cluster.kubectl(['apply', '-f', '-'], {
        input: JSON.stringify({ apiVersion, kind, metadata, ...rest }),
      });
      await world.apply(theirs, 'coder', exposed);
      const ready = await world.condition(theirs, 'coder', 'Ready', { status: 'False', reason: 'NameTaken' });
      expect(ready.message).toContain(`${kind} ${names.get(kind)} exists and belongs to someone else`);
      await world.remove(theirs, 'coder');
    }
  });
});

describe('a running resource', () => {
  test('an edit of ours by someone else is taken back, a field of theirs survives', async () => {
    const namespace = await world.namespace();
    await world.apply(namespace, 'coder', image);
    await world.ready(namespace, 'coder');
    await world.settled(namespace, 'coder');
    const key = { namespace, name: 'coder' };
    await world.client.apply(
      Services,
      {
        metadata: { ...key, annotations: { 'theirs.dev/note': 'kept' } },
        spec: { ports: [{ name: 'http', port: 80, protocol: 'TCP', targetPort: 1234 }] },
      },
      { fieldManager: 'someone-else', force: true },
    );
    await eventually(async () => {
      const service = (await world.client.get(Services, key))!;
      expect(service.spec!.ports).toMatchObject([{ port: 80, targetPort: 'http' }]);
      expect(service.metadata!.annotations).toMatchObject({ 'theirs.dev/note': 'kept' });
    });
  });

  test('a deleted child comes back', async () => {
    const namespace = await world.namespace();
    await world.apply(namespace, 'coder', image);
    await world.ready(namespace, 'coder');
    await world.client.delete(Deployments, { namespace, name: 'coder-engine-0' });
    await world.ready(namespace, 'coder');
    await eventually(async () =>
      expect(await world.client.get(Deployments, { namespace, name: 'coder-engine-0' })).toBeDefined(),
    );
  });

  test('suspension takes the engines and keeps the rest; resuming serves again from the same revision', async () => {
    const namespace = await world.namespace();
    await world.apply(namespace, 'coder', image);
    await world.ready(namespace, 'coder');
    const before = (await world.resource(namespace, 'coder'))!.status!.revisions;
    await world.apply(namespace, 'coder', { ...image, suspend: true });
    await world.condition(namespace, 'coder', 'Ready', { status: 'False', reason: 'Suspended' });
    await eventually(async () =>
      expect((await world.resource(namespace, 'coder'))!.status).toMatchObject({ replicas: 0, readyReplicas: 0 }),
    );
    const rest = [
      'ControllerRevision',
      'Deployment',
      'NetworkPolicy',
      'PodDisruptionBudget',
      'Service',
      'ServiceAccount',
    ];
    await eventually(async () => {
      const children = await world.children(namespace, 'coder');
      expect(kinds(children)).toEqual(expect.arrayContaining(rest));
      expect(
        children.filter(({ kind, metadata }) => kind === 'Pod' && metadata!.labels![COMPONENT] === 'engine'),
      ).toEqual([]);
    });
    await world.apply(namespace, 'coder', { ...image, suspend: false });
    await world.ready(namespace, 'coder');
    expect((await world.resource(namespace, 'coder'))!.status!.revisions).toEqual(before);
  });

  test('in mode Builtin spec.replicas is ignored and the condition says so', async () => {
    const namespace = await world.namespace();
    await world.apply(namespace, 'coder', { ...image, replicas: 3 });
    const active = await world.condition(namespace, 'coder', 'ScalingActive', {
      status: 'True',
      reason: 'ReplicasIgnored',
    });
    expect(active.message).toBe(
      'spec.replicas is 3 and ignored: scaling.mode Builtin keeps 1. Set scaling.mode to External to scale by hand or HPA.',
    );
  });

  test('an edit that cannot be planned leaves the engine that serves as it is', async () => {
    const namespace = await world.namespace();
    await world.apply(namespace, 'coder', image);
    await world.ready(namespace, 'coder');
    const engines = async () =>
      (await world.children(namespace, 'coder'))
        .filter(({ kind }) => kind === 'Pod')
        .map(({ metadata }) => metadata!.uid);
    const before = await engines();
    await world.apply(namespace, 'coder', { ...image, placement: { products: ['GB9000'] } });
    await world.condition(namespace, 'coder', 'Planned', { status: 'False', reason: 'UnknownGpuProduct' });
    await world.condition(namespace, 'coder', 'Ready', { status: 'False' });
    await world.condition(namespace, 'coder', 'EndpointReady', { status: 'True' });
    expect(await engines()).toEqual(before);
    await world.apply(namespace, 'coder', image);
    await world.ready(namespace, 'coder');
    expect(await engines()).toEqual(before);
  });

  test('deletion leaves nothing behind', async () => {
    const namespace = await world.namespace();
    await world.apply(namespace, 'coder', {});
    await world.ready(namespace, 'coder');
    await world.remove(namespace, 'coder');
    await eventually(async () => expect(await world.children(namespace, 'coder')).toEqual([]));
  });

  test('retained weights survive deletion and serve a later resource of the same name', async () => {
    const namespace = await world.namespace();
    await world.apply(namespace, 'coder', { storage: { retain: true } });
    await world.ready(namespace, 'coder');
    await world.remove(namespace, 'coder');
    await eventually(async () =>
      expect(kinds(await world.children(namespace, 'coder'))).toEqual(['PersistentVolumeClaim']),
    );
    const [kept] = (await world.client.list(PersistentVolumeClaims, { namespace })).items;
    await world.apply(namespace, 'coder', { storage: { retain: true } });
    await world.ready(namespace, 'coder');
    const { items } = await world.client.list(PersistentVolumeClaims, { namespace });
    expect(items.map(({ metadata }) => metadata!.uid)).toEqual([kept!.metadata!.uid]);
  });
});

describe('bad input', () => {
  const cases: { name: string; spec: object; message: RegExp }[] = [
    {
      name: 'TP 3',
      spec: { parallelism: { tensorParallelSize: 3 } },
      message: /spec\.parallelism\.tensorParallelSize.*16 attention heads divide by 1, 2, 4, 8 or 16 only/s,
    },
    {
      name: 'min above max',
      spec: { scaling: { minReplicas: 3, maxReplicas: 1 } },
      message: /spec\.scaling\.minReplicas must not exceed/,
    },
    {
      name: 'FP8 with TP 8',
      spec: { model: { quantization: 'FP8' }, parallelism: { tensorParallelSize: 8 } },
      message: /spec\.parallelism\.tensorParallelSize.*FP8/s,
    },
    {
      name: 'a field that does not exist',
      spec: { contextLength: 4096 },
      message: /unknown field "spec\.contextLength"/,
    },
    {
      name: 'a field that is not effective yet',
      spec: { rollout: { strategy: 'Surge' } },
      message: /spec\.rollout\.strategy is not effective in this version of the operator; remove it/,
    },
    {
      name: 'an Ingress without a host',
      spec: { endpoint: { expose: { type: 'Ingress' } } },
      message: /spec\.endpoint\.expose\.host is what an Ingress tells endpoints apart by/,
    },
    { name: 'a name that is too long', spec: {}, message: /at most 40 lower case letters/ },
  ];
  test.each(cases)('$name is refused at admission with field, rule and remedy', async ({ name, spec, message }) => {
    const resource = {
      apiVersion: 'qwencoder.dev/v1alpha1',
      kind: 'QwenCoderDeployment',
      metadata: { name: name.includes('long') ? 'a'.repeat(41) : 'coder' },
      spec,
    };
    await expect(world.cluster.kubectl(['apply', '-f', '-'], { input: JSON.stringify(resource) })).rejects.toThrow(
      message,
    );
  });

  const spellings = [
    '--max-model-len=8192',
    '--max_model_len 8192',
    '--tensor-par=4',
    '-tp=4',
    '--no-enable-auto-tool-choice',
    '--config=/x',
  ];
  test.each(spellings)('the managed flag %s is refused by name, with the field to use', async (flag) => {
    const namespace = await world.namespace();
    await world.apply(namespace, 'coder', { ...image, engine: { args: flag.split(' ') } });
    const planned = await world.condition(namespace, 'coder', 'Planned', {
      status: 'False',
      reason: 'ManagedArgument',
    });
    expect(planned.message).toContain('spec.engine.args[0]');
    expect(await world.client.get(Deployments, { namespace, name: 'coder-engine-0' })).toBeUndefined();
  });

  test('a GPU product that nobody has is named with the products that are there', async () => {
    const namespace = await world.namespace();
    await world.apply(namespace, 'coder', { ...image, placement: { products: ['GB9000'] } });
    const planned = await world.condition(namespace, 'coder', 'Planned', {
      status: 'False',
      reason: 'UnknownGpuProduct',
    });
    expect(planned.message).toMatch(/spec\.placement\.products.*GB9000.*H100-80GB/s);
  });

  test('a resource that fails disturbs no other', async () => {
    const namespace = await world.namespace();
    await world.apply(namespace, 'good', image);
    await world.ready(namespace, 'good');
    await world.settled(namespace, 'good');
    const before = await world.versions(namespace, 'good');
    await world.apply(namespace, 'bad', { ...image, engine: { args: ['--max-model-len=1'] } });
    await world.condition(namespace, 'bad', 'Planned', { status: 'False' });
    expect(await world.versions(namespace, 'good')).toEqual(before);
  });
});

const kinds = (objects: readonly KubeObject[]): string[] => [...new Set(objects.map(({ kind }) => kind!))].sort();
