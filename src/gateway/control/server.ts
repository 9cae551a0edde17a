import { hash, timingSafeEqual } from 'node:crypto';
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import type { Clock } from '../../runtime/clock.ts';
import { listen } from '../../runtime/listen.ts';
import type { Log } from '../../runtime/log.ts';
import { BEAT_MS, CONTROL_PATH, EPOCH_HEADER, Lines, type Load, SILENCE_MS, State } from './protocol.ts';

export interface ControlServerOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** What the operator must show. */
  readonly key: string;
  readonly tell: (state: State) => void;
  /** Whether the operator is there. */
  readonly onLink: (isLinked: boolean) => void;
  readonly load: () => Load;
}

/** How often the load is told while it changes. */
const LOAD_MS = 250;

interface Link {
  readonly epoch: number;
  readonly close: () => void;
}

/**
 * Where the operator's leader connects to a gateway.
 *
 * **Guarantees**: one leader at a time: a newer one replaces an older, and an older one is refused from then on; without the key nobody is
 * heard; a stream that falls silent is closed.
 */
export class ControlServer {
  readonly #options: ControlServerOptions;
  readonly #server: Server;
  readonly #key: Buffer;
  #link: Link | undefined;
  #epoch = 0;

  constructor(options: ControlServerOptions) {
    this.#options = options;
    this.#key = hash('sha256', `Bearer ${options.key}`, 'buffer');
    // The request is the stream, so it takes as long as it takes.
    this.#server = createServer(
      { requestTimeout: 0, headersTimeout: 10_000, maxHeaderSize: 8192 },
      (request, response) => this.#handle(request, response),
    );
    this.#server.maxConnections = 16;
  }

  listen(port: number, host?: string): Promise<number> {
    return listen(this.#server, port, host);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #handle(request: IncomingMessage, response: ServerResponse): void {
    const refuse = (status: number): void => void response.writeHead(status, { connection: 'close' }).end();
    const given = hash('sha256', request.headers.authorization ?? '', 'buffer');
    if (!timingSafeEqual(given, this.#key)) return refuse(401);
    if (request.method !== 'POST' || request.url !== CONTROL_PATH) return refuse(404);
    const epoch = Number(request.headers[EPOCH_HEADER]);
    if (!Number.isSafeInteger(epoch) || epoch < this.#epoch) return refuse(409);
    this.#epoch = epoch;
    this.#link?.close();
    this.#serve(request, response, epoch);
  }

  #serve(request: IncomingMessage, response: ServerResponse, epoch: number): void {
    const { clock, log, tell, onLink, load } = this.#options;
    let heardMs = clock.monotonic();
    let said = '';
    let saidMs = heardMs;
    let cancel: (() => void) | undefined;
    const close = (): void => {
      cancel?.();
      response.destroy();
      if (this.#link !== link) return;
      this.#link = undefined;
      log.info('the operator is gone; the last endpoints stay', { epoch });
      onLink(false);
    };
    const link: Link = { epoch, close };
    this.#link = link;
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    response.flushHeaders();
    const report = (): void => {
      const now = clock.monotonic();
      if (now - heardMs >= SILENCE_MS) return close();
      const line = JSON.stringify(load());
      if (line !== said || now - saidMs >= BEAT_MS) {
        response.write(line === said ? '\n' : `${line}\n`);
        said = line;
        saidMs = now;
      }
      cancel = clock.schedule(LOAD_MS, report);
    };
    report();
    const lines = new Lines();
    request.setEncoding('utf8');
    request.on('data', (chunk: string) => {
      heardMs = clock.monotonic();
      try {
        for (const line of lines.push(chunk)) tell(State.parse(JSON.parse(line)));
      } catch (error) {
        log.error('the operator said something that cannot be understood', { error });
        close();
      }
    });
    request.once('error', close);
    request.once('end', close);
    response.once('close', close);
    log.info('the operator is here', { epoch });
    onLink(true);
  }
}
