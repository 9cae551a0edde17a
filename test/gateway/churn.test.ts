import { type Server, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { Agent, request } from 'undici';
import type { Endpoint } from '../../src/gateway/index.ts';
import { gatewayOnLoopback } from '../support/gateway-on-loopback.ts';

const REQUESTS = 10_000;
const AT_ONCE = 100;
const EVENTS = 5;

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

/** An engine whose streams have five events, one each turn of the event loop or two. */
class Replica {
  readonly endpoint: Endpoint;
  readonly #server: Server;
  readonly #open = new Set<ServerResponse>();
  /** Streams that were under way when it was killed. */
  cut = 0;

  private constructor(server: Server, id: string) {
    this.#server = server;
    const { port } = server.address() as AddressInfo;
    this.endpoint = { id, address: `127.0.0.1:${port}`, state: 'Ready', slots: 256 };
    server.on('request', (incoming, response) => {
      incoming.resume();
      if (incoming.url === '/health') {
        response.end();
        return;
      }
      this.#open.add(response);
      response.once('close', () => this.#open.delete(response));
      incoming.once('end', () => {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        let sent = 0;
        const send = (): void => {
          if (response.destroyed) return;
          if (sent === EVENTS) {
            response.end('data: [DONE]\n\n');
            return;
          }
          response.write(`data: {"n":${sent}}\n\n`);
          sent += 1;
          setTimeout(send, sent % 2);
        };
        send();
      });
    });
  }

  static async start(id: string): Promise<Replica> {
    const server = createServer();
    server.keepAliveTimeout = 5000;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const replica = new Replica(server, id);
    ends.push(() => replica.kill());
    return replica;
  }

  kill(): void {
    this.cut += [...this.#open].filter(({ headersSent }) => headersSent).length;
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

test('of 10,000 streams none is lost while replicas come, drain and die; those of a killed one are told', async () => {
  const { gateway, url: base } = await gatewayOnLoopback();
  const url = `${base}/v1/chat/completions`;
  const agent = new Agent({ connections: AT_ONCE });
  ends.push(
    () => gateway.stop(0),
    () => agent.close(),
  );

  let count = 0;
  const next = (): Promise<Replica> => Replica.start(`replica-${(count += 1)}`);
  const replicas = await Promise.all([next(), next(), next(), next()]);
  const all = [...replicas];
  const draining: Replica[] = [];
  const tell = (): void =>
    gateway.tell({
      endpoints: [
        ...replicas.map(({ endpoint }) => endpoint),
        ...draining.map(({ endpoint }) => ({ ...endpoint, state: 'Draining' as const })),
      ],
    });
  tell();
  /** In turn: one comes, one drains, a drained one goes, one is killed without a word, and all go for a moment. */
  const events: readonly (() => unknown)[] = [
    async () => replicas.push(await next().then((replica) => (all.push(replica), replica))),
    () => draining.push(replicas.shift()!),
    () => draining.splice(0),
    () => replicas.at(-1)!.kill(),
    async () => {
      replicas.pop();
      replicas.push(await next().then((replica) => (all.push(replica), replica)));
    },
  ];

  const body = JSON.stringify({ model: 'coder', stream: true, messages: [{ role: 'user', content: 'hello' }] });
  const whole = Array.from({ length: EVENTS }, (_, n) => `data: {"n":${n}}\n\n`).join('') + 'data: [DONE]\n\n';
  const outcomes = { whole: 0, told: 0, refused: 0, truncated: 0, failed: 0 };
  let begun = 0;
  const worker = async (): Promise<void> => {
    while (begun < REQUESTS) {
      begun += 1;
      if (begun % 200 === 0) {
        await events[(begun / 200) % events.length]!();
        tell();
      }
      try {
        const answer = await request(url, { method: 'POST', body, dispatcher: agent });
        const said = await answer.body.text();
        if (answer.statusCode !== 200) outcomes.refused += 1;
        else if (said === whole) outcomes.whole += 1;
        else if (/data: \{"error":\{"message":"The engine ended in the middle/.test(said)) outcomes.told += 1;
        else outcomes.truncated += 1;
      } catch {
        outcomes.failed += 1;
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));

  const cut = all.reduce((sum, replica) => sum + replica.cut, 0);
  expect(outcomes).toMatchObject({ refused: 0, truncated: 0, failed: 0 });
  expect(outcomes.whole + outcomes.told).toBeGreaterThanOrEqual(REQUESTS);
  expect(outcomes.told).toBeLessThanOrEqual(cut);
  expect(cut).toBeGreaterThan(0);
}, 120_000);
