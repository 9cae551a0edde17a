import { quantityValue } from '../serving/index.ts';

/** Fields whose text the API server rewrites to the shortest quantity: `1000m` comes back as `1`. */
const QUANTITY_PARENTS = new Set(['requests', 'limits', 'capacity']);
const QUANTITY_FIELDS = new Set(['sizeLimit']);

/**
 * The path of the first desired value that the live object does not hold; undefined when it holds them all. Whatever else the live object
 * holds belongs to others: defaults, other managers' fields, status.
 */
export function difference(desired: unknown, live: unknown, path = ''): string | undefined {
  if (desired === live || desired === undefined) return undefined;
  if (Array.isArray(desired)) {
    if (!Array.isArray(live)) return desired.length === 0 && live === undefined ? undefined : path;
    if (live.length !== desired.length) return path;
    return first(desired, (item, index) => difference(item, (live as unknown[])[index], `${path}[${index}]`));
  }
  if (typeof desired === 'object' && desired !== null) {
    const members = Object.entries(desired);
    // The API server leaves empty objects and empty text out of its answers.
    if (live === undefined && members.length === 0) return undefined;
    if (typeof live !== 'object' || live === null) return path;
    return first(members, ([key, value]) =>
      difference(value, (live as Record<string, unknown>)[key], `${path}.${key}`),
    );
  }
  if (desired === '' && live === undefined) return undefined;
  return isQuantity(path) && sameQuantity(desired, live) ? undefined : path;
}

function first<T>(items: readonly T[], find: (item: T, index: number) => string | undefined): string | undefined {
  for (const [index, item] of items.entries()) {
    const found = find(item, index);
    if (found !== undefined) return found;
  }
  return undefined;
}

function isQuantity(path: string): boolean {
  const parts = path.split('.');
  const field = parts.at(-1)!;
  return QUANTITY_FIELDS.has(field) || parts.some((part) => QUANTITY_PARENTS.has(part));
}

function sameQuantity(desired: unknown, live: unknown): boolean {
  if (typeof desired !== 'string' || typeof live !== 'string') return false;
  const value = quantityValue(desired);
  return value !== undefined && value === quantityValue(live);
}
