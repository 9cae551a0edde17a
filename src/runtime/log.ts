import { type Logger, pino } from 'pino';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** What is known besides the message: JSON values and errors. */
export type LogFields = Readonly<Record<string, unknown>>;

/** A structured log. Messages are constant sentences; whatever varies is a field. */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** The same log with these fields on every line. */
  child(fields: LogFields): Log;
}

/** Where lines go; `process.stdout` has this shape. */
export interface LogDestination {
  write(line: string): unknown;
}

export interface LogOptions {
  /** Lines below it are dropped. Default `info`. */
  readonly level?: LogLevel | 'silent';
  /** Default: standard output. */
  readonly destination?: LogDestination;
}

/**
 * JSON lines, one an entry: `level`, `time`, the fields, `msg`.
 *
 * **Guarantees** what {@link redacted} removes reaches no line, whatever its depth. Errors show name, code, message and causes; the
 * stack only when they carry no `code`, because those are bugs and the others are the world.
 */
export function jsonLog(options: LogOptions = {}): Log {
  const logger = pino(
    {
      level: options.level ?? 'info',
      base: null,
      messageKey: 'msg',
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    // pino's own destination writes to standard output in this thread: its transports are workers, which a one-file bundle cannot start.
    options.destination ?? pino.destination({ fd: 1, sync: true }),
  );
  return new JsonLog(logger);
}

/** Drops everything. */
export const silentLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLog,
};

class JsonLog implements Log {
  readonly #pino: Logger;

  constructor(logger: Logger) {
    this.#pino = logger;
  }

  debug(message: string, fields?: LogFields): void {
    if (this.#pino.isLevelEnabled('debug')) this.#pino.debug(redacted(fields ?? {}), redactedText(message));
  }

  info(message: string, fields?: LogFields): void {
    if (this.#pino.isLevelEnabled('info')) this.#pino.info(redacted(fields ?? {}), redactedText(message));
  }

  warn(message: string, fields?: LogFields): void {
    if (this.#pino.isLevelEnabled('warn')) this.#pino.warn(redacted(fields ?? {}), redactedText(message));
  }

  error(message: string, fields?: LogFields): void {
    if (this.#pino.isLevelEnabled('error')) this.#pino.error(redacted(fields ?? {}), redactedText(message));
  }

  child(fields: LogFields): Log {
    return new JsonLog(this.#pino.child(redacted(fields)));
  }
}

const removed = '[redacted]';

/** Field names whose values are secrets. Names that end in `Name`, `Ref` and the like point to a secret and are not one. */
const secretName =
  /^(authorization|proxy-authorization|cookie|set-cookie|.*(password|passwd|secret|token|api[-_]?key|private[-_]?key|credentials?))$/i;

/** Secrets by their look: bearer credentials, JSON web tokens, Hugging Face tokens, private keys. */
const secretText =
  /\b(?:bearer|basic)\s+[\w.~+/-]{8,}=*|\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*|\bhf_[A-Za-z0-9]{16,}|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/gi;

/** A text without what looks like a secret. */
export function redactedText(text: string): string {
  return text.replace(secretText, removed);
}

/** Fields without secrets, by name and by look, and with errors as plain objects; depth is limited to 8, lists to 100 items. */
export function redacted(fields: LogFields): Record<string, unknown> {
  return plain(fields, 0) as Record<string, unknown>;
}

function plain(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return redactedText(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return value;
  if (depth > 8) return '[too deep]';
  if (value instanceof Error) return plainError(value, depth);
  if (Array.isArray(value)) return value.slice(0, 100).map((item) => plain(item, depth + 1));
  if ('toJSON' in value && typeof value.toJSON === 'function') return plain(value.toJSON(), depth + 1);
  const result: Record<string, unknown> = {};
  for (const [name, item] of Object.entries(value)) {
    result[name] = secretName.test(name) && item !== undefined && item !== null ? removed : plain(item, depth + 1);
  }
  return result;
}

function plainError(error: Error, depth: number): Record<string, unknown> {
  const { code } = error as { code?: unknown };
  const result: Record<string, unknown> = { name: error.name };
  if (typeof code === 'string' || typeof code === 'number') result['code'] = code;
  result['message'] = redactedText(error.message);
  if (error.cause !== undefined) result['cause'] = plain(error.cause, depth + 1);
  if (error instanceof AggregateError) result['errors'] = plain(error.errors, depth + 1);
  if (result['code'] === undefined && error.stack) result['stack'] = redactedText(error.stack);
  return result;
}
