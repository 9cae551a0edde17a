import type { Duplex } from 'node:stream';
import type { Clock } from '../../runtime/clock.ts';

/** A stream that is silent for so long is dead; each side says something three times as often. */
const SILENCE_MS = 15_000;
const BEAT_MS = 5000;

/** Longest line: some hundred replicas. */
const MOST_BYTES = 1 << 20;

const NEWLINE = 10;
const NOTHING = Buffer.alloc(0);

export interface LineStreamOptions {
  readonly clock: Clock;
  /** **Fails when** the line cannot be understood: that ends the stream. */
  readonly onLine: (line: string) => void;
  /** Called once; without a reason where one of the two sides just closed. */
  readonly onEnd: (reason: Error | undefined) => void;
}

/**
 * Lines of text both ways over a connection.
 *
 * **Guarantees**: the other side hears something every five seconds; one that says nothing for fifteen, or a line that is too long or
 * cannot be understood, ends it.
 */
export class LineStream {
  readonly #socket: Duplex;
  readonly #options: LineStreamOptions;
  /** The beginning of a line whose end has not come yet. */
  #rest: Buffer = NOTHING;
  #heardMs: number;
  #cancel: (() => void) | undefined;
  #hasEnded = false;

  constructor(socket: Duplex, options: LineStreamOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#heardMs = options.clock.monotonic();
    socket.on('data', (bytes: Buffer) => this.#take(bytes));
    socket.once('error', (error) => this.#end(error));
    socket.once('close', () => this.#end(undefined));
    // The other side ends what it says only to be gone.
    socket.once('end', () => this.#end(undefined));
    this.#beat();
  }

  write(line: string): void {
    if (!this.#hasEnded) this.#socket.write(`${line}\n`);
  }

  close(): void {
    this.#end(undefined);
  }

  #beat(): void {
    if (this.#hasEnded) return;
    const { clock } = this.#options;
    if (clock.monotonic() - this.#heardMs >= SILENCE_MS) {
      this.#end(new Error(`silent for ${SILENCE_MS / 1000} s`));
      return;
    }
    // An empty line says that this side lives.
    this.write('');
    this.#cancel = clock.schedule(BEAT_MS, () => this.#beat());
  }

  #take(bytes: Buffer): void {
    this.#heardMs = this.#options.clock.monotonic();
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    // No character has a newline within, so whole lines are whole text.
    const end = all.lastIndexOf(NEWLINE) + 1;
    const lines = all.toString('utf8', 0, end).split('\n');
    this.#rest = end === all.length ? NOTHING : Buffer.from(all.subarray(end));
    try {
      if (this.#rest.length > MOST_BYTES) throw new Error('a line is too long');
      for (const line of lines) if (line !== '' && !this.#hasEnded) this.#options.onLine(line);
    } catch (error) {
      this.#end(error as Error);
    }
  }

  #end(reason: Error | undefined): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#cancel?.();
    this.#socket.destroy();
    this.#options.onEnd(reason);
  }
}
