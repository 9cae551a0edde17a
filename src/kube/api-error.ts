import type { Wire } from './wire.ts';
import type { V1Status } from '@kubernetes/client-node';

/** `metav1.Status` as the server sends it. */
export type Status = Wire<V1Status>;

/**
 * The server answered, and the answer is no.
 *
 * The message is one line that names what was asked and what the server said; it never holds headers, request bodies, or, for
 * kinds marked `sensitive`, the server's words, which may quote values.
 */
export class ApiError extends Error {
  /** HTTP status code. */
  readonly code: number;
  /** Machine-readable reason of the Status (`NotFound`, `Conflict` …); `Unknown` when the body was no Status. */
  readonly reason: string;
  readonly details: Status['details'];
  /** How long the server asked to be left alone, from `Retry-After` or the Status. */
  readonly retryAfterMs: number | undefined;

  constructor(
    code: number,
    reason: string,
    message: string,
    rest: { readonly details?: Status['details']; readonly retryAfterMs?: number | undefined } = {},
  ) {
    super(message);
    this.name = 'ApiError';
    this.code = code;
    this.reason = reason;
    this.details = rest.details;
    this.retryAfterMs = rest.retryAfterMs;
  }
}

/**
 * No usable answer came. A write may or may not have been executed: look again before deciding.
 *
 * - `Timeout`: the deadline passed.
 * - `Lost`: the connection failed, was reset, or ended in the middle of an answer.
 * - `Silent`: a watch brought nothing for longer than bookmarks are apart: the kind is quiet, or the peer is lost.
 * - `Malformed`: something answered that is not an API server.
 */
export class ConnectionError extends Error {
  readonly kind: 'Timeout' | 'Lost' | 'Silent' | 'Malformed';
  constructor(kind: ConnectionError['kind'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ConnectionError';
    this.kind = kind;
  }
}

const MAX_MESSAGE = 500;

/** Makes the error for an answer. `what` is the request in words, as `get pods team-a/coder-0`. */
export function apiError(
  what: string,
  code: number,
  body: unknown,
  options: { readonly retryAfterMs?: number | undefined; readonly sensitive?: boolean } = {},
): ApiError {
  const status = isStatus(body) ? body : undefined;
  const reason = status?.reason ?? 'Unknown';
  // A load balancer's error page is no message; the server's own plain texts ("404 page not found") are short.
  const text = status?.message ?? (typeof body === 'string' && !body.trimStart().startsWith('<') ? body.trim() : '');
  const words = options.sensitive ? reason : text || (status?.reason ?? '');
  const message = [`${what}: ${code}`, words.replaceAll(/\s+/g, ' ')].filter(Boolean).join(' ');
  const seconds = status?.details?.retryAfterSeconds;
  return new ApiError(code, reason, message.length > MAX_MESSAGE ? `${message.slice(0, MAX_MESSAGE - 1)}…` : message, {
    details: options.sensitive ? undefined : status?.details,
    retryAfterMs: options.retryAfterMs ?? (seconds ? seconds * 1000 : undefined),
  });
}

export const isStatus = (body: unknown): body is Status =>
  typeof body === 'object' && body !== null && (body as { kind?: unknown }).kind === 'Status';

const hasCode = (error: unknown, code: number): error is ApiError => error instanceof ApiError && error.code === code;

export const isNotFound = (error: unknown): error is ApiError => hasCode(error, 404);
/** Someone else wrote first, a precondition failed, or another field manager owns a field. */
export const isConflict = (error: unknown): error is ApiError =>
  hasCode(error, 409) && error.reason !== 'AlreadyExists';
export const isAlreadyExists = (error: unknown): error is ApiError =>
  hasCode(error, 409) && error.reason === 'AlreadyExists';
/** The version asked for is compacted away: list again. */
export const isGone = (error: unknown): error is ApiError => hasCode(error, 410);
export const isForbidden = (error: unknown): error is ApiError => hasCode(error, 403);
export const isInvalid = (error: unknown): error is ApiError => hasCode(error, 422);
export const isTooManyRequests = (error: unknown): error is ApiError => hasCode(error, 429);

/**
 * The object has a field that the server's schema does not. Server-side apply reports it as HTTP 500 ("failed to create typed patch
 * object …: field not declared in schema"), which looks passing and is not: the same object can never be applied.
 */
export const isUnknownField = (error: unknown): error is ApiError =>
  error instanceof ApiError &&
  ((error.code === 500 && error.message.includes('field not declared in schema')) ||
    (error.code === 400 && error.message.includes('unknown field')));

/** The server will never take this object as it is: trying the same again cannot help. */
export const isRejected = (error: unknown): error is ApiError =>
  error instanceof ApiError &&
  (error.code === 400 ||
    error.code === 413 ||
    error.code === 415 ||
    error.code === 422 ||
    (error.code === 500 && error.message.includes('failed to create typed patch object')));
