import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { listen } from './listen.ts';

/** A named question: nothing if well, else why not. Quick and without I/O. */
export interface Check {
  readonly name: string;
  readonly check: () => string | undefined;
}

export interface ProbesOptions {
  /** 0 picks a free port. */
  readonly port: number;
  /** Default: all interfaces, as the kubelet asks from outside. */
  readonly host?: string;
  /** A failure means that only a restart helps. That the event loop turns needs no check: a blocked one does not answer. */
  readonly liveness?: readonly Check[];
  /** A failure means: not yet, or not any more. */
  readonly readiness?: readonly Check[];
  /** The exposition and its content type. */
  readonly metrics?: Exposition;
  /** What else is read there, by path. */
  readonly pages?: Readonly<Record<string, Exposition>>;
}

export interface Exposition {
  readonly contentType: string;
  text(): Promise<string>;
}

/**
 * The HTTP server for the kubelet and Prometheus: `/healthz`, `/readyz`, `/metrics`, pages, and 404 for all else.
 *
 * **Guarantees** 200 `ok` or 503 with a line for each failed check; `stop` lets answers in progress finish and closes idle connections.
 */
export class Probes {
  readonly name = 'probes';
  readonly #options: ProbesOptions;
  #server: Server | undefined;

  constructor(options: ProbesOptions) {
    this.#options = options;
  }

  /** The port that is listened on; 0 while stopped. */
  get port(): number {
    return (this.#server?.address() as AddressInfo | null)?.port ?? 0;
  }

  /** Resolves when it listens. **Fails when** the port is taken. */
  async start(): Promise<void> {
    const server = createServer(
      { requestTimeout: 10_000 },
      (request, response) => void this.#answer(request, response),
    );
    this.#server = server;
    await listen(server, this.#options.port, this.#options.host);
  }

  async stop(): Promise<void> {
    const server = this.#server;
    if (!server) return;
    this.#server = undefined;
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      send(response, 405, 'text/plain; charset=utf-8', 'method not allowed\n');
      return;
    }
    const path = (request.url ?? '/').split('?', 1)[0];
    if (path === '/healthz') return sendChecks(response, this.#options.liveness);
    if (path === '/readyz') return sendChecks(response, this.#options.readiness);
    const { metrics, pages = {} } = this.#options;
    const page = path === '/metrics' ? metrics : Object.hasOwn(pages, path!) ? pages[path!] : undefined;
    if (page) {
      try {
        send(response, 200, page.contentType, await page.text());
      } catch (error) {
        send(response, 500, 'text/plain; charset=utf-8', `${String(error)}\n`);
      }
      return;
    }
    send(response, 404, 'text/plain; charset=utf-8', 'not found\n');
  }
}

function sendChecks(response: ServerResponse, checks: readonly Check[] = []): void {
  const failures: string[] = [];
  for (const { name, check } of checks) {
    const failure = answerOf(check);
    if (failure !== undefined) failures.push(`${name}: ${failure}`);
  }
  const text = failures.length === 0 ? 'ok\n' : `${failures.join('\n')}\n`;
  send(response, failures.length === 0 ? 200 : 503, 'text/plain; charset=utf-8', text);
}

/** A check that throws has failed; the prober hears why. */
function answerOf(check: Check['check']): string | undefined {
  try {
    return check();
  } catch (error) {
    return String(error);
  }
}

function send(response: ServerResponse, status: number, contentType: string, body: string): void {
  response.writeHead(status, { 'content-type': contentType, 'content-length': Buffer.byteLength(body) });
  response.end(body);
}
