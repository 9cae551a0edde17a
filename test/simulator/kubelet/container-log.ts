import { appendFileSync, closeSync, mkdirSync, openSync, readFileSync, rmSync, symlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/**
 * A container's logs as a container runtime keeps them: one CRI file for each run, with `current.log` and `previous.log` leading to
 * the last two.
 */
export class ContainerLog {
  readonly currentPath: string;
  readonly previousPath: string;
  readonly #directory: string;
  #run: number | undefined;
  #file: number | undefined;

  constructor(directory: string) {
    this.#directory = directory;
    mkdirSync(directory, { recursive: true });
    this.currentPath = join(directory, 'current.log');
    this.previousPath = join(directory, 'previous.log');
  }

  /** Begins the log of a run; older than the last two go. */
  begin(run: number): void {
    this.end();
    const path = this.#pathOf(run);
    appendFileSync(path, '');
    this.#file = openSync(path, 'a');
    link(path, this.currentPath);
    if (this.#run !== undefined) link(this.#pathOf(this.#run), this.previousPath);
    rmSync(this.#pathOf(run - 2), { force: true });
    this.#run = run;
  }

  write(stream: 'stdout' | 'stderr', line: string): void {
    if (this.#file === undefined) return;
    const stamp = new Date().toISOString().replace('Z', '000000Z');
    writeSync(
      this.#file,
      line
        .split('\n')
        .map((text) => `${stamp} ${stream} F ${text}\n`)
        .join(''),
    );
  }

  /** The last lines of this run, for `terminationMessagePolicy: FallbackToLogsOnError`: 80 lines or 2 KiB. */
  tail(): string {
    if (this.#run === undefined) return '';
    const lines = readFileSync(this.#pathOf(this.#run), 'utf8').trimEnd().split('\n').slice(-80);
    return lines
      .map((line) => line.split(' ').slice(3).join(' '))
      .join('\n')
      .slice(-2048);
  }

  end(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }

  #pathOf(run: number): string {
    return join(this.#directory, `${run}.log`);
  }
}

function link(target: string, path: string): void {
  rmSync(path, { force: true });
  symlinkSync(target, path);
}
