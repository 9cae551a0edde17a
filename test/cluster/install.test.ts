import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { rolldown } from 'rolldown';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import packageJson from '../../package.json' with { type: 'json' };
import { installation } from '../../src/install/installation.ts';
import config from '../../src/install/rolldown.config.ts';
import { AUDIT_RULES } from '../history/audit-log.ts';
import { Eye, judge } from '../history/eye.ts';
import { scaledClock } from '../support/scaled-clock.ts';
import { Simulator } from '../simulator/simulator.ts';
import { Cluster } from './cluster.ts';
import { Deployed } from './deployed.ts';
import { Helm } from './helm.ts';
import { writeSchemas } from './openapi.ts';
import { definePrometheusKinds } from './prometheus-operator.ts';
import { promtool } from './promtool.ts';
import { eventually } from './world.ts';

const { version } = packageJson;
const chart = new URL('../../charts/qwen-coder-operator', import.meta.url).pathname;
const installYaml = new URL('../../charts/install.yaml', import.meta.url).pathname;
const RELEASE = 'qwen-coder-operator';
const SYSTEM = 'qwen-coder-system';
const CRD = 'qwencoderdeployments.qwencoder.dev';

let cluster: Cluster;
let simulator: Simulator;
let eye: Eye;
let helm: Helm;
/** The chart, and that of a later version which says something else about the resource. */
let installable: string;
let later: string;
/** The program of the image, alone in a folder. */
let program: string;
const running = new Set<Deployed>();

beforeAll(async () => {
  cluster = await Cluster.start({ nodes: '8xH100-80GB*2,CPU', auditLog: AUDIT_RULES });
  eye = await Eye.open(cluster);
  simulator = await Simulator.start({
    kubeconfigPath: cluster.kubeconfigPath,
    clock: scaledClock(20),
    loadSeconds: 10,
  });
  await definePrometheusKinds(cluster);
  helm = await Helm.for(cluster);
  program = await bundle('image');
  // An API server that was built from modules does not know its version.
  const anyKubernetes = ['Chart.yaml', /kubeVersion: .*/, ''] as const;
  installable = await edited('chart', [anyKubernetes]);
  later = await edited('later-chart', [
    anyKubernetes,
    ['Chart.yaml', /(?<=^(version|appVersion): ).*/gm, '9.0.0'],
    ['templates/crd.yaml', /A private, OpenAI-compatible endpoint.*/, 'An endpoint of version 9.'],
  ]);
  for (const name of [SYSTEM, 'team-a', 'team-b']) await cluster.kubectl(['create', 'namespace', name]);
  await cluster.kubectl(['label', 'namespace', SYSTEM, 'pod-security.kubernetes.io/enforce=restricted']);
});

afterAll(async () => {
  const history = eye?.close(...[...running].map(({ process }) => process));
  await Promise.allSettled([history]);
  await simulator?.stop();
  await cluster?.stop();
  if (history !== undefined) await judge(await history);
});

describe('the program of the image', () => {
  test('is the same bytes from every build', async () => {
    const again = await bundle('image-again');
    for (const suffix of ['', '.map']) expect(await readFile(again + suffix)).toEqual(await readFile(program + suffix));
  });

  test('names no path of the machine that built it', async () => {
    const root = new URL('../..', import.meta.url).pathname;
    for (const suffix of ['', '.map']) expect(await readFile(program + suffix, 'utf8')).not.toContain(root);
  });
});

test('the licences of what the program holds come with it', async () => {
  const notices = await readFile(join(dirname(program), 'THIRD-PARTY.txt'), 'utf8');
  for (const name of Object.keys(packageJson.dependencies)) expect(notices).toMatch(new RegExp(`^${name} \\d`, 'm'));
});

describe('what the chart renders', () => {
  const namespaces = ['team-a', 'team-b'];
  const cases: { name: string; values: object }[] = [
    { name: 'by default', values: {} },
    {
      name: 'with everything set',
      values: {
        namespaces,
        flags: { workers: 4, burst: 10_000, 'weights-no-proxy': 'a: b, #c' },
        imagePullSecrets: [{ name: 'pull' }],
        env: [{ name: 'NODE_OPTIONS', value: '--trace-warnings' }],
        podSecurityContext: { runAsUser: null },
        podAnnotations: { 'a.dev/b': 'true' },
        priorityClassName: 'system-cluster-critical',
        tolerations: [{ key: 'infra', operator: 'Exists' }],
        crds: { keep: false },
        networkPolicy: { enabled: true },
        serviceMonitor: { enabled: true, interval: '15s', labels: { release: 'prometheus' } },
        podMonitor: { enabled: true, interval: '15s', labels: { release: 'prometheus' } },
        monitoring: {
          prometheusRule: { enabled: true, labels: { release: 'prometheus' }, runbook: 'https://wiki.local/on-call' },
          dashboard: { enabled: true, labels: { folder: 'gpu' } },
        },
      },
    },
  ];

  test.each(cases)('$name has nothing that Helm warns of', async ({ values }) => {
    expect(await helm.run('lint', '--strict', chart, ...set(values))).toContain('0 chart(s) failed');
  });

  test.each(cases)('$name is what the API server accepts, to the last field', async ({ values }) => {
    const dryRun = ['apply', '--server-side', '--dry-run=server', '--validate=strict', '-f', '-'];
    expect(await cluster.kubectl(dryRun, { input: await template(values) })).toContain(`deployment.apps/${RELEASE}`);
  });

  test.each(cases)('$name is valid by the schemas of the API server', async ({ values }) => {
    expect(await helm.kubeconform(await schemas(), await template(values))).toContain(
      'Invalid: 0, Errors: 0, Skipped: 0',
    );
  });

  test.each([
    ['automountToken', 'apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: x}\nautomountToken: true\n'],
    [
      'intervall',
      'apiVersion: monitoring.coreos.com/v1\nkind: PodMonitor\nmetadata: {name: x}\nspec: {selector: {}, podMetricsEndpoints: [{port: a, intervall: 1s}]}\n',
    ],
  ])('those schemas refuse a field that does not exist: %s', async (field, misspelt) => {
    await expect(helm.kubeconform(await schemas(), misspelt)).rejects.toThrow(new RegExp(field));
  });

  test('has rules that Prometheus takes, and they lead to the runbook that was named', async () => {
    const rule = await rendered('PrometheusRule', cases[1]!.values);
    const path = join(cluster.directory, 'rules.yaml');
    await writeFile(path, JSON.stringify(rule['spec']));
    expect(await promtool('check', 'rules', path)).toContain('SUCCESS');
    expect(await readFile(path, 'utf8')).toContain('"https://wiki.local/on-call#qwencoderendpointdown"');
  });

  test('has the dashboard as one file of JSON, under the labels that its sidecar looks for', async () => {
    const { metadata, data } = await rendered('ConfigMap', cases[1]!.values, `${RELEASE}-dashboard`);
    expect(JSON.parse((data as Record<string, string>)['qwen-coder-operator.json']!)).toMatchObject({
      uid: 'qwen-coder-operator',
    });
    expect(metadata.labels).toMatchObject({ folder: 'gpu', 'app.kubernetes.io/instance': RELEASE });
  });

  test.each<{ name: string; namespaces: string[]; selector: object }>([
    { name: 'of the namespaces that are served', namespaces, selector: { matchNames: namespaces } },
    { name: 'of all namespaces', namespaces: [], selector: { any: true } },
  ])('has gateways scraped $name', async ({ namespaces, selector }) => {
    const monitor = await rendered('PodMonitor', { namespaces, podMonitor: { enabled: true } });
    expect(monitor['spec']).toMatchObject({ namespaceSelector: selector });
  });

  test.each<{ name: string; namespaces: string[] }>([
    { name: 'for all namespaces', namespaces: [] },
    { name: 'for two namespaces', namespaces },
  ])('$name is the installation that install.yaml describes', async ({ namespaces }) => {
    const image = `${RELEASE}:${version}`;
    const described = installation({ name: RELEASE, namespace: SYSTEM, version, image, namespaces }) as Named[];
    const rendered = parseAllDocuments(await template({ namespaces, crds: { keep: false } }))
      .map((document) => document.toJS() as Named | null)
      .filter((object) => object !== null);
    expect(comparable(rendered)).toEqual(comparable(described.filter(({ kind }) => kind !== 'Namespace')));
  });

  test.each<{ name: string; values: object; says: RegExp }>([
    { name: 'a flag that does not exist', values: { flags: { worker: 4 } }, says: /worker/ },
    { name: 'a flag out of bounds', values: { flags: { workers: 400 } }, says: /workers/ },
    { name: 'a flag that the chart sets itself', values: { flags: { 'lease-name': 'x' } }, says: /lease-name/ },
    { name: 'a misspelt value', values: { image: { repo: 'x' } }, says: /repo/ },
    { name: 'no peers, which would mean all', values: { networkPolicy: { metricsFrom: [] } }, says: /metricsFrom/ },
    { name: 'a namespace that cannot be', values: { namespaces: ['Team A'] }, says: /namespaces/ },
  ])('is nothing with $name', async ({ values, says }) => {
    await expect(template(values)).rejects.toThrow(says);
  });
});

describe('a release', () => {
  let operator: Deployed;
  let engines: string[];

  test('serves a resource under the rights and with the flags that the chart gives it', async () => {
    await install({ flags: { workers: 4 } });
    operator = await start();
    await apply('team-a', 'coder');
    await ready('team-a', 'coder');
    engines = await enginePods('team-a');
    expect(engines).toHaveLength(1);
  });

  test('has pods that a namespace of Pod Security `restricted` admits', async () => {
    const pods = async () => (await names('-n', SYSTEM, '-l', LABEL)).filter((name) => name.startsWith('pod/'));
    await eventually(async () => expect(await pods()).toHaveLength(2));
  });

  test('is upgraded with its definition of the resource, and no engine restarts', async () => {
    await helm.run('upgrade', RELEASE, later, '-n', SYSTEM, ...set({ flags: { workers: 2 } }));
    expect(await definition()).toContain('An endpoint of version 9.');
    operator = await replace(operator);
    expect(await enginePods('team-a')).toEqual(engines);
  });

  test('is rolled back with its definition of the resource, and no engine restarts', async () => {
    await helm.run('rollback', RELEASE, '1', '-n', SYSTEM);
    expect(await definition()).not.toContain('An endpoint of version 9.');
    operator = await replace(operator);
    expect(await enginePods('team-a')).toEqual(engines);
  });

  test('is uninstalled without a trace but the definition, and what runs goes on', async () => {
    expect(await helm.run('uninstall', RELEASE, '-n', SYSTEM)).toContain(CRD);
    await stop(operator);
    await eventually(async () =>
      expect(await remains()).toEqual([`customresourcedefinition.apiextensions.k8s.io/${CRD}`]),
    );
    expect(await enginePods('team-a')).toEqual(engines);
    await ready('team-a', 'coder');
  });

  test('is installed again over what stayed, and no engine restarts', async () => {
    await install({});
    operator = await start();
    await operator.hasReconciled(1);
    expect(await enginePods('team-a')).toEqual(engines);
  });

  test('takes everything along when that is asked for', async () => {
    await collectorKnows();
    await uninstallWithResources(operator);
    await eventually(async () => expect(await remains()).toEqual([]));
    await collected();
  });
});

describe('a definition that was applied by hand', () => {
  const byHand = new URL(`../../crds/${CRD}.yaml`, import.meta.url).pathname;

  test('is not touched unasked', async () => {
    await cluster.kubectl(['apply', '--server-side', '-f', byHand]);
    await expect(install({})).rejects.toThrow(/invalid ownership metadata/);
    expect(await remains()).toEqual([]);
  });

  test('is left to whoever applied it when the chart is told so', async () => {
    await install({ crds: { install: false } });
    await helm.run('uninstall', RELEASE, '-n', SYSTEM);
    await eventually(async () => expect(await remains()).toEqual([]));
    expect(await definition()).not.toContain('meta.helm.sh');
  });

  test('is taken over when Helm is told so', async () => {
    await install({ crds: { keep: false } }, '--take-ownership');
    await helm.run('uninstall', RELEASE, '-n', SYSTEM);
    await eventually(async () => expect(await remains()).toEqual([]));
    await expect(definition()).rejects.toThrow(/NotFound/);
  });
});

describe('a release for one namespace', () => {
  const account = `system:serviceaccount:${SYSTEM}:${RELEASE}`;
  let operator: Deployed;

  test('serves that namespace, and fetches weights the way that it was told', async () => {
    await cluster.kubectl(['create', 'configmap', 'corp-ca', '-n', 'team-a', '--from-literal=ca.crt=none']);
    const flags = { 'weights-proxy': 'http://proxy.corp:3128', 'weights-ca-configmap': 'corp-ca/ca.crt' };
    await install({ namespaces: ['team-a'], flags });
    operator = await start();
    await apply('team-b', 'coder');
    await apply('team-a', 'coder');
    await ready('team-a', 'coder');
    const env = await cluster.kubectl([
      'get',
      'jobs',
      '-n',
      'team-a',
      '-o',
      'jsonpath={.items[*].spec.template.spec.containers[0].env}',
    ]);
    expect(JSON.parse(env)).toEqual(
      expect.arrayContaining([
        { name: 'HTTPS_PROXY', value: 'http://proxy.corp:3128' },
        { name: 'SSL_CERT_FILE', value: '/etc/weights-authorities/ca.crt' },
      ]),
    );
  });

  test('leaves others alone', async () => {
    expect(await childrenOf('team-b', 'coder')).toEqual([]);
    expect(await cluster.kubectl(['get', 'qcd', 'coder', '-n', 'team-b', '-o', 'jsonpath={.status}'])).toBe('');
  });

  test.each<{ name: string; asked: string[]; answer: 'yes' | 'no' }>([
    { name: 'may not touch other namespaces', asked: ['create', 'deployments', '-n', 'team-b'], answer: 'no' },
    { name: 'may not read Secrets', asked: ['get', 'secrets', '-n', 'team-a'], answer: 'no' },
    { name: 'may not run commands in pods', asked: ['create', 'pods/exec', '-n', 'team-a'], answer: 'no' },
    { name: 'may not delete pods', asked: ['delete', 'pods', '-n', 'team-a'], answer: 'no' },
    { name: 'may not give rights', asked: ['create', 'rolebindings', '-n', 'team-a'], answer: 'no' },
    { name: 'may not write the Lease of another', asked: ['update', 'leases/other', '-n', SYSTEM], answer: 'no' },
    { name: 'may count GPUs everywhere', asked: ['list', 'pods', '-A'], answer: 'yes' },
  ])('$name', async ({ asked, answer }) => {
    // A "no" is also an exit code.
    const said = await cluster
      .kubectl(['auth', 'can-i', ...asked, `--as=${account}`])
      .catch((error: Error) => error.message);
    expect(said).toMatch(new RegExp(`^${answer}$`, 'm'));
  });

  test('takes everything along when that is asked for', async () => {
    await uninstallWithResources(operator);
    await eventually(async () => expect(await remains()).toEqual([]));
  });
});

describe('install.yaml', () => {
  const installing = ['apply', '--server-side', '--force-conflicts', '--validate=strict', '-f', installYaml];
  let operator: Deployed;
  let engines: string[];

  test('installs an operator that serves', async () => {
    await cluster.kubectl(installing);
    await cluster.kubectl(['wait', '--for=condition=Established', 'crd', CRD, '--timeout=30s']);
    operator = await start();
    await apply('team-a', 'coder');
    await ready('team-a', 'coder');
    engines = await enginePods('team-a');
    expect(engines).toHaveLength(1);
  });

  test('is taken away by the documented commands, and what runs goes on', async () => {
    const documented = await readFile(join(chart, 'README.md'), 'utf8');
    const [, commands] = /leave what runs:\n\n```sh\n(.*?)```/s.exec(documented)!;
    for (const command of lines(commands!)) await cluster.kubectl(command.split(' ').slice(1));
    await stop(operator);
    await eventually(async () =>
      expect(await remains()).toEqual([`customresourcedefinition.apiextensions.k8s.io/${CRD}`]),
    );
    expect(await enginePods('team-a')).toEqual(engines);
    await ready('team-a', 'coder');
  });

  test('takes up where it was, with gateways that have new keys and engines that do not restart', async () => {
    const control = () =>
      cluster.kubectl([
        'get',
        'deployment',
        'coder-gateway',
        '-n',
        'team-a',
        '-o',
        'jsonpath={.spec.template.spec.volumes[?(@.name=="keys")].projected.sources[*].secret.name}',
      ]);
    const before = await control();
    await cluster.kubectl(installing);
    operator = await start();
    await eventually(async () => expect(await control()).not.toBe(before));
    const [engineKeys, controlKeys] = (await control()).split(' ');
    expect(before).toBe(`${engineKeys} ${engineKeys}`);
    expect(controlKeys).not.toBe(engineKeys);
    await cluster.kubectl(['rollout', 'status', 'deployment/coder-gateway', '-n', 'team-a', '--timeout=60s']);
    await ready('team-a', 'coder');
    expect(await enginePods('team-a')).toEqual(engines);
  });

  test('deletes all that it installed', async () => {
    await collectorKnows();
    // Objects of a kind that goes at the same moment may be forgotten by the garbage collector, so resources go first.
    await cluster.kubectl(['delete', 'qcd', 'coder', '-n', 'team-a']);
    await collected();
    await cluster.kubectl(['delete', '-f', installYaml, '--wait=false']);
    await stop(operator);
    await eventually(async () => expect(await remains()).toEqual([]));
  });
});

/** Builds the program into a folder of its own, as `npm run build` does into `dist`. */
async function bundle(folder: string): Promise<string> {
  const { output, ...input } = config;
  const built = await rolldown(input);
  const { output: files } = await built.generate(Array.isArray(output) ? output[0] : output);
  await built.close();
  await mkdir(join(cluster.directory, folder));
  for (const file of files) {
    await writeFile(join(cluster.directory, folder, file.fileName), file.type === 'chunk' ? file.code : file.source);
  }
  return join(cluster.directory, folder, 'qwen-coder.mjs');
}

const set = (values: object): string[] => ['--set-json', JSON.stringify(values)];

const template = (values: object): Promise<string> =>
  helm.run('template', RELEASE, chart, '-n', SYSTEM, ...set(values));

/** The one object of that kind, or of that name, that the chart renders. */
async function rendered(kind: string, values: object, name?: string): Promise<Named & Record<string, unknown>> {
  const all = parseAllDocuments(await template(values)).map((document) => document.toJS() as Named | null);
  const found = all.filter(
    (object) => object?.kind === kind && (name ?? object.metadata.name) === object.metadata.name,
  );
  expect(found).toHaveLength(1);
  return found[0] as Named & Record<string, unknown>;
}

const install = (values: object, ...more: string[]): Promise<string> =>
  helm.run('install', RELEASE, installable, '-n', SYSTEM, ...set(values), ...more);

async function uninstallWithResources(operator: Deployed): Promise<void> {
  await helm.run('upgrade', RELEASE, installable, '-n', SYSTEM, '--reuse-values', ...set({ crds: { keep: false } }));
  await helm.run('uninstall', RELEASE, '-n', SYSTEM);
  await stop(operator);
}

/** The chart with some of its text replaced. */
async function edited(
  folder: string,
  edits: readonly (readonly [file: string, pattern: RegExp, text: string])[],
): Promise<string> {
  const copy = join(cluster.directory, folder);
  await cp(chart, copy, { recursive: true });
  for (const [file, pattern, text] of edits) {
    const path = join(copy, file);
    await writeFile(path, (await readFile(path, 'utf8')).replace(pattern, text));
  }
  return copy;
}

/** A folder with the schemas of what the API server serves. */
async function schemas(): Promise<string> {
  const folder = join(cluster.directory, 'schemas');
  await mkdir(folder, { recursive: true });
  await writeSchemas(cluster.api, folder);
  return folder;
}

async function start(): Promise<Deployed> {
  const operator = await Deployed.start(cluster, eye, program, SYSTEM, RELEASE);
  running.add(operator);
  return operator;
}

async function stop(operator: Deployed): Promise<void> {
  await eye.end(operator.process);
  running.delete(operator);
}

/** As a rolling update does it: the next one is ready before the old one is asked to stop. */
async function replace(old: Deployed): Promise<Deployed> {
  const next = await start();
  await stop(old);
  await next.hasReconciled(1);
  await ready('team-a', 'coder');
  return next;
}

const definition = (): Promise<string> => cluster.kubectl(['get', 'crd', CRD, '-o', 'yaml']);

const apply = (namespace: string, name: string): Promise<string> =>
  cluster.kubectl(['apply', '-f', '-'], {
    input: JSON.stringify({
      apiVersion: 'qwencoder.dev/v1alpha1',
      kind: 'QwenCoderDeployment',
      metadata: { namespace, name },
      spec: {},
    }),
  });

const ready = (namespace: string, name: string): Promise<string> =>
  cluster.kubectl(['wait', '--for=condition=Ready', `qcd/${name}`, '-n', namespace, '--timeout=60s']);

/** Who runs, and how often it has started anew. */
async function enginePods(namespace: string): Promise<string[]> {
  const what = 'jsonpath={range .items[*]}{.metadata.uid} {.status.containerStatuses[0].restartCount}{"\\n"}{end}';
  return lines(
    await cluster.kubectl(['get', 'pods', '-n', namespace, '-l', 'app.kubernetes.io/component=engine', '-o', what]),
  );
}

const childrenOf = (namespace: string, name: string): Promise<string[]> =>
  names('-n', namespace, '-l', `qwencoder.dev/resource=${name}`);

const collected = (): Promise<void> =>
  eventually(async () => expect(await childrenOf('team-a', 'coder')).toEqual([]), 90_000);

/**
 * The garbage collector learns of a new kind within half a minute. Of a kind that is gone before, it never learns, and leaves the children of
 * its objects alone for ever.
 */
async function collectorKnows(): Promise<void> {
  const at = { namespace: 'team-b', name: 'collected' };
  const create = (object: object) =>
    cluster.kubectl(['create', '-f', '-', '-o', 'jsonpath={.metadata.uid}'], { input: JSON.stringify(object) });
  const owner = { apiVersion: 'qwencoder.dev/v1alpha1', kind: 'QwenCoderDeployment' };
  const uid = await create({ ...owner, metadata: at, spec: { suspend: true } });
  await create({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { ...at, ownerReferences: [{ ...owner, name: at.name, uid }] },
  });
  await cluster.kubectl(['delete', 'qcd', at.name, '-n', at.namespace]);
  await eventually(
    async () => expect(await names('-n', at.namespace, '--field-selector', `metadata.name=${at.name}`)).toEqual([]),
    90_000,
  );
}

const LABEL = `app.kubernetes.io/instance=${RELEASE}`;

/** Everything in the cluster that is of the release: by its label, or in its namespace. */
async function remains(): Promise<string[]> {
  const labelled = await names('-A', '-l', LABEL);
  const clusterWide = await names('-l', LABEL);
  const inside = await names('-n', SYSTEM);
  const own = new Set(['serviceaccount/default', 'configmap/kube-root-ca.crt']);
  return [...new Set([...labelled, ...clusterWide, ...inside])].filter(
    (name) => !own.has(name) && !name.startsWith('event'),
  );
}

/** Names of all objects there, of every kind: in namespaces where one or all are named, of the cluster otherwise. */
async function names(...where: string[]): Promise<string[]> {
  const namespaced = where.some((argument) => argument === '-n' || argument === '-A');
  const kinds = lines(
    await cluster.kubectl(['api-resources', '--verbs=list', `--namespaced=${namespaced}`, '-o', 'name']),
  );
  return lines(await cluster.kubectl(['get', kinds.join(','), '-o', 'name', '--ignore-not-found', ...where]));
}

const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '');

interface Named {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
}

/** In one order, and without the fields that an empty value leaves as they are. */
function comparable(objects: readonly Named[]): unknown[] {
  const optional = ['annotations', 'affinity', 'env', 'imagePullSecrets', 'priorityClassName', 'tolerations'];
  const isEmpty = (value: unknown) => ['', '{}', '[]'].includes(JSON.stringify(value).replaceAll('"', ''));
  const nameOf = ({ kind, metadata }: Named) => `${kind}/${metadata.namespace}/${metadata.name}`;
  return objects
    .toSorted((a, b) => nameOf(a).localeCompare(nameOf(b)))
    .map((object) =>
      JSON.parse(JSON.stringify(object), (key, value: unknown) =>
        optional.includes(key) && isEmpty(value) ? undefined : value,
      ),
    );
}
