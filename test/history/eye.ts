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

/** The operator's process, as long as it runs. */
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
  readonly #token: string | undefined;
  readonly #logs: string[] = [];
  readonly #metrics: string[] = [];

  private constructor(
    client: KubeClient,
    recorder: Recorder,
    auditLog: AuditLog | undefined,
    token: string | undefined,
  ) {
    this.#client = client;
    this.#recorder = recorder;
    this.#auditLog = auditLog;
    this.#token = token;
  }

  /** Resolves when everything that happens from now on is seen. The operator's kubeconfig holds the first secret that it may not show. */
  static async open({ kubeconfigPath, auditLogPath }: Watched, operatorKubeconfig: string): Promise<Eye> {
    const client = unlimitedClient(kubeconfigPath, 'recorder');
    const auditLog = auditLogPath === undefined ? undefined : await AuditLog.open(auditLogPath, OPERATOR_USER);
    const token = configOf(operatorKubeconfig).getCurrentUser()?.token;
    return new Eye(client, await Recorder.start(client), auditLog, token);
  }

  /** Takes a line of the operator's log. */
  readonly log = (line: object): void => {
    this.#logs.push(JSON.stringify(line));
  };

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
        ...(this.#token === undefined ? [] : [{ value: this.#token, from: "the operator's own token" }]),
      ],
      endedAtMs: Date.now(),
    };
  }

  /** Reads the operator's metrics, stops it, and answers with everything that was seen. */
  async close(operator: Running): Promise<History> {
    try {
      if (operator.pid !== undefined) this.#metrics.push(await scrapeMetrics(operator.pid).catch(() => ''));
      await operator.stop();
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
