import { hash, timingSafeEqual } from 'node:crypto';
import { type IncomingMessage, STATUS_CODES, type Server, createServer } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Clock } from '../../runtime/clock.ts';
import { listen } from '../../runtime/listen.ts';
import type { Log } from '../../runtime/log.ts';
import { LineStream } from './line-stream.ts';
import { CONTROL_PATH, CONTROL_PROTOCOL, EPOCH_HEADER, type Load, State } from './protocol.ts';

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
/** Longer than a leader whose link broke needs to link again, and than one that was replaced takes to notice. */
const HEED_MS = 60_000;

const REFUSALS = { key: 401, path: 404, epoch: 409, upgrade: 426 } as const;

/**
 * Where the operator's leader connects to a gateway.
 *
 * **Guarantees**: one leader at a time: a newer one replaces an older, and an older one is refused while the newer is there and for a minute
 * after; without the key nobody is heard; a stream that falls silent is closed.
 */
export class ControlServer {
  readonly #options: ControlServerOptions;
  readonly #server: Server;
  readonly #key: Buffer;
  #link: LineStream | undefined;
  #epoch = 0;
  /** When the last link ended. */
  #goneMs = -Infinity;

  constructor(options: ControlServerOptions) {
    this.#options = options;
    this.#key = hash('sha256', `Bearer ${options.key}`, 'buffer');
    // Whatever does not ask to leave HTTP is told why it is not heard.
    this.#server = createServer(
      { requestTimeout: 10_000, headersTimeout: 10_000, maxHeaderSize: 8192 },
      (request, response) => {
        const refusal = this.#refusal(request) ?? REFUSALS.upgrade;
        response.writeHead(refusal, { connection: 'close' }).end();
      },
    );
    this.#server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      const refusal = this.#refusal(request);
      socket.unshift(head);
      if (refusal === undefined) return this.#serve(socket, Number(request.headers[EPOCH_HEADER]));
      socket.on('error', () => {});
      // No time-out of HTTP holds any longer: a peer that never closes would keep its connection, of which there are few.
      socket.end(`HTTP/1.1 ${refusal} ${STATUS_CODES[refusal]}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`, () =>
        socket.destroy(),
      );
    });
    this.#server.maxConnections = 16;
  }

  listen(port: number, host?: string): Promise<number> {
    return listen(this.#server, port, host);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
    this.#link?.close();
  }

  /** The status that a request gets which is not let in. */
  #refusal({ method, url, headers }: IncomingMessage): number | undefined {
    const given = hash('sha256', headers.authorization ?? '', 'buffer');
    if (!timingSafeEqual(given, this.#key)) return REFUSALS.key;
    if (method !== 'POST' || url !== CONTROL_PATH) return REFUSALS.path;
    if (headers.upgrade !== CONTROL_PROTOCOL) return REFUSALS.upgrade;
    const epoch = Number(headers[EPOCH_HEADER]);
    if (!Number.isSafeInteger(epoch)) return REFUSALS.epoch;
    return epoch >= this.#epoch || this.#isLeaderless() ? undefined : REFUSALS.epoch;
  }

  /** Where etcd is restored from a backup the Lease counts on from fewer transitions: its leader is heard once no other is. */
  #isLeaderless(): boolean {
    return this.#link === undefined && this.#options.clock.monotonic() - this.#goneMs >= HEED_MS;
  }

  #serve(socket: Duplex, epoch: number): void {
    const { clock, log, tell, onLink, load } = this.#options;
    this.#epoch = epoch;
    this.#link?.close();
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: ${CONTROL_PROTOCOL}\r\n\r\n`);
    let cancel: (() => void) | undefined;
    const stream = new LineStream(socket, {
      clock,
      onLine: (line) => tell(State.parse(JSON.parse(line))),
      onEnd: (reason) => {
        cancel?.();
        if (reason) log.warn('the stream to the operator broke', { epoch, error: reason });
        if (this.#link !== stream) return;
        this.#link = undefined;
        this.#goneMs = clock.monotonic();
        log.info('the operator is gone; the last endpoints stay', { epoch });
        onLink(false);
      },
    });
    this.#link = stream;
    let said = '';
    const report = (): void => {
      const line = JSON.stringify(load());
      if (line !== said) stream.write(line);
      said = line;
      cancel = clock.schedule(LOAD_MS, report);
    };
    log.info('the operator is here', { epoch });
    onLink(true);
    report();
  }
}
