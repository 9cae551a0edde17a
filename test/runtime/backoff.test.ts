import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { backoffMs, defaultBackoff, fullJitterMs, RetryBucket } from '../../src/runtime/backoff.ts';

describe('backoffMs', () => {
  test('doubles from 5 ms and stays at 5 minutes', () => {
    expect([1, 2, 3, 4, 10, 16, 17, 18, 100, 5000].map((failures) => backoffMs(failures))).toEqual([
      5, 10, 20, 40, 2560, 163_840, 300_000, 300_000, 300_000, 300_000,
    ]);
  });

  test('is nothing without a failure', () => {
    expect([backoffMs(0), backoffMs(-1)]).toEqual([0, 0]);
  });

  test('never shrinks with failures and stays within base and cap, for any base and cap', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1000 }),
        fc.nat(1e9),
        fc.integer({ min: 1, max: 1e6 }),
        (baseMs, more, failures) => {
          const backoff = { baseMs, capMs: baseMs + more };
          const ms = backoffMs(failures, backoff);
          expect(ms).toBeGreaterThanOrEqual(baseMs);
          expect(ms).toBeLessThanOrEqual(backoff.capMs);
          expect(backoffMs(failures + 1, backoff)).toBeGreaterThanOrEqual(ms);
        },
      ),
    );
  });
});

describe('fullJitterMs', () => {
  test('spreads over the whole delay and never beyond', () => {
    fc.assert(
      fc.property(fc.nat(300_000), fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (ms, random) => {
        const jittered = fullJitterMs(ms, () => random);
        expect(jittered).toBeGreaterThanOrEqual(0);
        expect(jittered).toBeLessThanOrEqual(ms);
      }),
    );
    expect([0, 0.25, 0.5].map((random) => fullJitterMs(defaultBackoff.capMs, () => random))).toEqual([
      0, 75_000, 150_000,
    ]);
  });
});

describe('RetryBucket', () => {
  test('lets the burst through at once and then one each tenth of a second', () => {
    const bucket = new RetryBucket(10, 100, 0);
    const waits = Array.from({ length: 103 }, () => bucket.reserve(0));
    expect(waits.slice(0, 100).every((ms) => ms === 0)).toBe(true);
    expect(waits.slice(100)).toEqual([100, 200, 300]);
  });

  test('fills up again with time, up to the burst', () => {
    const bucket = new RetryBucket(10, 2, 0);
    bucket.reserve(0);
    bucket.reserve(0);
    expect(bucket.reserve(100)).toBe(0);
    expect(bucket.reserve(100)).toBeCloseTo(100);
    expect([bucket.reserve(3_600_000), bucket.reserve(3_600_000)]).toEqual([0, 0]);
    expect(bucket.reserve(3_600_000)).toBeCloseTo(100);
  });

  test('makes nobody wait longer than its longest wait', () => {
    const bucket = new RetryBucket(10, 1, 0, 5_000);
    const waits = Array.from({ length: 1000 }, () => bucket.reserve(0));
    expect(Math.max(...waits)).toBe(5_000);
  });

  test('gives no more turns than burst and rate allow, in any window', () => {
    const steps = fc.array(fc.nat(2_000), { minLength: 1, maxLength: 60, size: 'max' });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 10 }), steps, (perSecond, burst, gaps) => {
        const bucket = new RetryBucket(perSecond, burst, 0);
        let now = 0;
        const turns: number[] = [];
        for (const gap of gaps) {
          now += gap;
          turns.push(now + bucket.reserve(now));
        }
        const tooMany = turns.flatMap((from, first) =>
          turns.slice(first).filter((to, index) => index > burst + ((to - from) / 1000) * perSecond + 1e-6),
        );
        expect(tooMany).toEqual([]);
      }),
    );
  });
});
