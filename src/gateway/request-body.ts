import type { IncomingMessage } from 'node:http';
import { Refusal } from './refusal.ts';

/**
 * Reads a body of at most so many bytes. How long it may take is the server's to say (`requestTimeout`).
 *
 * **Fails when** it is larger: a `Refusal`, before the rest is read. When the client goes: an error.
 */
export async function readBody(request: IncomingMessage, mostBytes: number): Promise<Buffer> {
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > mostBytes) throw tooLarge(mostBytes);
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > mostBytes) throw tooLarge(mostBytes);
    chunks.push(chunk);
  }
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, size);
}

const tooLarge = (mostBytes: number): Refusal =>
  new Refusal('TooLarge', `The body is larger than ${mostBytes} bytes. Send less, or raise the gateway's limit.`);
