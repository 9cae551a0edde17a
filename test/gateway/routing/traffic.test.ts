import { describe, expect, test } from 'vitest';
import { Traffic } from '../../../src/gateway/routing/traffic.ts';

const MINUTE = 60_000;

describe('Traffic', () => {
  test('a share is the part of the work that went through a prefix', () => {
    const traffic = new Traffic(1024, 10 * MINUTE);
    traffic.add([1, 2], 3, 0);
    traffic.add([1, 3], 1, 0);
    expect(traffic.share(1, 0)).toBe(1);
    expect(traffic.share(2, 0)).toBe(0.75);
    expect(traffic.share(9, 0)).toBe(0);
  });

  test('work fades, and shares with it', () => {
    const traffic = new Traffic(1024, MINUTE);
    traffic.add([1], 1, 0);
    traffic.add([2], 1, 5 * MINUTE);
    expect(traffic.share(1, 5 * MINUTE)).toBeCloseTo(Math.exp(-5) / (1 + Math.exp(-5)));
    expect(traffic.share(2, 60 * MINUTE)).toBeCloseTo(traffic.share(2, 5 * MINUTE));
  });

  test('after a month without work nothing has a share or a fork', () => {
    const traffic = new Traffic(1024, MINUTE);
    traffic.add([1, 2], 1, 0);
    traffic.add([1, 3], 1, 0);
    const later = 30 * 24 * 60 * MINUTE;
    expect(traffic.share(1, later)).toBe(0);
    expect(traffic.elsewhere(1, 2, later)).toBeUndefined();
  });

  test('a fork is where work went elsewhere than on this chain; a conversation that only grows has none', () => {
    const traffic = new Traffic(1024, 10 * MINUTE);
    traffic.add([1, 2], 1, 0);
    traffic.add([1, 2, 3], 1, 0);
    expect(traffic.elsewhere(2, 3, 0)).toBe(0);
    expect(traffic.elsewhere(3, 4, 0)).toBeUndefined();
    traffic.add([1, 5], 2, 0);
    expect(traffic.elsewhere(1, 2, 0)).toBe(0.5);
    expect(traffic.elsewhere(1, 7, 0)).toBe(1);
  });

  test('a full table keeps the prefixes with most work', () => {
    const traffic = new Traffic(64, 10 * MINUTE);
    for (let at = 0; at < 2000; at += 1) traffic.add([1, 1000 + at * 37], 1, at);
    expect(traffic.share(1, 2000)).toBeCloseTo(1);
  });
});
