import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

const CLUSTER_TESTS = new URL('../cluster/', import.meta.url).pathname;

async function sources(): Promise<{ readonly name: string; readonly text: string }[]> {
  const names = (await readdir(CLUSTER_TESTS)).filter((name) => name.endsWith('.ts'));
  return Promise.all(names.map(async (name) => ({ name, text: await readFile(join(CLUSTER_TESTS, name), 'utf8') })));
}

/** Files that match the one and not the other. */
const lacking = async (has: RegExp, lacks: RegExp): Promise<string[]> =>
  (await sources()).filter(({ text }) => has.test(text) && !lacks.test(text)).map(({ name }) => name);

describe('in cluster tests', () => {
  test('an operator starts under an eye', async () => {
    const starts = (await sources()).flatMap(({ name, text }) =>
      [...text.matchAll(/OperatorProcess\.start\(\{[^}]*\}/g)].map(([start]) => ({ name, start })),
    );
    expect(starts.length).toBeGreaterThan(0);
    expect(starts.filter(({ start }) => !start.includes('eye.on('))).toEqual([]);
  });

  test('whoever opens an eye judges what it saw', async () => {
    expect(await lacking(/Eye\.open\(/, /\b(judge|check)\(/)).toEqual([]);
  });

  test('a world is stopped, which judges it', async () => {
    expect(await lacking(/await World\.start\(/, /world\?\.stop\(\)/)).toEqual([]);
  });
});
