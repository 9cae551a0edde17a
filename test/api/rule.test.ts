import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { atMost, listMap, listSet, rule } from '../../src/api/rule.ts';
import { structuralSchema } from '../../src/api/structural.ts';

const Range = rule(
  rule(
    z.strictObject({ min: z.int32().default(0), max: z.int32().default(0) }),
    { cel: 'self.min <= self.max', message: 'min is above max', fieldPath: '.min' },
    ({ max, min }) => min <= max,
  ),
  { cel: 'self.max != 13', message: 'not 13' },
  ({ max }) => max !== 13,
);

const issues = (schema: z.ZodType, value: unknown) =>
  schema.safeParse(value).error?.issues.map(({ message, path }) => `${path.join('.')}: ${message}`) ?? [];

describe('rule', () => {
  test('every rule of a schema holds in zod, at its field', () => {
    expect(issues(Range, { min: 14, max: 13 })).toEqual(['min: min is above max', ': not 13']);
    expect(issues(Range, { min: 1, max: 2 })).toEqual([]);
  });

  test('every rule of a schema is in the CRD', () => {
    expect(structuralSchema(Range, 'range')['x-kubernetes-validations']).toEqual([
      { rule: 'self.min <= self.max', message: 'min is above max', fieldPath: '.min' },
      { rule: 'self.max != 13', message: 'not 13' },
    ]);
  });

  test('sees the value after defaulting', () => {
    expect(issues(Range, { min: 1 })).toEqual(['min: min is above max']);
  });

  test('lives through optional, prefault and description', () => {
    const schema = z.strictObject({ range: Range.optional().describe('A range.'), other: Range.prefault({}) });
    expect(issues(schema, { range: { min: 1 } })).toEqual(['range.min: min is above max']);
    const { properties } = structuralSchema(schema, 'spec');
    expect(properties!['range']).toMatchObject({ description: 'A range.' });
    for (const name of ['range', 'other']) expect(properties![name]!['x-kubernetes-validations']).toHaveLength(2);
  });

  test('leaves the schema it was given alone', () => {
    const schema = z.strictObject({ max: z.int32() });
    rule(schema, { cel: 'false', message: 'never' }, () => false);
    expect(issues(schema, { max: 1 })).toEqual([]);
    expect(structuralSchema(schema, 'spec')).not.toHaveProperty('x-kubernetes-validations');
  });
});

describe('bounded collections', () => {
  const entries = listMap(z.array(z.strictObject({ name: z.string().max(9) })).max(3), 'name');

  test('a listMap holds each key once', () => {
    expect(issues(entries, [{ name: 'a' }, { name: 'b' }, { name: 'a' }])).toEqual([
      '2.name: name "a" is listed twice; keep one',
    ]);
    expect(structuralSchema(entries, 'list')).toMatchObject({
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
    });
  });

  test('a listSet holds each value once', () => {
    const names = listSet(z.array(z.string().max(9)).max(3));
    expect(issues(names, ['a', 'b', 'a'])).toEqual(['2: "a" is listed twice; keep one']);
    expect(structuralSchema(names, 'list')).toMatchObject({ 'x-kubernetes-list-type': 'set' });
  });

  test('a map has its bound on both sides', () => {
    const map = atMost(z.record(z.string(), z.string().max(9)), 1);
    expect(issues(map, { a: '1', b: '2' })).toEqual([': at most 1 entries; remove some']);
    expect(structuralSchema(map, 'map')).toMatchObject({ maxProperties: 1 });
  });
});
