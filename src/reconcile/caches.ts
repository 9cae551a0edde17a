import type { QwenCoderDeployment } from '../api/index.ts';
import {
  Informer,
  type KubeClient,
  type KubeObject,
  Nodes,
  Pods,
  ResourceQuotas,
  SharedParts,
  apiVersionOf,
} from '../kube/index.ts';
import { MANAGED_SELECTOR, RESOURCE } from '../render/index.ts';
import { CHILD_KINDS, Resources, type Written } from './apply.ts';
import type { NodeFacts, PodFacts, QuotaFacts } from './facts.ts';
import { GpuInventory } from './inventory.ts';
import type { Scraped, Watched } from './metrics.ts';
import { type LiveChild, abridged } from './live-child.ts';
import { type Caches, replicaFailure } from './observe.ts';
import { projectNode, projectPod, projectQuota } from './projections.ts';
import { isSame } from './same.ts';

type Priority = 'high' | 'low';

export interface CachesOptions {
  readonly client: KubeClient;
  /** All namespaces when absent. */
  readonly namespaces: readonly string[] | undefined;
  /** Asks for a reconcile of a resource. */
  readonly enqueue: (key: string, priority: Priority) => void;
  /** Told of what a watch survived. */
  readonly onError: (error: unknown, kind: string) => void;
}

const BY_RESOURCE = 'resource';
const BY_NAMESPACE = 'namespace';

type Listed = QwenCoderDeployment & KubeObject;

/** A change as an informer tells it. Cached objects are shared by all readers; from here on nobody writes to them. */
interface Seen<T> {
  readonly type: 'add' | 'update' | 'delete';
  readonly object: T;
  readonly previous?: T;
}

/** What the operator remembers of the cluster, and which change of it asks for which reconcile. */
export class InformerCaches implements Caches, Written, Scraped {
  readonly inventory = new GpuInventory();
  readonly #options: CachesOptions;
  readonly #resources: Informer<Listed>;
  readonly #children: ReadonlyMap<string, Informer<KubeObject, LiveChild>>;
  readonly #pods: Informer<KubeObject, PodFacts>;
  readonly #nodes: Informer<KubeObject, NodeFacts>;
  readonly #quotas: Informer<KubeObject, QuotaFacts>;
  #hasSynced = false;

  constructor(options: CachesOptions) {
    this.#options = options;
    const { client, namespaces, onError } = options;
    const shared = (kind: string) => ({ client, onError: (error: unknown) => onError(error, kind) });
    // Ten thousand children of a thousand resources differ in their names and little else.
    const parts = new SharedParts();
    this.#resources = new Informer({
      ...shared(Resources.kind),
      namespaces,
      resource: Resources,
      project: (raw) => parts.share(raw),
      indexBy: { [BY_NAMESPACE]: namespaceOf },
      onChange: (change) => this.#resourceChanged(change as unknown as Seen<Listed>),
    });
    this.#children = new Map(
      CHILD_KINDS.map((resource) => [
        resource.kind,
        new Informer<KubeObject, LiveChild>({
          ...shared(resource.kind),
          namespaces,
          resource: resource,
          labelSelector: MANAGED_SELECTOR,
          // Items of a list come without their kind.
          project: (raw, held) =>
            parts.share(
              asHeld(
                { ...raw, kind: resource.kind, apiVersion: apiVersionOf(resource) },
                held as LiveChild | undefined,
              ),
            ),
          indexBy: { [BY_RESOURCE]: resourceOf },
          onChange: (change) => this.#childChanged(change as Seen<LiveChild>),
        }),
      ]),
    );
    // Every pod of the cluster: a GPU held by a stranger is as taken as one of ours.
    this.#pods = new Informer<KubeObject, PodFacts>({
      ...shared(Pods.kind),
      resource: Pods,
      project: (raw) => parts.share(projectPod(raw)),
      indexBy: { [BY_RESOURCE]: resourceOf },
      onChange: (change) => this.#podChanged(change as unknown as Seen<PodFacts>),
    });
    this.#nodes = new Informer<KubeObject, NodeFacts>({
      ...shared(Nodes.kind),
      resource: Nodes,
      project: (raw) => parts.share(projectNode(raw)),
      onChange: (change) => this.#nodeChanged(change as unknown as Seen<NodeFacts>),
    });
    this.#quotas = new Informer<KubeObject, QuotaFacts>({
      ...shared(ResourceQuotas.kind),
      namespaces,
      resource: ResourceQuotas,
      project: projectQuota,
      indexBy: { [BY_NAMESPACE]: namespaceOf },
      onChange: (change) => this.#quotaChanged(change as unknown as Seen<QuotaFacts>),
    });
  }

  /** Starts every informer and resolves when all have synced. */
  async start(signal: AbortSignal): Promise<void> {
    for (const informer of this.#all()) informer.start(signal);
    await Promise.all(this.#all().map((informer) => informer.whenSynced(signal)));
    this.#hasSynced = true;
    // Facts about nodes and pods that arrived before a resource did are complete only now.
    this.#enqueueAll();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#all().map((informer) => informer.stop()));
  }

  /** Milliseconds since the quietest stream was last heard of. */
  get staleForMs(): number {
    return Math.max(...this.#all().map((informer) => informer.staleForMs));
  }

  /** Every resource. */
  resources(): QwenCoderDeployment[] {
    return this.#resources.list() as QwenCoderDeployment[];
  }

  /** How the cache of each kind stands. */
  watches(): Watched[] {
    return this.#all().map(({ resource: { kind }, size, staleForMs }) => ({
      kind,
      objects: size,
      silentMs: staleForMs,
    }));
  }

  resource(key: string): QwenCoderDeployment | undefined {
    const [namespace, name] = key.split('/');
    return this.#resources.get({ namespace: namespace!, name: name! }) as QwenCoderDeployment | undefined;
  }

  children(key: string): LiveChild[] {
    return [...this.#children.values()].flatMap((informer) => informer.byIndex(BY_RESOURCE, key) as LiveChild[]);
  }

  /** Forgets of children that hold their rendering what nobody reads any more: nine tenths of all that would be held. */
  matched(matches: readonly LiveChild[]): void {
    for (const child of matches) {
      const { namespace, name, resourceVersion } = child.metadata!;
      const key = { namespace: namespace!, name: name! };
      this.#children.get(child.kind!)!.exchange(key, resourceVersion!, abridged(child));
    }
  }

  pods(key: string): PodFacts[] {
    return this.#pods.byIndex(BY_RESOURCE, key) as PodFacts[];
  }

  quotas(namespace: string): QuotaFacts[] {
    return this.#quotas.byIndex(BY_NAMESPACE, namespace) as QuotaFacts[];
  }

  applied(object: KubeObject): void {
    const informer = object.kind === Resources.kind ? this.#resources : this.#children.get(object.kind!)!;
    (informer as Informer<KubeObject>).observe(object);
  }

  deleted({ kind, metadata }: KubeObject): void {
    this.#children.get(kind!)!.forget({ namespace: metadata!.namespace!, name: metadata!.name! }, metadata!.uid!);
  }

  #all(): Informer<never, unknown>[] {
    return [this.#resources, ...this.#children.values(), this.#pods, this.#nodes, this.#quotas] as unknown as Informer<
      never,
      unknown
    >[];
  }

  #enqueueAll(): void {
    for (const resource of this.#resources.list()) this.#options.enqueue(keyOf(resource as Listed), 'low');
  }

  #resourceChanged({ type, object, previous }: Seen<Listed>): void {
    if (type === 'update' && !isSpecChange(object, previous!) && hasStatus(object)) return;
    this.#options.enqueue(keyOf(object), this.#hasSynced ? 'high' : 'low');
  }

  #childChanged({ type, object, previous }: Seen<KubeObject>): void {
    if (type === 'update' && !isSpecChange(object, previous!) && !isStatusChange(object, previous!)) return;
    this.#enqueueOwner(object);
  }

  #podChanged({ type, object, previous }: Seen<PodFacts>): void {
    const before = type === 'add' ? undefined : previous;
    const after = type === 'delete' ? undefined : object;
    this.inventory.movePod(before, after);
    if (before && after && isSameButVersion(before, after)) return;
    this.#enqueueOwner(object);
  }

  #nodeChanged({ type, object, previous }: Seen<NodeFacts>): void {
    if (type === 'delete') this.inventory.removeNode(object.metadata.name!);
    else this.inventory.setNode(object);
    if (type === 'update' && isSameButVersion(object, previous!)) return;
    const hasGpus = [object, previous].some((node) => Object.keys(node?.allocatable ?? {}).length > 0);
    if (this.#hasSynced && hasGpus) this.#enqueueAll();
  }

  /** A quota of its namespace decides what of a resource can be planned. */
  #quotaChanged({ type, object, previous }: Seen<QuotaFacts>): void {
    if (!this.#hasSynced || (type === 'update' && isSameButVersion(object, previous!))) return;
    for (const resource of this.#resources.byIndex(BY_NAMESPACE, object.metadata.namespace!))
      this.#options.enqueue(keyOf(resource as Listed), 'high');
  }

  #enqueueOwner(object: KubeObject): void {
    const key = resourceOf(object)[0];
    if (key !== undefined) this.#options.enqueue(key, this.#hasSynced ? 'high' : 'low');
  }
}

const keyOf = ({ metadata }: KubeObject): string => `${metadata!.namespace}/${metadata!.name}`;

const namespaceOf = ({ metadata }: Labelled): string[] => [metadata!.namespace!];

/** The key of the resource that an object is labelled as a part of. */
function resourceOf({ metadata }: Labelled): string[] {
  const name = metadata?.labels?.[RESOURCE];
  return name === undefined ? [] : [`${metadata!.namespace}/${name}`];
}

interface Labelled {
  readonly metadata?: { readonly namespace?: string; readonly labels?: Readonly<Record<string, string>> };
}

/** A child whose status alone changed still holds its rendering. */
const asHeld = (child: KubeObject, held: LiveChild | undefined): LiveChild =>
  held?.isAbridged && !isSpecChange(child, held) ? abridged(child) : child;

/** Whether anything but the status changed. Kinds without a generation have no status to speak of. */
function isSpecChange(object: KubeObject, previous: KubeObject): boolean {
  const after = object.metadata!;
  const before = previous.metadata!;
  return (
    after.generation === undefined ||
    after.generation !== before.generation ||
    after.uid !== before.uid ||
    after.deletionTimestamp !== before.deletionTimestamp ||
    !isSame(after.labels, before.labels) ||
    !isSame(after.annotations, before.annotations) ||
    !isSame(after.ownerReferences, before.ownerReferences)
  );
}

/** Whether something changed of what is read of a status. */
function isStatusChange(object: KubeObject, previous: KubeObject): boolean {
  if (object.kind === 'Job' || object.kind === 'HTTPRoute') return true;
  return object.kind === 'Deployment' && replicaFailure(object) !== replicaFailure(previous);
}

/** Whether the status is one that we wrote: a status that somebody wiped asks for a new one. */
const hasStatus = ({ metadata, status }: QwenCoderDeployment): boolean =>
  status?.observedGeneration === metadata.generation && (status.conditions?.length ?? 0) > 0;

/** Equal but for the version. */
const isSameButVersion = (a: KubeObject, b: KubeObject): boolean =>
  isSame(
    { ...a, metadata: { ...a.metadata, resourceVersion: '' } },
    { ...b, metadata: { ...b.metadata, resourceVersion: '' } },
  );
