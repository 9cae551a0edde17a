import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Pool } from 'undici';
import { expect, onTestFinished, test } from 'vitest';
import { Answer } from '../../src/gateway/relay.ts';
import { systemClock } from '../../src/runtime/index.ts';

async function listening(server: ReturnType<typeof createServer>): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('an engine that does not begin to answer is not taken for one that took nothing: the request may be at work there', async () => {
  const engine = new Pool(await listening(createServer(() => {})));
  onTestFinished(() => engine.destroy());
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const client = await listening(
    createServer((_, response) => {
      const now = () => systemClock.monotonic();
      const answer = new Answer({
        response,
        dialect: 'OpenAI',
        requestId: 'abc-1',
        hidesUsage: false,
        isLast: () => false,
        onBlocked: () => {},
        now,
      });
      const upstream = { method: 'POST', path: '/', headers: [], body: Buffer.from('{}'), silenceMs: 100 } as const;
      answer.relay(engine, upstream).then(resolve, (error: unknown) => {
        resolve(error);
        response.end();
      });
    }),
  );
  await fetch(client);
  expect(await promise).toMatchObject({
    status: 504,
    message: expect.stringMatching(/^The engine has not begun to answer/) as string,
  });
});
