import { request } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Clock } from '../../runtime/clock.ts';
import { LineStream } from './line-stream.ts';
import { CONTROL_PATH, CONTROL_PROTOCOL, EPOCH_HEADER, Load, type State } from './protocol.ts';

export interface ControlClientOptions {
  readonly clock: Clock;
  /** `http://10.0.0.1:8001` of one gateway pod. */
  readonly url: string;
  readonly key: string;
  readonly epoch: number;
  readonly onLoad: (load: Load) => void;
  /** Why the stream broke; it is opened again. */
  readonly onFailure: (error: unknown) => void;
}

const OPEN_MS = 10_000;
const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 10_000;

/**
 * The operator's end of the stream to one gateway pod.
 *
 * **Guarantees**: the newest state reaches the gateway as soon as there is a connection, and at once while there is; a stream that breaks
 * or falls silent is opened again, first after a quarter of a second, then after up to ten.
 */
export class ControlClient {
  readonly #options: ControlClientOptions;
  #isStopped = false;
  #state: string | undefined;
  /** While there is no stream: ends the wait for one. There are thousands of clients, so none keeps what it needs only then. */
  #waiting: AbortController | undefined;
  #stream: LineStream | undefined;

  constructor(options: ControlClientOptions) {
    this.#options = options;
  }

  /** Runs until it is stopped. */
  async run(): Promise<void> {
    const { clock, onFailure } = this.#options;
    let retryMs = FIRST_RETRY_MS;
    for (;;) {
      try {
        await this.#connect(() => (retryMs = FIRST_RETRY_MS));
      } catch (error) {
        if (this.#isStopped) return;
        onFailure(error);
      }
      this.#waiting = new AbortController();
      await clock.sleep(retryMs, this.#waiting.signal).catch(() => {});
      if (this.#isStopped) return;
      retryMs = Math.min(LONGEST_RETRY_MS, retryMs * 2);
    }
  }

  tell(state: State): void {
    const line = JSON.stringify(state);
    if (line === this.#state) return;
    this.#state = line;
    this.#stream?.write(line);
  }

  stop(): void {
    this.#isStopped = true;
    this.#waiting?.abort();
    this.#stream?.close();
  }

  async #connect(onHeard: () => void): Promise<void> {
    const { clock, onLoad } = this.#options;
    const socket = await this.#open();
    const ended = Promise.withResolvers<void>();
    const stream = new LineStream(socket, {
      clock,
      onLine: (line) => {
        onHeard();
        onLoad(Load.parse(JSON.parse(line)));
      },
      onEnd: (reason) => (reason ? ended.reject(reason) : ended.resolve()),
    });
    this.#stream = stream;
    if (this.#isStopped) stream.close();
    if (this.#state !== undefined) stream.write(this.#state);
    try {
      await ended.promise;
      throw new Error('the gateway has closed the stream');
    } finally {
      this.#stream = undefined;
    }
  }

  /** A connection that has left HTTP. **Fails when** the gateway does not answer, or answers otherwise. */
  #open(): Promise<Duplex> {
    const { clock, url, key, epoch } = this.#options;
    const waiting = new AbortController();
    this.#waiting = waiting;
    const cancel = clock.schedule(OPEN_MS, () => waiting.abort(new Error(`no answer within ${OPEN_MS / 1000} s`)));
    const { promise, resolve, reject } = Promise.withResolvers<Duplex>();
    request(`${url}${CONTROL_PATH}`, {
      method: 'POST',
      agent: false,
      headers: {
        authorization: `Bearer ${key}`,
        [EPOCH_HEADER]: String(epoch),
        connection: 'Upgrade',
        upgrade: CONTROL_PROTOCOL,
      },
      signal: waiting.signal,
    })
      .once('upgrade', (_, socket, head) => {
        socket.unshift(head);
        resolve(socket);
      })
      .once('response', (response) => {
        response.resume();
        reject(new Error(`the gateway answers ${response.statusCode}`));
      })
      .once('error', (error) => reject(waiting.signal.aborted ? (waiting.signal.reason as Error) : error))
      .end();
    return promise.finally(() => {
      cancel();
      this.#waiting = undefined;
    });
  }
}
