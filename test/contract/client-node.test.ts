import {
  ApiException,
  CoreV1Api,
  type KubeConfig,
  KubernetesObjectApi,
  ListWatch,
  makeInformer,
  PatchStrategy,
  type V1Lease,
  type V1Pod,
  Watch,
} from '@kubernetes/client-node';
import { afterEach, describe, expect, test } from 'vitest';
import { podJson, ScriptedApiServer, until } from '../support/scripted-api-server.ts';

// What @kubernetes/client-node 2.0.1 does that an operator cannot live with, and which part of src/kube answers it. A test that
// fails after an upgrade says that the defect is gone, and that our answer may be.

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function setUp(): Promise<{ server: ScriptedApiServer; config: KubeConfig }> {
  const server = await ScriptedApiServer.start();
  closing.push(() => server.stop());
  return { server, config: server.config() };
}

const podList = (...items: object[]) => ({
  kind: 'PodList',
  apiVersion: 'v1',
  metadata: { resourceVersion: '10' },
  items,
});

/** A started informer of pods, and everything it says. */
async function informerOf(config: KubeConfig) {
  const core = config.makeApiClient(CoreV1Api);
  const informer = makeInformer<V1Pod>(config, '/api/v1/namespaces/default/pods', () =>
    core.listNamespacedPod({ namespace: 'default' }),
  );
  const said: string[] = [];
  for (const verb of ['add', 'update', 'delete'] as const) {
    informer.on(verb, (pod: V1Pod) => void said.push(`${verb} ${pod.metadata?.name}@${pod.metadata?.resourceVersion}`));
  }
  informer.on('error', (error: unknown) => void said.push(`error ${(error as Error).message.split('\n')[0]}`));
  closing.push(() => informer.stop());
  void informer.start();
  return { informer, said };
}

/** Long enough for anything that would be done at once to have been done. */
const aMoment = () => new Promise((resolve) => setTimeout(resolve, 60));

describe('client-node 2.0.1', () => {
  test('1: opens a connection for every request (#2893). Ours: Transport, one pool', async () => {
    const { server, config } = await setUp();
    server.always((request) => request.json(200, podJson('a', 1)));
    const core = config.makeApiClient(CoreV1Api);
    for (let i = 0; i < 5; i += 1) await core.readNamespacedPod({ name: 'a', namespace: 'default' });
    expect(server.connections).toBe(5);
  });

  const resources = (kind: string, name: string) => ({
    kind: 'APIResourceList',
    groupVersion: 'x/v1',
    resources: [{ kind, name, namespaced: kind === 'NetworkPolicy', singularName: '', verbs: [] }],
  });

  /** Applies an object and returns what arrived at the server. */
  async function applied(object: object, plural: string): Promise<unknown> {
    const { server, config } = await setUp();
    const api = KubernetesObjectApi.makeApiClient(config);
    const { kind } = object as { kind: string };
    const patch = api.patch(object, undefined, undefined, 'me', true, PatchStrategy.ServerSideApply);
    (await server.next()).json(200, resources(kind, plural));
    const request = await server.next();
    request.json(200, request.body);
    await patch;
    return request.body;
  }

  test('2: drops `from` of a NetworkPolicy, which then allows everyone. Ours: raw JSON bodies', async () => {
    const body = await applied(
      {
        apiVersion: 'networking.k8s.io/v1',
        kind: 'NetworkPolicy',
        metadata: { name: 'p', namespace: 'default' },
        spec: { podSelector: {}, ingress: [{ from: [{ podSelector: {} }], ports: [{ port: 80 }] }] },
      },
      'networkpolicies',
    );
    expect(body).toMatchObject({ spec: { ingress: [{ ports: [{ port: 80 }] }] } });
    expect(JSON.stringify(body)).not.toContain('from');
  });

  test('3: drops x-kubernetes-* of a CRD schema (#2483, #2962). Ours: raw JSON bodies', async () => {
    const body = await applied(
      {
        apiVersion: 'apiextensions.k8s.io/v1',
        kind: 'CustomResourceDefinition',
        metadata: { name: 'xs.x.dev' },
        spec: {
          group: 'x.dev',
          scope: 'Namespaced',
          names: { kind: 'X', plural: 'xs' },
          versions: [
            {
              name: 'v1',
              served: true,
              storage: true,
              schema: {
                openAPIV3Schema: {
                  type: 'object',
                  properties: { spec: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true, default: {} } },
                },
              },
            },
          ],
        },
      },
      'customresourcedefinitions',
    );
    expect(JSON.stringify(body)).toContain('openAPIV3Schema');
    expect(JSON.stringify(body)).not.toContain('x-kubernetes-preserve-unknown-fields');
    expect(JSON.stringify(body)).not.toContain('default');
  });

  test('4: drops fields newer than its models. Ours: raw JSON bodies', async () => {
    const body = await applied(
      { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n' }, spec: { unschedulable: true, fromTheFuture: 1 } },
      'nodes',
    );
    expect(body).toMatchObject({ spec: { unschedulable: true } });
    expect(JSON.stringify(body)).not.toContain('fromTheFuture');
  });

  test('5: the same field is a Date from a list and a string from a watch (#655, #487, #2018). Ours: Wire<T>', async () => {
    const { server, config } = await setUp();
    const { informer, said } = await informerOf(config);
    (await server.next()).json(200, podList(podJson('a', 3)));
    (await server.next()).watch().send('ADDED', podJson('b', 11));
    await until(() => said.length === 2);
    expect(informer.list().map(({ metadata }) => typeof metadata?.creationTimestamp)).toEqual(['object', 'string']);
  });

  describe('6: ends its informer (#447; #3034 is not in 2.0.1). Ours: Informer, back-off for ever', () => {
    test('after one 503 to a list', async () => {
      const { server, config } = await setUp();
      const { said } = await informerOf(config);
      (await server.next()).fail(503, 'ServiceUnavailable');
      await until(() => said.length === 1);
      await aMoment();
      expect(server.log).toHaveLength(1);
      expect(said).toEqual(['error HTTP-Code: 503']);
    });

    test('after one 429 to a watch', async () => {
      const { server, config } = await setUp();
      const { said } = await informerOf(config);
      (await server.next()).json(200, podList());
      (await server.next()).fail(429, 'TooManyRequests', 'busy', { 'retry-after': '0' });
      await until(() => said.length === 1);
      await aMoment();
      expect(server.log).toHaveLength(2);
      expect(said).toEqual(['error Too Many Requests']);
    });

    test('after one reset', async () => {
      const { server, config } = await setUp();
      const { said } = await informerOf(config);
      (await server.next()).json(200, podList());
      const watch = (await server.next()).watch();
      watch.send('ADDED', podJson('a', 11));
      await until(() => said.length === 1);
      watch.reset();
      await until(() => said.length === 2);
      await aMoment();
      expect(server.log).toHaveLength(2);
    });
  });

  test('7: opens a watch after stop() during a list (#3052 is not in 2.0.1). Ours: one AbortSignal through all', async () => {
    const { server, config } = await setUp();
    const { informer } = await informerOf(config);
    const list = await server.next();
    await informer.stop();
    list.json(200, podList());
    expect((await server.next()).isWatch).toBe(true);
  });

  test('8: a handler that throws is an unhandled rejection, by default the end of the process. Ours: onError', async () => {
    const { server, config } = await setUp();
    const { informer, said } = await informerOf(config);
    informer.on('update', () => {
      throw new Error('handler');
    });
    (await server.next()).json(200, podList(podJson('a', 3)));
    const others = process.listeners('unhandledRejection');
    process.removeAllListeners('unhandledRejection');
    const rejections: string[] = [];
    process.on('unhandledRejection', (reason) => void rejections.push(String(reason)));
    try {
      (await server.next()).watch().send('MODIFIED', podJson('a', 11));
      await until(() => rejections.length === 1);
    } finally {
      process.removeAllListeners('unhandledRejection');
      for (const listener of others) process.on('unhandledRejection', listener);
    }
    expect(rejections).toEqual(['Error: handler']);
    expect(said).toEqual(['add a@3', 'update a@11']);
  });

  test('8: a Watch callback that throws is swallowed as a parse error. Ours: events() yields, and errors are thrown', async () => {
    const { server, config } = await setUp();
    let calls = 0;
    const opening = new Watch(config).watch(
      '/api/v1/pods',
      {},
      () => {
        calls += 1;
        throw new Error('callback');
      },
      () => {},
    );
    const watch = (await server.next()).watch();
    const controller = await opening;
    watch.send('ADDED', podJson('a', 1));
    watch.send('ADDED', podJson('b', 2));
    await until(() => calls === 2);
    controller.abort();
    expect(calls).toBe(2);
  });

  test('9: an ERROR event other than 410 is ignored while the stream stays open. Ours: every ERROR ends the stream', async () => {
    const { server, config } = await setUp();
    const { said } = await informerOf(config);
    (await server.next()).json(200, podList());
    const watch = (await server.next()).watch();
    watch.error(500, 'InternalError');
    watch.send('ADDED', podJson('a', 11));
    await until(() => said.length > 0);
    expect(said).toEqual(['add a@11']);
    expect(server.log).toHaveLength(2);
  });

  test('10: asks for neither bookmarks nor a time limit (#3020). Ours: both, and 90 s of silence as the limit', async () => {
    const { server, config } = await setUp();
    await informerOf(config);
    (await server.next()).json(200, podList());
    expect((await server.next()).query).toEqual({ watch: 'true', resourceVersion: '10' });
  });

  test('11: leaves ever longer gaps when a server closes quiet watches in order. Ours: back-off on errors only', async () => {
    const { server, config } = await setUp();
    const delays: number[] = [];
    const core = config.makeApiClient(CoreV1Api);
    const informer = new ListWatch<V1Pod>(
      '/api/v1/pods',
      new Watch(config),
      () => core.listPodForAllNamespaces(),
      false,
      undefined,
      undefined,
      {
        delayFn: (ms: number) => {
          delays.push(ms);
          return Promise.resolve();
        },
      },
    );
    closing.push(() => informer.stop());
    void informer.start();
    (await server.next()).json(200, podList());
    for (let i = 0; i < 5; i += 1) (await server.next()).watch().end();
    await server.next();
    expect(delays).toEqual([1000, 2000, 4000, 8000]);
  });

  test('12: a recreated object appears as an update (no UID check). Ours: a delete and an add', async () => {
    const { server, config } = await setUp();
    const { said } = await informerOf(config);
    (await server.next()).json(200, podList(podJson('a', 3, { uid: 'one' })));
    (await server.next()).watch().send('ADDED', podJson('a', 12, { uid: 'two' }));
    await until(() => said.length === 2);
    expect(said).toEqual(['add a@3', 'update a@12']);
  });

  test('12: an older version replaces a newer one. Ours: versions are compared as numbers', async () => {
    const { server, config } = await setUp();
    const { said } = await informerOf(config);
    (await server.next()).json(200, podList(podJson('a', 3)));
    const watch = (await server.next()).watch();
    watch.send('MODIFIED', podJson('a', 110));
    watch.send('MODIFIED', podJson('a', 95));
    await until(() => said.length === 3);
    expect(said).toEqual(['add a@3', 'update a@110', 'update a@95']);
  });

  test('13: sends a Lease time with three fractional digits, where the API server wants six (#828). Ours: microTime', async () => {
    const { server, config } = await setUp();
    const api = KubernetesObjectApi.makeApiClient(config);
    const lease: V1Lease = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name: 'l', namespace: 'default' },
      spec: { renewTime: new Date('2026-01-01T00:00:00.5Z') },
    };
    const creating = api.create(lease);
    (await server.next()).json(200, resources('Lease', 'leases'));
    const request = await server.next();
    request.json(201, request.body);
    await creating;
    expect(request.body).toMatchObject({ spec: { renewTime: '2026-01-01T00:00:00.500Z' } });
  });

  test('14: lower-cases the whole path, after one discovery request per group. Ours: a static table', async () => {
    const { server, config } = await setUp();
    const api = KubernetesObjectApi.makeApiClient(config);
    const reading = api.read({
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name: 'acme:Foo' },
    });
    const discovery = await server.next();
    expect(discovery.path).toBe('/apis/rbac.authorization.k8s.io/v1');
    discovery.json(200, resources('ClusterRole', 'clusterroles'));
    const request = await server.next();
    request.json(200, {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name: 'acme:Foo' },
    });
    await reading;
    expect(request.path).toBe('/apis/rbac.authorization.k8s.io/v1/clusterroles/acme%3afoo');
  });

  test('15: its errors hold the body as text, and every response header in the message. Ours: ApiError', async () => {
    const { server, config } = await setUp();
    const core = config.makeApiClient(CoreV1Api);
    const reading = core.readNamespacedPod({ name: 'a', namespace: 'default' }).catch((error: unknown) => error);
    (await server.next()).fail(404, 'NotFound', 'pods "a" not found', { 'x-canary': 'header' });
    const error = (await reading) as ApiException<unknown>;
    expect(error).toBeInstanceOf(ApiException);
    expect(typeof error.body).toBe('string');
    expect(error.message).toContain('Unknown API Status Code!');
    expect(error.message).toContain('x-canary');
  });
});
