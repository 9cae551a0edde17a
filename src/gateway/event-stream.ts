/**
 * Cuts a stream of server-sent events at the ends of events, so that whoever writes into it between two chunks breaks none.
 *
 * Guarantees: the chunks that come out are those that went in, in order and undivided in bytes; no copy while the source sends whole
 * events, as engines do. An event longer than the limit comes out in pieces: order matters more.
 */
export class EventCutter {
  #rest: Buffer | undefined;
  readonly #limit: number;

  constructor(limit = 1 << 20) {
    this.#limit = limit;
  }

  /** Whether the last chunk ended in the middle of an event. */
  get isInside(): boolean {
    return this.#rest !== undefined;
  }

  /** What may be passed on; undefined while no event is complete. */
  push(chunk: Buffer): Buffer | undefined {
    const whole = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    if (endsEvent(whole)) {
      this.#rest = undefined;
      return whole;
    }
    const end = whole.lastIndexOf('\n\n');
    if (end < 0) {
      if (whole.length > this.#limit) {
        this.#rest = undefined;
        return whole;
      }
      this.#rest = whole;
      return undefined;
    }
    this.#rest = whole.subarray(end + 2);
    return whole.subarray(0, end + 2);
  }

  /** What is left at the end of the source. */
  end(): Buffer | undefined {
    const rest = this.#rest;
    this.#rest = undefined;
    return rest;
  }
}

const NEWLINE = 10;
const endsEvent = (chunk: Buffer): boolean => chunk.at(-1) === NEWLINE && chunk.at(-2) === NEWLINE;

/** A comment: clients skip it, and whatever stands between sees that the connection lives. */
export const comment = (text: string): string => `: ${text.replaceAll(/[\r\n]+/g, ' ')}\n\n`;

const USAGE_ONLY = Buffer.from('"choices":[]');

/**
 * Takes the last event of OpenAI's streams out, which has the usage and no choice. It was asked for on behalf of the gateway; clients
 * that did not ask may not know it.
 *
 * @param chunk Whole events.
 */
export function withoutUsage(chunk: Buffer): Buffer {
  const found = chunk.indexOf(USAGE_ONLY);
  if (found < 0) return chunk;
  const before = chunk.lastIndexOf('\n\n', found);
  const start = before < 0 ? 0 : before + 2;
  const end = chunk.indexOf('\n\n', found) + 2;
  const event = chunk.subarray(start, end);
  // Generated text has its quotes escaped, so it cannot look like this; a first chunk without choices has no usage.
  if (!event.includes('"usage":{')) return chunk;
  return Buffer.concat([chunk.subarray(0, start), chunk.subarray(end)]);
}
