import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { EngineReports, getText } from '../../src/reconcile/engine-reports.ts';
import { pod } from '../support/builders.ts';
import { ManualClock, settle } from '../support/manual-clock.ts';

const KEY = 'team-a/coder';
const { signal } = new AbortController();

const pods = (count: number) =>
  Array.from({ length: count }, (_, index) => pod({ slot: index, ip: `10.0.0.${index}`, engine }));

const engine = {
  createdMs: 0,
  scheduledMs: 0,
  hasStarted: true,
  readyMs: 0,
};

/** Engines that answer when told to. */
function setUp() {
  const clock = new ManualClock();
  const asked: string[] = [];
  const open: (() => void)[] = [];
  const enqueued: string[] = [];
  const reports = new EngineReports({
    client: { podLogs: async () => undefined },
    get: (url, _key, within) =>
      new Promise((resolve, reject) => {
        asked.push(url);
        within.addEventListener('abort', () => reject(within.reason as Error));
        open.push(() => resolve('vllm:num_requests_running{} 1.0'));
      }),
    clock,
    enqueue: (key) => enqueued.push(key),
  });
  return { clock, asked, open, enqueued, reports };
}

describe('EngineReports', () => {
  test('a look begins to read and asks for a reconcile when there is an answer', async () => {
    const { reports, open, enqueued } = setUp();
    const [one] = pods(1);
    expect(reports.metrics(KEY, one!, 'key', Infinity, signal)).toEqual({ state: 'reading', last: undefined });
    open.shift()!();
    await settle();
    expect(enqueued).toEqual([KEY]);
    expect(reports.metrics(KEY, one!, 'key', Infinity, signal)).toMatchObject({
      state: 'read',
      value: { requests: 1 },
    });
  });

  test('eight engines are asked at once, the others in turn, and each of them once', async () => {
    const { reports, asked, open } = setUp();
    for (let looks = 0; looks < 2; looks += 1)
      for (const one of pods(20)) reports.metrics(KEY, one, 'key', Infinity, signal);
    await settle();
    expect(asked).toHaveLength(8);
    for (let answers = 0; answers < 20; answers += 1) {
      open.shift()!();
      await settle();
    }
    expect(asked.toSorted()).toEqual(
      pods(20)
        .map(({ ip }) => `http://${ip}:8000/metrics`)
        .toSorted(),
    );
  });

  test('an engine that hangs is given up after three seconds', async () => {
    const { reports, clock } = setUp();
    const [one] = pods(1);
    reports.metrics(KEY, one!, 'key', Infinity, signal);
    await clock.advance(2999);
    expect(reports.metrics(KEY, one!, 'key', Infinity, signal).state).toBe('reading');
    await clock.advance(1);
    expect(reports.metrics(KEY, one!, 'key', Infinity, signal)).toMatchObject({
      state: 'failed',
      message: 'no answer within 3 s',
    });
  });

  test('nothing is kept of pods that are gone', async () => {
    const { reports, asked, open } = setUp();
    const [one] = pods(1);
    reports.metrics(KEY, one!, 'key', Infinity, signal);
    open.shift()!();
    await settle();
    reports.keep(KEY, []);
    reports.metrics(KEY, one!, 'key', Infinity, signal);
    await settle();
    expect(asked).toHaveLength(2);
  });

  test('what an engine serves is asked once a run', async () => {
    const { reports, asked, open } = setUp();
    const [one] = pods(1);
    const look = (restarts: number) => reports.models(KEY, { ...one!, restarts }, 'key', signal);
    look(0);
    open.shift()!();
    await settle();
    expect(look(0)).toMatchObject({ state: 'read', value: [] });
    look(1);
    await settle();
    expect(asked).toEqual(Array(2).fill('http://10.0.0.0:8000/v1/models'));
  });
});

describe('getText', () => {
  const closing: (() => void)[] = [];
  afterEach(() => {
    for (const close of closing.splice(0)) close();
  });

  async function serve(listener: RequestListener): Promise<string> {
    const server = createServer(listener);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closing.push(() => {
      server.closeAllConnections();
      server.close();
    });
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/metrics`;
  }

  test('is what was answered', async () => {
    expect(await getText(await serve((_, response) => response.end('text')), 'key', signal)).toBe('text');
  });

  test.each([
    {
      name: 'a refusal',
      answer: ((_, response) => response.writeHead(401).end()) as RequestListener,
      error: '/metrics answers 401',
    },
    {
      name: 'more than 4 MiB',
      answer: ((_, response) => response.end(Buffer.alloc(5 * 2 ** 20))) as RequestListener,
      error: '/metrics answers more than 4194304 bytes',
    },
    {
      name: 'a redirect, which might lead anywhere',
      answer: ((_, response) => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end()) as RequestListener,
      error: '/metrics answers 302',
    },
  ])('$name is an error', async ({ answer, error }) => {
    await expect(getText(await serve(answer), 'key', signal)).rejects.toThrow(error);
  });
});
