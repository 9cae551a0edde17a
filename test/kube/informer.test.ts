import { afterEach, describe, expect, test } from 'vitest';
import { Informer, type InformerOptions, KubeClient, type Pod, Pods } from '../../src/kube/index.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { podJson, ScriptedApiServer, type ScriptedRequest, until } from '../support/scripted-api-server.ts';

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

type Options = Partial<InformerOptions<Pod, Pod>> & { protocol?: 'http' | 'https'; random?: () => number };

/** A started informer of pods whose server the test plays. */
async function setUp({ protocol = 'http', ...options }: Options = {}) {
  const server = await ScriptedApiServer.start({ protocol });
  const clock = new ManualClock();
  const client = KubeClient.connect(server.config(), { clock, userAgent: 'test/1' });
  const told: string[] = [];
  const errors: string[] = [];
  const informer = new Informer<Pod>({
    client,
    resource: Pods,
    random: () => 0.5,
    onChange: ({ type, object }) =>
      void told.push(`${type} ${object.metadata?.name}@${object.metadata?.resourceVersion}`),
    onError: (error) => void errors.push(String(error)),
    ...options,
  });
  closing.push(
    () => server.stop(),
    () => client.close(),
    () => informer.stop(),
  );
  informer.start();
  const held = () => informer.list().map(({ metadata }) => `${metadata?.name}@${metadata?.resourceVersion}`);
  /** Answers the first request by initial events of these pods, up to version 10. */
  const sync = async (...pods: object[]) => {
    const watch = (await server.next()).watch();
    for (const pod of pods) watch.send('ADDED', pod);
    watch.bookmark('10', { initialEventsEnd: true });
    await informer.whenSynced();
    return watch;
  };
  let failures = 0;
  /** Waits for the next failure to be reported; the informer backs off then. */
  const failed = async () => {
    failures += 1;
    await until(() => errors.length >= failures, `failure ${failures}`);
  };
  /** The next request after the next failure. */
  const retry = async (): Promise<ScriptedRequest> => {
    await failed();
    await clock.advance(30_000);
    return server.next();
  };
  return { server, clock, client, informer, told, errors, held, sync, failed, retry };
}

describe('the initial state', () => {
  test('comes as initial events of the connection that goes on as the watch', async () => {
    const { server, informer, held, told } = await setUp({ labelSelector: 'app=x', fieldSelector: 'spec.nodeName=n' });
    const request = await server.next();
    expect(request.path).toBe('/api/v1/pods');
    expect(request.query).toEqual({
      watch: 'true',
      allowWatchBookmarks: 'true',
      sendInitialEvents: 'true',
      resourceVersionMatch: 'NotOlderThan',
      labelSelector: 'app=x',
      fieldSelector: 'spec.nodeName=n',
      timeoutSeconds: '450',
    });
    const watch = request.watch();
    watch.send('ADDED', podJson('a', 3));
    watch.send('ADDED', podJson('b', 4));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect([informer.hasSynced, held(), told]).toEqual([false, [], []]);
    watch.bookmark('10', { initialEventsEnd: true });
    await informer.whenSynced();
    expect([informer.hasSynced, held(), told]).toEqual([true, ['a@3', 'b@4'], ['add a@3', 'add b@4']]);
    watch.send('MODIFIED', podJson('a', 11));
    await until(() => told.length === 3);
    expect(held()).toEqual(['a@11', 'b@4']);
    expect(server.log).toHaveLength(1);
  });

  test.each([
    { name: '400', answer: (request: ScriptedRequest) => request.fail(400, 'BadRequest') },
    { name: '422', answer: (request: ScriptedRequest) => request.fail(422, 'Invalid') },
  ])('comes in pages from a server that answers initial events with $name, which is remembered', async ({ answer }) => {
    const { server, informer, held, retry, errors } = await setUp({ pageSize: 2 });
    answer(await server.next());
    const first = await server.next();
    expect(first.query).toEqual({ limit: '2' });
    first.list('10', [podJson('a', 3), podJson('b', 4)], 'more');
    const second = await server.next();
    expect(second.query).toEqual({ limit: '2', continue: 'more' });
    expect(informer.hasSynced).toBe(false);
    second.list('10', [podJson('c', 5)]);
    const watching = await server.next();
    expect(watching.query['resourceVersion']).toBe('10');
    expect(held()).toEqual(['a@3', 'b@4', 'c@5']);
    expect(errors).toEqual([]);
    watching.watch().error(410, 'Expired');
    expect((await retry()).query).toEqual({ limit: '2' });
  });

  test('an expired page token starts the list over', async () => {
    const { server, retry, held, informer } = await setUp();
    (await server.next()).fail(400, 'BadRequest');
    (await server.next()).list('10', [podJson('a', 3)], 'more');
    (await server.next()).fail(410, 'Expired');
    const again = await retry();
    expect(again.query).toEqual({ limit: '500' });
    again.list('20', [podJson('b', 13)]);
    await informer.whenSynced();
    expect(held()).toEqual(['b@13']);
  });

  test('cut in order before its end is asked for as a list, once', async () => {
    const { server, retry, informer } = await setUp();
    const watch = (await server.next()).watch();
    watch.send('ADDED', podJson('a', 3));
    watch.end();
    const list = await retry();
    expect(list.query).toEqual({ limit: '500' });
    list.list('10', []);
    (await server.next()).watch().error(410, 'Expired');
    await informer.whenSynced();
    expect((await retry()).query['sendInitialEvents']).toBe('true');
  });

  test('items of a list have a kind, as the same objects have in a watch', async () => {
    const { server, informer } = await setUp();
    (await server.next()).fail(400, 'BadRequest');
    const { apiVersion: _, kind: __, ...item } = podJson('a', 3);
    (await server.next()).list('10', [item]);
    await informer.whenSynced();
    expect(informer.list()).toEqual([podJson('a', 3)]);
  });

  test('older than what was seen is asked for again; always older for minutes means a restored backup', async () => {
    const { server, sync, retry, held, errors } = await setUp();
    const watch = await sync(podJson('a', 3), podJson('b', 4));
    watch.error(410, 'Expired');
    for (let i = 0; i < 10; i += 1) {
      const stale = (await retry()).watch();
      stale.send('ADDED', podJson('a', 2));
      stale.bookmark('5', { initialEventsEnd: true });
      await until(() => errors.length === i + 2);
      expect(held()).toEqual(['a@3', 'b@4']);
    }
    expect(errors.at(-1)).toBe('RewindError: the server answered with version 5 after version 10');
    const restored = (await retry()).watch();
    restored.send('ADDED', podJson('a', 2));
    restored.bookmark('5', { initialEventsEnd: true });
    await until(() => held().length === 1);
    expect(held()).toEqual(['a@2']);
    expect(server.unanswered).toBe(0);
  });
});

describe('a stream that ends', () => {
  test('in order is opened again at once, from the last version, bookmarks included', async () => {
    const { server, clock, informer, sync, errors } = await setUp();
    const watch = await sync(podJson('a', 3));
    watch.send('MODIFIED', podJson('a', 12));
    watch.bookmark('17');
    watch.end();
    for (let i = 0; i < 20; i += 1) {
      const again = await server.next();
      expect(again.query['resourceVersion']).toBe('17');
      expect(again.query['sendInitialEvents']).toBeUndefined();
      await clock.advance(1);
      const quiet = again.watch();
      await until(() => informer.staleForMs === 0);
      await clock.advance(5000);
      quiet.end();
    }
    expect(errors).toEqual([]);
  });

  test('at once and empty is a failure: a server that does so must not be hammered', async () => {
    const { server, clock, sync, errors, failed } = await setUp();
    (await sync()).end();
    (await server.next()).watch().end();
    await failed();
    expect(errors).toEqual(['ConnectionError: watch pods: closed at once']);
    expect(server.unanswered).toBe(0);
    await clock.advance(400);
    await server.next();
  });

  test.each([
    { name: 'by a reset', fail: 'reset' as const },
    { name: 'by an ERROR event that is not 410', fail: 'error' as const },
  ])('$name is opened again from the last version', async ({ fail }) => {
    const { sync, retry, held } = await setUp();
    const watch = await sync(podJson('a', 3));
    watch.bookmark('15');
    // The bookmark must have been read before the stream breaks.
    watch.send('ADDED', podJson('b', 16));
    await until(() => held().length === 2);
    if (fail === 'reset') watch.reset();
    else watch.error(500, 'InternalError');
    const again = await retry();
    expect(again.query['resourceVersion']).toBe('16');
    again.watch().send('DELETED', podJson('b', 18));
    await until(() => held().length === 1);
  });

  test('a kind of which nothing is heard is asked for again, without a word', async () => {
    const { server, clock, informer, sync, errors } = await setUp();
    await sync(podJson('a', 3));
    await clock.advance(90_000);
    const again = await server.next();
    expect(again.query['resourceVersion']).toBe('10');
    again.watch();
    await until(() => informer.staleForMs === 0);
    expect(errors).toEqual([]);
  });

  test.each([
    { name: 'answered with 410', fail: (request: ScriptedRequest) => request.fail(410, 'Expired') },
    { name: 'with 410 inside', fail: (request: ScriptedRequest) => request.watch().error(410, 'Expired') },
    { name: 'with a line that is no event', fail: (request: ScriptedRequest) => request.watch().raw('?\n') },
  ])('$name starts over, and what vanished meanwhile is told', async ({ fail }) => {
    const { server, sync, retry, told, held } = await setUp();
    (await sync(podJson('a', 3), podJson('b', 4, { uid: 'one' }))).end();
    fail(await server.next());
    const again = await retry();
    expect(again.query['sendInitialEvents']).toBe('true');
    const watch = again.watch();
    watch.send('ADDED', podJson('b', 30, { uid: 'two' }));
    told.length = 0;
    watch.bookmark('31', { initialEventsEnd: true });
    await until(() => told.length === 3);
    expect(told).toEqual(['delete a@3', 'delete b@4', 'add b@30']);
    expect(held()).toEqual(['b@30']);
  });
});

describe('back-off', () => {
  test('waits as long as the server asks', async () => {
    const { server, clock, failed } = await setUp();
    (await server.next()).fail(429, 'TooManyRequests', 'busy', { 'retry-after': '45' });
    await failed();
    await clock.advance(44_999);
    expect(server.log).toHaveLength(1);
    await clock.advance(1);
    await server.next();
  });

  test('grows from 0.8 s to 30 s without end, and starts small again after two minutes of health', async () => {
    const { server, clock, informer, sync, failed } = await setUp({ random: () => 1 });
    for (const waitMs of [800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]) {
      (await server.next()).fail(503, 'ServiceUnavailable');
      await failed();
      await clock.advance(waitMs - 1);
      await new Promise((resolve) => setTimeout(resolve, 5));
      expect(server.unanswered).toBe(0);
      await clock.advance(1);
    }
    const watch = await sync();
    await clock.advance(60_000);
    watch.bookmark('11');
    await until(() => informer.staleForMs === 0);
    await clock.advance(60_000);
    watch.reset();
    await failed();
    await clock.advance(800);
    await server.next();
  });
});

test('a handler that throws is reported and stops neither the stream nor the other handlers', async () => {
  const { informer, sync, told, errors } = await setUp({
    onChange: ({ object }) => {
      throw new Error(`cannot take ${object.metadata?.name}`);
    },
  });
  informer.onChange(({ type, object }) => void told.push(`${type} ${object.metadata?.name}`));
  const watch = await sync(podJson('a', 3));
  watch.send('ADDED', podJson('b', 11));
  await until(() => told.length === 2);
  expect(told).toEqual(['add a', 'add b']);
  expect(errors).toEqual(['Error: cannot take a', 'Error: cannot take b']);
});

test('an object that the projection cannot take is reported and passed over', async () => {
  const { sync, held, errors } = await setUp({
    project: (pod) => {
      if (pod.metadata?.labels?.['poison']) throw new Error(`cannot read ${pod.metadata.name}`);
      return pod;
    },
  });
  const watch = await sync(podJson('a', 3), podJson('b', 4, { labels: { poison: 'yes' } }));
  watch.send('MODIFIED', podJson('a', 11, { labels: { poison: 'yes' } }));
  watch.send('ADDED', podJson('c', 12));
  await until(() => held().length === 2);
  expect(held()).toEqual(['a@3', 'c@12']);
  expect(errors).toEqual(['Error: cannot read b', 'Error: cannot read a']);
});

test('an onError that throws does not end the stream', async () => {
  let reported = false;
  const { server, clock, sync, held } = await setUp({
    onError: () => {
      reported = true;
      throw new Error('broken log');
    },
  });
  (await sync(podJson('a', 3))).reset();
  await until(() => reported);
  await clock.advance(30_000);
  (await server.next()).watch().send('ADDED', podJson('b', 12));
  await until(() => held().length === 2);
  expect(held()).toEqual(['a@3', 'b@12']);
});

test('one stream for each namespace, and synced when all are', async () => {
  const { server, informer, held } = await setUp({ namespaces: ['team-a', 'team-b', 'team-a'] });
  const requests = [await server.next(), await server.next()].sort((a, b) => (a.path < b.path ? -1 : 1));
  expect(requests.map(({ path }) => path)).toEqual([
    '/api/v1/namespaces/team-a/pods',
    '/api/v1/namespaces/team-b/pods',
  ]);
  const [a, b] = requests.map((request) => request.watch());
  a!.send('ADDED', podJson('x', 3, { namespace: 'team-a' }));
  a!.bookmark('10', { initialEventsEnd: true });
  await until(() => held().length === 1);
  expect(informer.hasSynced).toBe(false);
  b!.send('ADDED', podJson('x', 4, { namespace: 'team-b', uid: 'other' }));
  b!.bookmark('10', { initialEventsEnd: true });
  await informer.whenSynced();
  expect(informer.get({ namespace: 'team-b', name: 'x' })?.metadata?.uid).toBe('other');
  expect(informer.list('team-a')).toHaveLength(1);
  expect(informer.list('team-c')).toEqual([]);
  expect(informer.size).toBe(2);
  informer.observe(podJson('y', 12, { namespace: 'team-b' }));
  informer.observe(podJson('y', 12, { namespace: 'team-c' }));
  expect(held()).toEqual(['x@3', 'x@4', 'y@12']);
});

test('reads see own writes and deletes at once', async () => {
  const { informer, sync, held, told } = await setUp();
  const watch = await sync(podJson('a', 3));
  informer.observe(podJson('a', 12));
  informer.forget({ namespace: 'default', name: 'b' }, 'uid-b');
  watch.send('ADDED', podJson('b', 11));
  watch.send('MODIFIED', podJson('a', 12));
  watch.send('DELETED', podJson('b', 13));
  watch.send('ADDED', podJson('c', 14));
  await until(() => told.length === 3);
  expect(told).toEqual(['add a@3', 'update a@12', 'add c@14']);
  expect(held()).toEqual(['a@12', 'c@14']);
});

test('a kind that is not installed has no objects and is no failure; once it is installed, a minute shows it', async () => {
  const { server, informer, clock, errors, held } = await setUp({ resource: { ...Pods, mayBeAbsent: true } });
  (await server.next()).fail(404, 'NotFound');
  await informer.whenSynced();
  expect([held(), errors]).toEqual([[], []]);
  await clock.advance(59_999);
  expect(server.log).toHaveLength(1);
  await clock.advance(1);
  const watch = (await server.next()).watch();
  watch.send('ADDED', podJson('a', 3));
  watch.bookmark('10', { initialEventsEnd: true });
  await until(() => held().length === 1);
  expect(informer.staleForMs).toBe(0);
});

test('staleness counts from the last word of the server', async () => {
  const { informer, clock, sync, held } = await setUp();
  const watch = await sync();
  await clock.advance(50_000);
  expect(informer.staleForMs).toBe(50_000);
  watch.send('ADDED', podJson('a', 11));
  await until(() => held().length === 1);
  expect(informer.staleForMs).toBe(0);
});

describe('stop', () => {
  test('closes the stream, leaves no timer, and keeps the cache readable', async () => {
    const { server, clock, informer, sync, held } = await setUp();
    const watch = await sync(podJson('a', 3));
    await informer.stop();
    await until(() => watch.isClosed);
    expect([clock.pending, server.unanswered, held()]).toEqual([0, 0, ['a@3']]);
  });

  test('during the first request opens no watch, and whoever waits for the sync is told', async () => {
    const { server, informer } = await setUp();
    (await server.next()).fail(400, 'BadRequest');
    const list = await server.next();
    const synced = informer.whenSynced().then(String, String);
    await informer.stop();
    list.list('10', [podJson('a', 3)]);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(await synced).toBe('ConnectionError: the informer was stopped');
    expect(server.log).toHaveLength(2);
  });

  test('during a back-off ends at once', async () => {
    const { server, clock, informer, failed } = await setUp();
    (await server.next()).fail(503, 'ServiceUnavailable');
    await failed();
    await informer.stop();
    expect(clock.pending).toBe(0);
  });
});

describe.each(['http', 'https'] as const)('chaos over %s', (protocol) => {
  test('resets and half-open connections lose nothing', async () => {
    const { server, clock, informer, sync, held, retry } = await setUp({ protocol });
    let watch = await sync();
    let version = 10;
    const send = async () => {
      version += 1;
      watch.send('ADDED', podJson(`p${version}`, version));
      const size = version - 10;
      await until(() => informer.size === size);
    };
    for (let round = 0; round < 12; round += 1) {
      await send();
      const fault = (['reset', 'silence'] as const)[round % 2];
      if (fault === 'reset') server.resetConnections();
      // The peer vanished: no byte says so.
      if (fault === 'silence') await clock.advance(90_000);
      const request = await (fault === 'reset' ? retry() : server.next());
      expect(request.query['resourceVersion']).toBe(String(version));
      watch = request.watch();
    }
    await send();
    expect(held()).toHaveLength(13);
  });
});

test('types: without a projection the cache holds the resource, with one what it returns', async () => {
  const { client } = await setUp();
  const pods = new Informer({ client, resource: Pods });
  const phase: string | undefined = pods.list()[0]?.status?.phase;
  const names = new Informer({
    client,
    resource: Pods,
    project: (pod) => ({ name: pod.metadata?.name ?? '' }),
    indexBy: { first: ({ name }) => [name.slice(0, 1)] },
    onChange: ({ object }) => void object.name.length,
  });
  const name: string | undefined = names.byIndex('first', 'a')[0]?.name;
  expect([phase, name]).toEqual([undefined, undefined]);
});
