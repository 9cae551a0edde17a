import { writeSync } from 'node:fs';
import type { Clock } from '../runtime/clock.ts';

/** Bytes that are written together, and after how long in any case: a write a request would cost a tenth of it. */
const BUFFER_BYTES = 8 * 1024;
const FLUSH_MS = 1000;

export interface AccessLogOptions {
  readonly clock: Clock;
  /** Takes whole lines. */
  readonly write: (lines: string) => void;
}

/**
 * A line of JSON for each request, beside those of the log and like them.
 *
 * Assumes: fields hold nothing that a client chose freely, so nothing has to be redacted; that is also why it does not use the log.
 *
 * **Guarantees**: a line is written a second later at most; of a process that is killed the last second is lost.
 */
export class AccessLog {
  readonly #options: AccessLogOptions;
  #lines = '';
  #time = { ms: NaN, text: '' };
  #cancel: (() => void) | undefined;

  constructor(options: AccessLogOptions) {
    this.#options = options;
  }

  write(fields: object): void {
    const { clock } = this.#options;
    this.#lines += `{"level":"info","time":"${this.#timeAt(clock.now())}",${JSON.stringify(fields).slice(1, -1)},"msg":"a request has ended"}\n`;
    if (this.#lines.length >= BUFFER_BYTES) this.flush();
    else this.#cancel ??= clock.schedule(FLUSH_MS, () => this.flush());
  }

  /** Under load many requests end in one millisecond. */
  #timeAt(ms: number): string {
    if (ms !== this.#time.ms) this.#time = { ms, text: new Date(ms).toISOString() };
    return this.#time.text;
  }

  flush(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    const lines = this.#lines;
    this.#lines = '';
    if (lines !== '') this.#options.write(lines);
  }
}

/** Lines to standard output. A pipe that is full is waited for, as the log does. */
export function toStandardOutput(lines: string): void {
  const bytes = Buffer.from(lines);
  for (let start = 0; start < bytes.length;) {
    try {
      start += writeSync(1, bytes, start);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    }
  }
}
