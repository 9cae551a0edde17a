import { PassThrough } from 'node:stream';
import { request } from 'undici';
import type { Clock } from '../../runtime/clock.ts';
import { BEAT_MS, CONTROL_PATH, EPOCH_HEADER, Lines, Load, SILENCE_MS, type State } from './protocol.ts';

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
  readonly #stop = new AbortController();
  #state: string | undefined;
  #stream: PassThrough | undefined;

  constructor(options: ControlClientOptions) {
    this.#options = options;
  }

  /** Runs until it is stopped. */
  async run(): Promise<void> {
    const { clock, onFailure } = this.#options;
    const { signal } = this.#stop;
    let retryMs = FIRST_RETRY_MS;
    while (!signal.aborted) {
      try {
        await this.#connect(() => (retryMs = FIRST_RETRY_MS));
      } catch (error) {
        if (signal.aborted) return;
        onFailure(error);
      }
      await clock.sleep(retryMs, signal).catch(() => {});
      retryMs = Math.min(LONGEST_RETRY_MS, retryMs * 2);
    }
  }

  tell(state: State): void {
    const line = `${JSON.stringify(state)}\n`;
    if (line === this.#state) return;
    this.#state = line;
    this.#stream?.write(line);
  }

  stop(): void {
    this.#stop.abort();
  }

  async #connect(onHeard: () => void): Promise<void> {
    const { clock, url, key, epoch, onLoad } = this.#options;
    const broken = new AbortController();
    const stream = new PassThrough();
    stream.write(this.#state ?? '\n');
    this.#stream = stream;
    let heardMs = clock.monotonic();
    let cancel = (): void => {};
    const beat = (): void => {
      if (clock.monotonic() - heardMs >= SILENCE_MS) broken.abort(new Error(`silent for ${SILENCE_MS / 1000} s`));
      stream.write('\n');
      cancel = clock.schedule(BEAT_MS, beat);
    };
    beat();
    try {
      const { statusCode, body } = await request(`${url}${CONTROL_PATH}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, [EPOCH_HEADER]: String(epoch) },
        body: stream,
        signal: AbortSignal.any([broken.signal, this.#stop.signal]),
        headersTimeout: SILENCE_MS,
        bodyTimeout: 0,
      });
      if (statusCode !== 200) {
        await body.dump();
        throw new Error(`the gateway answers ${statusCode}`);
      }
      const lines = new Lines();
      body.setEncoding('utf8');
      for await (const chunk of body) {
        heardMs = clock.monotonic();
        onHeard();
        for (const line of lines.push(chunk as string)) onLoad(Load.parse(JSON.parse(line)));
      }
    } finally {
      cancel();
      this.#stream = undefined;
      stream.destroy();
    }
  }
}
