import * as z from 'zod';
import { structuralSchema, type StructuralSchema } from './structural.ts';
import { GROUP, KIND, type QwenCoderSpec, RESOURCE_NAME, Spec, VERSION } from './v1alpha1.ts';

/** What came of reading a spec that nobody has checked: the spec with its defaults, or every reason why it is none. */
export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly errors: readonly string[] };

/**
 * Reads a spec as the API server would: nulls are fields that were left out, unknown fields are errors, defaults are
 * filled in. Errors are sentences, `spec.path: what is wrong`.
 */
export function parseSpec(input: unknown): Parsed<QwenCoderSpec> {
  return parse(Spec, input ?? {}, 'spec');
}

const Resource = z.looseObject({
  apiVersion: z.literal(`${GROUP}/${VERSION}`),
  kind: z.literal(KIND),
  metadata: z.looseObject({
    name: z.string().refine(RESOURCE_NAME.isValid, RESOURCE_NAME.message),
  }),
});

/** Reads a whole resource: coordinates, name and spec. */
export function parseResource(input: unknown): Parsed<{ readonly name: string; readonly spec: QwenCoderSpec }> {
  const resource = Resource.safeParse(input);
  const spec = parseSpec((input as { spec?: unknown } | null | undefined)?.spec);
  if (resource.success && spec.ok) {
    return { ok: true, value: { name: resource.data.metadata.name, spec: spec.value } };
  }
  return {
    ok: false,
    errors: [
      ...(resource.error?.issues.flatMap((issue) => sentences(issue, '')) ?? []),
      ...(spec.ok ? [] : spec.errors),
    ],
  };
}

function parse<S extends z.ZodType>(schema: S, input: unknown, root: string): Parsed<z.output<S>> {
  const direct = schema.safeParse(input);
  const result = direct.success ? direct : schema.safeParse(withoutNulls(input, structuralSchema(schema, root)));
  if (result.success) return { ok: true, value: result.data };
  return { ok: false, errors: result.error.issues.flatMap((issue) => sentences(issue, root)) };
}

/** The API server drops a null where a value is declared; elsewhere it stays, and is an error. */
function withoutNulls(value: unknown, schema: StructuralSchema | undefined): unknown {
  if (Array.isArray(value)) return value.map((item) => withoutNulls(item, schema?.items));
  if (typeof value !== 'object' || value === null) return value;
  const fieldSchema = (key: string) => schema?.properties?.[key] ?? schema?.additionalProperties;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key, field]) => field !== null || fieldSchema(key) === undefined)
      .map(([key, field]) => [key, withoutNulls(field, fieldSchema(key))]),
  );
}

function sentences(issue: z.core.$ZodIssue, root: string): string[] {
  const at = fieldName(root, issue.path);
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map(
      (key) => `${fieldName(root, [...issue.path, key])}: no such field; remove it or correct its name`,
    );
  }
  // Rules name their field themselves, with more than one where it takes two to break them.
  const namesField = /^(spec|metadata)\./.test(issue.message);
  return [namesField ? issue.message : `${at}: ${issue.message}`];
}

function fieldName(root: string, path: readonly PropertyKey[]): string {
  const name = path.map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`)).join('');
  return `${root}${name}`.replace(/^\./, '');
}
