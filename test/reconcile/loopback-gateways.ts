import type { State } from '../../src/gateway/control/protocol.ts';
import { ControlServer } from '../../src/gateway/control/server.ts';
import { GATEWAY_PORTS } from '../../src/render/index.ts';
import { silentLog, systemClock } from '../../src/runtime/index.ts';
import { Addresses } from '../simulator/addresses.ts';

/** The ends of links at gateway pods, each at an address of its own. */
export class LoopbackGateways {
  readonly #key: string;
  readonly #addresses = Addresses.take();
  readonly #servers: ControlServer[] = [];

  constructor(controlKey: string) {
    this.#key = controlKey;
  }

  /** An address at which nobody listens. */
  address(): string {
    return this.#addresses.allocate();
  }

  async start(ip = this.address()) {
    const gateway = { ip, isLinked: false, told: [] as State[] };
    const server = new ControlServer({
      clock: systemClock,
      log: silentLog,
      key: this.#key,
      tell: (state) => gateway.told.push(state),
      onLink: (isLinked) => void (gateway.isLinked = isLinked),
      load: () => ({ replicas: {}, held: 0, heldWork: 0, answered: 0, firstMs: 0 }),
    });
    this.#servers.push(server);
    await server.listen(GATEWAY_PORTS.control, ip);
    return gateway;
  }

  stop(): void {
    for (const server of this.#servers) server.close();
    this.#addresses.release();
  }
}
