import { execFileSync } from 'node:child_process';
import { mkdtempSync, renameSync, rmSync, symlinkSync, mkdirSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { TLSSocket } from 'node:tls';
import { afterAll, afterEach, expect, test } from 'vitest';
import { UnusableFileError, runGateway } from '../../src/gateway/run.ts';
import { gatewayFlags } from '../../src/options.ts';
import { Metrics, silentLog } from '../../src/runtime/index.ts';
import { loadedEngine } from '../support/loaded-engine.ts';
import { CollectingLog } from '../runtime/collecting-log.ts';
import { scaledClock } from '../support/scaled-clock.ts';

const directory = mkdtempSync(join(tmpdir(), 'qwen-coder-gateway-'));
afterAll(() => rmSync(directory, { recursive: true }));
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

/** Files as the kubelet mounts a Secret: links to a folder that is exchanged as a whole. */
function mount(
  name: string,
  files: Readonly<Record<string, string>>,
): { update: typeof write; path: (file: string) => string } {
  const root = join(directory, name);
  mkdirSync(root);
  let generation = 0;
  function write(changed: Readonly<Record<string, string>>): void {
    generation += 1;
    const folder = join(root, `..${generation}`);
    mkdirSync(folder);
    for (const [file, content] of Object.entries(changed)) writeFileSync(join(folder, file), content);
    symlinkSync(folder, join(root, '..tmp'));
    renameSync(join(root, '..tmp'), join(root, '..data'));
  }
  write(files);
  for (const file of Object.keys(files)) symlinkSync(join('..data', file), join(root, file));
  return { update: write, path: (file) => join(root, file) };
}

function certificate(name: string): { cert: string; key: string } {
  const output = execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '1',
      '-subj',
      `/CN=${name}`,
      '-keyout',
      '-',
      '-out',
      '-',
    ],
    { stdio: ['ignore', 'pipe', 'ignore'] },
  ).toString();
  const [key] = /-----BEGIN PRIVATE KEY-----[\s\S]*?-----END PRIVATE KEY-----/.exec(output)!;
  const [cert] = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/.exec(output)!;
  return { cert, key };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test('keys and certificate are rotated while it runs, and what is under way when it ends is finished', async () => {
  const { address, server } = await loadedEngine({ clock: scaledClock(100), stepSeconds: 0.5 });
  ends.push(() => server.close());
  const keys = mount('keys', { keys: 'alice: sk-alice-0123456789\n' });
  const first = certificate('first');
  const tls = mount('tls', { 'tls.crt': first.cert, 'tls.key': first.key });
  const [port, httpPort] = [await freePort(), await freePort()];
  const flags = gatewayFlags(
    [
      '--port',
      String(port),
      '--http-port',
      String(httpPort),
      '--models',
      'coder',
      '--engines',
      address,
      '--api-keys-file',
      keys.path('keys'),
      '--tls-cert-file',
      tls.path('tls.crt'),
      '--tls-key-file',
      tls.path('tls.key'),
    ],
    {},
  );
  const stop = new AbortController();
  let logged = '';
  const writeAccess = (lines: string): void => void (logged += lines);
  const log = new CollectingLog();
  const running = runGateway(flags, { log, metrics: new Metrics(), writeAccess }, stop.signal);
  ends.push(() => stop.abort());

  /** Asks on a connection of its own. */
  const ask = (key: string, body: object) =>
    new Promise<{ status: number; name: string; body: Promise<string> }>((resolve, reject) => {
      request(
        {
          host: '127.0.0.1',
          port,
          path: '/v1/chat/completions',
          method: 'POST',
          agent: false,
          rejectUnauthorized: false,
          headers: { 'x-api-key': key },
        },
        (response) => {
          const { subject } = (response.socket as TLSSocket).getPeerCertificate();
          resolve({ status: response.statusCode!, name: String(subject.CN), body: text(response) });
        },
      )
        .once('error', reject)
        .end(JSON.stringify(body));
    });
  const chat = { model: 'coder', messages: [{ role: 'user', content: 'hello' }] };
  await expect
    .poll(() =>
      ask('sk-alice-0123456789', chat).then(
        ({ status, name }) => [status, name],
        () => undefined,
      ),
    )
    .toEqual([200, 'first']);

  keys.update({ keys: 'alice: sk-alice-9876543210\n' });
  const second = certificate('second');
  tls.update({ 'tls.crt': second.cert, 'tls.key': second.key });
  await expect
    .poll(async () => {
      const { status, name } = await ask('sk-alice-9876543210', chat);
      return [status, name];
    })
    .toEqual([200, 'second']);
  expect((await ask('sk-alice-0123456789', chat)).status).toBe(401);

  // What cannot be used changes nothing.
  keys.update({ keys: '' });
  tls.update({ 'tls.crt': '', 'tls.key': '' });
  await expect.poll(() => log.lines('error')).toHaveLength(2);
  const long = await ask('sk-alice-9876543210', { ...chat, stream: true, ignore_eos: true, max_tokens: 100 });
  expect([long.status, long.name]).toEqual([200, 'second']);
  const streams = (): number => logged.split('"generatedTokens":100').length - 1;
  expect(streams()).toBe(0);

  stop.abort();
  expect(await long.body).toMatch(/\[DONE\]\n\n$/);
  await running;
  // No line waits for a flush that does not come.
  expect(streams()).toBe(1);
  await expect(ask('sk-alice-9876543210', chat)).rejects.toThrow('ECONNREFUSED');
}, 30_000);

test.each([
  { name: 'is not there', file: 'absent', why: 'there is no such file' },
  { name: 'holds no key', file: 'empty', why: 'there is no key in it; write one a line, as "name: key"' },
])('a file of keys that $name ends the start with one sentence that names it', async ({ file, why }) => {
  writeFileSync(join(directory, 'empty'), '');
  const path = join(directory, file);
  const flags = gatewayFlags(['--models', 'coder', '--engines', 'a:1', '--api-keys-file', path], {});
  const running = runGateway(
    flags,
    { log: silentLog, metrics: new Metrics(), writeAccess: () => {} },
    AbortSignal.timeout(5000),
  );
  await expect(running).rejects.toThrow(new UnusableFileError(`--api-keys-file ${path}: ${why}`));
});

const good = certificate('good');
const other = certificate('other');
const NO_CERTIFICATE = 'it holds no certificate, as PEM, that a server can use';
const NO_KEY = 'it holds no private key, as PEM and without a passphrase';

test.each([
  { name: 'an empty certificate', cert: '', key: good.key, flag: 'cert', why: `${NO_CERTIFICATE} (no start line)` },
  {
    name: 'a certificate that is none',
    cert: good.key,
    key: good.key,
    flag: 'cert',
    why: `${NO_CERTIFICATE} (no start line)`,
  },
  {
    name: 'a certificate with rubbish behind it',
    cert: `${good.cert}\n-----BEGIN CERTIFICATE-----\nrubbish\n-----END CERTIFICATE-----\n`,
    key: good.key,
    flag: 'cert',
    why: `${NO_CERTIFICATE} (bad base64 decode)`,
  },
  { name: 'an empty key', cert: good.cert, key: '', flag: 'key', why: `${NO_KEY} (unsupported)` },
  { name: 'a key that is none', cert: good.cert, key: good.cert, flag: 'key', why: `${NO_KEY} (unsupported)` },
  {
    name: 'the key of another certificate',
    cert: good.cert,
    key: other.key,
    flag: 'key',
    why: 'it does not fit the certificate (key values mismatch)',
  },
])('$name ends the start with one sentence that names the file', async ({ cert, key, flag, why }) => {
  const folder = mkdtempSync(join(directory, 'tls-'));
  writeFileSync(join(folder, 'cert'), cert);
  writeFileSync(join(folder, 'key'), key);
  const files = ['--tls-cert-file', join(folder, 'cert'), '--tls-key-file', join(folder, 'key')];
  const flags = gatewayFlags(['--models', 'coder', '--engines', 'a:1', '--anonymous=true', ...files], {});
  const running = runGateway(
    flags,
    { log: silentLog, metrics: new Metrics(), writeAccess: () => {} },
    AbortSignal.timeout(5000),
  );
  await expect(running).rejects.toThrow(new UnusableFileError(`--tls-${flag}-file ${join(folder, flag)}: ${why}`));
});

test.each([
  [
    ['--models', 'coder', '--engines', 'a:1'],
    'name the keys with --api-keys-file, or say --anonymous=true to serve whoever asks',
  ],
  [
    ['--models', 'coder', '--engines', 'a:1', '--anonymous=true', '--tls-cert-file', 'x'],
    '--tls-cert-file and --tls-key-file belong together',
  ],
  [['--engines', 'a:1', '--anonymous=true'], '--models'],
])('the flags %j are refused', (args, error) => {
  expect(() => gatewayFlags(args, {})).toThrow(error);
});
