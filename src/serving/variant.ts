import type { QwenCoderSpec } from '../api/v1alpha1.ts';

/**
 * Stands for what a spec changes of its engine: image, arguments, environment. Empty where it changes nothing.
 *
 * They change how much of a GPU an engine takes, in ways that only a measurement tells; so what was measured with them holds for engines
 * with the same ones alone.
 */
export function engineVariant({ engine: { image, args = [], env = [] } }: QwenCoderSpec): string {
  if (image === undefined && args.length === 0 && env.length === 0) return '';
  return hash(JSON.stringify([image, args, env]));
}

/** FNV-1a over UTF-16 units, 32 bits: a collision costs a hint. */
function hash(text: string): string {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193) >>> 0;
  }
  return value.toString(16).padStart(8, '0');
}
