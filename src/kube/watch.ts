import type { Clock } from '../runtime/clock.ts';
import { apiError, ConnectionError, isStatus } from './api-error.ts';
import type { ByteStream } from './transport.ts';
import type { KubeObject } from './wire.ts';

export type WatchEvent<T> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T }
  | {
      readonly type: 'BOOKMARK';
      /** Every change up to this version was delivered. */
      readonly resourceVersion: string;
      /** The last initial event was delivered. */
      readonly initialEventsEnd: boolean;
    };

/** The events of one watch connection, in order. Leaving the loop, or `return`, closes the connection, be it read or not. */
export interface WatchStream<T> {
  next(): Promise<IteratorResult<WatchEvent<T>, void>>;
  return(): Promise<IteratorResult<WatchEvent<T>, void>>;
  [Symbol.asyncIterator](): WatchStream<T>;
}

export interface EventOptions {
  /** For messages: `watch pods team-a`. */
  readonly about: string;
  readonly clock: Clock;
  /**
   * After how long without a byte the peer counts as dead. Bookmarks come once a minute (60.1 s measured, Kubernetes 1.36), so 90 s
   * is a limit that a healthy stream never reaches.
   */
  readonly silenceMs: number;
}

const NEWLINE = 10;

/**
 * Reads watch events from a stream of bytes.
 *
 * **Guarantees** the stream ends normally only when the server closed it in order, between two events. `ERROR` events are thrown as
 * `ApiError`, 410 among them; a line that is no event, a cut in the middle of a line and silence are `ConnectionError`s.
 */
export function events<T extends KubeObject>(stream: ByteStream, options: EventOptions): WatchStream<T> {
  const silence = watchSilence(stream, options);
  const close = () => {
    silence.stop();
    stream.abort(new ConnectionError('Lost', `${options.about}: closed`));
  };
  const reader = read<T>(stream.chunks, options.about, () => silence.heard(), close);
  return {
    next: () => reader.next(),
    return() {
      // Before the generator's own end, which waits for a `next` under way, or does nothing when none was ever called.
      close();
      return reader.return();
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

async function* read<T extends KubeObject>(
  chunks: AsyncIterable<Uint8Array>,
  about: string,
  heard: () => void,
  close: () => void,
): AsyncGenerator<WatchEvent<T>, void> {
  const parts: Uint8Array[] = [];
  try {
    for await (const chunk of chunks) {
      heard();
      let start = 0;
      for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
        parts.push(chunk.subarray(start, end));
        start = end + 1;
        const line = decode(parts.length === 1 ? parts[0]! : Buffer.concat(parts));
        parts.length = 0;
        if (line.length > 0) yield parse<T>(line, about);
      }
      if (start < chunk.length) parts.push(chunk.subarray(start));
    }
    if (parts.length > 0) throw new ConnectionError('Lost', `${about}: cut in the middle of an event`);
  } finally {
    close();
  }
}

const decode = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');

function parse<T extends KubeObject>(line: string, about: string): WatchEvent<T> {
  let event: { type?: string; object?: T };
  try {
    event = JSON.parse(line) as typeof event;
  } catch (cause) {
    throw new ConnectionError('Malformed', `${about}: a line is not JSON`, { cause });
  }
  const { type, object } = event;
  if (type === 'ERROR') {
    throw apiError(about, isStatus(object) ? (object.code ?? 500) : 500, object);
  }
  const metadata = object?.metadata;
  if (metadata?.resourceVersion === undefined) {
    throw new ConnectionError('Malformed', `${about}: an event without a version`);
  }
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
      return { type, object: object as T };
    case 'BOOKMARK':
      return {
        type,
        resourceVersion: metadata.resourceVersion,
        initialEventsEnd: metadata.annotations?.['k8s.io/initial-events-end'] === 'true',
      };
    default:
      throw new ConnectionError('Malformed', `${about}: an event of type ${type}`);
  }
}

/** Abandons the stream when nothing was heard for too long. One timer per limit, not one per chunk. */
function watchSilence(stream: ByteStream, { about, clock, silenceMs }: EventOptions): { heard(): void; stop(): void } {
  let heardAt = clock.monotonic();
  const check = () => {
    const quietMs = clock.monotonic() - heardAt;
    if (quietMs >= silenceMs) {
      stream.abandon(new ConnectionError('Silent', `${about}: nothing heard for ${silenceMs} ms`));
    } else {
      cancel = clock.schedule(silenceMs - quietMs, check);
    }
  };
  let cancel = clock.schedule(silenceMs, check);
  return {
    heard: () => void (heardAt = clock.monotonic()),
    stop: () => cancel(),
  };
}
