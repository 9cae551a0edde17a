import { hash } from 'node:crypto';

/** JSON with sorted keys and without undefined members: equal values give equal text. */
export const canonicalJson = (value: unknown): string => JSON.stringify(sorted(value));

/** A sorted copy for one call of `JSON.stringify`: with a replacer, that would call back for every member. */
function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(sorted);
  const copy: Record<string, unknown> = {};
  for (const name of Object.keys(value).sort()) copy[name] = sorted((value as Record<string, unknown>)[name]);
  return copy;
}

/** Ten lower-case letters and digits that stand for a value; safe in names and labels. */
export function digest(value: unknown): string {
  return BigInt(`0x${hash('sha256', canonicalJson(value), 'hex').slice(0, 14)}`)
    .toString(36)
    .padStart(11, '0')
    .slice(-10);
}
