import { type RequestListener, type Server, createServer } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import { Server as NetServer } from 'node:net';
import { listen } from '../runtime/listen.ts';

/** A certificate chain and its key, as PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** Headers that no client of ours needs more of. */
const MAX_HEADER_BYTES = 16 * 1024;
const HEADERS_MS = 20_000;
/** Head and body together; 8 MiB in a minute are 1.1 Mbit/s. */
const REQUEST_MS = 60_000;
/** Longer than most load balancers keep a connection, nginx a minute and Google's ten, so that it is they who close it. */
const KEEP_ALIVE_MS = 620_000;
const MOST_CONNECTIONS = 20_000;

/**
 * The server that clients talk to.
 *
 * **Guarantees**: a head or a body that comes too slowly, too large a head, and whatever a strict parser does not take (two lengths, a
 * length and chunks, a bare line feed, control characters) end their connection, and no other.
 */
export class EndpointServer {
  readonly #server: Server;
  readonly #tls: TlsServer | undefined;

  constructor(handle: RequestListener, certificate: Certificate | undefined) {
    const options = {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: HEADERS_MS,
      requestTimeout: REQUEST_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: 5000,
      insecureHTTPParser: false,
      requireHostHeader: true,
      noDelay: true,
    };
    this.#tls = certificate && createTlsServer({ ...options, ...certificate, minVersion: 'TLSv1.2' }, handle);
    this.#server = this.#tls ?? createServer(options, handle);
    this.#server.maxConnections = MOST_CONNECTIONS;
  }

  /** Resolves with the port. **Fails when** it is taken. */
  listen(port: number, host?: string): Promise<number> {
    return listen(this.#server, port, host);
  }

  /** Uses another certificate for connections that begin from now on. */
  rotate(certificate: Certificate): void {
    this.#tls?.setSecureContext({ ...certificate, minVersion: 'TLSv1.2' });
  }

  /**
   * Takes no new connections. Those that are open are served on, under the same limits of time.
   *
   * Not by HTTP's own `close`: that breaks connections whose last answer is written and not yet sent, and looks at slow heads and bodies no more.
   */
  stopListening(): void {
    NetServer.prototype.close.call(this.#server);
  }

  /** Breaks what is left. */
  closeAll(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}
