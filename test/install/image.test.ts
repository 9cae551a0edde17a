import { spawn } from 'node:child_process';
import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';
import { operatorOptions } from '../../src/options.ts';
import { GATEWAY_PORTS } from '../../src/render/index.ts';
import { imageRun } from '../support/image.ts';

const file = (path: string): string => new URL(`../../${path}`, import.meta.url).pathname;

test('the image names the ports at which operator and gateways listen', async () => {
  const [, ports] = /^EXPOSE (.+)$/m.exec(await readFile(file('Dockerfile'), 'utf8'))!;
  const listening = new Set([operatorOptions([], {})['http-port'], ...Object.values(GATEWAY_PORTS)]);
  expect(ports!.split(' ').map(Number)).toEqual([...listening].toSorted((a, b) => a - b));
});

test('a gateway runs under the restrictions of the image, and takes over keys that change', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'image-'));
  const keys = join(folder, 'keys');
  await writeFile(keys, 'alice: 0123456789abcdef\n');
  const { nodeFlags, env } = await imageRun();
  const flags = ['--models=coder', '--engines=127.0.0.1:9', `--api-keys-file=${keys}`, '--host=127.0.0.1'];
  const ports = ['--port=0', '--http-port=0', '--control-port=0'];
  const gateway = spawn(process.execPath, [...nodeFlags, file('src/main.ts'), 'gateway', ...flags, ...ports], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  try {
    const said: string[] = [];
    for await (const line of createInterface({ input: gateway.stdout })) {
      said.push((JSON.parse(line) as { msg: string }).msg);
      if (said.at(-1) === 'the gateway listens') await appendFile(keys, 'bob: fedcba9876543210\n');
      if (said.at(-1) === 'mounted files were taken over') break;
    }
    expect(said).toEqual(expect.arrayContaining(['the gateway listens', 'mounted files were taken over']));
  } finally {
    gateway.kill('SIGKILL');
    await rm(folder, { recursive: true });
  }
});
