import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * What a cluster's DNS tells of headless Services, over HTTP: `GET /<service>` from a pod's address, for the addresses of the ready pods
 * behind that Service in the pod's namespace.
 */
export class NameServer {
  readonly url: string;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  /** @param addressesOf The ready addresses of `<namespace>/<service>`. */
  static async start(addressesOf: (namespace: string, service: string) => Promise<string[]>): Promise<NameServer> {
    const server = createServer((request, response) => {
      const [namespace = '', service = ''] = (request.url ?? '').split('/').slice(1);
      addressesOf(namespace, service).then(
        (addresses) => response.end(JSON.stringify(addresses)),
        () => response.writeHead(500).end(),
      );
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new NameServer(server);
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
