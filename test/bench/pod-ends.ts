import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { type IncomingMessage, type Server, createServer } from 'node:http';
import type { Duplex } from 'node:stream';
import { LineStream } from '../../src/gateway/control/line-stream.ts';
import { CONTROL_PROTOCOL } from '../../src/gateway/control/protocol.ts';
import { GATEWAY_PORTS } from '../../src/render/gateway.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { ENGINE_PORT } from '../../src/serving/index.ts';
import { EngineMetrics } from '../simulator/vllm/metrics.ts';
import { measuredEngine } from './rendered.ts';

const IDLE = JSON.stringify({ replicas: {}, held: 0, heldWork: 0, answered: 0, firstMs: 0 });
/** Blocks of its cache that an engine on two H100-80GB tells of. */
const KV_BLOCKS = 5000;

/**
 * What answers the operator in pods, all in one process: KWOK's pods have loopback addresses and nobody in them. Gateways' ends of the control
 * streams say nothing but that they live; engines tell what they serve, and metrics without a request.
 *
 * **Fails when** a port of theirs is taken on this machine.
 */
export class PodEnds {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(): Promise<PodEnds> {
    const child = fork(new URL(import.meta.url).pathname, { execArgv: [] });
    const [message] = (await once(child, 'message')) as [string];
    if (message !== 'up') throw new Error(message);
    return new PodEnds(child);
  }

  stop(): void {
    this.#child.kill();
  }
}

function gateways(): Server {
  const server = createServer();
  server.on('upgrade', (_: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.unshift(head);
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: ${CONTROL_PROTOCOL}\r\n\r\n`);
    new LineStream(socket, { clock: systemClock, onLine: () => {}, onEnd: () => {} }).write(IDLE);
  });
  return server;
}

function engines(): Server {
  const { model, names, maxModelLen, blockTokens } = measuredEngine();
  const data = names.map((id) => ({ id, object: 'model', root: model, max_model_len: maxModelLen }));
  const cacheConfig = { num_gpu_blocks: String(KV_BLOCKS), block_size: String(blockTokens) };
  const metrics = new EngineMetrics({ modelName: names[0]!, maxModelLen, waitingByReason: true, cacheConfig });
  const answers: Readonly<Record<string, string>> = {
    '/v1/models': JSON.stringify({ object: 'list', data }),
    '/metrics': metrics.render({ running: 0, waiting: 0, kvCacheUsage: 0 }),
  };
  return createServer(({ url = '' }, response) => {
    const answer = answers[url];
    response.writeHead(answer === undefined ? 404 : 200).end(answer);
  });
}

if (import.meta.main) {
  process.once('disconnect', () => process.exit());
  const listening = [gateways().listen(GATEWAY_PORTS.control), engines().listen(ENGINE_PORT)];
  Promise.all(listening.map((server) => once(server, 'listening'))).then(
    () => process.send!('up'),
    (error: unknown) => process.send!((error as Error).message),
  );
}
