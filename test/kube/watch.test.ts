import { afterEach, describe, expect, test } from 'vitest';
import { KubeClient, type Pod, Pods, type WatchEvent } from '../../src/kube/index.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { podJson, ScriptedApiServer, until } from '../support/scripted-api-server.ts';

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** An open watch: what it yielded so far, and how it ended. */
async function open(protocol: 'http' | 'https') {
  const server = await ScriptedApiServer.start({ protocol });
  const clock = new ManualClock();
  const client = KubeClient.connect(server.config(), { clock, userAgent: 'test/1' });
  closing.push(
    () => server.stop(),
    () => client.close(),
  );
  const seen: string[] = [];
  const opening = client.watch(Pods, { resourceVersion: '1' });
  const watch = (await server.next()).watch();
  const stream = await opening;
  const text = (event: WatchEvent<Pod>) =>
    event.type === 'BOOKMARK'
      ? `BOOKMARK ${event.resourceVersion}${event.initialEventsEnd ? ' end' : ''}`
      : `${event.type} ${event.object.metadata?.name}`;
  const ended = (async () => {
    try {
      for await (const event of stream) seen.push(text(event));
      return 'closed';
    } catch (error) {
      return String(error);
    }
  })();
  return { server, clock, client, watch, seen, ended };
}

describe.each(['http', 'https'] as const)('a watch over %s', (protocol) => {
  test('yields events and bookmarks in order, and ends when the server closes it', async () => {
    const { watch, seen, ended } = await open(protocol);
    watch.send('ADDED', podJson('a', 2));
    watch.send('MODIFIED', podJson('a', 3));
    watch.bookmark('9', { initialEventsEnd: true });
    watch.send('DELETED', podJson('a', 10));
    watch.bookmark('11');
    watch.end();
    expect(await ended).toBe('closed');
    expect(seen).toEqual(['ADDED a', 'MODIFIED a', 'BOOKMARK 9 end', 'DELETED a', 'BOOKMARK 11']);
  });

  test('puts together lines and characters that arrive in pieces', async () => {
    const { watch, seen, ended } = await open(protocol);
    const bytes = Buffer.from(
      ['å', '漢字', '😀'].map((name) => `${JSON.stringify({ type: 'ADDED', object: podJson(name, 2) })}\n`).join(''),
    );
    for (let at = 0; at < bytes.length; at += 7) {
      watch.raw(bytes.subarray(at, at + 7));
      if (at % 70 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    watch.end();
    expect(await ended).toBe('closed');
    expect(seen).toEqual(['ADDED å', 'ADDED 漢字', 'ADDED 😀']);
  });

  test('a reset is an error', async () => {
    const { watch, seen, ended } = await open(protocol);
    watch.send('ADDED', podJson('a', 2));
    await until(() => seen.length === 1);
    watch.reset();
    expect(await ended).toMatch(/^ConnectionError: watch pods: connection lost/);
  });

  test('90 s without a byte is an error; bookmarks once a minute keep it open', async () => {
    const { watch, clock, seen, ended, client, server } = await open(protocol);
    for (let minute = 1; minute <= 5; minute += 1) {
      await clock.advance(60_000);
      watch.bookmark(String(minute));
      await until(() => seen.length === minute);
    }
    await clock.advance(89_999);
    expect(watch.isClosed).toBe(false);
    await clock.advance(1);
    expect(await ended).toBe('ConnectionError: watch pods: nothing heard for 90000 ms');
    await until(() => watch.isClosed);
    const next = client.watch(Pods, {});
    (await server.next()).watch();
    await (await next).return();
    expect(server.connections).toBe(2);
  });
});

test.each([
  {
    name: 'an ERROR event ends it with the code inside, whatever the code',
    send: (watch: { error(code: number, reason: string, message: string): void }) =>
      watch.error(500, 'InternalError', 'etcd is away'),
    end: 'ApiError: watch pods: 500 etcd is away',
  },
  {
    name: '410 arrives inside a stream that was answered with 200',
    send: (watch: { error(code: number, reason: string, message: string): void }) =>
      watch.error(410, 'Expired', 'too old resource version'),
    end: 'ApiError: watch pods: 410 too old resource version',
  },
  {
    name: 'a line that is not JSON ends it',
    send: (watch: { raw(text: string): void }) => watch.raw('{"type":"ADDED","object":\n'),
    end: 'ConnectionError: watch pods: a line is not JSON',
  },
  {
    name: 'an event of an unknown type ends it',
    send: (watch: { send(type: string, object: unknown): void }) => watch.send('PATCHED', podJson('a', 1)),
    end: 'ConnectionError: watch pods: an event of type PATCHED',
  },
  {
    name: 'an object without a version ends it',
    send: (watch: { send(type: string, object: unknown): void }) => watch.send('ADDED', { metadata: { name: 'a' } }),
    end: 'ConnectionError: watch pods: an event without a version',
  },
  {
    name: 'a cut in the middle of a line ends it',
    send: (watch: { raw(text: string): void; end(): void }) => {
      watch.raw('{"type":"ADDED","object":{}}');
      watch.end();
    },
    end: 'ConnectionError: watch pods: cut in the middle of an event',
  },
])('$name', async ({ send, end }) => {
  const { watch, ended } = await open('http');
  send(watch);
  expect(await ended).toBe(end);
  await until(() => watch.isClosed);
});

test('a watch that nobody reads is closed by return, and leaves no timer', async () => {
  const { server, client, clock, watch, ended } = await open('http');
  const opening = client.watch(Pods, {});
  const unread = (await server.next()).watch();
  const stream = await opening;
  expect(clock.pending).toBe(2);
  await stream.return();
  await until(() => unread.isClosed);
  watch.end();
  expect(await ended).toBe('closed');
  expect(clock.pending).toBe(0);
});

test('a watch that nobody reads is found out when its peer falls silent', async () => {
  const { server, client, clock } = await open('http');
  const opening = client.watch(Pods, {});
  const unread = (await server.next()).watch();
  const stream = await opening;
  await clock.advance(90_000);
  await until(() => unread.isClosed);
  await expect(stream.next()).rejects.toMatchObject({ kind: 'Silent' });
});

test('return ends a read under way', async () => {
  const { server, client } = await open('http');
  const opening = client.watch(Pods, {});
  (await server.next()).watch();
  const stream = await opening;
  const reading = stream.next().then(String, String);
  await stream.return();
  expect(await reading).toBe('ConnectionError: watch pods: closed');
});

test('a watch that is refused is an ApiError', async () => {
  const { server, client } = await open('http');
  const refused = client.watch(Pods, { resourceVersion: '1' }).then(String, String);
  (await server.next()).fail(403, 'Forbidden', 'pods is forbidden');
  expect(await refused).toBe('ApiError: watch pods: 403 pods is forbidden');
});
