import { assert, jsonValue, property } from 'fast-check';
import { expect, test } from 'vitest';
import { isSame } from '../../src/reconcile/same.ts';
import { canonicalJson } from '../../src/render/index.ts';

test.each([
  { a: { x: 1, y: [1, { z: null }] }, b: { y: [1, { z: null }], x: 1 }, same: true },
  { a: { x: 1, y: undefined }, b: { x: 1 }, same: true },
  { a: { x: 1 }, b: { x: 1, y: undefined }, same: true },
  { a: { x: 1 }, b: { x: 1, y: null }, same: false },
  { a: [1, 2], b: [1, 2, 3], same: false },
  { a: [], b: {}, same: false },
  { a: '1', b: 1, same: false },
  { a: undefined, b: {}, same: false },
])('$a and $b: $same', ({ a, b, same }) => {
  expect([isSame(a, b), isSame(b, a)]).toEqual([same, same]);
});

test('two values are the same exactly when their canonical texts are', () => {
  const value = jsonValue({ maxDepth: 3 });
  assert(
    property(value, value, (a, b) => {
      expect(isSame(a, b)).toBe(canonicalJson(a) === canonicalJson(b));
      expect(isSame(a, structuredClone(a))).toBe(true);
    }),
  );
});
