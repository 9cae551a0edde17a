import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { ApiError, ConnectionError, KubeClient, Pods, type RequestReport, Secrets } from '../../src/kube/index.ts';
import type { TransportOptions } from '../../src/kube/index.ts';
import { makeAuthority } from '../cluster/certificates.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { podJson, ScriptedApiServer, until } from '../support/scripted-api-server.ts';

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function setUp(
  options: Partial<TransportOptions> & { protocol?: 'http' | 'https'; token?: string; tokenFile?: string } = {},
) {
  const server = await ScriptedApiServer.start({ protocol: options.protocol ?? 'http' });
  const clock = new ManualClock();
  const reports: RequestReport[] = [];
  const client = KubeClient.connect(server.config(options), {
    clock,
    userAgent: 'test/1',
    onRequest: (report) => void reports.push(report),
    ...options,
  });
  closing.push(
    () => server.stop(),
    () => client.close(),
  );
  return { server, clock, client, reports };
}

const key = { namespace: 'default', name: 'a' };
const outcome = (promise: Promise<unknown>) => promise.then(String, String);
const failureOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'it did not fail',
    (error: unknown) => error,
  );

describe.each(['http', 'https'] as const)('Transport over %s', (protocol) => {
  test('many requests share few connections', async () => {
    const { server, client } = await setUp({ protocol });
    server.always((request) => request.json(200, podJson('a', 1)));
    for (let i = 0; i < 30; i += 1) await client.get(Pods, key);
    await Promise.all(Array.from({ length: 30 }, () => client.get(Pods, key)));
    expect(server.connections).toBeLessThanOrEqual(16);
    expect(server.log).toHaveLength(60);
  });

  test('a deadline ends a request to a peer that does not answer, and the next request takes a new connection', async () => {
    const { server, client, clock } = await setUp({ protocol });
    const first = client.get(Pods, key);
    const failure = failureOf(first);
    await server.next();
    await clock.advance(30_000);
    expect(await failure).toMatchObject({ name: 'ConnectionError', kind: 'Timeout' });
    const second = client.get(Pods, key);
    (await server.next()).json(200, podJson('a', 2));
    expect((await second)?.metadata?.resourceVersion).toBe('2');
    expect(server.connections).toBe(2);
  });

  test('a read whose connection is reset is sent once more', async () => {
    const { server, client } = await setUp({ protocol });
    const pod = client.get(Pods, key);
    (await server.next()).reset();
    (await server.next()).json(200, podJson('a', 1));
    expect(await pod).toEqual(podJson('a', 1));
  });

  test('a write whose connection is reset is not repeated: it may have been executed', async () => {
    const { server, client } = await setUp({ protocol });
    const write = client.create(Pods, podJson('a', 1));
    const failure = failureOf(write);
    (await server.next()).reset();
    expect(await failure).toMatchObject({ name: 'ConnectionError', kind: 'Lost' });
    expect(server.log).toHaveLength(1);
  });

  test('an aborted request ends with the reason of the signal, at the server too', async () => {
    const { server, client } = await setUp({ protocol });
    const controller = new AbortController();
    const get = client.get(Pods, key, { signal: controller.signal });
    const failure = failureOf(get);
    const request = await server.next();
    controller.abort(new Error('enough'));
    expect(String(await failure)).toBe('Error: enough');
    await until(() => request.isClosed);
  });
});

test('HTTP/1.1 is spoken where the server offers HTTP/2 as well', async () => {
  const { server, client } = await setUp({ protocol: 'https' });
  const get = client.get(Pods, key);
  const request = await server.next();
  expect(request.headers).toMatchObject({ host: new URL(server.url).host });
  request.json(200, podJson('a', 1));
  await get;
});

describe('Retry-After', () => {
  test.each([
    { name: '429 to a read', code: 429, write: false },
    { name: '429 to a write, which was not executed', code: 429, write: true },
    { name: '503 to a read', code: 503, write: false },
  ])('$name is waited out', async ({ code, write }) => {
    const { server, client, clock } = await setUp();
    const call = write ? client.create(Pods, podJson('a', 1)) : client.get(Pods, key);
    (await server.next()).fail(code, 'Busy', 'busy', { 'retry-after': '3' });
    await until(() => clock.pending === 2);
    await clock.advance(2999);
    expect(server.log).toHaveLength(1);
    await clock.advance(1);
    (await server.next()).json(200, podJson('a', 1));
    expect(await call).toEqual(podJson('a', 1));
  });

  test('503 to a write is an error: the server may have executed it', async () => {
    const { server, client } = await setUp();
    const failure = failureOf(client.create(Pods, podJson('a', 1)));
    (await server.next()).fail(503, 'ServiceUnavailable', 'later', { 'retry-after': '3' });
    expect(await failure).toMatchObject({
      code: 503,
      retryAfterMs: 3000,
    });
  });

  test('a wait that does not fit into the deadline is left to the caller', async () => {
    const { server, client } = await setUp();
    const failure = failureOf(client.get(Pods, key));
    (await server.next()).fail(429, 'TooManyRequests', 'later', { 'retry-after': '3600' });
    expect(await failure).toMatchObject({ code: 429, retryAfterMs: 3_600_000 });
  });

  test('a date is understood', async () => {
    const { server, client, clock } = await setUp({ deadlineMs: 1000 });
    const failure = failureOf(client.get(Pods, key));
    const at = new Date(clock.now() + 60_000).toUTCString();
    (await server.next()).fail(429, 'TooManyRequests', 'later', { 'retry-after': at });
    expect(await failure).toMatchObject({ retryAfterMs: 60_000 });
  });
});

describe('credentials', () => {
  async function tokenFile(token: string) {
    const folder = await mkdtemp(join(tmpdir(), 'kube-transport-'));
    closing.push(() => rm(folder, { recursive: true }));
    const path = join(folder, 'token');
    await writeFile(path, token);
    return { path, write: (next: string) => writeFile(path, next) };
  }

  test('a rotated token is used after a 401, and the request is sent again', async () => {
    const file = await tokenFile('old\n');
    const { server, client } = await setUp({ tokenFile: file.path });
    const get = client.get(Pods, key);
    const first = await server.next();
    expect(first.headers['authorization']).toBe('Bearer old');
    await file.write('new\n');
    first.fail(401, 'Unauthorized');
    const second = await server.next();
    expect(second.headers['authorization']).toBe('Bearer new');
    second.json(200, podJson('a', 1));
    expect(await get).toEqual(podJson('a', 1));
  });

  test('a second 401 is an error', async () => {
    const { server, client } = await setUp({ token: 'wrong' });
    const failure = failureOf(client.get(Pods, key));
    (await server.next()).fail(401, 'Unauthorized');
    (await server.next()).fail(401, 'Unauthorized');
    expect(await failure).toMatchObject({ code: 401 });
  });

  test('credentials are read at most once a minute', async () => {
    const { server, clock } = await setUp();
    server.always((request) => request.json(200, podJson('a', 1)));
    const config = server.config({ token: 't' });
    let reads = 0;
    const apply = config.applyToHTTPSOptions.bind(config);
    config.applyToHTTPSOptions = (options) => {
      reads += 1;
      return apply(options);
    };
    const client = KubeClient.connect(config, { clock, userAgent: 'test/1' });
    closing.push(() => client.close());
    await Promise.all([client.get(Pods, key), client.get(Pods, key)]);
    await clock.advance(59_999);
    await client.get(Pods, key);
    expect(reads).toBe(1);
    await clock.advance(1);
    await client.get(Pods, key);
    expect(reads).toBe(2);
  });

  test('a token that cannot be read again does not stop a client whose old one is good', async () => {
    const file = await tokenFile('old');
    const { server, client, clock } = await setUp({ tokenFile: file.path });
    server.always((request) => request.json(200, podJson('a', 1)));
    await client.get(Pods, key);
    await rm(file.path);
    await clock.advance(60_000);
    expect(await client.get(Pods, key)).toEqual(podJson('a', 1));
  });

  test('a rotated client certificate is used on new connections; watches under way live on', async () => {
    const { server, clock } = await setUp({ protocol: 'https' });
    const authority = makeAuthority('clients');
    const folder = await mkdtemp(join(tmpdir(), 'kube-transport-'));
    closing.push(() => rm(folder, { recursive: true }));
    const [certFile, keyFile] = [join(folder, 'crt'), join(folder, 'key')];
    const rotate = async () => {
      const { certificate, key: privateKey } = authority.issue('client', [], []);
      await Promise.all([writeFile(certFile, certificate), writeFile(keyFile, privateKey)]);
    };
    await rotate();
    const config = server.config();
    Object.assign(config.getCurrentUser()!, { certFile, keyFile });
    const client = KubeClient.connect(config, { clock, userAgent: 'test/1' });
    closing.push(() => client.close());

    const opening = client.watch(Pods, { silenceMs: 600_000 });
    const watch = (await server.next()).watch();
    const stream = await opening;
    server.always((request) => request.json(200, podJson('a', 1)));
    await client.get(Pods, key);
    expect(server.connections).toBe(2);
    await rotate();
    await clock.advance(60_000);
    await client.get(Pods, key);
    expect(server.connections).toBe(3);
    watch.send('ADDED', podJson('b', 2));
    expect((await stream.next()).value).toEqual({ type: 'ADDED', object: podJson('b', 2) });
    await stream.return();
  });

  test('connections outlive a re-read that changed no byte of TLS', async () => {
    const { server, client, clock } = await setUp({ protocol: 'https' });
    server.always((request) => request.json(200, podJson('a', 1)));
    await client.get(Pods, key);
    await clock.advance(60_000);
    await client.get(Pods, key);
    expect(server.connections).toBe(1);
  });
});

describe('fence', () => {
  test('is asked immediately before each write, never before a read, and what it throws reaches the caller', async () => {
    let asked = 0;
    const { server, client } = await setUp({
      fence: () => {
        asked += 1;
        throw new Error('no longer leader');
      },
    });
    server.always((request) => request.json(200, podJson('a', 1)));
    await client.get(Pods, key);
    expect(asked).toBe(0);
    expect(await outcome(client.create(Pods, podJson('a', 1)))).toBe('Error: no longer leader');
    expect(await outcome(client.delete(Pods, key))).toBe('Error: no longer leader');
    await client.create(Pods, podJson('a', 1), { fenced: false });
    expect(server.log.map((line) => line.split(' ')[0])).toEqual(['GET', 'POST']);
  });

  test('is asked again before a retry', async () => {
    let lost = false;
    const { server, client, clock } = await setUp({
      fence: () => {
        if (lost) throw new Error('no longer leader');
      },
    });
    const write = outcome(client.create(Pods, podJson('a', 1)));
    (await server.next()).fail(429, 'TooManyRequests', 'busy', { 'retry-after': '1' });
    await until(() => clock.pending === 2);
    lost = true;
    await clock.advance(1000);
    expect(await write).toBe('Error: no longer leader');
    expect(server.log).toHaveLength(1);
  });
});

test('the client-side limit lets a burst through and then keeps to the rate', async () => {
  const { server, client, clock } = await setUp({ requestsPerSecond: 10, burst: 5 });
  server.always((request) => request.json(200, podJson('a', 1)));
  const calls = Array.from({ length: 8 }, () => client.get(Pods, key));
  await Promise.all(calls.slice(0, 5));
  expect(server.log).toHaveLength(5);
  await until(() => clock.pending >= 6);
  await clock.advance(100);
  await calls[5];
  await clock.advance(200);
  await Promise.all(calls);
  expect(server.log).toHaveLength(8);
});

test('each attempt is reported with its code', async () => {
  const { server, client, reports } = await setUp();
  const get = client.get(Pods, key);
  (await server.next()).reset();
  (await server.next()).fail(404, 'NotFound');
  await get;
  expect(reports.map(({ verb, resource, code }) => ({ verb, resource, code }))).toEqual([
    { verb: 'get', resource: 'pods', code: 0 },
    { verb: 'get', resource: 'pods', code: 404 },
  ]);
});

test('says who it is and keeps a base path of the server', async () => {
  const { server, clock } = await setUp();
  const config = server.config();
  Object.assign(config.getCurrentCluster()!, { server: `${server.url}/k8s/clusters/c-1/` });
  const client = KubeClient.connect(config, { clock, userAgent: 'my-operator/1.2.3' });
  closing.push(() => client.close());
  const get = client.get(Pods, key);
  const request = await server.next();
  expect(request.path).toBe('/k8s/clusters/c-1/api/v1/namespaces/default/pods/a');
  expect(request.headers['user-agent']).toBe('my-operator/1.2.3');
  request.json(200, podJson('a', 1));
  await get;
});

test('a proxy of the kubeconfig is used', async () => {
  const { server, clock } = await setUp({ protocol: 'https' });
  const tunnels: string[] = [];
  const proxy = createServer().on('connect', (request, socket) => {
    tunnels.push(request.url ?? '');
    const target = new URL(server.url);
    const upstream = connect(Number(target.port), target.hostname, () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      upstream.pipe(socket).pipe(upstream);
    });
    socket.on('error', () => upstream.destroy());
    upstream.on('error', () => socket.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  closing.push(() => new Promise((resolve) => void proxy.close(() => resolve())));
  const config = server.config();
  const address = proxy.address() as { port: number };
  Object.assign(config.getCurrentCluster()!, { proxyUrl: `http://127.0.0.1:${address.port}` });
  server.always((request) => request.json(200, podJson('a', 1)));
  const client = KubeClient.connect(config, { clock, userAgent: 'test/1' });
  closing.push(() => client.close());
  expect(await client.get(Pods, key)).toEqual(podJson('a', 1));
  expect(tunnels).toEqual([new URL(server.url).host]);
});

describe('errors', () => {
  test.each([
    {
      name: 'a Status',
      answer: { kind: 'Status', code: 403, reason: 'Forbidden', message: 'pods "a" is\n forbidden' },
      message: 'get pods default/a: 403 pods "a" is forbidden',
    },
    {
      name: 'plain text',
      answer: '404 page not found\n',
      code: 400,
      message: 'get pods default/a: 400 404 page not found',
    },
    {
      name: 'the page of a load balancer',
      answer: '<html>Bad Gateway</html>',
      code: 502,
      message: 'get pods default/a: 502',
    },
    { name: 'an empty body', answer: '', code: 500, message: 'get pods default/a: 500' },
  ])('$name becomes a short message', async ({ answer, code = 403, message }) => {
    const { server, client } = await setUp({ token: 'canary' });
    const failure = client.get(Pods, key).catch((error: unknown) => error);
    const request = await server.next();
    if (typeof answer === 'string') request.plain(code, answer);
    else request.json(code, answer);
    const error = await failure;
    expect(error).toBeInstanceOf(ApiError);
    expect(String(error)).toBe(`ApiError: ${message}`);
    expect(JSON.stringify(error)).not.toContain('canary');
  });

  test('about a Secret never quotes the server', async () => {
    const { server, client } = await setUp();
    const secret = { metadata: { name: 's', namespace: 'default' }, stringData: { key: 'canary' } };
    const failure = client.create(Secrets, secret).catch((error: unknown) => error);
    (await server.next()).fail(422, 'Invalid', 'Invalid value: "canary"');
    const error = await failure;
    expect(String(error)).toBe('ApiError: create secrets default/s: 422 Invalid');
    expect(JSON.stringify(error)).not.toContain('canary');
  });

  test('a server that is not there is a ConnectionError that says why', async () => {
    const { server, client } = await setUp();
    await server.stop();
    const error = await client.get(Pods, key).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(ConnectionError);
    expect(String(error)).toBe('ConnectionError: get pods default/a: connection lost (ECONNREFUSED)');
  });

  test('an answer that is not JSON is a ConnectionError', async () => {
    const { server, client } = await setUp();
    const failure = outcome(client.get(Pods, key));
    (await server.next()).plain(200, 'hello');
    expect(await failure).toBe('ConnectionError: get pods default/a: the answer is not JSON');
  });
});
