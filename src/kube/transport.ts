import { createHash } from 'node:crypto';
import type { RequestOptions } from 'node:https';
import { KubeConfig } from '@kubernetes/client-node';
import { Agent, type Dispatcher, ProxyAgent } from 'undici';
import type { Clock } from '../runtime/clock.ts';
import { type ApiError, apiError, ConnectionError } from './api-error.ts';
import { TokenBucket } from './token-bucket.ts';

export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'apply' | 'delete';

/** What became of one attempt. `code` is 0 when no answer came. */
export interface RequestReport {
  readonly verb: Verb;
  readonly method: (typeof METHODS)[Verb];
  /** Plural name of the resource, or the path for anything else. */
  readonly resource: string;
  readonly code: number;
  readonly ms: number;
}

export interface TransportOptions {
  readonly clock: Clock;
  /** `<program>/<version>`; appears in audit logs. */
  readonly userAgent: string;
  /** Client-side limit; 200. */
  readonly requestsPerSecond?: number;
  /** How many requests may exceed the limit at once; 400. */
  readonly burst?: number;
  /** How long a request may take, retries and waits included; 30,000. */
  readonly deadlineMs?: number;
  /**
   * Called immediately before each write is sent, retries included; what it throws is thrown to the caller and nothing is sent.
   * Self-fencing: a leader that lost its lease without noticing cannot write.
   */
  readonly fence?: () => void;
  readonly onRequest?: (report: RequestReport) => void;
}

export interface TransportRequest {
  readonly verb: Verb;
  /** What the request is about, in words, for messages: `pods team-a/coder-0`. */
  readonly about: string;
  readonly resource: string;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly body?: unknown;
  readonly contentType?: string;
  /** Error messages must not quote the server. */
  readonly sensitive?: boolean;
  /** False lets a write pass without asking the fence: for the Lease itself, by which leadership is won. */
  readonly fenced?: boolean;
  readonly deadlineMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A body that arrives over time. */
export interface ByteStream {
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Ends the stream: whoever reads it gets `reason`. */
  abort(reason: Error): void;
  /** Like `abort`, and no further request uses the connection it came on. */
  abandon(reason: Error): void;
}

type Lane = 'requests' | 'watches';

interface Credentials {
  readonly headers: Readonly<Record<string, string>>;
  readonly agents: Record<Lane, Dispatcher>;
  readonly tls: TlsOptions;
  readonly print: string;
  readonly readAt: number;
}

type TlsOptions = Pick<
  RequestOptions,
  'ca' | 'cert' | 'key' | 'pfx' | 'passphrase' | 'rejectUnauthorized' | 'servername'
>;

interface Answer {
  readonly code: number;
  readonly retryAfterMs: number | undefined;
  readonly body: Dispatcher.ResponseData['body'];
}

const METHODS = {
  get: 'GET',
  list: 'GET',
  watch: 'GET',
  create: 'POST',
  update: 'PUT',
  patch: 'PATCH',
  apply: 'PATCH',
  delete: 'DELETE',
} as const satisfies Record<Verb, string>;

const isRead = (verb: Verb): boolean => METHODS[verb] === 'GET';

/** client-go `transport/token_source.go`: a token file is read again after a minute. */
const CREDENTIALS_MS = 60_000;
/** When a server answers 429 without saying how long to wait. */
const DEFAULT_RETRY_AFTER_MS = 1000;
/** client-go `rest/request.go`: 10 attempts, spread over whatever `Retry-After` says. Ours also end at the deadline. */
const MAX_ATTEMPTS = 10;
/** Requests at once; further ones wait for a connection. Each watch has one of its own. */
const MAX_CONNECTIONS = 16;

/**
 * The one way to the API server: pooled connections, credentials that rotate, deadlines and back-pressure.
 *
 * **Guarantees**
 * - Credentials are read again at most once a minute, and once more when the server answers 401; a new pool is made only when the
 *   bytes of CA, certificate or key changed.
 * - Watches have a pool of their own, so that requests never queue behind them.
 * - 429 is waited out for every verb, because the server did not execute the request; 503 with `Retry-After`, and one lost
 *   connection, only for reads.
 * - A connection on which a deadline passed gets no further requests.
 * - HTTP/1.1, whatever the server offers: Node 24.21 fills all memory when requests of an HTTP/2 connection are aborted.
 *
 * **Assumes** a kubeconfig without a SOCKS proxy and without custom authenticators.
 */
export class Transport {
  readonly clock: Clock;
  readonly #config: KubeConfig;
  readonly #options: TransportOptions;
  readonly #bucket: TokenBucket;
  readonly #origin: string;
  readonly #prefix: string;
  #credentials: Credentials | undefined;
  #reading: Promise<Credentials> | undefined;
  #closed = false;

  constructor(config: KubeConfig, options: TransportOptions) {
    this.clock = options.clock;
    this.#config = config;
    this.#options = options;
    this.#bucket = new TokenBucket(options.clock, options.requestsPerSecond ?? 200, options.burst ?? 400);
    const server = config.getCurrentCluster()?.server;
    if (server === undefined) throw new TypeError('the kubeconfig has no current cluster');
    const url = new URL(server);
    this.#origin = url.origin;
    this.#prefix = url.pathname.replace(/\/$/, '');
  }

  /** Sends one request and returns the body of a 2xx answer as text; every other answer is an `ApiError`. */
  async send(request: TransportRequest): Promise<string> {
    const scope = this.#scope(request);
    try {
      for (let attempt = 1, resets = 0; ; attempt += 1) {
        let answer: Answer;
        let text: string;
        try {
          answer = await this.#exchange(request, 'requests', scope);
          text = await this.#read(request, answer, scope);
        } catch (error) {
          // A pooled connection may be closed by the server at the moment we use it.
          if (isRead(request.verb) && isLost(error) && resets === 0) {
            resets += 1;
            continue;
          }
          throw error;
        }
        if (answer.code < 300) return text;
        const error = this.#error(request, answer, text);
        const waitMs = retryAfter(request.verb, error);
        if (waitMs === undefined || attempt === MAX_ATTEMPTS || waitMs > scope.remainingMs()) throw error;
        await this.clock.sleep(waitMs, scope.signal);
      }
    } finally {
      scope.release();
    }
  }

  /** Sends one request and returns the body of a 2xx answer while it arrives. The deadline covers the answer's head only. */
  async stream(request: TransportRequest): Promise<ByteStream> {
    const scope = this.#scope(request);
    try {
      const answer = await this.#exchange(request, 'watches', scope);
      if (answer.code >= 300) {
        throw this.#error(request, answer, await this.#read(request, answer, scope));
      }
      scope.disarm();
      const { body } = answer;
      body.once('close', () => scope.release());
      return {
        chunks: wrapErrors(request, body, scope.signal),
        abort: (reason) => scope.abort(reason),
        abandon: (reason) => {
          scope.suspect();
          scope.abort(reason);
        },
      };
    } catch (error) {
      scope.release();
      throw error;
    }
  }

  /** Ends every request and connection. */
  async close(): Promise<void> {
    this.#closed = true;
    const agents = this.#credentials?.agents;
    if (agents) await Promise.all([agents.requests.destroy(), agents.watches.destroy()]);
  }

  /** One answer, after one more try with fresh credentials when the server does not know the old ones. */
  async #exchange(request: TransportRequest, lane: Lane, scope: Scope): Promise<Answer> {
    let credentials = await withAbort(this.#current(), scope.signal);
    for (let fresh = false; ; fresh = true) {
      const answer = await this.#attempt(request, credentials, lane, scope);
      if (answer.code !== 401 || fresh) return answer;
      await this.#read(request, answer, scope);
      credentials = await withAbort(this.#fresh(credentials), scope.signal);
    }
  }

  async #attempt(request: TransportRequest, credentials: Credentials, lane: Lane, scope: Scope): Promise<Answer> {
    await this.#bucket.take(scope.signal);
    const agent = credentials.agents[lane];
    scope.suspect = () => this.#retire(credentials, lane, agent);
    const headers: Record<string, string> = { ...credentials.headers };
    if (request.contentType !== undefined) headers['content-type'] = request.contentType;
    const startedAt = this.clock.monotonic();
    if (!isRead(request.verb) && request.fenced !== false) this.#options.fence?.();
    let code = 0;
    try {
      const response = await agent.request({
        origin: this.#origin,
        path: this.#prefix + request.path + queryString(request.query),
        method: METHODS[request.verb],
        headers,
        body: request.body === undefined ? null : JSON.stringify(request.body),
        signal: scope.signal,
        // Deadlines are the clock's.
        headersTimeout: 0,
        bodyTimeout: 0,
      });
      code = response.statusCode;
      return { code, retryAfterMs: parseRetryAfter(response.headers['retry-after'], this.clock), body: response.body };
    } catch (error) {
      throw asConnectionError(request, error, scope.signal);
    } finally {
      const { verb, resource } = request;
      this.#options.onRequest?.({
        verb,
        method: METHODS[verb],
        resource,
        code,
        ms: this.clock.monotonic() - startedAt,
      });
    }
  }

  async #read(request: TransportRequest, answer: Answer, scope: Scope): Promise<string> {
    try {
      return await answer.body.text();
    } catch (error) {
      throw asConnectionError(request, error, scope.signal);
    }
  }

  #error(request: TransportRequest, answer: Answer, text: string): ApiError {
    let body: unknown = text;
    try {
      body = JSON.parse(text);
    } catch {
      // Plain text is an answer too: "404 page not found" while a CRD is not served yet.
    }
    return apiError(`${request.verb} ${request.about}`, answer.code, body, {
      retryAfterMs: answer.retryAfterMs,
      sensitive: request.sensitive ?? false,
    });
  }

  async #current(): Promise<Credentials> {
    const held = this.#credentials;
    if (held && this.clock.monotonic() - held.readAt < CREDENTIALS_MS) return held;
    try {
      return await this.#readOnce(this.#config);
    } catch (error) {
      if (!held) throw error;
      // A token file that is being replaced, an exec plugin that hiccups: the old credentials may still be good, and when they are
      // not, the 401 path reads again and reports.
      this.#credentials = { ...held, readAt: this.clock.monotonic() };
      return this.#credentials;
    }
  }

  /** Newer credentials than those the server refused. */
  async #fresh(refused: Credentials): Promise<Credentials> {
    const held = this.#credentials;
    if (held && held !== refused && held.headers !== refused.headers) return held;
    // The authenticators of a KubeConfig keep tokens for up to a minute and exec credentials until they say they expire.
    const uncached = new KubeConfig();
    uncached.loadFromOptions({
      clusters: this.#config.getClusters(),
      users: this.#config.getUsers(),
      contexts: this.#config.getContexts(),
      currentContext: this.#config.getCurrentContext(),
    });
    return this.#readOnce(uncached);
  }

  #readOnce(config: KubeConfig): Promise<Credentials> {
    this.#reading ??= this.#readCredentials(config).finally(() => (this.#reading = undefined));
    return this.#reading;
  }

  async #readCredentials(config: KubeConfig): Promise<Credentials> {
    const options: RequestOptions = {};
    await config.applyToHTTPSOptions(options);
    if (this.#closed) throw new ConnectionError('Lost', 'the transport is closed');
    const { ca, cert, key, pfx, passphrase, rejectUnauthorized, servername } = options;
    const tls: TlsOptions = {
      ...(ca !== undefined && { ca }),
      ...(cert !== undefined && { cert }),
      ...(key !== undefined && { key }),
      ...(pfx !== undefined && { pfx }),
      ...(passphrase !== undefined && { passphrase }),
      ...(rejectUnauthorized !== undefined && { rejectUnauthorized }),
      ...(servername !== undefined && { servername }),
    };
    const print = createHash('sha256').update(JSON.stringify(tls)).digest('base64');
    const held = this.#credentials;
    const same = held?.print === print;
    if (held && !same) {
      // Open watches live on with the certificate they were opened with.
      for (const agent of Object.values(held.agents)) close(agent);
    }
    this.#credentials = {
      headers: this.#headers(options),
      agents: same ? held.agents : { requests: this.#agent(tls, 'requests'), watches: this.#agent(tls, 'watches') },
      tls: same ? held.tls : tls,
      print,
      readAt: this.clock.monotonic(),
    };
    return this.#credentials;
  }

  #headers(options: RequestOptions): Record<string, string> {
    const headers: Record<string, string> = { accept: 'application/json', 'user-agent': this.#options.userAgent };
    for (const [name, value] of Object.entries(options.headers ?? {})) {
      // A token file may end in a newline, which no header may hold.
      if (value !== undefined) headers[name.toLowerCase()] = String(value).trim();
    }
    if (typeof options.auth === 'string') {
      headers['authorization'] = `Basic ${Buffer.from(options.auth).toString('base64')}`;
    }
    return headers;
  }

  #agent(tls: TlsOptions, lane: Lane): Dispatcher {
    const connections = lane === 'requests' ? MAX_CONNECTIONS : null;
    const connect = { ...tls, keepAlive: true, keepAliveInitialDelay: 30_000 };
    const options = {
      allowH2: false,
      connections,
      // undici closes idle connections after 4 s, which would cost a TLS handshake per reconcile on a quiet cluster.
      keepAliveTimeout: 60_000,
    };
    const proxy = this.#config.getCurrentCluster()?.proxyUrl;
    if (proxy === undefined || proxy === '') return new Agent({ ...options, connect: connect as object });
    return new ProxyAgent({ ...options, uri: proxy, requestTls: connect as object });
  }

  /** Lets the requests of a suspect pool end as they may, and sends the next ones through a new one. */
  #retire(used: Credentials, lane: Lane, agent: Dispatcher): void {
    if (used.agents[lane] !== agent || this.#closed) return;
    used.agents[lane] = this.#agent(used.tls, lane);
    close(agent);
  }

  #scope(request: TransportRequest): Scope {
    const { clock } = this;
    const { signal } = request;
    const controller = new AbortController();
    const deadlineMs = request.deadlineMs ?? this.#options.deadlineMs ?? 30_000;
    const endsAt = clock.monotonic() + deadlineMs;
    const onAbort = () => controller.abort(signal?.reason);
    if (signal?.aborted) onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    const disarm = clock.schedule(deadlineMs, () => {
      scope.suspect();
      const message = `${request.verb} ${request.about}: no answer within ${deadlineMs} ms`;
      controller.abort(new ConnectionError('Timeout', message));
    });
    const scope: Scope = {
      signal: controller.signal,
      suspect: () => {},
      disarm,
      abort: (reason) => controller.abort(reason),
      remainingMs: () => endsAt - clock.monotonic(),
      release() {
        disarm();
        signal?.removeEventListener('abort', onAbort);
      },
    };
    return scope;
  }
}

/** What bounds one request in time. */
interface Scope {
  readonly signal: AbortSignal;
  /** Retires the pool that the attempt under way uses. */
  suspect: () => void;
  /** Lifts the deadline. */
  disarm(): void;
  abort(reason: Error): void;
  remainingMs(): number;
  release(): void;
}

/** Milliseconds to wait before the same request may be sent again; undefined when it must not be. */
function retryAfter(verb: Verb, error: ApiError): number | undefined {
  if (error.code === 429) return error.retryAfterMs ?? DEFAULT_RETRY_AFTER_MS;
  if (error.code === 503 && isRead(verb)) return error.retryAfterMs;
  return undefined;
}

function parseRetryAfter(header: string | string[] | undefined, clock: Clock): number | undefined {
  if (typeof header !== 'string') return undefined;
  const seconds = Number(header);
  if (Number.isFinite(seconds)) return Math.max(0, seconds * 1000);
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - clock.now());
}

function queryString(query: TransportRequest['query']): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined) parameters.set(name, String(value));
  }
  const text = parameters.toString();
  return text === '' ? '' : `?${text}`;
}

const isLost = (error: unknown): boolean => error instanceof ConnectionError && error.kind === 'Lost';

/** The abort's own reason when there was one, else that the connection failed. */
function asConnectionError(request: TransportRequest, error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  const { code, message } = error as { code?: string; message?: string };
  const cause = code ?? message ?? 'unknown';
  return new ConnectionError('Lost', `${request.verb} ${request.about}: connection lost (${cause})`, { cause: error });
}

async function* wrapErrors(
  request: TransportRequest,
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    throw asConnectionError(request, error, signal);
  }
}

function close(agent: Dispatcher): void {
  agent.close().catch(() => {
    // Closing twice is the only way to fail, and harmless.
  });
}

/** The promise's outcome, or the signal's reason if that comes first. */
function withAbort<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) {
    promise.catch(() => {});
    return Promise.reject(signal.reason as Error);
  }
  return new Promise<T>((resolve, reject) => {
    const onAbort = () => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
