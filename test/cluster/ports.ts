import { createServer } from 'node:net';

// Below the ephemeral range (32768 and up on Linux), so that no outgoing connection of anybody takes the port between
// our look and the program's bind; random, so that clusters that start at once rarely meet.
const first = 20_000;
const last = 32_000;

/** A loopback port that nobody listens on. A race remains; `Cluster.start` starts anew when a bind fails. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = first + Math.floor(Math.random() * (last - first));
    if (await isFree(port)) return port;
  }
  throw new Error(`no free port between ${first} and ${last} on 127.0.0.1`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}
