import { createHash } from 'node:crypto';

/** JSON with sorted keys and without undefined members: equal values give equal text. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) =>
    typeof member === 'object' && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
}

/** Ten lower-case letters and digits that stand for a value; safe in names and labels. */
export function digest(value: unknown): string {
  return BigInt(`0x${createHash('sha256').update(canonicalJson(value)).digest('hex').slice(0, 14)}`)
    .toString(36)
    .padStart(11, '0')
    .slice(-10);
}
