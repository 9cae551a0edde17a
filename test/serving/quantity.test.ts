import { expect, test } from 'vitest';
import { quantityBytes } from '../../src/serving/quantity.ts';

test.each([
  ['80Gi', 80 * 2 ** 30],
  ['80G', 80e9],
  ['81559Mi', 81_559 * 2 ** 20],
  ['1.5Ti', 1.5 * 2 ** 40],
  ['1024', 1024],
  ['1500m', 1.5],
])('%s is %d bytes', (quantity, bytes) => {
  expect(quantityBytes(quantity)).toBe(bytes);
});

test('what is no quantity is refused', () => {
  expect(() => quantityBytes('80 GB')).toThrow('not a quantity: 80 GB');
  expect(() => quantityBytes('80X')).toThrow('not a quantity: 80X');
});
