import type { SeenObject } from './history.ts';

/** `FieldsV1`: a tree of `f:<field>`, `k:<keys of a list item>`, `v:<value of a set>`, `i:<index>`; `.` stands for the node itself. */
interface Fields {
  readonly [step: string]: Fields;
}

/** A way into an object, as `FieldsV1` writes it. */
export type Path = readonly string[];

/** The operator's entries: what it applied, and what it wrote otherwise under the name in its user agent. */
const isOperators = (manager: string | undefined): boolean => manager?.startsWith('qwen-coder-operator') ?? false;

/** Fields by their owner: path as text → its steps, and the managers that own it. */
export interface Ownership {
  readonly operators: ReadonlyMap<string, Path>;
  readonly others: ReadonlyMap<string, { readonly path: Path; readonly manager: string }>;
}

/** Who owns which leaf of an object, as its `managedFields` say. */
export function ownership(object: SeenObject): Ownership {
  const operators = new Map<string, Path>();
  const others = new Map<string, { path: Path; manager: string }>();
  for (const { manager, fieldsV1 } of object.metadata.managedFields ?? []) {
    for (const path of leaves((fieldsV1 ?? {}) as Fields)) {
      const key = showPath(path);
      if (isOperators(manager)) operators.set(key, path);
      else others.set(key, { path, manager: manager ?? 'unknown' });
    }
  }
  return { operators, others };
}

function* leaves(fields: Fields, path: Path = []): Generator<Path> {
  for (const [step, inner] of Object.entries(fields)) {
    if (step === '.') continue;
    const here = [...path, step];
    if (Object.keys(inner).every((key) => key === '.')) yield here;
    else yield* leaves(inner, here);
  }
}

/** The value at a path; undefined where there is none. For a member of a set, whether it is there. */
export function valueAt(object: unknown, path: Path): unknown {
  let value = object;
  for (const step of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = member(value, step.slice(0, 2), step.slice(2));
  }
  return value;
}

function member(value: object, how: string, what: string): unknown {
  switch (how) {
    case 'f:':
      return (value as Record<string, unknown>)[what];
    case 'k:': {
      const keys = Object.entries(JSON.parse(what) as Record<string, unknown>);
      return (value as unknown[]).find((item) =>
        keys.every(([key, wanted]) => (item as Record<string, unknown>)[key] === wanted),
      );
    }
    case 'v:':
      return (value as unknown[]).includes(JSON.parse(what)) || undefined;
    case 'i:':
      return (value as unknown[])[Number(what)];
    default:
      throw new Error(`a step of fieldsV1 begins with "${how}"`);
  }
}

/** `.spec.ports[{"port":80}].targetPort`. */
export const showPath = (path: Path): string =>
  path.map((step) => (step.startsWith('f:') ? `.${step.slice(2)}` : `[${step.slice(2)}]`)).join('');
