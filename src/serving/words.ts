import { GIB } from './model-profile.ts';

/** Words of messages: memory as people read it. */
export const gib = (bytes: number): string => `${(bytes / GIB).toFixed(1)} GiB`;

export const requests = (count: number): string => (count === 1 ? '1 request' : `${count} requests`);

/** Distinct names in order, with commas. */
export const listOf = (names: readonly string[]): string => [...new Set(names)].sort(compareText).join(', ');

/** Names as alternatives: "a, b or c". */
export const anyOf = (names: readonly string[]): string =>
  names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} or ${names.at(-1)!}`;

/** Order of two texts or numbers by value alone: no locale, and Infinity equals Infinity. */
export const compareText = (left: string, right: string): number => (left < right ? -1 : left > right ? 1 : 0);
export const compareNumbers = (left: number, right: number): number => (left < right ? -1 : left > right ? 1 : 0);

/** A text of others as a sentence, whatever it ends with. */
export const asSentence = (text: string): string => (/[.…]$/.test(text) ? text : `${text.replace(/[:,;]$/, '')}.`);
