import * as z from 'zod';

/**
 * The gateway's. The operator asks there to leave HTTP (RFC 9110, 7.8); from then on one JSON object a line goes each way. A request whose
 * body is the stream would cost the operator three times the memory: 48 KiB a gateway.
 */
export const CONTROL_PATH = '/control';
export const CONTROL_PROTOCOL = 'qwencoder-control';
/** Tells which leader speaks: the Lease's number of transitions, which grows with each, and shrinks only where etcd is restored from a backup. */
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
      /** Answers that its engine works on at once. */
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
  /** By replica, answers under way and their work in seconds of an engine; those without are left out. */
  replicas: z.record(z.string(), z.strictObject({ inFlight: z.int(), work: z.number() })),
  /** Requests that wait, and their work in seconds of an engine. */
  held: z.int(),
  heldWork: z.number(),
  /** Since the gateway began: requests that had an answer, and the sum of their times to the first token in milliseconds. */
  answered: z.int(),
  firstMs: z.number(),
});
export type Load = z.output<typeof Load>;
