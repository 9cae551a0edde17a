import { expect, test } from 'vitest';
import { ReconnectBackoff } from '../../src/kube/reconnect-backoff.ts';
import { ManualClock } from '../support/manual-clock.ts';

const waits = (backoff: ReconnectBackoff, count: number) => Array.from({ length: count }, () => backoff.next());

test('doubles from 0.8 s to 30 s, for ever', () => {
  const backoff = new ReconnectBackoff(new ManualClock(), () => 1);
  expect(waits(backoff, 8)).toEqual([800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]);
  waits(backoff, 2000);
  expect(backoff.next()).toBe(30_000);
});

test('jitter reaches down to nothing', () => {
  const random = [0, 0.25, 0.5, 0.999];
  const backoff = new ReconnectBackoff(new ManualClock(), () => random.shift()!);
  expect(waits(backoff, 4)).toEqual([0, 400, 1600, 6394]);
});

test('is never shorter than what the server asked for', () => {
  const backoff = new ReconnectBackoff(new ManualClock(), () => 0.5);
  expect([backoff.next(5000), backoff.next(0)]).toEqual([5000, 800]);
});

test('two minutes without a failure, counted from the end of the wait, are forgiven', async () => {
  const clock = new ManualClock();
  const backoff = new ReconnectBackoff(clock, () => 1);
  waits(backoff, 6);
  await clock.advance(25_600 + 119_999);
  expect(backoff.next()).toBe(30_000);
  await clock.advance(30_000 + 120_000);
  expect(backoff.next()).toBe(800);
});
