import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, test } from 'vitest';

const MAIN = new URL('../src/main.ts', import.meta.url).pathname;
const directory = mkdtempSync(join(tmpdir(), 'qwen-coder-'));
const plugin = join(directory, 'kubectl-qwencoder');
symlinkSync(MAIN, plugin);
afterAll(() => rmSync(directory, { recursive: true }));

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const run = (program: string, ...args: string[]): Promise<Ended> =>
  promisify(execFile)(process.execPath, [program, ...args]).then(
    (output) => ({ code: 0, ...output }),
    (error: unknown) => error as Ended,
  );

// Four starts from source: a second each on an idle machine.
test('as a plugin of kubectl it answers the same, and calls itself what kubectl calls it', async () => {
  const asked = ['plan', '--gpus', '4xL40S-48GB'];
  expect(await run(plugin, ...asked)).toEqual(await run(MAIN, ...asked));
  const [own, kubectls] = await Promise.all([run(MAIN, '--help'), run(plugin, '--help')]);
  expect(kubectls.stdout).not.toBe(own.stdout);
  expect(kubectls.stdout.replaceAll('kubectl qwencoder', 'qwen-coder')).toBe(own.stdout);
}, 30_000);

test.each(['operator', 'gateway', 'plan', 'render', 'crd', 'rbac'])('%s has help of its own', async (command) => {
  const { code, stdout } = await run(MAIN, command, '--help');
  expect({ code, begins: stdout.startsWith(`  qwen-coder ${command}`) }).toEqual({ code: 0, begins: true });
});

test.each<{ name: string; args: string[]; code: number; says: RegExp }>([
  { name: 'what fits nowhere', args: ['plan', '--gpus', '1xL4-24GB'], code: 1, says: /^$/ },
  { name: 'a wrong flag', args: ['plan', '--gpus', '1xT9000'], code: 2, says: /^--gpus: .*\n$/ },
  { name: 'a command that is none', args: ['plna'], code: 2, says: /^there is no command plna\n/ },
])('$name ends with $code', async ({ args, code, says }) => {
  const ended = await run(MAIN, ...args);
  expect(ended.code).toBe(code);
  expect(ended.stderr).toMatch(says);
});
