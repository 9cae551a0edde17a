import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, test } from 'vitest';
import { ControlClient } from '../../src/gateway/control/client.ts';
import type { Load, State } from '../../src/gateway/control/protocol.ts';
import { ControlServer } from '../../src/gateway/control/server.ts';
import { endpointsBy } from '../../src/gateway/endpoints.ts';
import type { Endpoint } from '../../src/gateway/index.ts';
import { silentLog } from '../../src/runtime/index.ts';
import type { Clock } from '../../src/runtime/clock.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { scaledClock } from '../support/scaled-clock.ts';

const KEY = 'control-0123456789';
const scaled = scaledClock(20);
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

const endpoint = (id: string, over: Partial<Endpoint> = {}): Endpoint => ({
  id,
  address: `10.0.0.${id}:8000`,
  state: 'Ready',
  slots: 64,
  ...over,
});
const stateOf = (...ids: string[]): State => ({ endpoints: ids.map((id) => endpoint(id)) });
const IDLE: Load = { replicas: {}, held: 0, heldWork: 0, answered: 0, firstMs: 0 };

/** The gateway's end. */
async function serve(port = 0, clock: Clock = scaled) {
  const told: State[] = [];
  const links: boolean[] = [];
  const load = { now: IDLE };
  const server = new ControlServer({
    clock,
    log: silentLog,
    key: KEY,
    tell: (state) => told.push(state),
    onLink: (isLinked) => links.push(isLinked),
    load: () => load.now,
  });
  ends.push(() => server.close());
  const listening = await server.listen(port, '127.0.0.1');
  return { server, told, links, load, port: listening };
}

/** The operator's end. */
function operator(port: number, { epoch = 1, key = KEY } = {}) {
  const loads: Load[] = [];
  const failures: string[] = [];
  const client = new ControlClient({
    clock: scaled,
    url: `http://127.0.0.1:${port}`,
    key,
    epoch,
    onLoad: (load) => loads.push(load),
    onFailure: (error) => failures.push((error as Error).message),
  });
  const running = client.run();
  ends.push(async () => {
    client.stop();
    await running;
  });
  return { client, loads, failures };
}

/** A request to link as bytes, and what it is answered. */
async function ask(port: number, { epoch = 1, key = KEY } = {}) {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }).on('error', () => {});
  ends.push(() => socket.destroy());
  socket.write(
    `POST /control HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${key}\r\nx-qwencoder-epoch: ${epoch}\r\nconnection: upgrade\r\nupgrade: qwencoder-control\r\n\r\n`,
  );
  const [head] = (await once(socket, 'data')) as [Buffer];
  return { socket, status: Number(head.toString().split(' ')[1]) };
}

describe('the stream between operator and gateway', () => {
  test('takes the newest state down and the load up', async () => {
    const { told, links, load, port } = await serve();
    const { client, loads } = operator(port);
    client.tell(stateOf('1'));
    await expect.poll(() => told).toEqual([stateOf('1')]);
    expect(links).toEqual([true]);
    client.tell(stateOf('1'));
    client.tell(stateOf('1', '2'));
    await expect.poll(() => told).toEqual([stateOf('1'), stateOf('1', '2')]);
    load.now = { ...IDLE, held: 3, replicas: { 1: { inFlight: 2, work: 4.5 } } };
    await expect.poll(() => loads).toEqual([IDLE, load.now]);
  });

  test('is opened again when the gateway starts anew, and tells it the state without being asked', async () => {
    const first = await serve();
    const { client, failures } = operator(first.port);
    client.tell(stateOf('1'));
    await expect.poll(() => first.told).toHaveLength(1);
    first.server.close();
    await expect.poll(() => failures.length).toBeGreaterThan(0);
    const second = await serve(first.port);
    await expect.poll(() => second.told).toEqual([stateOf('1')]);
  });

  test('is given up when the other side falls silent', async () => {
    const { links, port } = await serve();
    (await ask(port)).socket.resume();
    await expect.poll(() => links, { timeout: 5000 }).toEqual([true, false]);
  });

  test('belongs to the newest leader: an older one is refused', async () => {
    const { told, port } = await serve();
    const old = operator(port, { epoch: 1 });
    old.client.tell(stateOf('1'));
    await expect.poll(() => told).toHaveLength(1);
    const young = operator(port, { epoch: 2 });
    young.client.tell(stateOf('2'));
    await expect.poll(() => told.at(-1)).toEqual(stateOf('2'));
    old.client.tell(stateOf('3'));
    await expect.poll(() => old.failures).toContain('the gateway answers 409');
    expect(told).toEqual([stateOf('1'), stateOf('2')]);
  });

  test.each([
    {
      name: 'a minute after the newer one has gone an older one is taken: a cluster was restored',
      ms: 61_000,
      status: 101,
    },
    { name: 'until then it is refused', ms: 59_000, status: 409 },
  ])('belongs to the newest leader: $name', async ({ ms, status }) => {
    const clock = new ManualClock();
    const { links, port } = await serve(0, clock);
    const { socket } = await ask(port, { epoch: 10 });
    await clock.advance(5000);
    expect((await ask(port, { epoch: 9 })).status).toBe(409);
    socket.destroy();
    await expect.poll(() => links).toEqual([true, false]);
    await clock.advance(ms);
    expect((await ask(port, { epoch: 9 })).status).toBe(status);
  });

  test('is open to the operator though others were refused and hold on to their connections', async () => {
    const { links, port } = await serve();
    for (let peer = 0; peer < 16; peer += 1) expect((await ask(port, { key: 'wrong' })).status).toBe(401);
    operator(port);
    await expect.poll(() => links).toEqual([true]);
  });

  test.each([
    { name: 'a wrong key', request: 'POST /control', key: 'wrong', status: 401 },
    { name: 'another path', request: 'POST /', key: KEY, status: 404 },
    { name: 'another method', request: 'GET /control', key: KEY, status: 404 },
    { name: 'another protocol', request: 'POST /control', key: KEY, protocol: 'h2c', status: 426 },
    { name: 'a request that stays with HTTP', request: 'POST /control', key: KEY, protocol: '', status: 426 },
  ])('$name is answered $status', async ({ request, key, protocol = 'qwencoder-control', status }) => {
    const { links, port } = await serve();
    const socket = connect(port, '127.0.0.1');
    const upgrade = protocol && `connection: upgrade\r\nupgrade: ${protocol}\r\n`;
    socket.write(
      `${request} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${key}\r\nx-qwencoder-epoch: 1\r\n${upgrade}\r\n`,
    );
    expect(await text(socket)).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(links).toEqual([]);
  });

  test('ends at a line that is not understood, and nothing is taken over', async () => {
    const { told, links, port } = await serve();
    const { socket } = await ask(port);
    socket.resume().write('{"endpoints":[{"id":"1"}]}\n');
    await expect.poll(() => links).toEqual([true, false]);
    expect(told).toEqual([]);
  });
});

describe('the endpoints', () => {
  const found = [endpoint('1', { id: 'dns-1' }), endpoint('3', { id: 'dns-3' }), endpoint('4', { id: 'dns-4' })];
  const told = [
    endpoint('1', { slots: 8 }),
    endpoint('2'),
    endpoint('4', { state: 'Draining' }),
    endpoint('5', { state: 'Draining' }),
  ];

  const union = [told[0], found[1], told[2], told[1], told[3]];
  test.each([
    { name: 'before the operator has spoken: those of DNS', told: undefined, leftMs: undefined, found, used: found },
    { name: 'while it is there: those that it tells', told, leftMs: undefined, found, used: told },
    {
      name: 'for a minute after it left: its last word, and what DNS has come to know',
      told,
      leftMs: 1,
      found,
      used: union,
    },
    {
      name: "while it is away: those of DNS, as it told of them, and those that drain, but none whose address may be a stranger's by now",
      told,
      leftMs: 0,
      found,
      used: [told[0], found[1], told[2], told[3]],
    },
    { name: 'while it is away and DNS knows none: its last word', told, leftMs: 0, found: [], used: told },
  ])('$name', ({ told, leftMs, found, used }) => {
    expect(endpointsBy({ told, discovered: found, leftMs }, 60_000)).toEqual(used);
  });
});
