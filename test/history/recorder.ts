import {
  CustomResourceDefinitions,
  type KubeClient,
  type KubeObject,
  type Resource,
  isGone,
  isNotFound,
} from '../../src/kube/index.ts';
import { canonicalJson } from '../../src/render/digest.ts';
import { canariesOf } from './canaries.ts';
import type { Canary, SeenObject, Version } from './history.ts';
import { RECORDED } from './kinds.ts';
import { changesSince } from './past.ts';
import { trim } from './trim.ts';

/** Heartbeats of nodes: hundreds of versions that say nothing. */
const isHeartbeat = ({ kind, metadata }: KubeObject): boolean =>
  kind === 'Lease' && metadata!.namespace === 'kube-node-lease';

const RECONNECT_MS = 50;
const CATCH_UP_MS = 20_000;

/**
 * Writes down every version of every object that an operator touches or looks at, on watch connections of its own. It has no cache to
 * be wrong and forgets nothing: an invariant can be checked of each state, not of the last one only. A kind that nobody has installed is
 * waited for; of what happens to its objects within the first moment after it is served, the outcome is seen.
 *
 * **Fails when** a change may be lost, because a broken stream cannot be resumed and the server's storage has forgotten too what it missed:
 * then `catchUp` rejects.
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
    const synced = RECORDED.map((resource) => {
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
    let isForgotten = false;
    while (!signal.aborted) {
      try {
        if (isForgotten) from = await this.#takeChangesSince(from!, resource, signal);
        isForgotten = false;
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
        if (error instanceof LostError) throw error;
        isForgotten = from !== undefined && isGone(error);
        const isAbsent = (): boolean => isNotFound(error) && this.#isUndefined(resource);
        if (isAbsent()) {
          from = undefined;
          onSynced();
        }
        do await this.#client.clock.sleep(RECONNECT_MS, signal).catch(() => undefined);
        while (isAbsent() && !signal.aborted);
      }
    }
  }

  /** Whether nobody has installed the kind, or somebody has taken it away together with its objects. */
  #isUndefined({ mayBeAbsent, plural, group }: Resource): boolean {
    const name = `${plural}.${group}`;
    const { kind } = CustomResourceDefinitions;
    return mayBeAbsent === true && !this.#liveOf(kind).some(({ metadata }) => metadata.name === name);
  }

  /** Records what exists, and answers with the version that this is the state of. */
  async #takeAll(resource: Resource, signal: AbortSignal): Promise<string> {
    const { items, resourceVersion } = await this.#client.list(resource, { signal });
    for (const object of items) this.#take(resource, 'ADDED', object);
    return resourceVersion;
  }

  /**
   * Records what happened after a version from which the server no longer streams, and answers with the version that is now. **Fails
   * when** nobody can tell any more.
   */
  async #takeChangesSince(version: string, resource: Resource, signal: AbortSignal): Promise<string> {
    try {
      const { changes, resourceVersion } = await changesSince(this.#client, resource, version, signal);
      for (const { type, object } of changes) this.#take(resource, type, object);
      return resourceVersion;
    } catch (cause) {
      if (isGone(cause)) throw new LostError(`what happened after version ${version} is forgotten`, { cause });
      throw cause;
    }
  }

  #liveOf(kind: string): SeenObject[] {
    return [...this.#live.values()].filter((object) => object.kind === kind);
  }

  #take(resource: Resource, type: Version['type'], raw: object): void {
    this.#hide(canariesOf(resource.kind, raw));
    const object = trim(resource.kind, raw);
    if (isHeartbeat(object)) return;
    const known = this.#live.get(object.metadata.uid);
    if (type === 'DELETED') this.#live.delete(object.metadata.uid);
    else this.#live.set(object.metadata.uid, object);
    // Of a Secret nothing is kept that would tell its versions apart.
    const isKnown = known !== undefined && type !== 'DELETED' && !resource.sensitive && isSame(known, object);
    if (isKnown) return;
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
      const { listed, listedAt } = await this.#list(resource);
      while (!this.#failure && !this.#hasAll(resource.kind, listed, listedAt)) {
        if (performance.now() > deadline) throw new Error(`the recorder is behind on ${resource.plural}`);
        await this.#client.clock.sleep(20);
      }
    }
    if (this.#failure) throw this.#failure;
  }

  /** What there is of a kind: of one that nobody has installed, nothing at any version. */
  async #list(resource: Resource): Promise<{ readonly listed: readonly Listed[]; readonly listedAt: number }> {
    try {
      const { items, resourceVersion } = await this.#client.list(resource);
      const listed = items
        .filter((object) => !isHeartbeat(object))
        .map(({ metadata }) => ({ uid: metadata!.uid!, revision: Number(metadata!.resourceVersion) }));
      return { listed, listedAt: Number(resourceVersion) };
    } catch (error) {
      if (isNotFound(error) && resource.mayBeAbsent === true) return { listed: [], listedAt: Infinity };
      throw error;
    }
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
      this.#liveOf(kind).every(({ metadata }) => uids.has(metadata.uid) || Number(metadata.resourceVersion) > listedAt)
    );
  }
}

/** Something happened that nobody can tell any more. */
class LostError extends Error {}

interface Listed {
  readonly uid: string;
  readonly revision: number;
}

function isSame(a: SeenObject, b: SeenObject): boolean {
  const text = (object: SeenObject) =>
    canonicalJson({ ...object, metadata: { ...object.metadata, resourceVersion: '' } });
  return text(a) === text(b);
}
