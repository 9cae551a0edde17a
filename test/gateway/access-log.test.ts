import { beforeEach, describe, expect, test } from 'vitest';
import { AccessLog } from '../../src/gateway/access-log.ts';
import { ManualClock } from '../support/manual-clock.ts';

let clock: ManualClock;
let writes: string[];
let log: AccessLog;

beforeEach(() => {
  clock = new ManualClock();
  writes = [];
  log = new AccessLog({ clock, write: (lines) => writes.push(lines) });
});

const lines = (): { time: string; n: number }[] =>
  writes
    .join('')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as { time: string; n: number });

describe('a line', () => {
  test('is written a second later at most, with those that came meanwhile', async () => {
    log.write({ n: 1 });
    await clock.advance(600);
    log.write({ n: 2 });
    expect(writes).toEqual([]);
    await clock.advance(400);
    expect(writes).toHaveLength(1);
    expect(lines()).toMatchObject([{ n: 1 }, { n: 2 }]);
    await clock.advance(5000);
    expect(writes).toHaveLength(1);
  });

  test('bears the time at which it was written into the log, not that of the flush', async () => {
    log.write({ n: 1 });
    log.write({ n: 2 });
    await clock.advance(7);
    log.write({ n: 3 });
    log.flush();
    expect(lines().map(({ time }) => time)).toEqual([
      '2026-01-01T00:00:00.000Z',
      '2026-01-01T00:00:00.000Z',
      '2026-01-01T00:00:00.007Z',
    ]);
  });

  test('is out when the log is flushed, and no timer is left', () => {
    log.write({ n: 1 });
    log.flush();
    expect([lines().length, clock.pending]).toEqual([1, 0]);
    log.flush();
    expect(writes).toHaveLength(1);
  });

  test('of a busy gateway does not wait, and none is lost or cut', () => {
    for (let n = 0; n < 1000; n += 1) log.write({ n });
    expect(writes.length).toBeGreaterThan(1);
    for (const written of writes) expect(written.endsWith('\n')).toBe(true);
    log.flush();
    expect(lines().map(({ n }) => n)).toEqual(Array.from({ length: 1000 }, (_, n) => n));
  });
});
