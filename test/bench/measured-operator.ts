import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { get } from 'node:http';
import { createInterface } from 'node:readline';
import { imageRun } from '../support/image.ts';
import { freePort } from '../cluster/ports.ts';
import { type ProcessFigures, processFigures } from './process-figures.ts';

const root = new URL('../../', import.meta.url).pathname;

/** What is measured: the bundle that images hold where it was built, else the sources. */
export interface Program {
  readonly path: string;
  readonly bundled: boolean;
}

export function findProgram(warn: (line: string) => void): Program {
  const bundle = `${root}dist/qwen-coder.mjs`;
  if (!existsSync(bundle)) return { path: `${root}src/main.ts`, bundled: false };
  const sources = readdirSync(`${root}src`, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  );
  const newest = Math.max(...sources.map((name) => statSync(`${root}src/${name}`).mtimeMs));
  if (statSync(bundle).mtimeMs < newest) warn('dist/qwen-coder.mjs is older than src: `npm run build` makes a new one');
  return { path: bundle, bundled: true };
}

export interface MeasuredOperatorOptions {
  readonly program: string;
  readonly kubeconfig: string;
  readonly flags: readonly string[];
  /** Options of Node besides the image's. */
  readonly nodeFlags: readonly string[];
}

/** The operator as its image runs it, default flags and log level included, under observation. */
export class MeasuredOperator {
  readonly pid: number;
  readonly startedAt: number;
  readonly #child: ChildProcess;
  readonly #port: number;
  readonly #phases = new Map<string, number>();
  #wake: () => void = () => {};

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.pid = child.pid!;
    this.#port = port;
    this.startedAt = performance.now();
    createInterface({ input: child.stdout! }).on('line', (text) => {
      const { phase, level, msg, error } = JSON.parse(text) as Record<string, string>;
      if (phase !== undefined) this.#phases.set(phase, performance.now());
      if (level === 'warn' || level === 'error') {
        process.stderr.write(`operator: ${level}: ${msg} ${JSON.stringify(error ?? '')}\n`);
      }
      this.#wake();
    });
    child.once('exit', () => this.#wake());
    process.once('exit', () => child.kill('SIGKILL'));
  }

  static async start({ program, kubeconfig, flags, nodeFlags }: MeasuredOperatorOptions): Promise<MeasuredOperator> {
    const port = await freePort();
    const image = await imageRun();
    const args = [
      ...image.nodeFlags,
      ...nodeFlags,
      program,
      'operator',
      '--kubeconfig',
      kubeconfig,
      '--http-port',
      String(port),
      ...flags,
    ];
    const child = spawn(process.execPath, args, {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, ...image.env },
    });
    return new MeasuredOperator(child, port);
  }

  /** Resolves with the moment of entry into a phase of the manager's. **Fails when** the process ends before. */
  async entered(phase: 'standby' | 'leading'): Promise<number> {
    for (;;) {
      const at = this.#phases.get(phase);
      if (at !== undefined) return at;
      if (this.#child.exitCode !== null) throw new Error(`the operator ended with ${this.#child.exitCode}`);
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  figures(): ProcessFigures {
    return processFigures(this.pid);
  }

  /** Sum over the series of each metric. */
  async metrics(): Promise<ReadonlyMap<string, number>> {
    const text = await new Promise<string>((resolve, reject) => {
      get({ host: '127.0.0.1', port: this.#port, path: '/metrics' }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.once('end', () => resolve(text)).once('error', reject);
      }).once('error', reject);
    });
    const sums = new Map<string, number>();
    for (const line of text.split('\n')) {
      const parts = /^([a-z_0-9]+)(?:\{.*\})? (\S+)$/.exec(line);
      if (parts) sums.set(parts[1]!, (sums.get(parts[1]!) ?? 0) + Number(parts[2]));
    }
    return sums;
  }

  /** Whether nothing is in work or due. */
  async isIdle(): Promise<boolean> {
    const metrics = await this.metrics();
    return metrics.get('workqueue_depth') === 0 && metrics.get('controller_runtime_active_workers') === 0;
  }

  async stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill(signal);
    await ended;
  }
}
