import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { byTcp, getsOut } from '../src/network-probe.ts';
import { networkProbeTarget } from '../src/options.ts';
import { ManualClock } from './support/manual-clock.ts';

const server = createServer((socket) => socket.end());
let port: number;
beforeAll(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  ({ port } = server.address() as AddressInfo);
});
afterAll(() => void server.close());

/** Answers as told, the last word for ever. */
function answering(...words: readonly boolean[]): () => Promise<void> {
  const left = [...words];
  return () => {
    const word = left.length > 1 ? left.shift() : left[0];
    return word ? Promise.resolve() : Promise.reject(new Error('nothing there'));
  };
}

describe('whether something gets out', () => {
  test.each([
    { name: 'a target that always answers is reached', words: [true], isOut: true },
    { name: 'one that never answers is not', words: [false], isOut: false },
    { name: 'rules that take hold after some seconds hold', words: [true, true, true, false], isOut: false },
    {
      name: 'a target that starts anew within some tries is no wall',
      words: [...Array<boolean>(9).fill(false), true],
      isOut: true,
    },
    {
      name: 'nor one that does so once rules could hold',
      words: [true, ...Array<boolean>(9).fill(false), true],
      isOut: true,
    },
    { name: 'a network that comes late is no wall', words: [false, false, true], isOut: true },
  ])('$name', async ({ words, isOut }) => {
    const clock = new ManualClock();
    const told = getsOut(answering(...words), clock);
    await clock.advance(60_000);
    expect(await told).toBe(isOut);
  });

  test('is found out by a TCP connection', async () => {
    await expect(byTcp({ host: '127.0.0.1', port })(1000)).resolves.toBeUndefined();
    await expect(byTcp({ host: '127.0.0.1', port: 1 })(1000)).rejects.toThrow('ECONNREFUSED');
  });
});

/** Runs the program where there is no network at all; undefined where such a place cannot be made. */
const inEmptyNetwork = (target: string): Promise<number | undefined> =>
  new Promise((resolve) => {
    const main = new URL('../src/main.ts', import.meta.url).pathname;
    const args = ['-rn', process.execPath, main, 'network-probe', '--target', target];
    execFile('unshare', args, (error, stdout) =>
      resolve(stdout.includes('cannot be reached') ? Number(error?.code ?? 0) : undefined),
    );
  });

test('the program ends with 0 in a network that nothing leaves', async ({ skip }) => {
  const code = await inEmptyNetwork(`127.0.0.1:${port}`);
  skip(code === undefined, 'this machine makes no network namespaces');
  expect(code).toBe(0);
}, 60_000);

describe('the target of the probe', () => {
  const pod = { KUBERNETES_SERVICE_HOST: '10.0.0.1', KUBERNETES_SERVICE_PORT: '443' };

  test('is the API server, as every pod is told it, or what was named', () => {
    expect(networkProbeTarget([], pod)).toEqual({ host: '10.0.0.1', port: 443 });
    expect(networkProbeTarget(['--target', '[fd00::1]:6443'], pod)).toEqual({ host: 'fd00::1', port: 6443 });
  });

  test('must be named outside a cluster', () => {
    expect(() => networkProbeTarget([], {})).toThrow('name HOST:PORT with --target');
    expect(() => networkProbeTarget(['--target', 'example'], pod)).toThrow('--target: is HOST:PORT');
  });
});
