import type { ServerResponse } from 'node:http';
import type { Dispatcher } from 'undici';
import { EventCutter, comment, withoutUsage } from './event-stream.ts';
import { Refusal, errorEvent, reasonOf } from './refusal.ts';
import type { Dialect } from './operations.ts';
import { type Usage, readUsage } from './usage.ts';

/** What an engine is sent. */
export interface Upstream {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers: readonly string[];
  readonly body: Buffer | undefined;
  /** Longest time without a byte of the answer. */
  readonly silenceMs: number;
}

/** How an answer ended. */
export type RelayEnd =
  /** Whole, with the engine's status. */
  | { readonly state: 'Done'; readonly status: number }
  /** The engine could not be reached, or it takes no requests: the client has seen nothing of it, so another engine may be asked. */
  | { readonly state: 'NotBegun'; readonly why: string }
  /** In the middle of the answer, which the client has been told. */
  | { readonly state: 'Broken'; readonly why: string }
  /** The client went away, or read too slowly. */
  | { readonly state: 'Left' };

/** One answer on its way to a client. */
export interface AnswerOptions {
  readonly response: ServerResponse;
  readonly dialect: Dialect;
  readonly requestId: string;
  /** Whether the event with the usage is for the gateway alone. */
  readonly hidesUsage: boolean;
  /** Whether the client is to close the connection afterwards. */
  readonly isLast: () => boolean;
  /** Told when the client does not keep up with the engine. */
  readonly onBlocked: () => void;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
}

/** Most of an error's body that is quoted in an event. */
const MOST_ERROR_BYTES = 16 * 1024;

/** Statuses of an engine that stops or is full; vLLM answers so before it has done anything. */
const TRY_ELSEWHERE = new Set([502, 503]);

/**
 * An answer to one client: comments while it waits, then what the engine sends.
 *
 * **Guarantees**: nothing is buffered beyond an event that is not whole; an engine is read only as fast as the client reads; the engine is
 * let go at once when the client leaves; a stream that has begun always ends whole or with an error event.
 */
export class Answer {
  readonly #options: AnswerOptions;
  readonly #cutter = new EventCutter();
  #controller: Dispatcher.DispatchController | undefined;
  #isStream = false;
  /** Bytes of the body that are still to come, where that is known. */
  #bytesLeft = Infinity;
  #hasLeft = false;
  #lastMs: number;
  #blockedMs: number | undefined;
  #firstMs: number | undefined;
  #lastChunkMs = 0;
  #head: Buffer | undefined;
  #beforeLast: Buffer | undefined;
  #last: Buffer | undefined;
  readonly #onClose = (): void => this.#leave();

  constructor(options: AnswerOptions) {
    this.#options = options;
    this.#lastMs = options.now();
    options.response.on('close', this.#onClose);
  }

  /** Whether a status was sent: from then on errors are events. */
  get hasBegun(): boolean {
    return this.#options.response.headersSent;
  }

  get hasLeft(): boolean {
    return this.#hasLeft;
  }

  /** Tokens as the engine counted them; undefined where it did not tell. */
  usage(): Usage | undefined {
    if (this.#last === undefined) return undefined;
    const tail = this.#beforeLast === undefined ? this.#last : Buffer.concat([this.#beforeLast, this.#last]);
    return readUsage(tail, this.#isStream ? this.#head : undefined);
  }

  /** When the engine's first bytes came after `startMs`, and how long its stream went on from there, in milliseconds. */
  times(startMs: number): { readonly firstMs?: number; readonly streamMs?: number } {
    if (this.#firstMs === undefined) return {};
    const firstMs = Math.round(this.#firstMs - startMs);
    return this.#isStream ? { firstMs, streamMs: Math.round(this.#lastChunkMs - this.#firstMs) } : { firstMs };
  }

  /** Begins a stream before an engine has answered, and says why. */
  hold(why: string): void {
    if (this.#hasLeft) return;
    if (!this.hasBegun) this.#begin(200, 'text/event-stream; charset=utf-8');
    this.#write(Buffer.from(comment(why)));
  }

  /** How long nothing was written. */
  silentMs(): number {
    return this.#options.now() - this.#lastMs;
  }

  /** How long the client has read nothing of what waits for it. */
  blockedMs(): number {
    return this.#blockedMs === undefined ? 0 : this.#options.now() - this.#blockedMs;
  }

  /** Keeps a silent stream alive, at the end of an event. */
  beat(why: string): void {
    const isOpen = !this.#options.response.writableEnded && !this.#cutter.isInside;
    if (this.#isStream && isOpen && this.#blockedMs === undefined) this.hold(why);
  }

  /** Lets the client go. */
  cut(): void {
    this.#options.response.destroy();
  }

  /** Tells of a failure after the stream has begun. */
  fail(refusal: Refusal): void {
    const { response, dialect, requestId } = this.#options;
    if (this.#hasLeft) return;
    if (!this.#isStream) {
      // The length that was promised does not come: a broken connection says so, a short body would not.
      response.destroy();
      return;
    }
    // What was cut off in an event would swallow the next one.
    const begin = this.#cutter.end() === undefined ? '' : '\n\n';
    this.#finish(`${begin}${errorEvent(dialect, refusal, requestId)}`);
  }

  /**
   * Sends a request to an engine and its answer to the client.
   *
   * **Fails when** the engine does not begin to answer in time, or its connections are ended with a `Refusal`: with that.
   */
  relay(engine: Dispatcher, { method, path, headers, body, silenceMs }: Upstream): Promise<RelayEnd> {
    if (this.#hasLeft) return Promise.resolve({ state: 'Left' });
    const { promise, resolve, reject } = Promise.withResolvers<RelayEnd>();
    let status = 0;
    let errorText: Buffer[] | undefined;
    engine.dispatch(
      {
        method,
        path,
        headers: headers as string[],
        body: body ?? null,
        headersTimeout: silenceMs,
        bodyTimeout: silenceMs,
      },
      {
        onRequestStart: (controller) => {
          this.#controller = controller;
          if (this.#hasLeft) controller.abort(new Error('the client has left'));
        },
        onResponseStart: (controller, statusCode, responseHeaders) => {
          if (statusCode < 200) return;
          status = statusCode;
          if (TRY_ELSEWHERE.has(statusCode)) {
            resolve({ state: 'NotBegun', why: `it answers ${statusCode}` });
            controller.abort(new Error('asked elsewhere'));
            return;
          }
          if (!this.hasBegun) this.#begin(statusCode, headerOf(responseHeaders, 'content-type'), responseHeaders);
          else if (statusCode !== 200) errorText = [];
        },
        onResponseData: (controller, chunk) => {
          if (errorText) {
            if (errorText.length * chunk.length < MOST_ERROR_BYTES) errorText.push(chunk);
            return;
          }
          if (!this.#pass(chunk)) this.#pause(controller);
        },
        onResponseEnd: () => {
          this.#controller = undefined;
          if (errorText) this.fail(new Refusal(reasonOf(status), messageIn(Buffer.concat(errorText).toString('utf8'))));
          else this.#end();
          resolve({ state: 'Done', status });
        },
        onResponseError: (controller, error) => {
          // Another engine may have been asked by now.
          if (this.#controller === controller) this.#controller = undefined;
          if (this.#hasLeft) resolve({ state: 'Left' });
          else if (error instanceof Refusal) reject(error);
          else if (isTooSlow(error)) reject(silent(silenceMs));
          else if (status === 0) resolve({ state: 'NotBegun', why: error.message });
          else resolve({ state: 'Broken', why: error.message });
        },
      },
    );
    return promise;
  }

  #begin(status: number, contentType: string | undefined, from: Headers = {}): void {
    const { response, requestId, isLast } = this.#options;
    this.#isStream = contentType?.startsWith('text/event-stream') === true;
    const headers = ['content-type', contentType ?? 'application/json', 'x-request-id', requestId];
    if (this.#isStream) headers.push('cache-control', 'no-store', 'x-accel-buffering', 'no');
    const length = headerOf(from, 'content-length');
    if (length !== undefined) {
      headers.push('content-length', length);
      this.#bytesLeft = Number(length);
    }
    if (isLast()) response.shouldKeepAlive = false;
    response.writeHead(status, headers);
    if (this.#isStream) response.flushHeaders();
  }

  #pass(chunk: Buffer): boolean {
    const now = this.#options.now();
    this.#firstMs ??= now;
    this.#lastChunkMs = now;
    if (!this.#isStream) {
      const isFirst = this.#last === undefined;
      this.#remember(chunk);
      this.#bytesLeft -= chunk.length;
      if (this.#bytesLeft > 0) return this.#write(chunk);
      // Head, body and end in one go. Node writes a head and a text as one piece; Latin-1 is each byte as it stands.
      if (isFirst) this.#finish(chunk.toString('latin1'), 'latin1');
      else this.#finish(chunk);
      return true;
    }
    const whole = this.#cutter.push(chunk);
    return whole === undefined || this.#event(whole);
  }

  #event(whole: Buffer): boolean {
    this.#remember(whole);
    const shown = this.#options.hidesUsage ? withoutUsage(whole) : whole;
    return shown.length === 0 || this.#write(shown);
  }

  /** The usage stands in the first event or in the last two chunks. */
  #remember(chunk: Buffer): void {
    this.#head ??= chunk;
    this.#beforeLast = this.#last;
    this.#last = chunk;
  }

  #end(): void {
    const rest = this.#cutter.end();
    if (rest) this.#event(rest);
    if (!this.#options.response.writableEnded) this.#finish();
  }

  /** The client has as long for the rest as for any other part. */
  #finish(last?: string | Buffer, encoding?: BufferEncoding): void {
    const { response } = this.#options;
    if (encoding) response.end(last, encoding);
    else response.end(last);
    this.#blockedMs ??= this.#options.now();
  }

  #write(chunk: Buffer): boolean {
    this.#lastMs = this.#options.now();
    return this.#options.response.write(chunk);
  }

  #pause(controller: Dispatcher.DispatchController): void {
    const { response, onBlocked, now } = this.#options;
    controller.pause();
    this.#blockedMs = now();
    onBlocked();
    response.once('drain', () => {
      if (!response.writableEnded) this.#blockedMs = undefined;
      controller.resume();
    });
  }

  #leave(): void {
    if (this.#options.response.writableFinished) return;
    this.#hasLeft = true;
    this.#controller?.abort(new Error('the client has left'));
  }
}

const isTooSlow = (error: Error): boolean => (error as NodeJS.ErrnoException).code === 'UND_ERR_HEADERS_TIMEOUT';

const silent = (ms: number): Refusal =>
  new Refusal(
    'EngineSilent',
    `The engine has not begun to answer within ${Math.round(ms / 60_000)} minutes. Ask for a stream, or for fewer tokens.`,
  );

type Headers = Readonly<Record<string, string | string[] | undefined>>;

const headerOf = (headers: Headers, name: string): string | undefined => headers[name]?.toString();

/** What an engine's error says, without what surrounds it. */
function messageIn(text: string): string {
  const message = /"message":\s*("(?:[^"\\]|\\.)*")/.exec(text)?.[1];
  return message === undefined ? 'The engine refused the request.' : (JSON.parse(message) as string);
}
