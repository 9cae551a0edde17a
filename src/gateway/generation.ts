import type { Operation } from './operations.ts';
import { Refusal } from './refusal.ts';

/** What a client sent, as JSON: many times the size of its bytes, and kept no longer than it is read. */
export type Body = Readonly<Record<string, unknown>>;

/** A request for tokens, as far as the gateway needs it while it is under way. */
export interface Generation {
  readonly isStream: boolean;
  /** What the engine is sent. */
  readonly bytes: Buffer;
  /** Whether the client wants the event with the usage, which the engine is asked for in any case. */
  readonly wantsUsage: boolean;
  readonly model: string | undefined;
}

/** **Fails when** they are no JSON object: a `Refusal`. */
export function parseBody(bytes: Buffer): Body {
  let body: unknown;
  try {
    body = JSON.parse(bytes.toString('utf8'));
  } catch {
    throw new Refusal('BadRequest', 'The body is not JSON. Send one JSON object.');
  }
  if (!isObject(body)) throw new Refusal('BadRequest', 'The body is JSON, but no object. Send one JSON object.');
  return body;
}

/** **Fails when** nobody can say whether a stream is asked for: a `Refusal`. */
export function readGeneration({ dialect }: Operation, bytes: Buffer, body: Body): Generation {
  const { stream = null, stream_options: options, model: asked } = body;
  // Engines take "true" and 1 for true.
  if (stream !== null && typeof stream !== 'boolean')
    throw new Refusal('BadRequest', '"stream" is neither true nor false. Send one of them, or leave it out.');
  const isStream = stream === true;
  const model = typeof asked === 'string' ? asked : undefined;
  const wantsUsage = !isStream || dialect !== 'OpenAI' || (isObject(options) && options['include_usage'] === true);
  return { isStream, bytes: wantsUsage ? bytes : withUsage(bytes, options), wantsUsage, model };
}

/**
 * Asks for the usage without writing the body anew: that would cost time, and numbers their last digits. Of two fields of one name the last
 * counts.
 */
function withUsage(bytes: Buffer, options: unknown): Buffer {
  const end = bytes.lastIndexOf('}');
  const asked = textOf({ ...(isObject(options) && options), include_usage: true });
  return Buffer.concat([bytes.subarray(0, end), Buffer.from(`,"stream_options":${asked}`), bytes.subarray(end)]);
}

/** What can be read can be nested too deeply to be written. */
function textOf(options: object): string {
  try {
    return JSON.stringify(options);
  } catch {
    throw new Refusal('BadRequest', '"stream_options" is nested too deeply.');
  }
}

const isObject = (value: unknown): value is Body =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
