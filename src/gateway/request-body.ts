import type { IncomingMessage } from 'node:http';
import { Refusal } from './refusal.ts';

/**
 * Reads a body of at most so many bytes. How long it may take is the server's to say (`requestTimeout`).
 *
 * **Fails when** it is larger: a `Refusal`, before the rest is read. When the client goes: an error. With what `onBytes` throws, which is told
 * how many more there are before they are kept.
 */
export function readBody(
  request: IncomingMessage,
  mostBytes: number,
  onBytes: (bytes: number) => void,
): Promise<Buffer> {
  // An iterator would cost as much as the rest of the head.
  return new Promise((resolve, reject) => {
    if (Number(request.headers['content-length'] ?? 0) > mostBytes) {
      reject(tooLarge(mostBytes));
      return;
    }
    const chunks: Buffer[] = [];
    let size = 0;
    let isOver = false;
    const take = (chunk: Buffer): void => {
      size += chunk.length;
      if (size > mostBytes) throw tooLarge(mostBytes);
      onBytes(chunk.length);
      chunks.push(chunk);
    };
    request.on('data', (chunk: Buffer) => {
      if (isOver) return;
      try {
        take(chunk);
      } catch (error) {
        isOver = true;
        chunks.length = 0;
        reject(error);
      }
    });
    request.on('end', () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, size)));
    request.on('error', reject);
    request.on('aborted', () => reject(new Error('the client has left')));
  });
}

const tooLarge = (mostBytes: number): Refusal =>
  new Refusal('TooLarge', `The body is larger than ${mostBytes} bytes. Send less, or raise the gateway's limit.`);
