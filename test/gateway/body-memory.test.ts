import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { BodyMemory } from '../../src/gateway/body-memory.ts';

test('a key is refused more than it leaves to others, and told how much it has', () => {
  const memory = new BodyMemory(8 * 2 ** 20);
  memory.take('alice', 4 * 2 ** 20);
  expect(() => memory.take('alice', 1)).toThrow(
    'The gateway holds 4 MiB of requests, 4 MiB of them of this key, and has no room for more.',
  );
  memory.take('bob', 2 * 2 ** 20);
  expect(() => memory.take('bob', 1)).toThrow('The gateway holds 6 MiB of requests, 2 MiB of them of this key');
  memory.give('alice', 4 * 2 ** 20);
  memory.take('bob', 2 * 2 ** 20);
});

test('no more is held than there is room for, whoever comes finds some, and what is given back is as if it had never been', () => {
  const step = fc.record({
    holder: fc.constantFrom('a', 'b', 'c'),
    bytes: fc.integer({ min: 0, max: 400 }),
    gives: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const memory = new BodyMemory(1000);
      const taken: { holder: string; bytes: number }[] = [];
      for (const { holder, bytes, gives } of steps) {
        if (gives) {
          const one = taken.shift();
          if (one) memory.give(one.holder, one.bytes);
          continue;
        }
        try {
          memory.take(holder, bytes);
          taken.push({ holder, bytes });
        } catch {
          // A newcomer always finds a little.
          const newcomer = `new ${steps.length}`;
          if (memory.total < 999) {
            memory.take(newcomer, 1);
            memory.give(newcomer, 1);
          }
        }
        expect(memory.total).toBe(taken.reduce((sum, one) => sum + one.bytes, 0));
        expect(memory.total).toBeLessThan(1000);
      }
      for (const { holder, bytes } of taken) memory.give(holder, bytes);
      expect(memory.total).toBe(0);
      memory.take('a', 500);
    }),
  );
});
