import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const prefix = 'qwen-coder-cluster-';

/** A directory that goes when its owner goes. */
export interface TemporaryDirectory {
  readonly path: string;
  remove(): Promise<void>;
}

/** Makes a directory for this process, and removes those whose owners are dead. */
export async function makeTemporaryDirectory(): Promise<TemporaryDirectory> {
  await sweep();
  const path = await mkdtemp(join(tmpdir(), `${prefix}${process.pid}-${startTime(process.pid)}-`));
  // Removes the directory when this process dies without a word; a line says that it is removed already. The second of
  // patience lets the programs that write there die first.
  const janitor = spawn('/bin/sh', ['-c', 'read -r removed || { sleep 1; rm -rf "$1"; }', 'janitor', path], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  janitor.stdin.on('error', () => {}); // It is gone: the sweep of the next start does its work.
  janitor.unref();
  (janitor.stdin as unknown as { unref(): void }).unref();
  return {
    path,
    async remove() {
      await rm(path, { recursive: true, force: true, maxRetries: 5 });
      janitor.stdin.end('removed\n');
    },
  };
}

async function sweep(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const [pid, time] = name.startsWith(prefix) ? name.slice(prefix.length).split('-') : [];
    if (pid && time !== startTime(Number(pid))) await rm(join(tmpdir(), name), { recursive: true, force: true });
  }
}

/** When a process started, in clock ticks since boot: with the pid, it names a process for good. */
function startTime(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is a name in parentheses that may hold anything.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? 'unknown';
  } catch {
    return 'gone';
  }
}
