import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createSecureServer } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { KubeConfig } from '@kubernetes/client-node';
import { makeAuthority } from '../cluster/certificates.ts';

export interface ScriptedServerOptions {
  /** With TLS it offers HTTP/2 besides, as kube-apiserver does. Default `http`. */
  readonly protocol?: 'http' | 'https';
}

/**
 * An API server that says what a test tells it to, over real sockets on loopback.
 *
 * A test either plays the server, taking requests one by one with `next`, or gives `always` a function that answers.
 */
export class ScriptedApiServer {
  /** Every request so far, as `GET /api/v1/pods?limit=500`. */
  readonly log: string[] = [];
  /** How many connections were accepted. */
  connections = 0;
  readonly #server: Server;
  readonly #authority: string | undefined;
  readonly #sockets = new Set<Socket>();
  readonly #waiting: ScriptedRequest[] = [];
  readonly #takers: ((request: ScriptedRequest) => void)[] = [];
  #always: ((request: ScriptedRequest) => boolean | void) | undefined;

  private constructor(server: Server, authority: string | undefined) {
    this.#server = server;
    this.#authority = authority;
    server.on('connection', (socket: Socket) => {
      this.connections += 1;
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => this.#sockets.delete(socket));
    });
    server.on('request', (request: IncomingMessage, response: ServerResponse) => void this.#receive(request, response));
  }

  static async start(options: ScriptedServerOptions = {}): Promise<ScriptedApiServer> {
    let server: Server;
    let authority: string | undefined;
    if (options.protocol === 'https') {
      const issuer = makeAuthority('scripted');
      const serving = issuer.issue('localhost', ['localhost'], ['127.0.0.1']);
      authority = issuer.certificate;
      server = createSecureServer({
        cert: serving.certificate,
        key: serving.key,
        allowHTTP1: true,
      }) as unknown as Server;
    } else {
      server = createServer();
    }
    const scripted = new ScriptedApiServer(server, authority);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return scripted;
  }

  get url(): string {
    const { port } = this.#server.address() as AddressInfo;
    return `${this.#authority ? 'https' : 'http'}://127.0.0.1:${port}`;
  }

  /** A kubeconfig for this server. */
  config(user: { readonly token?: string; readonly tokenFile?: string } = {}): KubeConfig {
    const config = new KubeConfig();
    config.loadFromClusterAndUser(
      {
        name: 'scripted',
        server: this.url,
        ...(this.#authority
          ? { caData: Buffer.from(this.#authority).toString('base64'), skipTLSVerify: false }
          : { skipTLSVerify: true }),
      },
      {
        name: 'test',
        ...(user.token !== undefined && { token: user.token }),
        ...(user.tokenFile !== undefined && {
          authProvider: { name: 'tokenFile', config: { tokenFile: user.tokenFile } },
        }),
      },
    );
    return config;
  }

  /** The next request that nothing has answered, in order of arrival. */
  next(): Promise<ScriptedRequest> {
    const waiting = this.#waiting.shift();
    if (waiting) return Promise.resolve(waiting);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no further request; so far ${this.log.join(', ')}`)), 5000);
      this.#takers.push((request) => {
        clearTimeout(timer);
        resolve(request);
      });
    });
  }

  /** How many requests wait to be taken by `next`. */
  get unanswered(): number {
    return this.#waiting.length;
  }

  /** Answers requests by a function from now on; those it returns false for are left to `next`. */
  always(answer: (request: ScriptedRequest) => boolean | void): void {
    this.#always = answer;
  }

  /** Cuts every connection without a word. */
  resetConnections(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async #receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.on('error', () => {});
    response.on('error', () => {});
    this.log.push(`${request.method} ${decodeURIComponent(request.url ?? '')}`);
    const parts: Buffer[] = [];
    try {
      for await (const part of request) parts.push(part as Buffer);
    } catch {
      return;
    }
    const scripted = new ScriptedRequest(request, response, Buffer.concat(parts).toString('utf8'));
    if (this.#always && this.#always(scripted) !== false) return;
    const taker = this.#takers.shift();
    if (taker) taker(scripted);
    else this.#waiting.push(scripted);
  }
}

/** One request, waiting for its answer. */
export class ScriptedRequest {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  readonly #response: ServerResponse;

  constructor(request: IncomingMessage, response: ServerResponse, text: string) {
    const url = new URL(request.url ?? '/', 'http://server');
    this.method = request.method ?? '';
    this.path = url.pathname;
    this.query = Object.fromEntries(url.searchParams);
    this.headers = request.headers;
    this.text = text;
    this.#response = response;
  }

  get isWatch(): boolean {
    return this.query['watch'] === 'true';
  }

  get body(): unknown {
    return this.text === '' ? undefined : JSON.parse(this.text);
  }

  json(code: number, body: unknown, headers: Record<string, string> = {}): void {
    this.#head(code, { 'content-type': 'application/json', ...headers });
    this.#write(JSON.stringify(body));
    this.#response.end();
  }

  plain(code: number, text: string, headers: Record<string, string> = {}): void {
    this.#head(code, { 'content-type': 'text/plain', ...headers });
    this.#write(text);
    this.#response.end();
  }

  /** `metav1.Status`. */
  fail(code: number, reason: string, message = reason, headers: Record<string, string> = {}): void {
    this.json(code, { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message }, headers);
  }

  list(resourceVersion: string, items: readonly unknown[], continueToken?: string): void {
    this.json(200, { kind: 'List', apiVersion: 'v1', metadata: { resourceVersion, continue: continueToken }, items });
  }

  /** Begins to stream. */
  watch(): ScriptedWatch {
    this.#head(200, { 'content-type': 'application/json' });
    if ('flushHeaders' in this.#response) this.#response.flushHeaders();
    return new ScriptedWatch(this.#response);
  }

  /** Ends the connection without an answer. */
  reset(): void {
    resetResponse(this.#response);
  }

  /** Whether the client has gone. */
  get isClosed(): boolean {
    return isClosed(this.#response);
  }

  #head(code: number, headers: Record<string, string>): void {
    this.#response.writeHead(code, headers);
  }

  #write(text: string): void {
    this.#response.write(text);
  }
}

/** A watch that the test feeds. */
export class ScriptedWatch {
  readonly #response: ServerResponse;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  send(type: string, object: unknown): void {
    this.raw(`${JSON.stringify({ type, object })}\n`);
  }

  bookmark(resourceVersion: string, options: { readonly initialEventsEnd?: boolean } = {}): void {
    const annotations = options.initialEventsEnd ? { 'k8s.io/initial-events-end': 'true' } : undefined;
    this.send('BOOKMARK', { kind: 'Pod', apiVersion: 'v1', metadata: { resourceVersion, annotations } });
  }

  error(code: number, reason: string, message = reason): void {
    this.send('ERROR', { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message });
  }

  raw(bytes: string | Uint8Array): void {
    this.#response.write(bytes);
  }

  /** Closes in order. */
  end(): void {
    this.#response.end();
  }

  reset(): void {
    resetResponse(this.#response);
  }

  get isClosed(): boolean {
    return isClosed(this.#response);
  }
}

function resetResponse({ socket }: ServerResponse): void {
  if (socket instanceof TLSSocket) socket.destroy();
  else socket?.resetAndDestroy();
}

const isClosed = (response: ServerResponse): boolean => response.destroyed || response.closed;

/** A pod as the server sends it. */
export function podJson(name: string, resourceVersion: number | string, rest: PodRest = {}) {
  const { uid = `uid-${name}`, namespace = 'default', ...metadata } = rest;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace,
      uid,
      resourceVersion: String(resourceVersion),
      creationTimestamp: '2026-01-01T00:00:00Z',
      ...metadata,
    },
  };
}

interface PodRest {
  readonly uid?: string;
  readonly namespace?: string;
  readonly labels?: Record<string, string>;
  readonly ownerReferences?: { apiVersion: string; kind: string; name: string; uid: string }[];
  readonly managedFields?: object[];
}

/** Waits until a condition holds; turns of the event loop, not time. */
export async function until(condition: () => boolean, what = String(condition)): Promise<void> {
  const end = performance.now() + 5000;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`never came true: ${what}`);
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}
