import {
  ControllerRevisions,
  Deployments,
  Events,
  Ingresses,
  Jobs,
  type KubeClient,
  Leases,
  NetworkPolicies,
  Nodes,
  PersistentVolumeClaims,
  PodDisruptionBudgets,
  Pods,
  ReplicaSets,
  type Resource,
  Secrets,
  ServiceAccounts,
  Services,
  customResource,
  isGone,
} from '../../src/kube/index.ts';
import { GROUP, KIND, PLURAL, VERSION } from '../../src/api/index.ts';
import { canonicalJson } from '../../src/render/digest.ts';
import { canariesOf } from './canaries.ts';
import type { Canary, SeenObject, Version } from './history.ts';
import { trim } from './trim.ts';

const RECORDED: readonly Resource[] = [
  customResource(GROUP, VERSION, KIND, PLURAL),
  ControllerRevisions,
  Deployments,
  Events,
  Ingresses,
  Jobs,
  Leases,
  NetworkPolicies,
  Nodes,
  PersistentVolumeClaims,
  PodDisruptionBudgets,
  Pods,
  ReplicaSets,
  ServiceAccounts,
  Services,
];

/** Heartbeats of nodes: hundreds of versions that say nothing. */
const NODE_LEASES = 'kube-node-lease';

const RECONNECT_MS = 50;
const CATCH_UP_MS = 20_000;

/**
 * Writes down every version of every object that an operator touches or looks at, on watch connections of its own. It has no cache to
 * be wrong and forgets nothing: an invariant can be checked of each state, not of the last one only.
 *
 * **Fails when** a change was lost, because its version was compacted away before a broken stream was resumed: then `catchUp` rejects.
 */
export class Recorder {
  readonly versions: Version[] = [];
  readonly #canaries = new Map<string, Canary>();
  readonly #client: KubeClient;
  readonly #stopping = new AbortController();
  /** UID → what is true now. */
  readonly #live = new Map<string, SeenObject>();
  #streams: Promise<void>[] = [];
  #failure: Error | undefined;

  private constructor(client: KubeClient) {
    this.#client = client;
  }

  /** Resolves when everything that exists is recorded. The client must be an administrator's; it stays the caller's. */
  static async start(client: KubeClient): Promise<Recorder> {
    const recorder = new Recorder(client);
    const synced = [...RECORDED, Secrets as Resource].map((resource) => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      recorder.#streams.push(
        recorder.#record(resource, resolve).catch((error: unknown) => {
          recorder.#failure ??= new Error(`the recorder lost ${resource.plural}`, { cause: error });
          reject(recorder.#failure);
        }),
      );
      return promise;
    });
    await Promise.all(synced);
    return recorder;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#streams);
  }

  async #record(resource: Resource, onSynced: () => void): Promise<void> {
    const { signal } = this.#stopping;
    let from: string | undefined;
    while (!signal.aborted) {
      try {
        from ??= await this.#takeAll(resource, signal);
        onSynced();
        for await (const event of await this.#client.watch(resource, { resourceVersion: from, signal })) {
          if (event.type === 'BOOKMARK') {
            from = event.resourceVersion;
          } else {
            from = event.object.metadata!.resourceVersion!;
            this.#take(resource, event.type, event.object);
          }
        }
      } catch (error) {
        if (signal.aborted) return;
        if (from !== undefined && isGone(error)) throw error;
        await this.#client.clock.sleep(RECONNECT_MS, signal).catch(() => undefined);
      }
    }
  }

  /** Records what exists, and answers with the version that this is the state of. */
  async #takeAll(resource: Resource, signal: AbortSignal): Promise<string> {
    const { items, resourceVersion } = await this.#client.list(resource, { signal });
    for (const object of items) this.#take(resource, 'ADDED', object);
    return resourceVersion;
  }

  #take(resource: Resource, type: Version['type'], raw: object): void {
    if (resource.kind === 'Secret') {
      this.#hide(canariesOf('Secret', raw));
      return;
    }
    const object = trim(resource.kind, raw);
    if (object.kind === 'Lease' && object.metadata.namespace === NODE_LEASES) return;
    const known = this.#live.get(object.metadata.uid);
    if (type === 'DELETED') this.#live.delete(object.metadata.uid);
    else this.#live.set(object.metadata.uid, object);
    if (known !== undefined && type !== 'DELETED' && isSame(known, object)) return;
    this.#hide(canariesOf(object.kind, object));
    this.versions.push({ atMs: Date.now(), type, object });
  }

  /** Values of Secrets, and of variables that look like ones. */
  get canaries(): readonly Canary[] {
    return [...this.#canaries.values()];
  }

  #hide(canaries: readonly Canary[]): void {
    for (const canary of canaries) this.#canaries.set(canary.value, canary);
  }

  /** Resolves when everything that has happened is written down: the API server's own lists hold nothing that was not seen. */
  async catchUp(): Promise<void> {
    const deadline = performance.now() + CATCH_UP_MS;
    for (const resource of RECORDED) {
      const { items, resourceVersion } = await this.#client.list(resource);
      const listed = items
        .filter(({ metadata }) => !(resource.kind === 'Lease' && metadata!.namespace === NODE_LEASES))
        .map(({ metadata }) => ({ uid: metadata!.uid!, revision: Number(metadata!.resourceVersion) }));
      while (!this.#failure && !this.#hasAll(resource.kind, listed, Number(resourceVersion))) {
        if (performance.now() > deadline) throw new Error(`the recorder is behind on ${resource.plural}`);
        await this.#client.clock.sleep(20);
      }
    }
    if (this.#failure) throw this.#failure;
  }

  /** Whether each object of a list was seen at that version or a later one, and each that the list lacks was seen to go. */
  #hasAll(kind: string, listed: readonly Listed[], listedAt: number): boolean {
    const uids = new Set(listed.map(({ uid }) => uid));
    return (
      listed.every(({ uid, revision }) => {
        const seen = this.#live.get(uid);
        if (seen !== undefined) return Number(seen.metadata.resourceVersion) >= revision;
        return this.versions.some(({ object, type }) => type === 'DELETED' && object.metadata.uid === uid);
      }) &&
      [...this.#live.values()].every(
        ({ kind: its, metadata }) =>
          its !== kind || uids.has(metadata.uid) || Number(metadata.resourceVersion) > listedAt,
      )
    );
  }
}

interface Listed {
  readonly uid: string;
  readonly revision: number;
}

function isSame(a: SeenObject, b: SeenObject): boolean {
  const text = (object: SeenObject) =>
    canonicalJson({ ...object, metadata: { ...object.metadata, resourceVersion: '' } });
  return text(a) === text(b);
}
