import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { type StructuralSchema, structuralSchema } from '../../src/api/structural.ts';

const lowered = (schema: z.ZodType): StructuralSchema => structuralSchema(schema, 'spec');

describe('structuralSchema', () => {
  test('an object keeps its fields, bounds, defaults and descriptions, and nothing of JSON Schema besides', () => {
    const schema = z.strictObject({
      name: z
        .string()
        .min(1)
        .max(9)
        .regex(/^[a-z]+$/)
        .describe('A name.'),
      size: z.int32().min(1).max(8).default(2),
      ratio: z.number().gt(0).lte(1).optional(),
      mode: z.enum(['On', 'Off']).default('On'),
      tags: z.array(z.string().max(9)).min(1).max(4).optional(),
    });
    expect(lowered(schema)).toEqual({
      type: 'object',
      required: ['name'],
      properties: {
        name: { type: 'string', description: 'A name.', minLength: 1, maxLength: 9, pattern: '^[a-z]+$' },
        size: { type: 'integer', format: 'int32', default: 2, minimum: 1, maximum: 8 },
        ratio: { type: 'number', minimum: 0, exclusiveMinimum: true, maximum: 1 },
        mode: { type: 'string', default: 'On', enum: ['On', 'Off'] },
        tags: { type: 'array', minItems: 1, maxItems: 4, items: { type: 'string', maxLength: 9 } },
      },
    });
  });

  test('an integer has the format that its bounds ask for and no bound that the format says', () => {
    expect(lowered(z.int32())).toEqual({ type: 'integer', format: 'int32' });
    expect(lowered(z.int())).toEqual({ type: 'integer', format: 'int64' });
    expect(lowered(z.int().min(0))).toEqual({ type: 'integer', format: 'int64', minimum: 0 });
  });

  test('the default of an object holds the defaults of its fields, since the API server checks it against the rules as it stands', () => {
    const inner = z.strictObject({ a: z.int32().default(1), b: z.int32().optional() });
    expect(lowered(z.strictObject({ inner: inner.prefault({}) }).prefault({}))).toMatchObject({
      default: { inner: { a: 1 } },
      properties: { inner: { default: { a: 1 } } },
    });
  });

  test('a discriminated union becomes one object with a rule for what each branch needs and what it has not', () => {
    const union = z.discriminatedUnion('type', [
      z.strictObject({ type: z.literal('A').describe('Which.'), a: z.string().max(9).optional() }),
      z.strictObject({ type: z.literal('B'), b: z.string().max(9) }),
    ]);
    expect(lowered(union)).toEqual({
      type: 'object',
      required: ['type'],
      properties: {
        type: { type: 'string', description: 'Which.', enum: ['A', 'B'] },
        a: { type: 'string', maxLength: 9 },
        b: { type: 'string', maxLength: 9 },
      },
      'x-kubernetes-validations': [
        {
          rule: "self.type != 'A' || !has(self.b)",
          message: 'spec of type A has no b; remove what is not of this type',
        },
        { rule: "self.type != 'B' || has(self.b)", message: 'spec of type B needs b; add it' },
        {
          rule: "self.type != 'B' || !has(self.a)",
          message: 'spec of type B has no a; remove what is not of this type',
        },
      ],
    });
  });

  const field = (schema: z.ZodType) => z.strictObject({ field: schema });
  const branch = (name: string, shape: z.ZodRawShape) => z.strictObject({ type: z.literal(name), ...shape });
  test.each([
    ['a string without a bound', z.string(), 'spec.field: needs maxLength'],
    ['a list without a bound', z.array(z.int32()), 'spec.field: needs maxItems'],
    ['a map without a bound', z.record(z.string(), z.int32()), 'spec.field: needs maxProperties'],
    ['a map with a schema of its keys', z.record(z.string().max(3), z.int32()), 'keys of a map'],
    ['a refinement that is no rule', z.int32().refine((n) => n !== 3), 'use rule()'],
    ['an object that lets unknown fields through', z.looseObject({ a: z.int32() }), 'use z.strictObject'],
    ['an object that drops unknown fields', z.object({ a: z.int32() }), 'use z.strictObject'],
    ['anything', z.unknown(), 'spec.field: type undefined'],
    ['a union of scalars', z.union([z.int32(), z.string().max(3)]), 'needs a literal'],
    ['a tuple', z.tuple([z.int32(), z.int32()]), 'spec.field[]: '],
    [
      'a pattern that RE2 lacks',
      z
        .string()
        .max(9)
        .regex(/^(?!x)/),
      'something else in RE2',
    ],
    ['a pattern that RE2 reads otherwise', z.string().max(9).regex(/^\s/), 'something else in RE2'],
    ['a keyword of JSON Schema only', z.int32().meta({ examples: [1] }), '"examples"'],
    [
      'a default in one branch',
      z.discriminatedUnion('type', [branch('A', { a: z.int32().default(1) }), branch('B', {})]),
      'spec.field.a: a field of one branch cannot have a default',
    ],
    [
      'a field in two branches',
      z.discriminatedUnion('type', [branch('A', { a: z.int32() }), branch('B', { a: z.int32() })]),
      'spec.field.a: is in more than one branch',
    ],
  ])('refuses %s', (_, schema, message) => {
    expect(() => lowered(field(schema))).toThrow(message);
  });
});
