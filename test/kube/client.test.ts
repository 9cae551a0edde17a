import { afterEach, describe, expect, test } from 'vitest';
import {
  ApiError,
  apiVersionOf,
  ConfigMaps,
  customResource,
  CustomResourceDefinitions,
  Deployments,
  isAlreadyExists,
  isConflict,
  isForbidden,
  isGone,
  isInvalid,
  isNotFound,
  isRejected,
  isUnknownField,
  KubeClient,
  type KubeObject,
  Leases,
  NetworkPolicies,
  Nodes,
  pathOf,
  Pods,
} from '../../src/kube/index.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { podJson, ScriptedApiServer } from '../support/scripted-api-server.ts';

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function setUp() {
  const server = await ScriptedApiServer.start();
  const client = KubeClient.connect(server.config(), { clock: new ManualClock(), userAgent: 'test/1' });
  closing.push(
    () => server.stop(),
    () => client.close(),
  );
  return { server, client };
}

const key = { namespace: 'team-a', name: 'a' };
const pod = podJson('a', 7, { namespace: 'team-a' });

describe('paths', () => {
  test.each([
    { name: 'a collection in all namespaces', path: pathOf(Pods), is: '/api/v1/pods' },
    { name: 'a collection in one', path: pathOf(Pods, { namespace: 'a' }), is: '/api/v1/namespaces/a/pods' },
    {
      name: 'an object of a group',
      path: pathOf(Deployments, { namespace: 'a', name: 'b' }),
      is: '/apis/apps/v1/namespaces/a/deployments/b',
    },
    { name: 'a cluster-scoped object', path: pathOf(Nodes, { name: 'n' }), is: '/api/v1/nodes/n' },
    {
      name: 'a namespace is no part of a cluster-scoped object',
      path: pathOf(Nodes, { namespace: 'a', name: 'n' }),
      is: '/api/v1/nodes/n',
    },
    {
      name: 'a subresource',
      path: pathOf(Pods, { namespace: 'a', name: 'b', subresource: 'status' }),
      is: '/api/v1/namespaces/a/pods/b/status',
    },
    {
      name: 'a name in its own case, reserved characters escaped',
      path: pathOf(
        customResource('rbac.authorization.k8s.io', 'v1', 'ClusterRole', 'clusterroles', { namespaced: false }),
        { name: 'acme:Foo' },
      ),
      is: '/apis/rbac.authorization.k8s.io/v1/clusterroles/acme%3AFoo',
    },
  ])('$name', ({ path, is }) => expect(path).toBe(is));

  test('one object of a namespaced kind needs a namespace', () => {
    expect(() => pathOf(Pods, { name: 'a' })).toThrow('Pod a: a namespace is needed');
  });

  test('apiVersion', () =>
    expect([apiVersionOf(Pods), apiVersionOf(Leases)]).toEqual(['v1', 'coordination.k8s.io/v1']));
});

describe('raw JSON', () => {
  test('nothing is renamed, dropped or turned into a Date on the way out', async () => {
    const { server, client } = await setUp();
    server.always((request) => request.json(200, request.body));
    const policy = {
      metadata: { name: 'p', namespace: 'team-a' },
      spec: { podSelector: {}, ingress: [{ from: [{ podSelector: {} }] }] },
    };
    const sent = await client.apply(NetworkPolicies, policy, { fieldManager: 'me' });
    expect(sent).toEqual({ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', ...policy });
    const schema = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true, default: {}, fromTheFuture: 1 };
    const crd = { metadata: { name: 'xs.x.dev' }, spec: { versions: [{ schema: { openAPIV3Schema: schema } }] } };
    expect(await client.apply(CustomResourceDefinitions, crd, { fieldManager: 'me' })).toMatchObject(crd);
  });

  test('lists and watches give the same objects', async () => {
    const { server, client } = await setUp();
    const listing = client.list(Pods);
    const { apiVersion: _, kind: __, ...item } = pod;
    (await server.next()).list('10', [item]);
    const watching = client.watch(Pods, { resourceVersion: '10' });
    (await server.next()).watch().send('ADDED', pod);
    const stream = await watching;
    const { value: event } = await stream.next();
    await stream.return();
    expect((await listing).items[0]).toEqual(pod);
    expect(event).toEqual({ type: 'ADDED', object: pod });
  });
});

describe('verbs', () => {
  /** What the call sent, when it is answered with a pod. */
  async function sent(call: (client: KubeClient) => Promise<unknown>, answer: object = pod) {
    const { server, client } = await setUp();
    const calling = call(client);
    const request = await server.next();
    request.json(200, answer);
    const result = await calling;
    const { method, path, query, body } = request;
    return { method, path, query, type: request.headers['content-type'], body, result };
  }

  test('get', async () => {
    expect(await sent((client) => client.get(Pods, key))).toEqual({
      method: 'GET',
      path: '/api/v1/namespaces/team-a/pods/a',
      query: {},
      type: undefined,
      body: undefined,
      result: pod,
    });
  });

  test('create refuses fields that the server does not know', async () => {
    const { metadata } = pod;
    expect(await sent((client) => client.create(Pods, { metadata }, { fieldManager: 'me' }))).toEqual({
      method: 'POST',
      path: '/api/v1/namespaces/team-a/pods',
      query: { fieldManager: 'me', fieldValidation: 'Strict' },
      type: 'application/json',
      body: { apiVersion: 'v1', kind: 'Pod', metadata },
      result: pod,
    });
  });

  test('apply is forced unless said otherwise, and sends no managedFields', async () => {
    const live = { ...pod, metadata: { ...pod.metadata, managedFields: [{ manager: 'me' }] } };
    expect(await sent((client) => client.apply(Pods, live, { fieldManager: 'me' }))).toEqual({
      method: 'PATCH',
      path: '/api/v1/namespaces/team-a/pods/a',
      query: { fieldManager: 'me', force: 'true' },
      type: 'application/apply-patch+yaml',
      body: pod,
      result: pod,
    });
    const polite = await sent((client) => client.apply(Pods, pod, { fieldManager: 'me', force: false, dryRun: true }));
    expect(polite.query).toEqual({ fieldManager: 'me', force: 'false', dryRun: 'All' });
  });

  test('applyStatus', async () => {
    const { path, query } = await sent((client) => client.applyStatus(Pods, pod, { fieldManager: 'me' }));
    expect([path, query]).toEqual(['/api/v1/namespaces/team-a/pods/a/status', { fieldManager: 'me', force: 'true' }]);
  });

  test('update carries the version that it replaces', async () => {
    expect(await sent((client) => client.update(Pods, pod))).toMatchObject({
      method: 'PUT',
      path: '/api/v1/namespaces/team-a/pods/a',
      body: { metadata: { resourceVersion: '7' } },
    });
  });

  test('patch', async () => {
    const merge = await sent((client) => client.patch(Pods, key, { type: 'merge', body: { spec: null } }));
    expect([merge.method, merge.type, merge.body]).toEqual(['PATCH', 'application/merge-patch+json', { spec: null }]);
    const operations = [{ op: 'remove', path: '/metadata/finalizers/0' }];
    const json = await sent((client) =>
      client.patch(Pods, key, { type: 'json', body: operations, subresource: 'status' }),
    );
    expect([json.path, json.type, json.body]).toEqual([
      '/api/v1/namespaces/team-a/pods/a/status',
      'application/json-patch+json',
      operations,
    ]);
  });

  test('delete carries its preconditions; the answer is what remains', async () => {
    const terminating = { ...pod, metadata: { ...pod.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } };
    const options = { uid: 'u', resourceVersion: '7', propagationPolicy: 'Foreground', gracePeriodSeconds: 0 } as const;
    expect(await sent((client) => client.delete(Pods, key, options), terminating)).toEqual({
      method: 'DELETE',
      path: '/api/v1/namespaces/team-a/pods/a',
      query: {},
      type: 'application/json',
      body: {
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        propagationPolicy: 'Foreground',
        gracePeriodSeconds: 0,
        preconditions: { uid: 'u', resourceVersion: '7' },
      },
      result: terminating,
    });
    const status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details: { uid: 'u' } };
    const gone = await sent((client) => client.delete(Pods, key), status);
    expect(gone.body).toEqual({ apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy: 'Background' });
    expect(gone.result).toBeUndefined();
  });

  test('a write without a name is refused before it is sent', async () => {
    const { client, server } = await setUp();
    await expect((async () => client.apply(Pods, { metadata: {} }, { fieldManager: 'me' }))()).rejects.toThrow(
      'object without a name',
    );
    expect(server.log).toEqual([]);
  });
});

test('what is not there is undefined to a get and done to a delete', async () => {
  const { server, client } = await setUp();
  server.always((request) => request.fail(404, 'NotFound'));
  expect([await client.get(Pods, key), await client.delete(Pods, key)]).toEqual([undefined, undefined]);
});

test('a list is read in pages of one snapshot', async () => {
  const { server, client } = await setUp();
  const listing = client.list(Pods, { namespace: 'team-a', labelSelector: 'app=x', pageSize: 1 });
  (await server.next()).list('10', [podJson('a', 3)], 'more');
  const second = await server.next();
  expect(second.query).toEqual({ labelSelector: 'app=x', limit: '1', continue: 'more' });
  second.list('10', [podJson('b', 4)]);
  expect(await listing).toEqual({ items: [podJson('a', 3), podJson('b', 4)], resourceVersion: '10' });
});

test('an empty list may have null for its items', async () => {
  const { server, client } = await setUp();
  server.always((request) => request.json(200, { kind: 'PodList', metadata: { resourceVersion: '5' }, items: null }));
  expect(await client.list(Pods)).toEqual({ items: [], resourceVersion: '5' });
});

describe('logs', () => {
  test('are text', async () => {
    const { server, client } = await setUp();
    const logs = client.podLogs(key, { container: 'engine', previous: true, tailLines: 50, limitBytes: 1000 });
    const request = await server.next();
    expect([request.path, request.query]).toEqual([
      '/api/v1/namespaces/team-a/pods/a/log',
      { container: 'engine', previous: 'true', tailLines: '50', limitBytes: '1000' },
    ]);
    request.plain(200, 'CUDA out of memory\n');
    expect(await logs).toBe('CUDA out of memory\n');
  });

  test.each([404, 400])('are undefined where there are none (%d)', async (code) => {
    const { server, client } = await setUp();
    server.always((request) => request.fail(code, 'BadRequest', 'previous terminated container not found'));
    expect(await client.podLogs(key, { previous: true })).toBeUndefined();
  });
});

test('discovery answers whether an optional API is served', async () => {
  const { server, client } = await setUp();
  server.always((request) => {
    if (request.path === '/apis/x.dev/v1')
      request.json(200, { resources: [{ name: 'things' }, { name: 'things/status' }] });
    else if (request.path === '/api/v1') request.json(200, { resources: [{ name: 'pods' }] });
    else if (request.path === '/version') request.json(200, { major: '1', minor: '36', gitVersion: 'v1.36.3' });
    else request.plain(404, '404 page not found');
  });
  expect(await client.supports('x.dev/v1', 'things')).toBe(true);
  expect(await client.supports('x.dev/v1', 'others')).toBe(false);
  expect(await client.supports('y.dev/v1', 'things')).toBe(false);
  expect(await client.supports('v1', 'pods')).toBe(true);
  expect((await client.serverVersion()).minor).toBe('36');
});

describe('kinds of errors', () => {
  const kinds = { isNotFound, isConflict, isAlreadyExists, isGone, isForbidden, isInvalid, isUnknownField, isRejected };
  const typed = 'failed to create typed patch object (team-a/a; apps/v1, Kind=Deployment): ';
  test.each([
    { code: 404, reason: 'NotFound', is: ['isNotFound'] },
    { code: 409, reason: 'Conflict', is: ['isConflict'] },
    { code: 409, reason: 'AlreadyExists', is: ['isAlreadyExists'] },
    { code: 410, reason: 'Expired', is: ['isGone'] },
    { code: 403, reason: 'Forbidden', is: ['isForbidden'] },
    { code: 422, reason: 'Invalid', is: ['isInvalid', 'isRejected'] },
    {
      code: 500,
      reason: '',
      message: `${typed}.spec.foo: field not declared in schema`,
      is: ['isUnknownField', 'isRejected'],
    },
    { code: 500, reason: '', message: `${typed}.spec.replicas: expected numeric`, is: ['isRejected'] },
    {
      code: 400,
      reason: 'BadRequest',
      message: 'strict decoding error: unknown field "spec.foo"',
      is: ['isUnknownField', 'isRejected'],
    },
    { code: 500, reason: 'InternalError', message: 'etcdserver: request timed out', is: [] },
  ])('$code $reason $message', ({ code, reason, message = '', is }) => {
    const error = new ApiError(code, reason, message);
    expect(Object.entries(kinds).flatMap(([name, test]) => (test(error) ? [name] : []))).toEqual(is);
  });

  test('an error of something else is none of them', () => {
    expect(Object.values(kinds).some((test) => test(new Error('404')))).toBe(false);
  });
});

test('a custom resource has the type it was declared with', async () => {
  interface Thing extends KubeObject {
    spec: { size: number };
  }
  const Things = customResource<Thing>('x.dev', 'v1', 'Thing', 'things');
  const { server, client } = await setUp();
  server.always((request) => request.json(200, { metadata: { name: 'a' }, spec: { size: 3 } }));
  const size: number | undefined = (await client.get(Things, key))?.spec.size;
  expect(size).toBe(3);
  expect(server.log).toEqual(['GET /apis/x.dev/v1/namespaces/team-a/things/a']);
  expect(ConfigMaps.namespaced).toBe(true);
});
