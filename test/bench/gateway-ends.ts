import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { type IncomingMessage, createServer } from 'node:http';
import type { Duplex } from 'node:stream';
import { LineStream } from '../../src/gateway/control/line-stream.ts';
import { CONTROL_PROTOCOL } from '../../src/gateway/control/protocol.ts';
import { GATEWAY_PORTS } from '../../src/render/gateway.ts';
import { systemClock } from '../../src/runtime/clock.ts';

const IDLE = JSON.stringify({ replicas: {}, held: 0, heldWork: 0, answered: 0, firstMs: 0 });

/**
 * The gateways' ends of the operator's control streams, all in one process: KWOK's pods have loopback addresses and nobody in them.
 *
 * **Fails when** the port of gateways is taken on this machine.
 */
export class GatewayEnds {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(): Promise<GatewayEnds> {
    const child = fork(new URL(import.meta.url).pathname, { execArgv: [] });
    const [message] = (await once(child, 'message')) as [string];
    if (message !== 'up') throw new Error(message);
    return new GatewayEnds(child);
  }

  stop(): void {
    this.#child.kill();
  }
}

if (import.meta.main) {
  process.once('disconnect', () => process.exit());
  const server = createServer();
  server.on('upgrade', (_: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.unshift(head);
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: ${CONTROL_PROTOCOL}\r\n\r\n`);
    new LineStream(socket, { clock: systemClock, onLine: () => {}, onEnd: () => {} }).write(IDLE);
  });
  server.once('error', (error) => process.send!(error.message));
  server.listen(GATEWAY_PORTS.control, () => process.send!('up'));
}
