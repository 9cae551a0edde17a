import { KubeConfig } from '@kubernetes/client-node';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  type ApplyOptions,
  type ConfigMap,
  ConfigMaps,
  type Deployment,
  Deployments,
  Informer,
  isConflict,
  isRejected,
  isUnknownField,
  KubeClient,
  Leases,
  Namespaces,
  NetworkPolicies,
  Nodes,
  Pods,
  type RequestReport,
} from '../../src/kube/index.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { Cluster } from './cluster.ts';

let cluster: Cluster;
let config: KubeConfig;
let client: KubeClient;
let reports: RequestReport[] = [];
let namespaces = 0;
let namespace: string;

beforeAll(async () => {
  cluster = await Cluster.start();
  config = new KubeConfig();
  config.loadFromString(cluster.kubeconfig);
  client = KubeClient.connect(config, {
    clock: systemClock,
    userAgent: 'kube-test/1',
    requestsPerSecond: 2000,
    burst: 4000,
    onRequest: (report) => void reports.push(report),
  });
});
afterAll(async () => {
  await client.close();
  await cluster.stop();
});
beforeEach(async () => {
  namespace = `kube-${Date.now()}-${(namespaces += 1)}`;
  await client.create(Namespaces, { metadata: { name: namespace } });
  reports = [];
});

const fieldManager = 'kube-test';
const configMap = (name: string, data: Record<string, string>): ConfigMap => ({ metadata: { name, namespace }, data });

const deployment = (rest: Partial<Deployment['spec']> = {}): Deployment => ({
  metadata: { name: 'd', namespace },
  spec: {
    replicas: 0,
    selector: { matchLabels: { app: 'd' } },
    template: {
      metadata: { labels: { app: 'd' } },
      spec: { containers: [{ name: 'c', image: 'x', args: ['--a'], env: [{ name: 'A', value: '1' }] }] },
    },
    ...rest,
  },
});

/** Polls until the answer is true. */
async function eventually(condition: () => boolean | Promise<boolean>, withinMs = 10_000): Promise<void> {
  const end = performance.now() + withinMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`never came true: ${String(condition)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe('server-side apply', () => {
  test('of the same object again leaves its version and generation alone', async () => {
    const first = await client.apply(Deployments, deployment(), { fieldManager });
    const again = await client.apply(Deployments, deployment(), { fieldManager });
    expect(again.metadata?.generation).toBe(1);
    // The deployment controller may have written the status between; the spec's writer must not have.
    await eventually(async () => {
      const before = await client.get(Deployments, { namespace, name: 'd' });
      const after = await client.apply(Deployments, deployment(), { fieldManager });
      return before?.metadata?.resourceVersion === after.metadata?.resourceVersion;
    });
    expect(first.metadata?.uid).toBe(again.metadata?.uid);
  });

  test('removes the fields that are no longer sent, and leaves those of others', async () => {
    await client.apply(ConfigMaps, configMap('c', { ours: '1', dropped: '2' }), { fieldManager });
    await client.apply(ConfigMaps, configMap('c', { theirs: '3' }), { fieldManager: 'someone-else' });
    const after = await client.apply(ConfigMaps, configMap('c', { ours: '1' }), { fieldManager });
    expect(after.data).toEqual({ ours: '1', theirs: '3' });
  });

  test('without force is refused where another manager owns the field', async () => {
    await client.apply(ConfigMaps, configMap('c', { key: '1' }), { fieldManager: 'someone-else' });
    const refusal = await client
      .apply(ConfigMaps, configMap('c', { key: '2' }), { fieldManager, force: false })
      .catch((error: unknown) => error);
    expect(isConflict(refusal)).toBe(true);
    expect((await client.apply(ConfigMaps, configMap('c', { key: '2' }), { fieldManager })).data).toEqual({ key: '2' });
  });

  test('of a field that the server does not know is an error that no retry can cure', async () => {
    const unknown = { ...deployment(), spec: { ...deployment().spec!, replcas: 3 } } as Deployment;
    const error = await client.apply(Deployments, unknown, { fieldManager }).catch((error: unknown) => error);
    expect(String(error)).toBe(
      `ApiError: apply deployments ${namespace}/d: 500 failed to create typed patch object ` +
        `(${namespace}/d; apps/v1, Kind=Deployment): .spec.replcas: field not declared in schema`,
    );
    expect([isUnknownField(error), isRejected(error)]).toEqual([true, true]);
    // Asked once: a 500 is not repeated.
    expect(reports).toHaveLength(1);
  });

  test('of a value of the wrong type is such an error too', async () => {
    const wrong = deployment({ replicas: 'three' as unknown as number });
    const error = await client.apply(Deployments, wrong, { fieldManager }).catch((error: unknown) => error);
    expect([isUnknownField(error), isRejected(error)]).toEqual([false, true]);
  });

  test('keeps `from` of a NetworkPolicy', async () => {
    const policy = {
      metadata: { name: 'p', namespace },
      spec: { podSelector: {}, ingress: [{ from: [{ podSelector: {} }], ports: [{ port: 80 }] }] },
    };
    await client.apply(NetworkPolicies, policy, { fieldManager });
    const live = await client.get(NetworkPolicies, { namespace, name: 'p' });
    expect(live?.spec?.ingress?.[0]?.from).toEqual([{ podSelector: {} }]);
  });
});

describe('server-side apply of what must be as was decided', () => {
  const refused = (options: Pick<ApplyOptions, 'only'>, name: string) =>
    client
      .apply(ConfigMaps, configMap(name, { key: 'new' }), { fieldManager, ...options })
      .then(() => false, isConflict);
  const key = () => ({ namespace, name: 'c' });

  test('creates where the name is free, as any apply does', async () => {
    const made = await client.apply(ConfigMaps, configMap('c', { key: '1', dropped: '2' }), {
      fieldManager,
      only: 'absent',
    });
    expect(made.data).toEqual({ key: '1', dropped: '2' });
    const after = await client.apply(ConfigMaps, configMap('c', { key: '1' }), { fieldManager });
    expect([after.metadata?.uid, after.data]).toEqual([made.metadata?.uid, { key: '1' }]);
  });

  test('is a conflict where the name is taken, be the content the same', async () => {
    const taken = await client.create(ConfigMaps, configMap('c', { key: 'old' }));
    expect(await refused({ only: 'absent' }, 'c')).toBe(true);
    const same = await client.apply(ConfigMaps, configMap('d', { key: 'new' }), { fieldManager });
    expect(await refused({ only: 'absent' }, 'd')).toBe(true);
    expect(await client.get(ConfigMaps, key())).toEqual(taken);
    expect(await client.get(ConfigMaps, { namespace, name: 'd' })).toEqual(same);
  });

  test('of racing creates of one name, one wins', async () => {
    const racing = Array.from({ length: 5 }, (_, racer) =>
      client
        .apply(ConfigMaps, configMap('c', { racer: String(racer) }), { fieldManager: `racer-${racer}`, only: 'absent' })
        .then(() => 'won', isConflict),
    );
    const outcomes = await Promise.all(racing);
    expect(outcomes.filter((it) => it === 'won')).toHaveLength(1);
    expect(outcomes.filter((it) => it === true)).toHaveLength(4);
  });

  test('changes the object of that UID, and neither changes nor makes a namesake', async () => {
    const first = await client.create(ConfigMaps, configMap('c', { key: 'old' }));
    const only = { uid: first.metadata!.uid! };
    const changed = await client.apply(ConfigMaps, configMap('c', { key: 'new' }), { fieldManager, only });
    expect(changed.data).toEqual({ key: 'new' });
    await client.delete(ConfigMaps, key());
    expect(await refused({ only }, 'c')).toBe(true);
    expect(await client.get(ConfigMaps, key())).toBeUndefined();
    const namesake = await client.create(ConfigMaps, configMap('c', { key: 'old' }));
    expect(await refused({ only }, 'c')).toBe(true);
    expect(await client.get(ConfigMaps, key())).toEqual(namesake);
  });
});

test('an unknown field of a create is an error', async () => {
  const unknown = { ...configMap('c', {}), dada: {} } as ConfigMap;
  const error = await client.create(ConfigMaps, unknown).catch((error: unknown) => error);
  expect(isUnknownField(error)).toBe(true);
});

describe('delete', () => {
  test('with the UID or version of another object is refused', async () => {
    const made = await client.create(ConfigMaps, configMap('c', {}));
    const key = { namespace, name: 'c' };
    const wrongUid = await client.delete(ConfigMaps, key, { uid: 'other' }).catch((error: unknown) => error);
    const wrongVersion = await client
      .delete(ConfigMaps, key, { resourceVersion: '1' })
      .catch((error: unknown) => error);
    expect([isConflict(wrongUid), isConflict(wrongVersion)]).toEqual([true, true]);
    const { uid, resourceVersion } = made.metadata!;
    expect(await client.delete(ConfigMaps, key, { uid, resourceVersion })).toBeUndefined();
    expect(await client.delete(ConfigMaps, key, { uid })).toBeUndefined();
  });

  test('answers with what remains while finalizers run', async () => {
    const made = configMap('c', {});
    made.metadata!.finalizers = ['x.dev/hold'];
    await client.create(ConfigMaps, made);
    const key = { namespace, name: 'c' };
    const remains = await client.delete(ConfigMaps, key);
    expect(remains?.metadata?.deletionTimestamp).toBeDefined();
    await client.patch(ConfigMaps, key, {
      type: 'json',
      body: [
        { op: 'test', path: '/metadata/finalizers/0', value: 'x.dev/hold' },
        { op: 'remove', path: '/metadata/finalizers/0' },
      ],
    });
    expect(await client.get(ConfigMaps, key)).toBeUndefined();
  });
});

test('of three racing replacements of one version, one wins', async () => {
  const lease = await client.create(Leases, { metadata: { name: 'l', namespace }, spec: { leaseDurationSeconds: 15 } });
  const racing = ['a', 'b', 'c'].map((holderIdentity) =>
    client.update(Leases, { ...lease, spec: { ...lease.spec, holderIdentity } }).then(
      () => 'won',
      (error: unknown) => (isConflict(error) ? 'conflict' : error),
    ),
  );
  const outcomes = await Promise.all(racing);
  expect([outcomes.filter((it) => it === 'won').length, outcomes.filter((it) => it === 'conflict').length]).toEqual([
    1, 2,
  ]);
});

test('a token that the server does not know is an error after one more try', async () => {
  const stranger = new KubeConfig();
  stranger.loadFromClusterAndUser(config.getCurrentCluster()!, { name: 'x', token: 'wrong' });
  const codes: number[] = [];
  const wrong = KubeClient.connect(stranger, {
    clock: systemClock,
    userAgent: 'kube-test/1',
    onRequest: ({ code }) => void codes.push(code),
  });
  await expect(wrong.get(Namespaces, { name: namespace })).rejects.toMatchObject({ code: 401, reason: 'Unauthorized' });
  expect(codes).toEqual([401, 401]);
  await wrong.close();
});

test('discovery', async () => {
  expect(Number((await client.serverVersion()).minor)).toBeGreaterThanOrEqual(34);
  expect(await client.supports('coordination.k8s.io/v1', 'leases')).toBe(true);
  expect(await client.supports('gateway.networking.k8s.io/v1', 'httproutes')).toBe(false);
});

describe('Informer', () => {
  const informers: Informer<ConfigMap>[] = [];
  function informerOf(rest: Partial<ConstructorParameters<typeof Informer<ConfigMap>>[0]> = {}) {
    const told: string[] = [];
    const errors: string[] = [];
    const informer = new Informer<ConfigMap>({
      client,
      resource: ConfigMaps,
      namespaces: [namespace],
      labelSelector: 'kube-test',
      onChange: ({ type, object }) => void told.push(`${type} ${object.metadata?.name}`),
      onError: (error) => void errors.push(String(error)),
      ...rest,
    });
    informers.push(informer);
    informer.start();
    return { informer, told, errors };
  }
  const labelled = (name: string, data: Record<string, string> = {}): ConfigMap => {
    const made = configMap(name, data);
    made.metadata!.labels = { 'kube-test': 'yes' };
    return made;
  };
  const tidy = () => Promise.all(informers.splice(0).map((informer) => informer.stop()));

  test('reads 2,000 objects by initial events, follows changes, and comes back after the server was away', async () => {
    await Promise.all(
      Array.from({ length: 2000 }, (_, i) => client.create(ConfigMaps, labelled(`c${i}`, { text: 'x'.repeat(1000) }))),
    );
    // The server may close the first stream, because its own cache is still busy with the burst; a list follows then.
    const first = informerOf();
    await first.informer.whenSynced();
    expect(first.informer.size).toBe(2000);
    await first.informer.stop();

    reports = [];
    const startedAt = performance.now();
    const { informer, told, errors } = informerOf();
    await informer.whenSynced();
    console.log(`informer: 2,000 objects of 1 KB in ${(performance.now() - startedAt).toFixed(0)} ms`);
    expect(informer.size).toBe(2000);
    expect(reports.map(({ verb, code }) => [verb, code])).toEqual([['watch', 200]]);
    expect(informer.list().every(({ metadata }) => metadata?.managedFields === undefined)).toBe(true);

    told.length = 0;
    const written = await client.apply(ConfigMaps, labelled('c0', { text: 'y' }), { fieldManager, force: true });
    informer.observe(written);
    expect(informer.get({ namespace, name: 'c0' })?.data).toEqual({ text: 'y' });
    const uid = informer.get({ namespace, name: 'c1' })!.metadata!.uid!;
    expect(await client.delete(ConfigMaps, { namespace, name: 'c1' }, { uid })).toBeUndefined();
    informer.forget({ namespace, name: 'c1' }, uid);
    await client.create(ConfigMaps, labelled('last'));
    await eventually(() => told.length >= 3);
    expect(told).toEqual(['update c0', 'delete c1', 'add last']);

    expect(errors).toEqual([]);
    const server = cluster.component('kube-apiserver');
    await server.kill();
    server.start();
    await eventually(async () => {
      const made = await client.create(ConfigMaps, labelled('after')).catch(() => undefined);
      return made !== undefined;
    }, 60_000);
    await eventually(() => told.includes('add after'), 60_000);
    expect(told).toEqual(['update c0', 'delete c1', 'add last', 'add after']);
    expect(errors.length).toBeGreaterThan(0);
    await tidy();
  });

  test('of every node and pod syncs, and objects of a list equal those of a watch', async () => {
    const nodes = new Informer({ client, resource: Nodes });
    const pods = new Informer({ client, resource: Pods });
    nodes.start();
    pods.start();
    await Promise.all([nodes.whenSynced(), pods.whenSynced()]);
    await Promise.all([nodes.stop(), pods.stop()]);

    await client.create(ConfigMaps, labelled('a', { k: 'v' }));
    const { informer } = informerOf();
    await informer.whenSynced();
    const { items } = await client.list(ConfigMaps, { namespace, labelSelector: 'kube-test' });
    for (const item of items) delete item.metadata!.managedFields;
    expect(informer.list()).toEqual(items);
    await tidy();
  });
});
