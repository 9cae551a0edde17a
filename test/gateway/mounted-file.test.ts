import { mkdtempSync, renameSync, rmSync, watch, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { type MountedFilesOptions, useMountedFiles } from '../../src/gateway/mounted-file.ts';
import { CollectingLog } from '../runtime/collecting-log.ts';
import { ManualClock } from '../support/manual-clock.ts';

const ends: (() => unknown)[] = [];
afterEach(() => {
  for (const end of ends.splice(0).toReversed()) end();
});

/** A file with a text, and what was made of it. */
function mounted(text: string) {
  const folder = mkdtempSync(join(tmpdir(), 'qwen-coder-mounted-'));
  ends.push(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'file');
  // As the kubelet changes it: at one go.
  const write = (changed: string): void => {
    writeFileSync(`${path}.new`, changed);
    renameSync(`${path}.new`, path);
  };
  write(text);
  const clock = new ManualClock();
  const log = new CollectingLog();
  const used: string[] = [];
  const begin = async (watching: NonNullable<MountedFilesOptions['watching']>): Promise<void> => {
    const use = ([changed]: readonly string[]): void => {
      if (changed === 'unusable') throw new Error('it is no use');
      used.push(changed!);
    };
    ends.push(await useMountedFiles({ clock, log, paths: [path], use, watching }));
  };
  return { clock, log, write, used, begin };
}

/** As the kernel refuses where its watches have run out. */
const refused = (): never => {
  throw Object.assign(new Error('too many open files'), { code: 'EMFILE' });
};

test('a change is taken over, once', async () => {
  const { clock, log, write, used, begin } = mounted('first');
  await begin(watch);
  write('second');
  await expect
    .poll(async () => {
      await clock.advance(100);
      return used;
    })
    .toEqual(['first', 'second']);
  write('unusable');
  await expect
    .poll(async () => {
      await clock.advance(100);
      return log.lines();
    })
    .toEqual([
      'info mounted files were taken over',
      'error mounted files changed and cannot be used; the last ones stay',
    ]);
  expect(used).toEqual(['first', 'second']);
});

test('a change in the moment in which they begin to be watched is not missed', async () => {
  const { write, used, begin } = mounted('first');
  await begin((folder, onChange) => {
    write('second');
    return watch(folder, onChange);
  });
  expect(used.at(-1)).toBe('second');
});

test('where they cannot be watched they are looked at every 30 s, and the log says so once', async () => {
  const { clock, log, write, used, begin } = mounted('first');
  await begin(refused);
  const looked = async (): Promise<void> => {
    await clock.advance(30_000);
    await expect.poll(() => clock.pending).toBe(1);
  };
  await looked();
  await looked();
  write('second');
  await clock.advance(29_000);
  expect(used).toEqual(['first']);
  await looked();
  await looked();
  expect(used).toEqual(['first', 'second']);
  expect(log.lines()).toEqual([
    'warn mounted files cannot be watched; they are looked at every 30 s',
    'info mounted files were taken over',
  ]);
});

test.each([
  { name: 'watched', watching: watch },
  { name: 'looked at', watching: refused },
])('nothing is left behind where they are $name and cannot be used at the start', async ({ watching }) => {
  const { clock, begin } = mounted('unusable');
  await expect(begin(watching)).rejects.toThrow('it is no use');
  expect(clock.pending).toBe(0);
});
