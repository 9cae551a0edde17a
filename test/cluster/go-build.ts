import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Programs that are built from one Go module, once. */
export interface GoBuild {
  /** What is built, as log lines and the cached folder begin. */
  readonly name: string;
  /** Folder of the module. */
  readonly module: string;
  /** Its files that decide what comes out. */
  readonly sources: readonly string[];
  /** Program → its package. */
  readonly programs: Readonly<Record<string, string>>;
  /** Build tags. */
  readonly tags?: readonly string[];
  /** More names → the program that they stand for. */
  readonly links?: Readonly<Record<string, string>>;
  /** How long it takes on two cores, for whoever waits. */
  readonly takes: string;
  /** Said when there is no Go. */
  readonly withoutGo: string;
}

export type Log = (line: string) => void;

export function logToStderr(line: string): void {
  process.stderr.write(`${line}\n`);
}

export function cacheRoot(): string {
  return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'qwen-coder-operator');
}

/** The folder that the programs are in once they are built: one for each content of the sources. */
export async function builtDirectory({ name, module, sources }: GoBuild): Promise<string> {
  const hash = createHash('sha256');
  for (const file of sources) hash.update(await readFile(join(module, file)));
  return join(cacheRoot(), `${name.replaceAll(' ', '-')}-${hash.digest('hex').slice(0, 16)}`);
}

/** Builds the programs, unless they are there. Answers the folder that they are in. */
export async function goBuild(what: GoBuild, log: Log = logToStderr): Promise<string> {
  const target = await builtDirectory(what);
  if (existsSync(target)) return target;
  const say: Log = (line) => log(`${what.name}: ${line}`);
  await mkdir(cacheRoot(), { recursive: true });
  await underLock(`${target}.lock`, say, async () => {
    if (!existsSync(target)) await build(what, target, say);
  });
  return target;
}

async function build(
  { module, programs, tags = [], links = {}, takes, withoutGo }: GoBuild,
  target: string,
  say: Log,
): Promise<void> {
  const version = await run('go', ['version'], module).catch((cause: unknown) => {
    throw new Error(withoutGo, { cause });
  });
  for (const name of await readdir(cacheRoot())) {
    const path = join(cacheRoot(), name);
    if (path.startsWith(`${target}.building-`)) await rm(path, { recursive: true, force: true });
  }
  const directory = await mkdtemp(`${target}.building-`);
  const startedAt = performance.now();
  const elapsed = () => `${Math.round((performance.now() - startedAt) / 1000)} s`;
  say(`building from Go modules with ${version.trim()}; ${takes}, once`);
  const ticker = setInterval(() => say(`building … ${elapsed()}`), 15_000);
  try {
    for (const [program, source] of Object.entries(programs)) {
      const flags = ['-buildvcs=false', '-ldflags=-s -w', `-tags=${tags.join(',')}`];
      await run('go', ['build', ...flags, '-o', join(directory, program), source], module);
    }
    for (const [link, program] of Object.entries(links)) await symlink(program, join(directory, link));
    await rename(directory, target);
  } catch (error) {
    await rm(directory, { recursive: true, force: true });
    if (existsSync(target)) return; // Another process was first after all.
    throw new Error(`the Go build in ${module} failed after ${elapsed()}`, { cause: error });
  } finally {
    clearInterval(ticker);
  }
  say(`built in ${elapsed()}`);
}

/**
 * Runs `work` while no other living process does. Two processes that find the lock of the same dead one may both run it,
 * which costs time and nothing else: a build shows itself by one rename.
 */
async function underLock(path: string, say: Log, work: () => Promise<void>): Promise<void> {
  for (let hasWaited = false; ; hasWaited = true) {
    try {
      await writeFile(path, String(process.pid), { flag: 'wx' });
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const owner = Number(await readFile(path, 'utf8').catch(() => ''));
    if (owner > 0 && !existsSync(`/proc/${owner}`)) {
      await rm(path, { force: true });
      continue;
    }
    if (!hasWaited) say(`process ${owner} is building it; waiting`);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  try {
    await work();
  } finally {
    await rm(path, { force: true });
  }
}

function run(command: string, args: readonly string[], cwd: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk));
    child.stderr.on('data', (chunk: Buffer) => (stderr = (stderr + chunk).slice(-4000)));
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve(stdout);
      else reject(new Error(`${command} ${args.join(' ')}: exit code ${code}\n${stderr}`));
    });
  });
}
