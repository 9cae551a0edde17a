import { KubeConfig } from '@kubernetes/client-node';
import {
  ApiError,
  ConfigMaps,
  ConnectionError,
  KubeClient,
  type KubeObject,
  type ListPage,
  Nodes,
  type ObjectKey,
  type Pod,
  Pods,
  type Resource,
  ResourceQuotas,
  isForbidden,
  isNotFound,
} from '../kube/index.ts';
import { UsageError } from '../options.ts';
import { CHILD_KINDS, Resources } from '../reconcile/apply.ts';
import type { PodFacts, QuotaFacts } from '../reconcile/facts.ts';
import { projectNode, projectPod, projectQuota } from '../reconcile/projections.ts';
import { RESOURCE } from '../render/labels.ts';
import { readCalibrations } from '../serving/index.ts';
import { systemClock } from '../runtime/clock.ts';
import { type Live, Snapshot } from './snapshot.ts';

/** Which cluster, as kubectl finds it. */
export interface Access {
  readonly kubeconfig: string | undefined;
  readonly context: string | undefined;
}

/** A cluster of a kubeconfig; nothing has been asked yet. */
export interface Cluster {
  /** Namespace of the context. */
  readonly namespace: string;
  /** Reads nodes, pods, and all that is asked for, at once. */
  readonly read: (wanted: Wanted) => Promise<Look>;
}

/** What is read besides nodes and pods. */
export interface Wanted {
  /** With their children. */
  readonly resources: readonly ResourceKey[];
  /** Those whose quotas count. */
  readonly namespaces: readonly string[];
  /** The ConfigMap of what engines measured. */
  readonly calibrations: ObjectKey;
}

/** What was read. */
export interface Look {
  readonly snapshot: Snapshot;
  /** What was left out, for people: one sentence each. */
  readonly notes: readonly string[];
}

export interface ResourceKey {
  readonly namespace: string;
  readonly name: string;
}

/** What the client library falls back to. */
const NO_KUBECONFIG = 'http://localhost:8080';

const REMEDY = 'or plan without a cluster: --gpus 8xH100-80GB';

/**
 * Fails when: the kubeconfig cannot be read, has no such context, or the cluster refuses or does not answer: a `UsageError` that says what
 * to do.
 */
export function openCluster(access: Access, userAgent: string): Cluster {
  const config = readConfig(access);
  return {
    namespace: config.getContextObject(config.getCurrentContext())?.namespace ?? 'default',
    read: async (wanted) => {
      await checkCredentials(config);
      const client = KubeClient.connect(config, { clock: systemClock, userAgent });
      try {
        return await look(client, wanted);
      } catch (error) {
        throw explained(error, config);
      } finally {
        await client.close();
      }
    },
  };
}

function readConfig({ kubeconfig, context }: Access): KubeConfig {
  const config = new KubeConfig();
  try {
    if (kubeconfig === undefined) config.loadFromDefault();
    else config.loadFromFile(kubeconfig);
  } catch (error) {
    const flag = kubeconfig === undefined ? 'the kubeconfig' : `--kubeconfig ${kubeconfig}`;
    throw new UsageError(`${flag}: ${(error as Error).message}; name one that can be read, ${REMEDY}`, {
      cause: error,
    });
  }
  if (context !== undefined) {
    const names = config.getContexts().map(({ name }) => name);
    if (!names.includes(context)) {
      throw new UsageError(`--context ${context}: the kubeconfig has ${names.join(', ') || 'none'}; name one of these`);
    }
    config.setCurrentContext(context);
  }
  const server = config.getCurrentCluster()?.server;
  if (server === undefined) {
    throw new UsageError(`the kubeconfig names no current cluster; choose one with --context, ${REMEDY}`);
  }
  if (server === NO_KUBECONFIG) {
    throw new UsageError(
      `there is no kubeconfig in KUBECONFIG or ~/.kube/config; name one with --kubeconfig, ${REMEDY}`,
    );
  }
  return config;
}

/** Reads certificates and asks credential plugins: what fails here is a matter of the kubeconfig. */
async function checkCredentials(config: KubeConfig): Promise<void> {
  try {
    await config.applyToHTTPSOptions({});
  } catch (error) {
    const context = config.getCurrentContext();
    throw new UsageError(
      `the kubeconfig's context ${context}: ${(error as Error).message}; choose one that works with --context, ${REMEDY}`,
      { cause: error },
    );
  }
}

async function look(client: KubeClient, { resources, namespaces, calibrations }: Wanted): Promise<Look> {
  const [nodes, pods, live, quotas, measured] = await Promise.all([
    client.list(Nodes),
    projectedPods(client),
    Promise.all(resources.map(async (key) => [`${key.namespace}/${key.name}`, await readLive(client, key)] as const)),
    Promise.all(
      [...new Set(namespaces)].map(async (namespace) => ({ namespace, found: await readQuotas(client, namespace) })),
    ),
    unlessForbidden(client.get(ConfigMaps, calibrations).then((object) => object ?? 'Missing')),
  ]);
  const snapshot = new Snapshot({
    nodes: nodes.items.map(projectNode),
    pods,
    live: new Map(live),
    quotas: quotas.flatMap(({ found }) => found ?? []),
    calibrations: readCalibrations(typeof measured === 'object' ? measured.data : undefined),
  });
  const notes = quotas
    .filter(({ found }) => found === undefined)
    .map(
      ({ namespace }) =>
        `The ResourceQuotas of namespace ${namespace} may not be listed: planned without them; ask for that right to have them obeyed.`,
    );
  const configMap = `ConfigMap ${calibrations.namespace}/${calibrations.name}`;
  if (measured === undefined) {
    notes.push(
      `${configMap} may not be read: planned by estimates where the operator may know what engines measured; ask for that right to have the same plan.`,
    );
  } else if (measured === 'Missing') {
    notes.push(
      `No measurements of engines were found: there is no ${configMap}, so the plan goes by estimates; where the operator is elsewhere, say so with --lease-namespace and --lease-name.`,
    );
  }
  return { snapshot, notes };
}

const readQuotas = (client: KubeClient, namespace: string): Promise<QuotaFacts[] | undefined> =>
  unlessForbidden(client.list(ResourceQuotas, { namespace }).then(({ items }) => items.map(projectQuota)));

/** Undefined where it may not be read: many who plan may not, and a plan without it is better than none. */
async function unlessForbidden<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (isForbidden(error)) return undefined;
    throw error;
  }
}

/** Page by page, so that no more than one page of whole pods is held. */
async function projectedPods(client: KubeClient): Promise<PodFacts[]> {
  const pods: PodFacts[] = [];
  let page: ListPage<Pod> | undefined;
  do {
    page = await client.listPage(Pods, {}, page?.continueToken);
    pods.push(...page.items.map(projectPod));
  } while (page.continueToken !== undefined);
  return pods;
}

async function readLive(client: KubeClient, key: ResourceKey): Promise<Live> {
  const [resource, ...children] = await Promise.all([
    client.get(Resources, key),
    ...CHILD_KINDS.map((kind) => listChildren(client, kind, key)),
  ]);
  return { resource, children: children.flat() };
}

async function listChildren(
  client: KubeClient,
  kind: Resource,
  { namespace, name }: ResourceKey,
): Promise<KubeObject[]> {
  try {
    const { items } = await client.list<KubeObject>(kind, { namespace, labelSelector: `${RESOURCE}=${name}` });
    return items;
  } catch (error) {
    if (kind.mayBeAbsent === true && isNotFound(error)) return [];
    throw error;
  }
}

/** What a user can do about an answer that is none. */
function explained(error: unknown, config: KubeConfig): unknown {
  if (isForbidden(error)) {
    return new UsageError(
      `${error.message}; ask for the right to list nodes, pods of all namespaces and the resource with its children, ${REMEDY}`,
      { cause: error },
    );
  }
  if (!(error instanceof ApiError || error instanceof ConnectionError)) return error;
  const server = config.getCurrentCluster()!.server;
  return new UsageError(`${server}: ${error.message}; choose a cluster with --kubeconfig and --context, ${REMEDY}`, {
    cause: error,
  });
}
