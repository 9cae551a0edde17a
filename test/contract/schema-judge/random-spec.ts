import * as fc from 'fast-check';
import type { StructuralSchema } from '../../../src/api/structural.ts';

/** Values that meet each other often enough to break the rules that look at more than one field. */
const LIKELY: Readonly<Record<string, readonly unknown[]>> = {
  'spec.model.quantization': ['BF16', 'FP8', 'FP8', 'Q4_K_M'],
  'spec.model.servedName': ['qwen3-coder-next', 'coder'],
  'spec.model.aliases[]': ['qwen3-coder-next', 'coder', 'Qwen/Qwen3-Coder-Next'],
  'spec.parallelism.tensorParallelSize': [1, 2, 3, 4, 8, 16],
  'spec.parallelism.pipelineParallelSize': [1, 1, 1, 2],
  'spec.engine.type': ['VLLM', 'VLLM', 'VLLM', 'LlamaCpp', 'Ollama'],
  'spec.engine.env[].name': ['A', 'B', 'HF_TOKEN'],
  'spec.placement.resourceName': ['nvidia.com/gpu', 'amd.com/gpu'],
  'spec.placement.tolerations[].value': ['', 'gpu'],
  'spec.scaling.minReplicas': [0, 1, 1, 2],
  'spec.scaling.maxReplicas': [0, 1, 1, 2],
  'spec.imagePullSecrets[].name': ['a', 'b'],
  'spec.placement.products[]': ['NVIDIA-H100-80GB-HBM3', 'L40S'],
};

const KEYS = [
  'cpu',
  'memory',
  'nvidia.com/gpu',
  'amd.com/gpu',
  'a',
  'kueue.x-k8s.io/queue-name',
  'app.kubernetes.io/name',
  'qwencoder.dev/slot',
  'simulator.qwencoder.dev/fault',
  'Example.com/upper',
  'a/b/c',
  '-a',
  '',
];

const ABSENT = Symbol('absent');

/** How often, in a thousand, a field that may be left out is there. */
const PRESENT = 220;
/** The same for fields that take part in rules which need more than one field. */
const PRESENT_FOR_RULES = 500;
const FOR_RULES = [
  'spec.model',
  'spec.model.quantization',
  'spec.parallelism',
  'spec.parallelism.tensorParallelSize',
  'spec.placement',
  'spec.placement.tolerations',
  'spec.placement.tolerations[].operator',
  'spec.placement.tolerations[].value',
  'spec.podMetadata',
];
/** The same for fields that are refused as soon as they are there. */
const PRESENT_AND_REFUSED = 16;
/** How often, in a thousand, a value is not of its schema. */
const WRONG = 15;

/**
 * Specs that come from the schema itself: most fields absent, most values right, now and then one that breaks a bound, a
 * pattern or a type, an unknown field, a null. So a new field is tested from the day it is declared.
 *
 * @param refused fields, as `spec.endpoint.expose`, that would turn almost every spec into a refused one.
 */
export function randomSpec(schema: StructuralSchema, refused: readonly string[]): fc.Arbitrary<unknown> {
  return value(schema, 'spec', new Set(refused));
}

type Refused = ReadonlySet<string>;

function value(schema: StructuralSchema, path: string, refused: Refused): fc.Arbitrary<unknown> {
  return fc.oneof(
    { weight: 1000 - WRONG, arbitrary: right(schema, path, refused) },
    { weight: WRONG, arbitrary: wrong(schema) },
  );
}

function right(schema: StructuralSchema, path: string, refused: Refused): fc.Arbitrary<unknown> {
  const likely = LIKELY[path];
  if (likely) return fc.constantFrom(...likely);
  switch (schema.type) {
    case 'object':
      return schema.properties ? object(schema, path, refused) : map(schema, path, refused);
    case 'array':
      return fc.array(value(schema.items!, `${path}[]`, refused), { minLength: schema.minItems ?? 0, maxLength: 3 });
    case 'string':
      return schema.enum ? fc.constantFrom(...schema.enum) : text(schema);
    case 'integer':
      return integer(schema);
    case 'number':
      return fc.double({ min: schema.minimum ?? -1e6, max: schema.maximum ?? 1e6, noNaN: true });
    case 'boolean':
      break;
  }
  return fc.boolean();
}

function object(schema: StructuralSchema, path: string, refused: Refused): fc.Arbitrary<unknown> {
  const names = Object.keys(schema.properties!);
  const fields = names.map((name) => {
    const at = `${path}.${name}`;
    return maybe(value(schema.properties![name]!, at, refused), presence(schema, name, at, refused));
  });
  const unknown = maybe(fc.constantFrom<unknown>(null, 1, {}), 4);
  return fc.tuple(unknown, ...fields).map(([stranger, ...values]) => {
    const entries = names.map((name, index) => [name, values[index]] as const);
    return Object.fromEntries([['stranger', stranger] as const, ...entries].filter(([, field]) => field !== ABSENT));
  });
}

function presence(schema: StructuralSchema, name: string, path: string, refused: Refused): number {
  if (schema.required?.includes(name) === true) return 960;
  if (refused.has(path)) return PRESENT_AND_REFUSED;
  return FOR_RULES.includes(path) ? PRESENT_FOR_RULES : PRESENT;
}

const maybe = (arbitrary: fc.Arbitrary<unknown>, perThousand: number): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 1000 - perThousand, arbitrary: fc.constant(ABSENT) }, { weight: perThousand, arbitrary });

function map(schema: StructuralSchema, path: string, refused: Refused): fc.Arbitrary<unknown> {
  const usual = fc.constantFrom(...KEYS.slice(0, 6));
  const key = fc.oneof({ weight: 7, arbitrary: usual }, { weight: 3, arbitrary: fc.constantFrom(...KEYS) });
  const field = value(schema.additionalProperties!, `${path}[*]`, refused);
  return fc.array(fc.tuple(key, field), { maxLength: 3 }).map((entries) => Object.fromEntries(entries));
}

function text(schema: StructuralSchema): fc.Arbitrary<string> {
  const { maxLength = 64, minLength = 0, pattern } = schema;
  if (pattern === undefined) return fc.string({ minLength, maxLength: Math.min(maxLength, minLength + 12) });
  return fc
    .stringMatching(new RegExp(pattern), { size: 'small' })
    .filter((candidate) => candidate.length >= minLength && candidate.length <= maxLength);
}

function integer(schema: StructuralSchema): fc.Arbitrary<number> {
  const { maximum: max = 2 ** 31 - 1, minimum: min = -(2 ** 31) } = schema;
  return fc.oneof(fc.constantFrom(min, max), fc.integer({ min, max }));
}

/** Values at and beyond the edges of a schema, and values of other types. Some are right after all. */
function wrong(schema: StructuralSchema): fc.Arbitrary<unknown> {
  const others: unknown[] = [
    null,
    true,
    0,
    1.5,
    -1,
    3_000_000_000,
    '',
    'a',
    'A b',
    '-a',
    '../a',
    'a/b',
    'ä',
    [],
    {},
    [null],
  ];
  if (schema.maxLength !== undefined) others.push('a'.repeat(schema.maxLength), 'a'.repeat(schema.maxLength + 1));
  for (const bound of [schema.minimum, schema.maximum])
    if (bound !== undefined) others.push(bound - 1, bound, bound + 1);
  if (schema.maxItems !== undefined && schema.items?.type === 'string') {
    for (const length of [schema.maxItems, schema.maxItems + 1]) others.push(Array.from({ length }, (_, i) => `a${i}`));
  }
  if (schema.maxProperties !== undefined) {
    for (const length of [schema.maxProperties, schema.maxProperties + 1]) {
      others.push(Object.fromEntries(Array.from({ length }, (_, index) => [`a${index}`, '1'])));
    }
  }
  return fc.constantFrom(...others);
}
