import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const LOCKS = join(tmpdir(), 'qwen-coder-simulator-addresses');
const FIRST = 10;
const LAST = 249;

/**
 * Pod addresses: a /16 of the loopback network for each simulator on this machine, so that clusters side by side never meet.
 *
 * A slice is held by a file with its owner's process id and taken over from a dead one.
 */
export class Addresses {
  readonly prefix: string;
  readonly #lock: string;
  readonly #used = new Set<string>();
  #next = 0;

  private constructor(octet: number, lock: string) {
    this.prefix = `127.${octet}`;
    this.#lock = lock;
  }

  /** **Fails when** all slices are held by live processes. */
  static take(): Addresses {
    mkdirSync(LOCKS, { recursive: true });
    for (let octet = FIRST; octet <= LAST; octet += 1) {
      const lock = join(LOCKS, `127.${octet}`);
      releaseOfDead(lock);
      try {
        writeFileSync(lock, `${process.pid}`, { flag: 'wx' });
        return new Addresses(octet, lock);
      } catch (error) {
        if ((error as { code?: string }).code !== 'EEXIST') throw error;
      }
    }
    throw new Error(`every slice of loopback addresses is held; see ${LOCKS}`);
  }

  /** An address that no living pod has; the one given back longest ago comes last. */
  allocate(): string {
    for (let tries = 0; tries < 65_000; tries += 1) {
      this.#next = (this.#next + 1) % 65_000;
      const address = `${this.prefix}.${Math.floor(this.#next / 250)}.${(this.#next % 250) + 1}`;
      if (this.#used.has(address)) continue;
      this.#used.add(address);
      return address;
    }
    throw new Error('no free pod address');
  }

  free(address: string): void {
    this.#used.delete(address);
  }

  /** Gives the slice back. */
  release(): void {
    rmSync(this.#lock, { force: true });
  }
}

/** Removes the lock of a process that is gone. Of several that try, the one whose rename succeeds does it. */
function releaseOfDead(lock: string): void {
  try {
    const owner = readFileSync(lock, 'utf8');
    if (isAlive(Number(owner))) return;
    const aside = `${lock}.${process.pid}`;
    renameSync(lock, aside);
    // Another may have taken it between the look and the rename: then it is given back.
    if (readFileSync(aside, 'utf8') === owner) rmSync(aside);
    else renameSync(aside, lock);
  } catch (error) {
    if ((error as { code?: string }).code !== 'ENOENT') throw error;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { code?: string }).code === 'EPERM';
  }
}
