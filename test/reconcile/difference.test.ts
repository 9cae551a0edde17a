import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { difference } from '../../src/reconcile/difference.ts';

describe('difference', () => {
  test.each([
    { name: 'defaults of the API server are not ours', desired: { a: 1 }, live: { a: 1, b: 2 }, path: undefined },
    {
      name: 'a changed value is named by its path',
      desired: { a: { b: [{ c: 1 }] } },
      live: { a: { b: [{ c: 2 }] } },
      path: '.a.b[0].c',
    },
    { name: 'a list of another length differs', desired: { a: [1] }, live: { a: [1, 2] }, path: '.a' },
    { name: 'a missing value differs', desired: { a: { b: 1 } }, live: { a: {} }, path: '.a.b' },
    {
      name: 'empty text is what the API server leaves out',
      desired: { env: { value: '' } },
      live: { env: {} },
      path: undefined,
    },
    { name: 'an empty object is what the API server leaves out', desired: { a: {} }, live: {}, path: undefined },
    { name: 'an empty object is not a value', desired: { a: {} }, live: { a: 1 }, path: '.a' },
    { name: 'zero is a value', desired: { replicas: 0 }, live: {}, path: '.replicas' },
    {
      name: 'equal quantities in other words are equal',
      desired: { requests: { cpu: '1000m' } },
      live: { requests: { cpu: '1' } },
      path: undefined,
    },
    {
      name: 'other quantities differ',
      desired: { limits: { memory: '1Gi' } },
      live: { limits: { memory: '1G' } },
      path: '.limits.memory',
    },
    {
      name: 'text that looks like a quantity is text elsewhere',
      desired: { env: '1000m' },
      live: { env: '1' },
      path: '.env',
    },
  ])('$name', ({ desired, live, path }) => {
    expect(difference(desired, live)).toBe(path);
  });

  test('an object never differs from itself with more added', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.jsonValue()),
        fc.dictionary(fc.string(), fc.jsonValue()),
        (desired, more) => {
          expect(difference(desired, { ...more, ...desired })).toBeUndefined();
        },
      ),
    );
  });
});
