import { readFile, readdir, readlink } from 'node:fs/promises';

/** What the metrics endpoint of a process says: it listens on a port of its own choice, which the kernel knows. */
export async function scrapeMetrics(pid: number): Promise<string> {
  const sockets = new Set(await socketsOf(pid));
  for (const port of await listeningPorts(pid, sockets)) {
    const answer = await fetch(`http://127.0.0.1:${port}/metrics`, { signal: AbortSignal.timeout(2_000) }).catch(
      () => undefined,
    );
    if (answer?.ok) return answer.text();
  }
  throw new Error(`process ${pid} serves no metrics`);
}

/** Inodes of the sockets that a process holds. */
async function socketsOf(pid: number): Promise<string[]> {
  const names = await readdir(`/proc/${pid}/fd`);
  const links = await Promise.all(names.map((name) => readlink(`/proc/${pid}/fd/${name}`).catch(() => '')));
  return links.flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []);
}

/** `LISTEN` in the tables of the kernel: `include/net/tcp_states.h`. */
const LISTEN = '0A';

async function listeningPorts(pid: number, sockets: ReadonlySet<string>): Promise<number[]> {
  const tables = await Promise.all(
    ['tcp', 'tcp6'].map((name) => readFile(`/proc/${pid}/net/${name}`, 'utf8').catch(() => '')),
  );
  return tables
    .flatMap((table) => table.trim().split('\n').slice(1))
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , , state, , , , , , inode]) => state === LISTEN && sockets.has(inode!))
    .map(([, local]) => Number.parseInt(local!.split(':')[1]!, 16));
}
