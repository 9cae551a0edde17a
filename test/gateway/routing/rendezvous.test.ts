import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { saltOf, strongest } from '../../../src/gateway/routing/rendezvous.ts';

const replicas = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ id: index, salt: saltOf(`pod-${index}`) }));
const prefixes = Array.from({ length: 4000 }, (_, index) => index * 7_654_321_013 + 5);
const first = (block: number, count: number): number => strongest(block, replicas(count), 1)[0]!.id;

describe('strongest', () => {
  test('is the same in whatever order the replicas are known', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.shuffledSubarray(replicas(12), { minLength: 12 }), (block, shuffled) => {
        expect(strongest(block, shuffled, 5)).toEqual(strongest(block, replicas(12), 5));
      }),
    );
  });

  test('fewer are a beginning of more', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.integer({ min: 1, max: 11 }), (block, count) => {
        expect(strongest(block, replicas(12), 12).slice(0, count)).toEqual(strongest(block, replicas(12), count));
      }),
    );
  });

  test.each([2, 4, 8, 16])(
    'a replica that joins %i others takes its share and nothing moves between these',
    (count) => {
      const moved = prefixes.filter((block) => first(block, count) !== first(block, count + 1));
      expect(moved.every((block) => first(block, count + 1) === count)).toBe(true);
      expect(moved.length / prefixes.length).toBeLessThan(1.15 / (count + 1));
    },
  );

  test('every replica gets about its share', () => {
    const counts = replicas(16).map(() => 0);
    for (const block of prefixes) counts[first(block, 16)]! += 1;
    expect(Math.max(...counts)).toBeLessThan((1.25 * prefixes.length) / 16);
    expect(Math.min(...counts)).toBeGreaterThan((0.75 * prefixes.length) / 16);
  });
});
