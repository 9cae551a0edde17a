import type { Operation } from './operations.ts';
import { Refusal } from './refusal.ts';

/** A request for tokens, read as far as the gateway needs it. */
export interface Generation {
  readonly operation: Operation;
  readonly body: Readonly<Record<string, unknown>>;
  readonly isStream: boolean;
  /** What the engine is sent. */
  readonly bytes: Buffer;
  /** Whether the client wants the event with the usage, which the engine is asked for in any case. */
  readonly wantsUsage: boolean;
  readonly model: string | undefined;
}

/** **Fails when** the body is no JSON object: a `Refusal`. */
export function readGeneration(operation: Operation, bytes: Buffer): Generation {
  const body = parse(bytes);
  const isStream = body['stream'] === true;
  const model = typeof body['model'] === 'string' ? body['model'] : undefined;
  if (!isStream || operation.dialect !== 'OpenAI') return { operation, body, isStream, bytes, wantsUsage: true, model };
  const options = body['stream_options'];
  const isAsked = isObject(options) && options['include_usage'] === true;
  return {
    operation,
    body,
    isStream,
    bytes: isAsked ? bytes : withUsage(bytes, body),
    wantsUsage: isAsked,
    model,
  };
}

function parse(bytes: Buffer): Readonly<Record<string, unknown>> {
  let body: unknown;
  try {
    body = JSON.parse(bytes.toString('utf8'));
  } catch {
    throw new Refusal('BadRequest', 'The body is not JSON. Send one JSON object.');
  }
  if (!isObject(body)) throw new Refusal('BadRequest', 'The body is JSON, but no object. Send one JSON object.');
  return body;
}

const ASK = Buffer.from('"stream_options":{"include_usage":true},');

/** Asks for the usage without writing the whole body anew, unless it has options of its own. */
function withUsage(bytes: Buffer, body: Readonly<Record<string, unknown>>): Buffer {
  const options = body['stream_options'];
  if (options !== undefined) {
    const asked = { ...(isObject(options) && options), include_usage: true };
    return Buffer.from(JSON.stringify({ ...body, stream_options: asked }));
  }
  const start = bytes.indexOf('{') + 1;
  return Buffer.concat([bytes.subarray(0, start), ASK, bytes.subarray(start)]);
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
