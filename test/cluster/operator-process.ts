import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { customResourceDefinition } from '../../src/api/index.ts';
import { rbac } from '../../src/install/rbac.ts';
import { toYaml } from '../../src/yaml.ts';
import type { Cluster } from './cluster.ts';

export const OPERATOR_NAMESPACE = 'qwen-coder-system';
export const OPERATOR_NAME = 'qwen-coder-operator';

/** Puts the definition of the resource and the operator's own identity and rights into the cluster. Answers with its kubeconfig. */
export async function installOperator(cluster: Cluster): Promise<string> {
  const objects = [customResourceDefinition(), ...rbac(OPERATOR_NAMESPACE, OPERATOR_NAME)];
  await cluster.kubectl(['apply', '--server-side', '-f', '-'], {
    input: toYaml(objects),
  });
  await cluster.kubectl([
    'wait',
    '--for=condition=Established',
    'crd',
    'qwencoderdeployments.qwencoder.dev',
    '--timeout=30s',
  ]);
  await restartControllers(cluster);
  const { kubeconfigPath } = await cluster.serviceAccountKubeconfig(OPERATOR_NAMESPACE, OPERATOR_NAME);
  return kubeconfigPath;
}

/**
 * The garbage collector learns of a new kind when it starts, or within half a minute: until then it would leave the children of a
 * deleted resource alone. Somebody else's cluster is left to its own pace.
 */
async function restartControllers(cluster: Cluster): Promise<void> {
  if (cluster.isAdopted) return;
  const controllers = cluster.component('kube-controller-manager');
  await controllers.kill();
  controllers.start();
}

export interface OperatorProcessOptions {
  readonly kubeconfig: string;
  readonly flags?: readonly string[];
  readonly onLine?: (line: OperatorLine) => void;
  /** Its program; that of this working tree when absent. */
  readonly main?: string;
  /** What Node is told besides. */
  readonly nodeFlags?: readonly string[];
  /** Environment besides this process's. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A line of the operator's log. */
export interface OperatorLine {
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

/** The operator as users run it: a process of its own, with the rights of its own ServiceAccount. */
export class OperatorProcess {
  readonly #child: ChildProcess;
  readonly #lines: OperatorLine[] = [];
  readonly #waiting = new Set<() => void>();

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static start(options: OperatorProcessOptions): OperatorProcess {
    const main = options.main ?? new URL('../../src/main.ts', import.meta.url).pathname;
    const child = spawn(
      process.execPath,
      [
        ...(options.nodeFlags ?? []),
        main,
        'operator',
        '--kubeconfig',
        options.kubeconfig,
        '--http-port',
        '0',
        '--log-level',
        'debug',
        ...(options.flags ?? []),
      ],
      // The pipe ends with this process, and a write to it then ends the operator.
      { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, ...options.env } },
    );
    const operator = new OperatorProcess(child);
    createInterface({ input: child.stdout }).on('line', (text) => {
      const line = JSON.parse(text) as OperatorLine;
      operator.#lines.push(line);
      options.onLine?.(line);
      for (const wake of operator.#waiting) wake();
    });
    const kill = () => child.kill('SIGKILL');
    process.once('exit', kill);
    child.once('exit', () => process.off('exit', kill));
    return operator;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Everything logged so far. */
  get lines(): readonly OperatorLine[] {
    return this.#lines;
  }

  /** Resolves once it leads. */
  async leads(): Promise<void> {
    await this.logged((line) => line['phase'] === 'leading');
  }

  /** Resolves with the first line, past or future, that `test` accepts. **Fails when** the process ends before. */
  async logged(test: (line: OperatorLine) => boolean): Promise<OperatorLine> {
    for (;;) {
      const line = this.#lines.find(test);
      if (line) return line;
      if (this.#child.exitCode !== null)
        throw new Error(`the operator ended with ${this.#child.exitCode}: ${JSON.stringify(this.#lines.slice(-5))}`);
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#waiting.delete(wake);
          this.#child.off('exit', wake);
          resolve();
        };
        this.#waiting.add(wake);
        this.#child.once('exit', wake);
      });
    }
  }

  /** Ends it and resolves with its exit code; null after SIGKILL. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<number | null> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const ended = once(this.#child, 'exit');
      this.#child.kill(signal);
      await ended;
    }
    return this.#child.exitCode;
  }
}
