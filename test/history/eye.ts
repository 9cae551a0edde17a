import { KubeConfig } from '@kubernetes/client-node';
import type { KubeClient } from '../../src/kube/index.ts';
import { OPERATOR_NAME, OPERATOR_NAMESPACE } from '../cluster/operator-process.ts';
import { AuditLog } from './audit-log.ts';
import { check, report } from './checker.ts';
import type { History } from './history.ts';
import type { Limits } from './limits.ts';
import { scrapeMetrics } from './metrics.ts';
import { Recorder } from './recorder.ts';
import { noteRights, usedRights } from './rights.ts';
import { unlimitedClient } from '../cluster/unlimited-client.ts';

const OPERATOR_USER = `system:serviceaccount:${OPERATOR_NAMESPACE}:${OPERATOR_NAME}`;

/** The cluster as an eye looks at it. */
export interface Watched {
  readonly kubeconfigPath: string;
  /** Without one, writes are not judged. */
  readonly auditLogPath: string | undefined;
}

/** An operator's process, as long as it runs. */
interface Running {
  readonly pid: number | undefined;
  stop(): Promise<unknown>;
}

/**
 * An independent witness of what an operator does to a cluster: it has its own connection, believes nothing that the operator says, and
 * looks at every state in between.
 */
export class Eye {
  readonly #client: KubeClient;
  readonly #recorder: Recorder;
  readonly #auditLog: AuditLog | undefined;
  readonly #tokens = new Set<string>();
  readonly #logs: string[] = [];
  readonly #metrics: string[] = [];

  private constructor(client: KubeClient, recorder: Recorder, auditLog: AuditLog | undefined) {
    this.#client = client;
    this.#recorder = recorder;
    this.#auditLog = auditLog;
  }

  /** Resolves when everything that happens from now on is seen. */
  static async open({ kubeconfigPath, auditLogPath }: Watched): Promise<Eye> {
    const client = unlimitedClient(kubeconfigPath, 'recorder');
    const auditLog = auditLogPath === undefined ? undefined : await AuditLog.open(auditLogPath, OPERATOR_USER);
    return new Eye(client, await Recorder.start(client), auditLog);
  }

  /** What a process of the operator is started with, so that its log is read. Its own token is the first secret that it may not show. */
  on(kubeconfig: string): { readonly kubeconfig: string; readonly onLine: (line: object) => void } {
    const token = configOf(kubeconfig).getCurrentUser()?.token;
    if (token !== undefined) this.#tokens.add(token);
    return { kubeconfig, onLine: (line) => void this.#logs.push(JSON.stringify(line)) };
  }

  /** Everything that was seen until now. */
  async look(): Promise<History> {
    await this.#recorder.catchUp();
    return {
      versions: [...this.#recorder.versions],
      requests: [...((await this.#auditLog?.read()) ?? [])],
      operator: OPERATOR_USER,
      logs: [...this.#logs],
      metrics: [...this.#metrics],
      canaries: [
        ...this.#recorder.canaries,
        ...[...this.#tokens].map((value) => ({ value, from: "the operator's own token" })),
      ],
      endedAtMs: Date.now(),
    };
  }

  /** Reads an operator's metrics and stops it. */
  async end(operator: Running): Promise<void> {
    if (operator.pid !== undefined) this.#metrics.push(await scrapeMetrics(operator.pid).catch(() => ''));
    await operator.stop();
  }

  /** Ends the operators that still run, and answers with everything that was seen. */
  async close(...operators: Running[]): Promise<History> {
    try {
      for (const operator of operators) await this.end(operator);
      return await this.look();
    } finally {
      await this.#recorder.stop();
      await this.#client.close();
    }
  }
}

function configOf(path: string): KubeConfig {
  const config = new KubeConfig();
  config.loadFromFile(path);
  return config;
}

/**
 * Leaves the rights that were used for the check at the end of the run.
 *
 * **Fails when** an invariant was violated, with one line for each violation.
 */
export async function judge(history: History, limits: Partial<Limits> = {}): Promise<void> {
  await noteRights(await testFile(), usedRights(history));
  const violations = check(history, limits);
  if (violations.length > 0) throw new Error(report(history, violations));
}

/** The test file that runs; other programs have none. */
async function testFile(): Promise<string> {
  if (process.env['VITEST'] === undefined) return 'none';
  const { expect } = await import('vitest');
  return expect.getState().testPath ?? 'none';
}
