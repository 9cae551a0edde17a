import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';

// The shell becomes the program (exec), and leaves behind a watcher that reads the owner's pipe: when the owner is gone,
// however it went, the pipe closes and the watcher kills the program. A line in the pipe means the program has ended by
// itself, so its pid may belong to somebody else and must not be killed.
const guarded = `exec 3<&0
( read -r ended <&3 || kill -9 $$ ) >/dev/null 2>&1 &
exec 3<&- </dev/null "$@"`;

export interface ComponentOptions {
  readonly program: string;
  readonly args: readonly string[];
  readonly logPath: string;
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * One program of the control plane.
 *
 * **Guarantees**: the program does not outlive this process, not even after SIGKILL; `onUnexpectedExit` is called at most
 * once per start, and never for an end that was asked for.
 */
export class Component {
  readonly name: string;
  readonly logPath: string;
  readonly #options: ComponentOptions;
  readonly #onUnexpectedExit: (component: Component) => void;
  #child: ChildProcess | undefined;
  #asked = false;

  constructor(name: string, options: ComponentOptions, onUnexpectedExit: (component: Component) => void) {
    this.name = name;
    this.logPath = options.logPath;
    this.#options = options;
    this.#onUnexpectedExit = onUnexpectedExit;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get isRunning(): boolean {
    return this.#child !== undefined;
  }

  /** Starts the program; again after `kill()`, with the same data and ports. */
  start(): void {
    if (this.#child) return;
    this.#asked = false;
    const log = openSync(this.logPath, 'a');
    const child = spawn('/bin/sh', ['-c', guarded, this.name, this.#options.program, ...this.#options.args], {
      // Detached: a Ctrl-C goes to the owner alone, who then stops everything in order.
      detached: true,
      stdio: ['pipe', log, log],
      env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', HOME: '/nonexistent', ...this.#options.env },
    });
    closeSync(log);
    this.#child = child;
    child.stdin!.on('error', () => {}); // The watcher may be gone already; there is nothing left to tell it.
    child.once('error', () => this.#ended(child));
    child.once('exit', () => this.#ended(child));
    // Neither the program nor its pipe keeps a script alive that forgot to stop the cluster.
    child.unref();
    (child.stdin as unknown as { unref(): void }).unref();
  }

  /** Ends the program at once, as a crash does, and waits until it is gone. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (!child) return;
    this.#asked = true;
    child.ref();
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill('SIGKILL');
    await gone;
  }

  /** Stops the program from running (SIGSTOP), its sockets stay open. */
  pause(): void {
    this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    this.#child?.kill('SIGCONT');
  }

  /** The last lines that the program wrote. */
  logTail(lines = 30): string {
    try {
      return readFileSync(this.logPath, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
    } catch {
      return '(no log)';
    }
  }

  #ended(child: ChildProcess): void {
    if (this.#child !== child) return;
    this.#child = undefined;
    child.stdin?.end('ended\n');
    if (!this.#asked) this.#onUnexpectedExit(this);
  }
}
