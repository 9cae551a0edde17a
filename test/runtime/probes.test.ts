import { request } from 'node:http';
import { createConnection } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Probes, type ProbesOptions } from '../../src/runtime/probes.ts';

async function serve(options: Partial<ProbesOptions> = {}) {
  const probes = new Probes({ port: 0, host: '127.0.0.1', ...options });
  await probes.start();
  onTestFinished(() => probes.stop());
  const ask = (path: string, method = 'GET') =>
    new Promise<{ status: number; type: string | undefined; text: string }>((resolve, reject) => {
      const asked = request({ port: probes.port, host: '127.0.0.1', path, method, agent: false }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => (text += chunk));
        response.on('end', () =>
          resolve({ status: response.statusCode!, type: response.headers['content-type'], text }),
        );
      });
      asked.on('error', reject);
      asked.end();
    });
  return { probes, ask };
}

describe('Probes', () => {
  test('all is well without checks', async () => {
    const { ask } = await serve();
    expect(await ask('/healthz')).toMatchObject({ status: 200, text: 'ok\n' });
    expect(await ask('/readyz')).toMatchObject({ status: 200, text: 'ok\n' });
  });

  test('a failed check fails its probe and says why; the other probe is untouched', async () => {
    let failure: string | undefined = 'no event for 4 min';
    const { ask } = await serve({
      liveness: [
        { name: 'pods', check: () => failure },
        { name: 'nodes', check: () => undefined },
      ],
    });
    expect(await ask('/healthz')).toMatchObject({ status: 503, text: 'pods: no event for 4 min\n' });
    expect(await ask('/readyz')).toMatchObject({ status: 200 });
    failure = undefined;
    expect(await ask('/healthz?verbose')).toMatchObject({ status: 200 });
  });

  test('a check that throws has failed', async () => {
    const { ask } = await serve({
      readiness: [
        {
          name: 'pods',
          check: () => {
            throw new Error('no store');
          },
        },
      ],
    });
    expect(await ask('/readyz')).toMatchObject({ status: 503, text: 'pods: Error: no store\n' });
  });

  test('metrics are served with their content type', async () => {
    const { ask } = await serve({
      metrics: { contentType: 'text/plain; version=0.0.4', text: async () => 'up 1\n' },
    });
    expect(await ask('/metrics')).toEqual({ status: 200, type: 'text/plain; version=0.0.4', text: 'up 1\n' });
  });

  test('metrics that cannot be told are an error of the server, which goes on', async () => {
    const { ask } = await serve({
      metrics: { contentType: 'text/plain', text: () => Promise.reject(new Error('no registry')) },
    });
    expect(await ask('/metrics')).toMatchObject({ status: 500, text: 'Error: no registry\n' });
    expect(await ask('/healthz')).toMatchObject({ status: 200 });
  });

  test.each(['/', '/metrics', '/healthz/', '/../etc/passwd'])('there is nothing at %s', async (path) => {
    const { ask } = await serve();
    expect((await ask(path)).status).toBe(404);
  });

  test('nothing can be changed', async () => {
    const { ask } = await serve();
    expect((await ask('/healthz', 'POST')).status).toBe(405);
    expect((await ask('/healthz', 'HEAD')).status).toBe(200);
  });

  test('start fails when the port is taken', async () => {
    const { probes } = await serve();
    const second = new Probes({ port: probes.port, host: '127.0.0.1' });
    await expect(second.start()).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });

  test('stop lets an answer in progress finish and is not held up by idle connections', async () => {
    const answer = Promise.withResolvers<string>();
    const { probes, ask } = await serve({ metrics: { contentType: 'text/plain', text: () => answer.promise } });
    const idle = createConnection({ port: probes.port, host: '127.0.0.1' });
    onTestFinished(() => void idle.destroy());
    await new Promise((resolve) => idle.once('connect', resolve));
    idle.write('GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n');
    await new Promise((resolve) => idle.once('data', resolve));
    const asked = ask('/metrics');
    await ask('/healthz');
    const stopped = probes.stop();
    answer.resolve('up 1\n');
    expect(await asked).toMatchObject({ status: 200, text: 'up 1\n' });
    await stopped;
    expect(probes.port).toBe(0);
  });

  test('stop before start does nothing', async () => {
    const probes = new Probes({ port: 0 });
    await probes.stop();
    expect(probes.port).toBe(0);
  });
});
