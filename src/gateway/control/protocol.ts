import * as z from 'zod';

/** Path and port are the gateway's; one JSON object a line goes each way for as long as the stream lasts. */
export const CONTROL_PATH = '/control';
/** Tells which leader speaks: the Lease's number of transitions, which only grows. */
export const EPOCH_HEADER = 'x-qwencoder-epoch';

/** What the operator tells: the whole state each time, so that a line that is lost costs nothing. */
export const State = z.strictObject({
  endpoints: z.array(
    z.strictObject({
      /** Stable as long as the engine's process is: the pod's UID. */
      id: z.string(),
      /** `10.0.0.1:8000`, an IPv6 address in brackets. */
      address: z.string(),
      /** A draining replica finishes what it has and gets nothing new. */
      state: z.enum(['Ready', 'Draining']),
      /** Requests that its engine works on at once. */
      slots: z.int().min(1),
    }),
  ),
  /** Tokens of context. */
  maxModelLen: z.int().optional(),
  /** Why no engine is ready, when none is: "weights 40 %, 9 of 14 min". */
  notice: z.string().optional(),
  /** Nobody is to be served: requests are refused at once, and not held for engines that will not come. */
  isSuspended: z.boolean().optional(),
});
export type State = z.output<typeof State>;

/** What a gateway tells: how much there is to do. */
export const Load = z.strictObject({
  /** By replica; those without requests are left out. */
  replicas: z.record(z.string(), z.strictObject({ inFlight: z.int(), work: z.number() })),
  /** Requests that wait, and their work in seconds of an engine. */
  held: z.int(),
  heldWork: z.number(),
  /** Since the gateway began: requests that had an answer, and the sum of their times to the first token in milliseconds. */
  answered: z.int(),
  firstMs: z.number(),
});
export type Load = z.output<typeof Load>;

/** A stream that is silent for so long is dead; each side says something three times as often. */
export const SILENCE_MS = 15_000;
export const BEAT_MS = 5000;

/** Longest line: some hundred replicas. */
const MOST_CHARACTERS = 1 << 20;

/** Cuts text into lines. **Fails when** a line is longer than 1 MiB. */
export class Lines {
  #rest = '';

  *push(chunk: string): Generator<string> {
    const lines = (this.#rest + chunk).split('\n');
    this.#rest = lines.pop()!;
    if (this.#rest.length > MOST_CHARACTERS) throw new Error('a line is too long');
    // An empty line says that the other side lives.
    for (const line of lines) if (line !== '') yield line;
  }
}
