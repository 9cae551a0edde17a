import { kwokAnnotation } from '../../cluster/kwok.ts';
import type { KubeClient } from '../../../src/kube/client.ts';
import {
  ConfigMaps,
  NetworkPolicies,
  Nodes,
  PersistentVolumeClaims,
  PersistentVolumes,
  Pods,
  pathOf,
  Secrets,
  Services,
} from '../../../src/kube/resources.ts';
import type { Node, Pod } from '../../../src/kube/wire.ts';
import { NameServer } from '../name-server.ts';
import { Watched } from '../watched.ts';
import type { VllmProcess } from '../vllm/process.ts';
import type { ContainerLog } from './container-log.ts';
import { type ReadValue, serviceLinks } from './environment.ts';
import { GpuDevices } from './gpus.ts';
import { mayTalk } from './network-rules.ts';
import { PodWorker, type PodWorld } from './pod-worker.ts';

/** What the kubelet is given from outside. */
export type KubeletOptions = Pick<
  PodWorld,
  | 'clock'
  | 'addresses'
  | 'pull'
  | 'image'
  | 'faultOf'
  | 'engine'
  | 'hubUrl'
  | 'compileCache'
  | 'apiServer'
  | 'defaultVersion'
  | 'directory'
> & { readonly client: KubeClient; readonly enforcesNetworkPolicies: boolean };

/** An engine that runs in a pod. */
export interface RunningEngine {
  readonly pod: Pod;
  readonly podIP: string;
  readonly process: VllmProcess;
}

/** Events of one kind about one pod are written at most this often. */
const EVENT_PAUSE_MS = 10_000;

/**
 * The kubelets of all KWOK nodes in one: runs the pods that the scheduler bound to them and is the only writer of their status.
 *
 * Guarantees: pods of other nodes are never touched. Assumes that it is alone: two of them would fight.
 */
export class Kubelet {
  readonly #options: KubeletOptions;
  readonly #stop = new AbortController();
  readonly #workers = new Map<string, PodWorker>();
  readonly #devices = new GpuDevices();
  readonly #lastEvents = new Map<string, number>();
  /** Set once the server said that it does not know KWOK's kinds. */
  #canAnnounce = true;
  #world!: PodWorld;
  #nodes!: Watched<Node>;
  #pods!: Watched<Pod>;
  #names!: NameServer;

  private constructor(options: KubeletOptions) {
    this.#options = options;
  }

  static async start(options: KubeletOptions): Promise<Kubelet> {
    const kubelet = new Kubelet(options);
    await kubelet.#start();
    return kubelet;
  }

  async #start(): Promise<void> {
    const { client } = this.#options;
    const { signal } = this.#stop;
    const [nodes, claims, volumes] = await Promise.all([
      // A node may appear after the pods that were bound to it.
      Watched.start(client, Nodes, signal, {
        onChange: ({ metadata }) => this.#lookAtPodsOf(metadata?.name),
        onDelete: ({ metadata }) => this.#lose(metadata?.name),
      }),
      Watched.start(client, PersistentVolumeClaims, signal),
      Watched.start(client, PersistentVolumes, signal),
    ]);
    this.#nodes = nodes;
    this.#names = await NameServer.start((namespace, service) => this.#readyBehind(namespace, service));
    this.#world = {
      ...this.#options,
      nameServer: this.#names.url,
      mayTalk: (pod) => this.#mayTalk(pod),
      devices: this.#devices,
      node: (name) => nodes.get(undefined, name),
      claim: (namespace, name) => claims.get(namespace, name),
      persistentVolume: (name) => volumes.get(undefined, name),
      read: (namespace, ...rest) => this.#read(namespace, ...rest),
      serviceLinks: (namespace) => this.#serviceLinks(namespace),
      writeStatus: (pod, status) => this.#writeStatus(pod, status),
      remove: (pod) => this.#remove(pod),
      announce: (pod, logs, podIP) => this.#announce(pod, logs, podIP),
      event: (pod, type, reason, message) => this.#event(pod, type, reason, message),
    };
    this.#pods = await Watched.start(client, Pods, signal, {
      onChange: (pod) => this.#look(pod),
      onDelete: (pod) => this.#forget(pod),
    });
  }

  /** The engines that run, in no order. */
  engines(): RunningEngine[] {
    return [...this.#workers.values()].flatMap((worker) =>
      worker.engines.map((process) => ({ pod: worker.pod, podIP: worker.podIP ?? '', process })),
    );
  }

  /** Ends matching pods as when the node runs short. */
  evict(selector: (pod: Pod) => boolean, message: string): void {
    for (const worker of this.#workers.values()) if (selector(worker.pod)) worker.evict(message);
  }

  /** Ends every container; the objects stay as they are. */
  async stop(): Promise<void> {
    this.#stop.abort(new Error('simulator stops'));
    await Promise.all([...this.#workers.values()].map((worker) => worker.abandon()));
    this.#workers.clear();
    this.#names.stop();
  }

  #lookAtPodsOf(node: string | undefined): void {
    for (const pod of this.#pods?.values() ?? []) if (pod.spec?.nodeName === node) this.#look(pod);
  }

  /** A machine that is gone takes its containers with it and reports nothing; its pods are left to the control plane. */
  #lose(node: string | undefined): void {
    for (const worker of this.#workers.values()) if (worker.pod.spec?.nodeName === node) void worker.abandon();
  }

  #look(pod: Pod): void {
    const uid = pod.metadata?.uid ?? '';
    const known = this.#workers.get(uid);
    if (known) {
      known.update(pod);
      return;
    }
    const node = this.#nodes.get(undefined, pod.spec?.nodeName ?? '');
    if (node?.metadata?.annotations?.[kwokAnnotation.key] !== kwokAnnotation.value) return;
    const isOver = pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
    if (isOver || pod.metadata?.deletionTimestamp !== undefined) {
      // Nothing runs here that would have to end first.
      if (pod.metadata?.deletionTimestamp !== undefined) void this.#remove(pod);
      return;
    }
    const worker = new PodWorker(pod, this.#world);
    this.#workers.set(uid, worker);
    worker.run().catch((error: unknown) => this.#event(pod, 'Warning', 'FailedSync', String(error)));
  }

  #forget(pod: Pod): void {
    const uid = pod.metadata?.uid ?? '';
    const worker = this.#workers.get(uid);
    this.#workers.delete(uid);
    void worker?.abandon();
    if (!worker || !this.#canAnnounce) return;
    for (const path of kwokPaths(pod)) void this.#send('delete', path).catch(() => undefined); // The collector has it otherwise.
  }

  async #writeStatus(pod: Pod, status: object): Promise<void> {
    // As the kubelet does: conditions of others stay, and a new pod of the same name is not meant.
    await this.#options.client.transport.send({
      verb: 'patch',
      about: `pods/status ${pod.metadata?.namespace}/${pod.metadata?.name}`,
      resource: 'pods/status',
      path: pathOf(Pods, { namespace: pod.metadata?.namespace, name: pod.metadata?.name ?? '', subresource: 'status' }),
      body: { metadata: { uid: pod.metadata?.uid }, status },
      contentType: 'application/strategic-merge-patch+json',
      signal: this.#stop.signal,
    });
  }

  async #remove(pod: Pod): Promise<void> {
    const { namespace, name = '', uid } = pod.metadata ?? {};
    const key = { ...(namespace !== undefined && { namespace }), name };
    while (!this.#stop.signal.aborted) {
      try {
        await this.#options.client.delete(Pods, key, { uid, gracePeriodSeconds: 0, signal: this.#stop.signal });
        return;
      } catch (error) {
        if ((error as { code?: unknown }).code === 409) return;
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    }
  }

  async #read(namespace: string, ...[kind, name]: Parameters<ReadValue>): ReturnType<ReadValue> {
    const { client } = this.#options;
    if (kind === 'ConfigMap') return (await client.get(ConfigMaps, { namespace, name }))?.data;
    const secret = await client.get(Secrets, { namespace, name });
    if (!secret) return undefined;
    return Object.fromEntries(
      Object.entries(secret.data ?? {}).map(([key, value]) => [key, Buffer.from(value, 'base64').toString('utf8')]),
    );
  }

  async #serviceLinks(namespace: string): Promise<Record<string, string>> {
    const { items } = await this.#options.client.list(Services, { namespace });
    return serviceLinks(
      items.map(({ metadata, spec }) => ({
        name: metadata?.name ?? '',
        clusterIP: spec?.clusterIP ?? '',
        ports: (spec?.ports ?? []).map(({ name, port, protocol }) => ({
          port,
          ...(name !== undefined && { name }),
          ...(protocol !== undefined && { protocol }),
        })),
      })),
    );
  }

  async #mayTalk(pod: Pod): Promise<boolean> {
    const { client, enforcesNetworkPolicies } = this.#options;
    if (!enforcesNetworkPolicies) return true;
    const { items } = await client.list(NetworkPolicies, { namespace: pod.metadata?.namespace });
    return mayTalk(pod, items);
  }

  async #readyBehind(namespace: string, name: string): Promise<string[]> {
    const service = await this.#options.client.get(Services, { namespace, name });
    const selector = Object.entries(service?.spec?.selector ?? {});
    const isReady = ({ metadata, status }: Pod): boolean =>
      metadata?.namespace === namespace &&
      metadata.deletionTimestamp === undefined &&
      selector.every(([key, value]) => metadata.labels?.[key] === value) &&
      (status?.conditions ?? []).some(({ type, status: is }) => type === 'Ready' && is === 'True');
    if (selector.length === 0) return [];
    return this.#pods
      .values()
      .filter(isReady)
      .flatMap(({ status }) => status?.podIP ?? []);
  }

  async #announce(pod: Pod, logs: readonly { container: string; log: ContainerLog }[], podIP: string): Promise<void> {
    if (!this.#canAnnounce) return;
    const { name, namespace, uid } = pod.metadata ?? {};
    const metadata = { name, namespace, ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name, uid }] };
    const ports = (pod.spec?.containers ?? []).flatMap((container) =>
      (container.ports ?? []).map(({ containerPort }) => containerPort),
    );
    const [logsPath, forwardPath] = kwokPaths(pod) as [string, string];
    const logsOf = logs.map(({ container, log }) => ({
      containers: [container],
      logsFile: log.currentPath,
      previousLogsFile: log.previousPath,
      follow: true,
    }));
    const forwards = ports.map((port) => ({ ports: [port], target: { port, address: podIP } }));
    await this.#applyKwok(logsPath, { kind: 'Logs', metadata, spec: { logs: logsOf } });
    if (ports.length > 0) await this.#applyKwok(forwardPath, { kind: 'PortForward', metadata, spec: { forwards } });
  }

  async #applyKwok(path: string, object: object): Promise<void> {
    try {
      const body = { apiVersion: 'kwok.x-k8s.io/v1alpha1', ...object };
      await this.#send('apply', `${path}?fieldManager=simulator&force=true`, body);
    } catch (error) {
      // A cluster whose KWOK serves no logs does without; any other failure costs this pod its logs and nothing else.
      if ((error as { code?: unknown }).code === 404) this.#canAnnounce = false;
    }
  }

  #send(verb: 'apply' | 'delete', path: string, body?: object): Promise<string> {
    const contentType = verb === 'apply' ? 'application/apply-patch+yaml' : 'application/json';
    return this.#options.client.transport.send({
      verb,
      about: path,
      resource: 'kwok.x-k8s.io',
      path,
      contentType,
      ...(body && { body }),
      signal: this.#stop.signal,
    });
  }

  #event(pod: Pod, type: 'Normal' | 'Warning', reason: string, message: string): void {
    const { namespace, name, uid } = pod.metadata ?? {};
    const key = `${uid}/${reason}/${reason === 'Unhealthy' ? message.split(' ')[0] : ''}`;
    const now = this.#options.clock.monotonic();
    const last = this.#lastEvents.get(key);
    if (last !== undefined && now - last < EVENT_PAUSE_MS && reason !== 'Started' && reason !== 'Killing') return;
    this.#lastEvents.set(key, now);
    if (this.#lastEvents.size > 10_000) this.#lastEvents.clear();
    const stamp = new Date().toISOString();
    const body = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { generateName: `${name}.`, namespace },
      involvedObject: { apiVersion: 'v1', kind: 'Pod', name, namespace, uid },
      reason,
      message: message.slice(0, 1000),
      type,
      source: { component: 'kubelet', host: pod.spec?.nodeName },
      firstTimestamp: stamp,
      lastTimestamp: stamp,
      count: 1,
    };
    const path = `/api/v1/namespaces/${namespace}/events`;
    const request = {
      verb: 'create',
      about: path,
      resource: 'events',
      path,
      body,
      contentType: 'application/json',
      signal: this.#stop.signal,
    } as const;
    // Events are best effort, of a kubelet too.
    this.#options.client.transport.send(request).catch(() => undefined);
  }
}

function kwokPaths(pod: Pod): string[] {
  const base = `/apis/kwok.x-k8s.io/v1alpha1/namespaces/${pod.metadata?.namespace}`;
  return [`${base}/logs/${pod.metadata?.name}`, `${base}/portforwards/${pod.metadata?.name}`];
}
