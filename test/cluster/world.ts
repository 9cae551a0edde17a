import {
  type Condition,
  type ConditionType,
  type QwenCoderDeployment,
  type QwenCoderSpecInput,
  condition,
} from '../../src/api/index.ts';
import type { KubeClient } from '../../src/kube/index.ts';
import {
  type KubeObject,
  Namespaces,
  PersistentVolumeClaims,
  Pods,
  type Resource,
  isNotFound,
} from '../../src/kube/index.ts';
import { CHILD_KINDS, Resources } from '../../src/reconcile/apply.ts';
import { RESOURCE } from '../../src/render/index.ts';
import { systemClock } from '../../src/runtime/index.ts';
import { AUDIT_RULES } from '../history/audit-log.ts';
import { Eye, judge } from '../history/eye.ts';
import { Simulator, type SimulatorOptions } from '../simulator/simulator.ts';
import { Cluster } from './cluster.ts';
import { OperatorProcess, installOperator } from './operator-process.ts';
import { unlimitedClient } from './unlimited-client.ts';

/** What a resource brings about, directly or through controllers. */
const OWNED_KINDS: readonly Resource[] = [...CHILD_KINDS, Pods];

export interface WorldOptions {
  /** GPU nodes; a CPU node for gateways comes with them. */
  readonly nodes: string;
  readonly simulator?: Omit<SimulatorOptions, 'kubeconfigPath'>;
  readonly operatorFlags?: readonly string[];
  readonly apiServerArgs?: readonly string[];
  /** What somebody else puts into the cluster before the operator starts. */
  readonly prepare?: (cluster: Cluster) => Promise<void>;
}

/** A cluster with simulated GPUs and a running operator: where cluster tests happen. Each test has a namespace of its own. */
export class World {
  readonly cluster: Cluster;
  readonly simulator: Simulator;
  /** As administrator. */
  readonly client: KubeClient;
  readonly #operatorKubeconfig: string;
  readonly #eye: Eye;
  readonly #flags: readonly string[];
  operator: OperatorProcess;
  #namespaces = 0;

  private constructor(
    cluster: Cluster,
    simulator: Simulator,
    client: KubeClient,
    operatorKubeconfig: string,
    eye: Eye,
    flags: readonly string[],
  ) {
    this.cluster = cluster;
    this.simulator = simulator;
    this.client = client;
    this.#operatorKubeconfig = operatorKubeconfig;
    this.#eye = eye;
    this.#flags = flags;
    this.operator = this.startOperator();
  }

  static async start({
    nodes,
    simulator,
    operatorFlags = [],
    apiServerArgs = [],
    prepare,
  }: WorldOptions): Promise<World> {
    const cluster = await Cluster.start({ nodes: `${nodes},CPU`, auditLog: AUDIT_RULES, apiServerArgs });
    await prepare?.(cluster);
    const client = unlimitedClient(cluster.kubeconfigPath, 'test');
    const kubeconfig = await installOperator(cluster);
    const world = new World(
      cluster,
      await Simulator.start({ kubeconfigPath: cluster.kubeconfigPath, directory: cluster.directory, ...simulator }),
      client,
      kubeconfig,
      await Eye.open(cluster),
      operatorFlags,
    );
    await world.operator.leads();
    return world;
  }

  /** One more operator process, with the same rights and the same Lease. */
  startOperator(flags: readonly string[] = []): OperatorProcess {
    const all = [...this.#flags, ...flags];
    return OperatorProcess.start({ ...this.#eye.on(this.#operatorKubeconfig), flags: all });
  }

  /** Ends the operator like a crash and starts it anew. Resolves when it leads. */
  async restartOperator(signal: 'SIGTERM' | 'SIGKILL' = 'SIGKILL', flags?: readonly string[]): Promise<void> {
    await this.operator.stop(signal);
    if (signal === 'SIGKILL') await this.forgetLease();
    this.operator = this.startOperator(flags);
    await this.operator.leads();
  }

  /** A killed leader's Lease runs out after 15 s; tests that do not ask how long a takeover takes need not wait for it. */
  async forgetLease(): Promise<void> {
    await this.cluster.kubectl([
      'delete',
      'lease',
      '-n',
      'qwen-coder-system',
      'qwen-coder-operator',
      '--ignore-not-found',
    ]);
  }

  async namespace(): Promise<string> {
    this.#namespaces += 1;
    const name = `test-${this.#namespaces}`;
    await this.client.create(Namespaces, { metadata: { name } });
    return name;
  }

  /** A volume that a user filled with the FP8 checkpoint. */
  async claimWithCheckpoint(namespace: string, name: string): Promise<void> {
    this.simulator.seedClaim(namespace, name, { repository: 'Qwen/Qwen3-Coder-Next-FP8', path: '' });
    await this.client.create(PersistentVolumeClaims, {
      metadata: { namespace, name },
      spec: { accessModes: ['ReadWriteMany'], resources: { requests: { storage: '100Gi' } } },
    });
  }

  /** Deletes every resource, so that the next test finds the GPUs free. */
  async clear(): Promise<void> {
    const { items } = await this.client.list(Resources);
    await Promise.all(
      items.map(({ metadata: { namespace, name } }) => this.client.delete(Resources, { namespace, name })),
    );
  }

  /** Creates or changes a resource as a user's `kubectl apply` would. */
  async apply(namespace: string, name: string, spec: QwenCoderSpecInput): Promise<QwenCoderDeployment> {
    return this.client.apply(Resources, { metadata: { namespace, name }, spec } as never, { fieldManager: 'user' });
  }

  async resource(namespace: string, name: string): Promise<QwenCoderDeployment | undefined> {
    return this.client.get(Resources, { namespace, name });
  }

  async remove(namespace: string, name: string): Promise<void> {
    await this.client.delete(Resources, { namespace, name });
  }

  /** Everything that is labelled as the resource's, pods included. */
  async children(namespace: string, name: string): Promise<KubeObject[]> {
    const lists = await Promise.all(
      OWNED_KINDS.map(async (resource) => {
        const labelSelector = `${RESOURCE}=${name}`;
        const { items } = await this.client.list(resource, { namespace, labelSelector }).catch((error: unknown) => {
          if (resource.mayBeAbsent === true && isNotFound(error)) return { items: [] };
          throw error;
        });
        return items.map((object): KubeObject => ({ ...object, kind: resource.kind }));
      }),
    );
    return lists.flat();
  }

  /** Waits until a condition holds and is about the present generation. */
  async condition(
    namespace: string,
    name: string,
    type: ConditionType,
    expected: { readonly status: Condition['status']; readonly reason?: string },
    within = 30_000,
  ): Promise<Condition> {
    return eventually(async () => {
      const resource = await this.resource(namespace, name);
      const found = resource?.status?.conditions?.find((condition) => condition.type === type);
      const isCurrent = found?.observedGeneration === resource?.metadata.generation;
      if (found && isCurrent && found.status === expected.status && (expected.reason ?? found.reason) === found.reason)
        return found;
      throw new Error(
        `${namespace}/${name} has ${type} ${found?.status}/${found?.reason} at generation ${found?.observedGeneration} of ${resource?.metadata.generation}, not ${expected.status}/${expected.reason ?? '*'}: ${found?.message}`,
      );
    }, within);
  }

  ready(namespace: string, name: string, within?: number): Promise<Condition> {
    return this.condition(namespace, name, 'Ready', { status: 'True' }, within);
  }

  /** Nothing is under way any more; the network has been probed, and where engines serve, they have been measured. */
  async settled(namespace: string, name: string): Promise<void> {
    await this.condition(namespace, name, 'Reconciling', { status: 'False' });
    await eventually(async () => {
      const conditions = (await this.resource(namespace, name))?.status?.conditions;
      const isServing = condition(conditions, 'Ready')?.status === 'True';
      if (isServing && condition(conditions, 'Tuned')?.reason === 'Trying')
        throw new Error(`${name} is not measured yet`);
      if (condition(conditions, 'NetworkLocked')?.reason === 'Probing') throw new Error(`${name} is not probed yet`);
    }, 30_000);
  }

  /** What a test sees changed by a write: kind/name → resourceVersion of everything of the resource, itself included. */
  async versions(namespace: string, name: string): Promise<Record<string, string>> {
    const objects: KubeObject[] = [
      ...(await this.children(namespace, name)),
      (await this.resource(namespace, name)) as unknown as KubeObject,
    ];
    return Object.fromEntries(
      objects.map(({ kind, metadata }) => [`${kind}/${metadata!.name}`, metadata!.resourceVersion!]),
    );
  }

  /** **Fails when** the operator violated an invariant at any time since the start. */
  async stop(): Promise<void> {
    const history = this.#eye.close(this.operator);
    await Promise.allSettled([history]);
    await this.simulator.stop();
    await this.client.close();
    await this.cluster.stop();
    await judge(await history);
  }
}

/** The first answer of `look` that is no error. **Fails with** the last error when time is up. */
export async function eventually<T>(look: () => Promise<T>, within = 30_000): Promise<T> {
  const deadline = performance.now() + within;
  for (;;) {
    try {
      return await look();
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
    await systemClock.sleep(50);
  }
}
