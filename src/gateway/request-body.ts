import type { IncomingMessage } from 'node:http';
import { Refusal } from './refusal.ts';

/**
 * Reads a body of at most so many bytes. How long it may take is the server's to say (`requestTimeout`).
 *
 * **Fails when** it is larger: a `Refusal`, before the rest is read. When the client goes: an error.
 */
export function readBody(request: IncomingMessage, mostBytes: number): Promise<Buffer> {
  // An iterator would cost as much as the rest of the head.
  return new Promise((resolve, reject) => {
    if (Number(request.headers['content-length'] ?? 0) > mostBytes) {
      reject(tooLarge(mostBytes));
      return;
    }
    const chunks: Buffer[] = [];
    let size = 0;
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > mostBytes) {
        request.pause();
        reject(tooLarge(mostBytes));
      } else chunks.push(chunk);
    });
    request.on('end', () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, size)));
    request.on('error', reject);
    request.on('aborted', () => reject(new Error('the client has left')));
  });
}

const tooLarge = (mostBytes: number): Refusal =>
  new Refusal('TooLarge', `The body is larger than ${mostBytes} bytes. Send less, or raise the gateway's limit.`);
