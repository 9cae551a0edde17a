import * as z from 'zod';
import { type CelRule, RULES, sharedChecks } from './rule.ts';

/** A node of a structural schema, as far as this API uses them. */
export interface StructuralSchema {
  type: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean';
  description?: string;
  format?: string;
  default?: unknown;
  enum?: unknown[];
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: boolean;
  exclusiveMaximum?: boolean;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  minItems?: number;
  maxItems?: number;
  items?: StructuralSchema;
  minProperties?: number;
  maxProperties?: number;
  required?: string[];
  properties?: Record<string, StructuralSchema>;
  additionalProperties?: StructuralSchema;
  'x-kubernetes-list-type'?: 'map' | 'set';
  'x-kubernetes-list-map-keys'?: string[];
  'x-kubernetes-validations'?: CelRule[];
}

type JsonSchema = Readonly<Record<string, unknown>>;

/**
 * The structural schema of a zod schema: what the API server checks is what zod checks.
 *
 * Guarantees: every string, list and map is bounded, as the API server needs to bound the cost of rules; a pattern means
 * the same in RE2 as in JavaScript.
 * Fails when zod says something that a structural schema cannot, or that this lowering does not know: it names the path
 * and never drops anything in silence.
 *
 * @param path names the root in messages: `spec`.
 */
export function structuralSchema(schema: z.ZodType, path: string): StructuralSchema {
  const json = z.toJSONSchema(schema, {
    target: 'openapi-3.0',
    io: 'input',
    reused: 'inline',
    cycles: 'throw',
    override: ({ zodSchema, path: at }) => refuseInvisibleChecks(zodSchema, [path, ...at].join('.')),
  });
  return lower(json, path);
}

/** zod leaves refinements and the keys of records out of JSON Schema without a word. */
function refuseInvisibleChecks(schema: z.core.$ZodType, path: string): void {
  const { def } = schema._zod;
  if (def.type === 'record' && ((def as z.core.$ZodRecordDef).keyType._zod.def.checks?.length ?? 0) > 0) {
    throw new Error(`${path}: keys of a map have no schema of their own; use a rule`);
  }
  const custom = (def.checks ?? []).filter((check) => check._zod.def.check === 'custom').length;
  if (custom !== sharedChecks(z.globalRegistry.get(schema) ?? {})) {
    throw new Error(`${path}: a refinement that the API server would not know; use rule()`);
  }
}

function lower(node: JsonSchema, path: string): StructuralSchema {
  const branches = node['oneOf'] ?? node['anyOf'];
  if (branches !== undefined) return lowerUnion(node, branches as JsonSchema[], path);
  switch (node['type']) {
    case 'object':
      return node['properties'] === undefined ? lowerMap(node, path) : lowerObject(node, path);
    case 'array':
      need(node, path, 'maxItems');
      return {
        ...pick(node, path, ['items', 'minItems', 'maxItems', 'x-kubernetes-list-type', 'x-kubernetes-list-map-keys']),
        items: lower(node['items'] as JsonSchema, `${path}[]`),
      };
    case 'string':
      return lowerString(node, path);
    case 'integer':
      return lowerInteger(node, path);
    case 'number':
      return pick(node, path, ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum']);
    case 'boolean':
      return pick(node, path, []);
    default:
      throw new Error(`${path}: type ${JSON.stringify(node['type'])} has no structural schema`);
  }
}

function lowerObject(node: JsonSchema, path: string): StructuralSchema {
  const { additionalProperties, properties, ...rest } = node;
  // Pruning, and strict field validation on request, do what additionalProperties: false does elsewhere.
  if (additionalProperties !== false) throw new Error(`${path}: use z.strictObject; unknown fields would be lost`);
  const out: StructuralSchema = {
    ...pick(rest, path, ['required']),
    properties: mapValues(properties as Record<string, JsonSchema>, (child, key) => lower(child, `${path}.${key}`)),
  };
  // The API server checks a default against the rules as it stands, before the defaults within it.
  if (out.default !== undefined) out.default = withDefaults(out.default, out);
  return out;
}

function withDefaults(value: unknown, schema: StructuralSchema): unknown {
  if (schema.properties === undefined) return value;
  const given = value as Readonly<Record<string, unknown>>;
  return Object.fromEntries(
    Object.entries(schema.properties)
      .map(([key, child]) => [key, key in given ? withDefaults(given[key], child) : child.default])
      .filter(([, filled]) => filled !== undefined),
  );
}

function lowerMap(node: JsonSchema, path: string): StructuralSchema {
  if (typeof node['additionalProperties'] !== 'object') throw new Error(`${path}: an object without fields`);
  need(node, path, 'maxProperties');
  return {
    ...pick(node, path, ['additionalProperties', 'minProperties', 'maxProperties']),
    additionalProperties: lower(node['additionalProperties'] as JsonSchema, `${path}[*]`),
  };
}

function lowerString(node: JsonSchema, path: string): StructuralSchema {
  if (node['enum'] === undefined) need(node, path, 'maxLength');
  const { pattern } = node;
  if (typeof pattern === 'string' && /\(\?|\\[sSwWdDbBpPuk0-9]/.test(pattern)) {
    throw new Error(`${path}: this pattern may mean something else in RE2: ${pattern}`);
  }
  return pick(node, path, ['enum', 'format', 'minLength', 'maxLength', 'pattern']);
}

function lowerInteger(node: JsonSchema, path: string): StructuralSchema {
  const { maximum = Infinity, minimum = -Infinity } = node as { maximum?: number; minimum?: number };
  const isWide = maximum > 2 ** 31 - 1 || minimum < -(2 ** 31);
  const out = pick(node, path, ['format', 'minimum', 'maximum']);
  // zod states the bounds of the type itself; the format does.
  if (maximum >= (isWide ? Number.MAX_SAFE_INTEGER : 2 ** 31 - 1)) delete out.maximum;
  if (minimum <= (isWide ? Number.MIN_SAFE_INTEGER : -(2 ** 31))) delete out.minimum;
  return { ...out, format: isWide ? 'int64' : 'int32' };
}

/**
 * A discriminated union of objects becomes one object with the fields of all branches, the discriminator as an enum,
 * and rules that say which fields belong to which branch.
 */
function lowerUnion(node: JsonSchema, branches: readonly JsonSchema[], path: string): StructuralSchema {
  const { anyOf: _anyOf, oneOf: _oneOf, ...rest } = node;
  const objects = branches.map((branch) => lower(branch, path));
  const fieldsOf = (object: StructuralSchema): Record<string, StructuralSchema> => object.properties ?? {};
  const tag = Object.keys(fieldsOf(objects[0]!)).find((key) =>
    objects.every((object) => fieldsOf(object)[key]?.enum?.length === 1 && object.required?.includes(key)),
  );
  if (tag === undefined) throw new Error(`${path}: a union of objects needs a literal that tells them apart`);

  const properties: Record<string, StructuralSchema> = {
    [tag]: { ...fieldsOf(objects[0]!)[tag]!, enum: objects.flatMap((object) => fieldsOf(object)[tag]!.enum!) },
  };
  for (const object of objects) {
    for (const [key, field] of Object.entries(fieldsOf(object))) {
      if (key === tag) continue;
      if (key in properties) throw new Error(`${path}.${key}: is in more than one branch`);
      // Defaulting comes before the rules: the default would appear in objects of every other branch.
      if (field.default !== undefined) throw new Error(`${path}.${key}: a field of one branch cannot have a default`);
      properties[key] = field;
    }
  }
  const rules: CelRule[] = objects.flatMap((object) => {
    const value = fieldsOf(object)[tag]!.enum![0] as string;
    const needed = (object.required ?? []).filter((key) => key !== tag);
    const foreign = Object.keys(properties).filter((key) => !(key in fieldsOf(object)));
    const forThis = `self.${tag} != '${value}' || `;
    return [
      ...needed.map((key) => ({
        rule: `${forThis}has(self.${key})`,
        message: `${path} of ${tag} ${value} needs ${key}; add it`,
      })),
      ...(foreign.length === 0
        ? []
        : [
            {
              rule: forThis + parenthesized(foreign.map((key) => `!has(self.${key})`).join(' && '), foreign.length > 1),
              message: `${path} of ${tag} ${value} has no ${foreign.join(', ')}; remove what is not of this ${tag}`,
            },
          ]),
      ...(object[RULES] ?? []).map((inner) => ({ ...inner, rule: `${forThis}(${inner.rule})` })),
    ];
  });
  const outer = pick({ type: 'object', ...rest }, path, []);
  return { ...outer, required: [tag], properties, [RULES]: [...rules, ...(outer[RULES] ?? [])] };
}

const parenthesized = (expression: string, isNeeded: boolean): string => (isNeeded ? `(${expression})` : expression);

const ALWAYS = ['type', 'description', 'default', 'nullable', RULES];

/** The node with these keywords, in a fixed order. */
function pick(node: JsonSchema, path: string, keywords: readonly string[]): StructuralSchema {
  const known = [...ALWAYS, ...keywords];
  const stranger = Object.keys(node).find((key) => !known.includes(key));
  if (stranger !== undefined) throw new Error(`${path}: "${stranger}" has no structural equivalent here`);
  return Object.fromEntries(
    known.filter((key) => node[key] !== undefined).map((key) => [key, node[key]]),
  ) as unknown as StructuralSchema;
}

function need(node: JsonSchema, path: string, bound: string): void {
  if (node[bound] === undefined)
    throw new Error(`${path}: needs ${bound}, or the API server cannot bound the cost of rules`);
}

const mapValues = <T, U>(record: Record<string, T>, change: (value: T, key: string) => U): Record<string, U> =>
  Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value, key)]));
