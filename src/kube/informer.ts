import type { Clock } from '../runtime/clock.ts';
import { ApiError, ConnectionError, isNotFound } from './api-error.ts';
import type { KubeClient } from './client.ts';
import { type Change, type IndexFunction, InformerStore, RewindError, type Scratch } from './informer-store.ts';
import { ReconnectBackoff } from './reconnect-backoff.ts';
import type { Resource } from './resources.ts';
import type { WatchEvent, WatchStream } from './watch.ts';
import type { DeepReadonly, KubeObject, ObjectKey } from './wire.ts';

export interface InformerOptions<Raw extends KubeObject, T> {
  readonly client: Pick<KubeClient, 'clock' | 'listPage' | 'watch'>;
  readonly resource: Resource<Raw>;
  /** All namespaces when absent; else one stream each. */
  readonly namespaces?: readonly string[] | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
  /**
   * What is kept of an object, told what was kept of it before; all of it but `managedFields` when absent. The raw object is the caller's
   * to keep or to change.
   */
  readonly project?: (raw: Raw, held: DeepReadonly<T> | undefined) => T;
  readonly indexBy?: Readonly<Record<string, IndexFunction<T>>>;
  readonly onChange?: (change: Change<T>) => void;
  /** Told of everything that was survived: failed requests, cut streams, handlers that threw. */
  readonly onError?: (error: unknown) => void;
  readonly clock?: Clock;
  readonly random?: () => number;
  readonly pageSize?: number;
  readonly silenceMs?: number;
}

/**
 * Where the stream of one collection is (names from kube-rs, `kube-runtime/src/watcher.rs`).
 *
 *     Empty ─┬─► InitialWatch ────────────┐        one connection: initial events, then the live stream
 *            └─► InitPage ─► … ─► InitListed ─► Watching        for servers that refuse initial events
 *
 * A stream that ends goes back to InitListed, to resume from the store's version; a version that is compacted away goes back to Empty.
 */
type State<Raw extends KubeObject, T> =
  /** Nothing asked yet. `paged`: not by initial events this time. */
  | { readonly at: 'Empty'; readonly paged: boolean }
  /** Pages of a list are gathered. */
  | { readonly at: 'InitPage'; readonly scratch: Scratch<Raw, T>; readonly continueToken: string | undefined }
  /** Initial events are gathered. */
  | { readonly at: 'InitialWatch'; readonly scratch: Scratch<Raw, T> }
  /** The store is complete up to its version; no stream is open. */
  | { readonly at: 'InitListed' }
  /** Changes arrive. */
  | { readonly at: 'Watching'; readonly stream: WatchStream<Raw>; readonly openedAt: number };

/** The stream of one namespace, or of all. */
interface Scope<Raw extends KubeObject, T> {
  readonly namespace: string | undefined;
  readonly store: InformerStore<Raw, T>;
  readonly backoff: ReconnectBackoff;
  heardAt: number;
  synced: boolean;
  /** Initial states in a row that were older than the store. */
  rewinds: number;
}

/** client-go `reflector.go`: `minWatchTimeout` 5 minutes, up to twice that, so that streams do not all end together. */
const WATCH_SECONDS = 300;
/** client-go `reflector.go`: "very short watch": a clean close within a second and without an event is a failure. */
const SHORT_WATCH_MS = 1000;
/** A kind that is not installed is asked for again after this long. */
const ABSENT_MS = 60_000;
/** A lagging server catches up within seconds. One that is older at ten tries in a row, a minute or two, was restored from a backup. */
const MAX_REWINDS = 10;

/**
 * A cache of one resource, kept current by watching.
 *
 * **Guarantees**
 * - It never gives up: whatever fails is told to `onError` and tried again with back-off, until stopped.
 * - Reads never go back in time, and see our own writes once `observe`d (see `InformerStore`).
 * - A handler that throws stops neither the stream nor the other handlers. An object that `project` or an index cannot take is told
 *   to `onError` and passed over; the cache keeps what it held of it.
 * - Nothing is copied: all readers share one object, typed read-only.
 *
 * @example
 * const pods = new Informer({ client, resource: Pods, labelSelector: 'app=x', onChange: ({ object }) => enqueue(object) });
 * pods.start(signal);
 * await pods.whenSynced(signal);
 */
export class Informer<Raw extends KubeObject, T = Raw> {
  readonly resource: Resource<Raw>;
  readonly #options: InformerOptions<Raw, T>;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #handlers = new Set<(change: Change<T>) => void>();
  readonly #scopes: Scope<Raw, T>[];
  readonly #scopeOf = new Map<string, Scope<Raw, T>>();
  readonly #stopping = new AbortController();
  readonly #synced = Promise.withResolvers<void>();
  #running: Promise<unknown> | undefined;
  #watchListRefused = false;

  constructor(options: InformerOptions<Raw, T>) {
    this.#options = options;
    this.resource = options.resource;
    this.#clock = options.clock ?? options.client.clock;
    this.#random = options.random ?? Math.random;
    if (options.onChange) this.#handlers.add(options.onChange);
    const namespaces = options.resource.namespaced ? options.namespaces : undefined;
    this.#scopes = namespaces
      ? Array.from(new Set(namespaces), (namespace) => this.#scope(namespace))
      : [this.#scope(undefined)];
    for (const scope of this.#scopes) if (scope.namespace !== undefined) this.#scopeOf.set(scope.namespace, scope);
    if (this.#scopes.length === 0) this.#synced.resolve();
    this.#synced.promise.catch(() => {
      // Nobody needs to wait for it.
    });
  }

  /** Adds a handler; the answer removes it. Handlers added late are not told what is in the cache already. */
  onChange(handler: (change: Change<T>) => void): () => void {
    this.#handlers.add(handler);
    return () => void this.#handlers.delete(handler);
  }

  /** Starts to list and watch, once; ends with the signal or `stop`. */
  start(signal?: AbortSignal): void {
    if (this.#running) return;
    const stop = () => this.#stopping.abort(signal?.reason);
    if (signal?.aborted) stop();
    signal?.addEventListener('abort', stop, { once: true });
    this.#running = Promise.all(this.#scopes.map((scope) => this.#run(scope))).finally(() => {
      signal?.removeEventListener('abort', stop);
    });
  }

  /** Ends the streams; resolves when no handler will be called any more. The cache stays readable. */
  async stop(): Promise<void> {
    this.#stopping.abort(new ConnectionError('Lost', 'the informer was stopped'));
    await this.#running;
  }

  /** Whether the complete initial state was taken over. It stays true through disconnects. */
  get hasSynced(): boolean {
    return this.#scopes.every((scope) => scope.synced);
  }

  /** Resolves when `hasSynced`; rejects with the signal's reason. */
  whenSynced(signal?: AbortSignal): Promise<void> {
    const { promise } = this.#synced;
    if (!signal) return promise;
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    return new Promise((resolve, reject) => {
      const onAbort = () => reject(signal.reason as Error);
      signal.addEventListener('abort', onAbort, { once: true });
      void promise.then(() => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      });
    });
  }

  /** Milliseconds since the server was last heard of, on the quietest stream. Bookmarks come once a minute. */
  get staleForMs(): number {
    const now = this.#clock.monotonic();
    return Math.max(0, ...this.#scopes.map((scope) => now - scope.heardAt));
  }

  get size(): number {
    return this.#scopes.reduce((sum, { store }) => sum + store.size, 0);
  }

  get(key: ObjectKey): DeepReadonly<T> | undefined {
    return this.#holder(key.namespace)?.store.get(key);
  }

  /** All objects, or those of one namespace. */
  list(namespace?: string): DeepReadonly<T>[] {
    const scopes =
      namespace === undefined ? this.#scopes : [this.#holder(namespace)].filter((scope) => scope !== undefined);
    const objects: DeepReadonly<T>[] = [];
    for (const scope of scopes) {
      scope.store.collect(objects, namespace);
    }
    return objects;
  }

  /** Objects that the named index function filed under this value. */
  byIndex(name: string, value: string): DeepReadonly<T>[] {
    return this.#scopes.flatMap(({ store }) => store.byIndex(name, value));
  }

  /**
   * Read your writes: puts the answer to a write into the cache, unless something newer is there. The answer belongs to the cache
   * from then on.
   */
  observe(written: Raw): void {
    this.#holder(written.metadata?.namespace)?.store.observe(written);
  }

  /** Keeps this of an object from now on, in place of what was kept of that version; nobody is told. */
  exchange(key: ObjectKey, version: string, object: DeepReadonly<T>): void {
    this.#holder(key.namespace)?.store.exchange(key, version, object);
  }

  /** Read your deletes: the object with this UID is gone for good; late news of it are ignored. */
  forget(key: ObjectKey, uid: string): void {
    this.#holder(key.namespace)?.store.forget(key, uid);
  }

  #scope(namespace: string | undefined): Scope<Raw, T> {
    return {
      namespace,
      store: new InformerStore<Raw, T>({
        // Without a projection T is Raw.
        project: this.#options.project ?? ((raw) => raw as unknown as T),
        ...(this.#options.indexBy && { indexBy: this.#options.indexBy }),
        onChange: (change) => this.#tell(change),
      }),
      backoff: new ReconnectBackoff(this.#clock, this.#random),
      heardAt: this.#clock.monotonic(),
      synced: false,
      rewinds: 0,
    };
  }

  #holder(namespace: string | undefined): Scope<Raw, T> | undefined {
    return this.#scopeOf.size === 0 ? this.#scopes[0] : this.#scopeOf.get(namespace ?? '');
  }

  #tell(change: Change<T>): void {
    for (const handler of this.#handlers) {
      try {
        handler(change);
      } catch (error) {
        this.#report(error);
      }
    }
  }

  #report(error: unknown): void {
    try {
      this.#options.onError?.(error);
    } catch {
      // Whoever is told of errors must not be able to end the stream.
    }
  }

  async #run(scope: Scope<Raw, T>): Promise<void> {
    const { signal } = this.#stopping;
    let state: State<Raw, T> = { at: 'Empty', paged: false };
    while (!signal.aborted) {
      try {
        state = await this.#step(scope, state, signal);
      } catch (error) {
        if (signal.aborted) break;
        if (state.at === 'InitialWatch' && isRefusal(error)) {
          this.#watchListRefused = true;
          state = { at: 'Empty', paged: true };
          continue;
        }
        const isAbsent = this.resource.mayBeAbsent === true && isNotFound(error);
        state = afterError(state, error);
        if (isAbsent) this.#noteAbsence(scope);
        else this.#report(error);
        const waitMs = isAbsent ? ABSENT_MS : scope.backoff.next(error instanceof ApiError ? error.retryAfterMs : 0);
        await this.#clock.sleep(waitMs, signal).catch(() => {
          // The loop's condition sees the abort.
        });
      }
    }
    if (state.at === 'Watching') await state.stream.return();
    this.#synced.reject(signal.reason);
  }

  async #step(scope: Scope<Raw, T>, state: State<Raw, T>, signal: AbortSignal): Promise<State<Raw, T>> {
    switch (state.at) {
      case 'Empty': {
        const scratch = scope.store.scratch();
        return state.paged || this.#watchListRefused
          ? { at: 'InitPage', scratch, continueToken: undefined }
          : { at: 'InitialWatch', scratch };
      }
      case 'InitPage': {
        const { scratch } = state;
        const options = { ...this.#selection(scope), pageSize: this.#options.pageSize, signal };
        const page = await this.#options.client.listPage(this.resource, options, state.continueToken);
        scope.heardAt = this.#clock.monotonic();
        for (const item of page.items) this.#take(() => scratch.apply(item));
        if (page.continueToken !== undefined) return { ...state, continueToken: page.continueToken };
        this.#replace(scope, scratch, page.resourceVersion);
        return { at: 'InitListed' };
      }
      case 'InitialWatch': {
        const stream = await this.#open(scope, signal, { initialEvents: true });
        await this.#gather(scope, state.scratch, stream);
        return { at: 'Watching', stream, openedAt: Number.NEGATIVE_INFINITY };
      }
      case 'InitListed': {
        const stream = await this.#open(scope, signal, { resourceVersion: scope.store.version });
        return { at: 'Watching', stream, openedAt: this.#clock.monotonic() };
      }
      default:
        await this.#follow(scope, state);
        return { at: 'InitListed' };
    }
  }

  /** A kind that is not installed has no objects, and nothing tells when it is. */
  #noteAbsence(scope: Scope<Raw, T>): void {
    scope.heardAt = this.#clock.monotonic();
    scope.synced = true;
    if (this.hasSynced) this.#synced.resolve();
  }

  #selection({ namespace }: Scope<Raw, T>) {
    const { labelSelector, fieldSelector } = this.#options;
    return { namespace, labelSelector, fieldSelector };
  }

  async #open(
    scope: Scope<Raw, T>,
    signal: AbortSignal,
    from: { readonly initialEvents: true } | { readonly resourceVersion: string },
  ): Promise<WatchStream<Raw>> {
    const stream = await this.#options.client.watch(this.resource, {
      ...this.#selection(scope),
      ...from,
      timeoutSeconds: Math.floor(WATCH_SECONDS * (1 + this.#random())),
      silenceMs: this.#options.silenceMs,
      signal,
    });
    scope.heardAt = this.#clock.monotonic();
    return stream;
  }

  /** Reads initial events until the bookmark that ends them, and leaves the stream open behind it. */
  async #gather(scope: Scope<Raw, T>, scratch: Scratch<Raw, T>, stream: WatchStream<Raw>): Promise<void> {
    try {
      for (;;) {
        const { done, value } = await stream.next();
        if (done) throw new InitialEventsCut(this.resource);
        scope.heardAt = this.#clock.monotonic();
        if (value.type === 'DELETED') this.#take(() => scratch.remove(value.object));
        else if (value.type !== 'BOOKMARK') this.#take(() => scratch.apply(value.object));
        else if (value.initialEventsEnd) {
          this.#replace(scope, scratch, value.resourceVersion);
          return;
        }
      }
    } catch (error) {
      await stream.return();
      throw error;
    }
  }

  async #follow(scope: Scope<Raw, T>, { stream, openedAt }: State<Raw, T> & { at: 'Watching' }): Promise<void> {
    let heard = false;
    try {
      for await (const event of stream) {
        heard = true;
        scope.heardAt = this.#clock.monotonic();
        this.#take(() => deliver(scope.store, event));
      }
    } catch (error) {
      // A server sends no bookmarks of a kind that has not changed since it started: opening anew tells a quiet kind from a lost peer.
      if (!isSilence(error)) throw error;
    }
    if (!heard && this.#clock.monotonic() - openedAt < SHORT_WATCH_MS) {
      throw new ConnectionError('Lost', `watch ${this.resource.plural}: closed at once`);
    }
  }

  /** One poisoned object must not keep the others from being seen. */
  #take(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#report(error);
    }
  }

  #replace(scope: Scope<Raw, T>, scratch: Scratch<Raw, T>, version: string): void {
    try {
      scope.store.replace(scratch, version, { rewind: scope.rewinds >= MAX_REWINDS });
    } catch (error) {
      if (error instanceof RewindError) scope.rewinds += 1;
      throw error;
    }
    scope.rewinds = 0;
    scope.synced = true;
    if (this.hasSynced) this.#synced.resolve();
  }
}

function deliver<Raw extends KubeObject, T>(store: InformerStore<Raw, T>, event: WatchEvent<Raw>): void {
  switch (event.type) {
    case 'ADDED':
    case 'MODIFIED':
      return store.apply(event.object);
    case 'DELETED':
      return store.remove(event.object);
    case 'BOOKMARK':
      return store.advance(event.resourceVersion);
  }
}

/** Where to go on after a failure. */
function afterError<Raw extends KubeObject, T>(state: State<Raw, T>, error: unknown): State<Raw, T> {
  switch (state.at) {
    case 'Empty':
    case 'InitPage':
      return { at: 'Empty', paged: true };
    case 'InitialWatch':
      // A server that closes in order before it is done gets a list next: it is shutting down, or its cache is so busy with a burst
      // of writes that it drops the stream (seen on Kubernetes 1.36 right after 2,000 creates).
      return { at: 'Empty', paged: error instanceof InitialEventsCut };
    default:
      return canResume(error) ? { at: 'InitListed' } : { at: 'Empty', paged: false };
  }
}

/** Answers that say nothing about the version asked for. */
const PASSING = new Set([401, 403, 429, 500, 502, 503, 504]);

/** Whether the same version may be asked for again. After 410, or an event that cannot be read, only a new start helps. */
function canResume(error: unknown): boolean {
  if (error instanceof ApiError) return PASSING.has(error.code);
  return error instanceof ConnectionError && error.kind !== 'Malformed';
}

const isSilence = (error: unknown): boolean => error instanceof ConnectionError && error.kind === 'Silent';

/** Servers before 1.34, or with the feature gated off, answer so to `sendInitialEvents`. */
const isRefusal = (error: unknown): boolean => error instanceof ApiError && (error.code === 400 || error.code === 422);

class InitialEventsCut extends Error {
  constructor({ plural }: Resource) {
    super(`watch ${plural}: closed before the initial events ended`);
    this.name = 'InitialEventsCut';
  }
}
