import { describe, expect, test } from 'vitest';
import { NOT_EFFECTIVE, parseSpec, Spec } from '../../src/api/index.ts';
import { ASKING_FOR } from './asking-for.ts';

describe('fields that are not effective', () => {
  test('each has a spec that asks for it', () => {
    expect(Object.keys(ASKING_FOR)).toEqual(NOT_EFFECTIVE.map(({ path }) => path));
  });

  test.each(NOT_EFFECTIVE)('$path is refused by name', ({ message, path }) => {
    expect(message).toMatch(/^spec\..+ not effective in this version of the operator.*; /);
    expect(parseSpec(ASKING_FOR[path])).toEqual({ ok: false, errors: [message] });
  });

  test.each(NOT_EFFECTIVE)('$path is not asked for by default', ({ isAskedFor }) => {
    expect(isAskedFor(Spec.parse({}))).toBe(false);
  });
});
