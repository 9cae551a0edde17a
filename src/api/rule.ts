import * as z from 'zod';

/** One entry of `x-kubernetes-validations`. */
export interface CelRule {
  rule: string;
  message: string;
  fieldPath?: string;
}

/** A rule as the API server reads it, with the sentence that both sides say. */
export interface RuleText {
  /** CEL expression over `self`, true when the value is fine. */
  readonly cel: string;
  /** Names the field, the rule and the remedy. */
  readonly message: string;
  /** The field to blame, relative to the schema: `.maxReplicas`. */
  readonly fieldPath?: string;
}

/** The key under which rules travel from zod to the CRD. */
export const RULES = 'x-kubernetes-validations';

/**
 * The schema with one more rule, enforced by the API server and by zod alike. May be applied several times.
 *
 * Guarantees: both sides see the value after defaulting; both say the same message at the same field; a broken rule does
 * not hide the next one.
 * Assumes: `predicate` and `cel` mean the same, which the differential test checks on random specs.
 */
export function rule<S extends z.ZodType>(schema: S, text: RuleText, predicate: (value: z.output<S>) => boolean): S {
  const path = text.fieldPath?.split('.').slice(1) ?? [];
  const checked = schema.check((payload) => {
    if (!predicate(payload.value)) blame(payload, text.message, path);
  });
  const entry: CelRule = { rule: text.cel, message: text.message };
  if (text.fieldPath !== undefined) entry.fieldPath = text.fieldPath;
  const meta = schema.meta() ?? {};
  return withMeta(checked, { ...meta, [RULES]: [...rulesOf(meta), entry] });
}

/** A list of objects in which `key` is unique; server-side apply merges it entry by entry. */
export function listMap<S extends z.ZodType<readonly object[]>>(schema: S, key: string): S {
  const keyOf = (entry: object): unknown => (entry as Record<string, unknown>)[key];
  const unique = schema.check((payload) => {
    for (const [index, value] of repeated(payload.value.map(keyOf))) {
      blame(payload, `${key} ${JSON.stringify(value)} is listed twice; keep one`, [index, key]);
    }
  });
  const asMap = { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': [key] };
  return withMeta(unique, { ...schema.meta(), ...asMap });
}

/** A list of strings without duplicates; server-side apply merges it value by value. */
export function listSet<S extends z.ZodType<readonly string[]>>(schema: S): S {
  const unique = schema.check((payload) => {
    for (const [index, value] of repeated(payload.value)) {
      blame(payload, `${JSON.stringify(value)} is listed twice; keep one`, [index]);
    }
  });
  return withMeta(unique, { ...schema.meta(), 'x-kubernetes-list-type': 'set' });
}

/** A map with at most so many entries. */
export function atMost<S extends z.ZodType<Readonly<Record<string, unknown>>>>(schema: S, maxProperties: number): S {
  const bounded = schema.check((payload) => {
    if (Object.keys(payload.value).length > maxProperties) {
      blame(payload, `at most ${maxProperties} entries; remove some`, []);
    }
  });
  return withMeta(bounded, { ...schema.meta(), maxProperties });
}

/** How many checks that JSON Schema cannot see the API server makes as well, by the metadata of a schema. */
export function sharedChecks(meta: z.core.GlobalMeta): number {
  return rulesOf(meta).length + ('x-kubernetes-list-type' in meta ? 1 : 0) + ('maxProperties' in meta ? 1 : 0);
}

const rulesOf = (meta: z.core.GlobalMeta): readonly CelRule[] => (meta[RULES] as readonly CelRule[] | undefined) ?? [];

/** The entries that an earlier one equals. */
const repeated = <T>(values: readonly T[]): [number, T][] =>
  [...values.entries()].filter(([index, value]) => values.indexOf(value) !== index);

/** Like the API server, goes on with the other rules. */
function blame<T>(payload: z.core.ParsePayload<T>, message: string, path: readonly PropertyKey[]): void {
  payload.issues.push({ code: 'custom', continue: true, message, path: [...path], input: payload.value });
}

/** Registers on the instance itself: `meta()` would make one more, and between the two a check stood without its rule. */
function withMeta<S extends z.ZodType>(fresh: S, meta: z.core.GlobalMeta): S {
  z.globalRegistry.add(fresh, meta);
  return fresh;
}
