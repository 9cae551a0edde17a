import { spawn } from 'node:child_process';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import type { QwenCoderSpecInput } from '../../src/api/index.ts';
import { type Deployment, type KubeObject, Pods, ResourceQuotas } from '../../src/kube/index.ts';
import { CHILD_KINDS } from '../../src/reconcile/apply.ts';
import { difference } from '../../src/reconcile/difference.ts';
import { APPLIED, LOAD_SECONDS, REVISION } from '../../src/render/labels.ts';
import { scaledClock } from '../support/scaled-clock.ts';
import { World, eventually } from './world.ts';

const NODES = '8xH100-80GB*2,4xL40S-48GB';
const MAIN = new URL('../../src/main.ts', import.meta.url).pathname;

let world: World;

beforeAll(async () => {
  world = await World.start({ nodes: NODES, simulator: { clock: scaledClock(20), loadSeconds: 10 } });
  // What a link to the program on the PATH is to kubectl.
  const plugin = join(world.cluster.directory, 'kubectl-qwencoder');
  await writeFile(plugin, `#!/bin/sh\nexec ${process.execPath} ${MAIN} "$@"\n`);
  await chmod(plugin, 0o755);
});

afterAll(async () => {
  await world?.stop();
});

afterEach(() => world.clear());

/** Runs the program as a plugin of the real kubectl. */
async function qwencoder(args: readonly string[], input = ''): Promise<{ code: number; out: string; err: string }> {
  const { cluster } = world;
  const child = spawn(cluster.kubectlPath, ['qwencoder', ...args], {
    env: { PATH: `${cluster.directory}:${process.env['PATH']}`, ...cluster.kubectlEnv() },
  });
  child.stdin.end(input);
  const code = new Promise<number>((resolve) => child.once('close', (code) => resolve(code ?? -1)));
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { code: await code, out, err };
}

interface Plans {
  readonly plans: readonly [
    {
      readonly plan: { readonly gpuName: string };
      readonly alternative?: { readonly set: QwenCoderSpecInput };
      readonly change: { readonly restarts: readonly string[][]; readonly writes: readonly object[] };
    },
  ];
}

async function planned(args: readonly string[], input?: string): Promise<Plans['plans'][0]> {
  const { out, err } = await qwencoder(['plan', '-o', 'json', ...args], input);
  if (out === '') throw new Error(err);
  return (JSON.parse(out) as Plans).plans[0];
}

const file = (spec: QwenCoderSpecInput): string =>
  JSON.stringify({
    apiVersion: 'qwencoder.dev/v1alpha1',
    kind: 'QwenCoderDeployment',
    metadata: { name: 'coder' },
    spec,
  });

const named = ({ kind, metadata }: KubeObject): string => `${kind}/${metadata!.name}`;

async function children(namespace: string): Promise<Map<string, KubeObject>> {
  const kinds = CHILD_KINDS.map(({ kind }) => kind);
  const all = (await world.children(namespace, 'coder')).filter(({ kind }) => kinds.includes(kind!));
  return new Map(all.map((object) => [named(object), object]));
}

/** Compares by name, by the digest of the rendering, and field by field. */
function expectSame(rendered: readonly KubeObject[], live: ReadonlyMap<string, KubeObject>): void {
  expect(rendered.map(named).toSorted()).toEqual([...live.keys()].toSorted());
  for (const object of rendered) {
    const made = live.get(named(object))!;
    expect([named(object), made.metadata!.annotations![APPLIED]]).toEqual([
      named(object),
      object.metadata!.annotations![APPLIED],
    ]);
    expect([named(object), difference(object, made)]).toEqual([named(object), undefined]);
  }
}

const objectsOf = (yaml: string): KubeObject[] =>
  parseAllDocuments(yaml).map((document) => document.toJS() as KubeObject);

test('render prints the very children that the operator makes, offline and from the cluster', async () => {
  const namespace = await world.namespace();
  const spec: QwenCoderSpecInput = { scaling: { mode: 'None' }, replicas: 2 };
  await world.apply(namespace, 'coder', spec);
  await world.ready(namespace, 'coder', 90_000);
  await world.settled(namespace, 'coder');
  const live = await children(namespace);
  const resource = await world.cluster.kubectl(['get', '-n', namespace, 'qcd', 'coder', '-o', 'yaml']);

  const offline = await qwencoder(['render', '-f', '-', '--gpus', NODES], resource);
  expect(offline).toMatchObject({ code: 0, err: '' });
  // The name of the Secret of keys is the operator's to know. With it, the only difference is what was learned: how long a load takes.
  const keysOf = (text: string): string => /coder-keys-\w+/.exec(text)![0];
  const keysName = keysOf(JSON.stringify([...live.values()]));
  const isOffByDigest = (object: KubeObject): boolean => JSON.stringify(object).includes(keysName);
  const rendered = objectsOf(offline.out.replaceAll(keysOf(offline.out), keysName));
  expect(rendered.map(named).toSorted()).toEqual([...live.keys()].toSorted());
  const learned = [...live.values()].filter(({ metadata }) => metadata!.annotations![LOAD_SECONDS] !== undefined);
  expect(learned.map(({ kind }) => kind)).toEqual(['ControllerRevision']);
  expectSame(
    rendered.filter((object) => !isOffByDigest(object)),
    new Map([...live].filter(([, object]) => !isOffByDigest(object))),
  );
  for (const object of rendered.filter(isOffByDigest)) {
    delete object.metadata!.annotations![APPLIED];
    expect([named(object), difference(object, live.get(named(object)))]).toEqual([named(object), undefined]);
  }

  const online = await qwencoder(['render', '-f', '-'], resource);
  expect(online).toMatchObject({ code: 0, err: '' });
  // The volume has its node by now: a Job that is made now would ask for no GPUs, and the one that was made stays.
  const isJob = ({ kind }: KubeObject): boolean => kind === 'Job';
  const objects = objectsOf(online.out);
  expect(objects.map(named).toSorted()).toEqual([...live.keys()].toSorted());
  expectSame(
    objects.filter((object) => !isJob(object)),
    new Map([...live].filter(([, object]) => !isJob(object))),
  );

  expect((await planned(['-f', '-'], resource)).change).toMatchObject({ restarts: [], writes: [] });
});

test('plan says beforehand which engines an edit restarts, and nothing else restarts', async () => {
  const namespace = await world.namespace();
  const spec: QwenCoderSpecInput = {
    model: { quantization: 'FP8', source: { type: 'Image', reference: 'models/coder-fp8:1' } },
    scaling: { mode: 'None' },
    replicas: 2,
  };
  const edited: QwenCoderSpecInput = { ...spec, tools: { enabled: false } };
  const plan = (spec: QwenCoderSpecInput) => planned(['-n', namespace, '-f', '-'], file(spec));
  const revisions = async (): Promise<Map<string, string>> =>
    new Map(
      [...(await children(namespace)).values()]
        .filter((object): object is Deployment => object.kind === 'Deployment')
        .map((object) => [object.metadata!.name!, object.spec!.template.metadata!.labels![REVISION]!]),
    );

  await world.apply(namespace, 'coder', spec);
  await world.ready(namespace, 'coder', 60_000);
  await world.settled(namespace, 'coder');
  const before = await revisions();
  expect((await plan({ ...spec, context: { maxModelLen: 262144 } })).change.restarts).toEqual([]);
  const said = await plan(edited);
  expect(said.change.restarts).toEqual([['coder-engine-0'], ['coder-engine-1']]);
  expect(await revisions()).toEqual(before);

  await world.apply(namespace, 'coder', edited);
  await world.ready(namespace, 'coder', 60_000);
  await world.settled(namespace, 'coder');
  const after = await revisions();
  expect([...after.keys()].filter((name) => after.get(name) !== before.get(name)).toSorted()).toEqual(
    said.change.restarts.flat(),
  );
  expect((await plan(edited)).change).toMatchObject({ restarts: [], writes: [] });
});

test('a quota of the namespace is planned with; who may not read all that the operator does is told so, and planned for without', async () => {
  const namespace = await world.namespace();
  const hard = { 'requests.nvidia.com/gpu': '1' };
  await world.client.create(ResourceQuotas, { metadata: { namespace, name: 'gpus' }, spec: { hard } });
  const refused = await qwencoder(['plan', '-n', namespace, '-f', '-'], file({}));
  expect(refused).toMatchObject({ code: 1, err: '' });
  expect(refused.out).toMatch(
    /QuotaTooSmall[^]*FP8 on 2x H100-80GB needs 2 GPUs; ResourceQuota gpus allows the\s+namespace 1/,
  );

  const { kubeconfigPath } = await eventually(() => world.cluster.serviceAccountKubeconfig(namespace, 'default'));
  const kubectl = (...args: string[]) => world.cluster.kubectl(args);
  await kubectl('create', 'clusterrole', 'planner', '--verb=list', '--resource=nodes,pods');
  await kubectl(
    'create',
    'clusterrolebinding',
    'planner',
    '--clusterrole=planner',
    `--serviceaccount=${namespace}:default`,
  );
  const unaware = await qwencoder(['plan', '-n', namespace, '--kubeconfig', kubeconfigPath]);
  expect(unaware.out).toContain('FP8 on 2x H100-80GB, 262144 tokens');
  expect(unaware.err).toContain(
    `The ResourceQuotas of namespace ${namespace} may not be listed: planned without them; ask for that right to have them obeyed.\n`,
  );
  expect(unaware.err).toMatch(/^ConfigMap \S+-calibrations may not be read: planned by estimates/m);
});

test('a plan waits for GPUs that others hold; plan and condition name what could start, and with that set it does', async () => {
  const namespace = await world.namespace();
  const pods = ['h100-80gb-0', 'h100-80gb-1'].map((node) => ({ name: `training-on-${node}`, node }));
  for (const { name, node } of pods)
    await world.client.create(Pods, {
      metadata: { namespace, name },
      spec: {
        nodeSelector: { 'kubernetes.io/hostname': node },
        tolerations: [{ operator: 'Exists' }],
        containers: [{ name: 'main', image: 'busybox', resources: { limits: { 'nvidia.com/gpu': '7' } } }],
      },
    });
  await eventually(async () => {
    for (const { name } of pods)
      expect((await world.client.get(Pods, { namespace, name }))?.status?.phase).toBe('Running');
  });
  const sooner = 'FP8 on 4x L40S-48GB, 262144 tokens, could start at once: set spec.placement.products to [L40S-48GB].';

  const { out } = await qwencoder(['plan', '-n', namespace, '-f', '-'], file({}));
  expect(out.replaceAll(/\s+/g, ' ')).toContain(`2 of 16 H100-80GB are free: 1 replica waits for GPUs. ${sooner}`);
  await world.apply(namespace, 'coder', {});
  const unplaced = { status: 'False', reason: 'FetchUnschedulable' } as const;
  const { message } = await world.condition(namespace, 'coder', 'ModelAvailable', unplaced, 60_000);
  expect(message).toContain(sooner);
  expect(await world.condition(namespace, 'coder', 'Planned', { status: 'True' })).toMatchObject({
    message: 'FP8 on 2x H100-80GB, 262144 tokens; 10 requests of that length fit at once.',
  });

  const { alternative } = await planned(['-n', namespace, '-f', '-'], file({}));
  await world.apply(namespace, 'coder', alternative!.set);
  expect(await world.ready(namespace, 'coder', 90_000)).toMatchObject({ reason: 'Serving' });
  expect((await world.resource(namespace, 'coder'))!.status!.plan!.gpus).toBe('4x L40S-48GB');
});

test('what the cluster has is planned with; without rights, or for a card that nobody has, it says what to do', async () => {
  expect((await planned([])).plan.gpuName).toBe('H100-80GB');
  const { kubeconfigPath } = await world.cluster.serviceAccountKubeconfig('default', 'default');
  const forbidden = await qwencoder(['plan', '--kubeconfig', kubeconfigPath]);
  expect(forbidden).toMatchObject({ code: 2, out: '' });
  expect(forbidden.err).toMatch(/forbidden.*ask for the right to list nodes, pods.*--gpus/);
  const unfit = await qwencoder(
    ['plan', '-f', '-'],
    'apiVersion: qwencoder.dev/v1alpha1\nkind: QwenCoderDeployment\nmetadata: {name: x}\nspec: {placement: {products: [L4-24GB]}}\n',
  );
  expect(unfit.code).toBe(1);
  expect(unfit.out).toContain('does not fit (UnknownGpuProduct)');
  expect(await qwencoder(['plan', '--context', 'nowhere'])).toMatchObject({
    code: 2,
    err: '--context nowhere: the kubeconfig has local; name one of these\n',
  });
});
