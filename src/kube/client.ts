import type { KubeConfig } from '@kubernetes/client-node';
import type { Clock } from '../runtime/clock.ts';
import { ApiError, ConnectionError, isInvalid, isNotFound } from './api-error.ts';
import { apiVersionOf, pathOf, Pods, type Resource } from './resources.ts';
import { Transport, type TransportOptions, type TransportRequest, type Verb } from './transport.ts';
import { events, type WatchStream } from './watch.ts';
import type { KubeObject, ObjectKey } from './wire.ts';

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** Overrides the transport's deadline for this call. */
  readonly deadlineMs?: number | undefined;
}

export interface WriteOptions extends CallOptions {
  /** False lets the write pass without asking the fence: for the Lease itself. */
  readonly fenced?: boolean;
  readonly dryRun?: boolean;
}

export interface CreateOptions extends WriteOptions {
  readonly fieldManager?: string;
}

export interface ApplyOptions extends WriteOptions {
  readonly fieldManager: string;
  /** Takes fields over from other managers; true unless said otherwise. */
  readonly force?: boolean;
  /**
   * What must be there when the server decides, else it refuses with a conflict (`isConflict`): `absent` no object of that name, so that
   * the apply creates one; a UID that very object, so that a namesake is neither changed nor made.
   */
  readonly only?: 'absent' | { readonly uid: string } | undefined;
}

export interface UpdateOptions extends WriteOptions {
  readonly fieldManager?: string;
  readonly subresource?: 'status' | 'scale';
}

export type Patch =
  | { readonly type: 'merge'; readonly body: object; readonly subresource?: 'status' | 'scale' }
  | { readonly type: 'json'; readonly body: readonly object[]; readonly subresource?: 'status' | 'scale' };

export interface DeleteOptions extends WriteOptions {
  /** The delete is refused (409) unless the object has this UID. */
  readonly uid?: string | undefined;
  /** The delete is refused (409) unless the object is at this version. */
  readonly resourceVersion?: string | undefined;
  readonly propagationPolicy?: 'Background' | 'Foreground' | 'Orphan';
  readonly gracePeriodSeconds?: number;
}

export interface Selection {
  /** All namespaces when absent. */
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
}

export interface ListOptions extends Selection, CallOptions {
  /** Objects per request; 500. */
  readonly pageSize?: number | undefined;
}

export interface ListPage<T> {
  readonly items: T[];
  /** The version of the snapshot that all pages of one list show. */
  readonly resourceVersion: string;
  /** Absent on the last page. */
  readonly continueToken: string | undefined;
}

export interface WatchOptions extends Selection, CallOptions {
  /** The version after which events are wanted; with `initialEvents` it may be absent. */
  readonly resourceVersion?: string | undefined;
  /** Asks for the present state as `ADDED` events first, ended by a bookmark (WatchList; on by default from Kubernetes 1.34). */
  readonly initialEvents?: boolean;
  /** After how long the server closes the stream. */
  readonly timeoutSeconds?: number;
  /** After how long without a byte the peer counts as dead; 90,000. */
  readonly silenceMs?: number | undefined;
}

export interface LogOptions extends CallOptions {
  readonly container?: string;
  /** The log of the container's previous run. */
  readonly previous?: boolean;
  readonly tailLines?: number;
  readonly limitBytes?: number;
}

export interface ServerVersion {
  readonly major: string;
  readonly minor: string;
  readonly gitVersion: string;
}

/**
 * A Kubernetes client whose objects are the JSON that travels: nothing is deserialized, so nothing is lost, renamed or turned into
 * a `Date` on the way.
 *
 * **Fails when** the server says no (`ApiError`), when no answer comes (`ConnectionError`), when the signal aborts (its reason), or
 * when the fence stops a write (what the fence throws).
 *
 * @example
 * const client = KubeClient.connect(config, { clock: systemClock, userAgent: 'my-operator/1.0.0' });
 * const pod = await client.get(Pods, { namespace: 'team-a', name: 'coder-0' });
 */
export class KubeClient {
  readonly transport: Transport;

  constructor(transport: Transport) {
    this.transport = transport;
  }

  static connect(config: KubeConfig, options: TransportOptions): KubeClient {
    return new KubeClient(new Transport(config, options));
  }

  get clock(): Clock {
    return this.transport.clock;
  }

  /** The object, or undefined when there is none. */
  async get<T extends KubeObject>(
    resource: Resource<T>,
    key: ObjectKey,
    options: CallOptions = {},
  ): Promise<T | undefined> {
    try {
      return await this.#json<T>('get', resource, key, { path: pathOf(resource, key), ...options });
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** All objects of one snapshot, read in pages. */
  async list<T extends KubeObject>(
    resource: Resource<T>,
    options: ListOptions = {},
  ): Promise<{ items: T[]; resourceVersion: string }> {
    const items: T[] = [];
    let page: ListPage<T> | undefined;
    do {
      page = await this.listPage(resource, options, page?.continueToken);
      for (const item of page.items) items.push(item);
    } while (page.continueToken !== undefined);
    return { items, resourceVersion: page.resourceVersion };
  }

  /**
   * One page of a list. Without a `resourceVersion` parameter, so the server answers with its most recent state, not with whatever
   * its cache holds.
   *
   * **Fails when** the token's snapshot is compacted away (`isGone`): start over.
   */
  async listPage<T extends KubeObject>(
    resource: Resource<T>,
    options: ListOptions = {},
    continueToken?: string,
  ): Promise<ListPage<T>> {
    const { namespace, labelSelector, fieldSelector, pageSize = 500, signal, deadlineMs } = options;
    const list = await this.#json<{
      items?: T[] | null;
      metadata?: { resourceVersion?: string; continue?: string };
    }>(
      'list',
      resource,
      { namespace },
      {
        path: pathOf(resource, { namespace }),
        query: { labelSelector, fieldSelector, limit: pageSize, continue: continueToken },
        signal,
        deadlineMs,
      },
    );
    const items = list.items ?? [];
    const apiVersion = apiVersionOf(resource);
    // Items of a list come without the two fields that the same objects have everywhere else.
    for (const item of items) {
      item.apiVersion ??= apiVersion;
      item.kind ??= resource.kind;
    }
    return {
      items,
      resourceVersion: list.metadata?.resourceVersion ?? '',
      continueToken: list.metadata?.continue || undefined,
    };
  }

  /**
   * Opens one watch connection.
   *
   * @example
   * for await (const event of await client.watch(Pods, { resourceVersion })) { … }
   */
  async watch<T extends KubeObject>(resource: Resource<T>, options: WatchOptions = {}): Promise<WatchStream<T>> {
    const { namespace, labelSelector, fieldSelector, resourceVersion, initialEvents, timeoutSeconds } = options;
    const request: TransportRequest = {
      verb: 'watch',
      about: about(resource, { namespace }),
      resource: resource.plural,
      path: pathOf(resource, { namespace }),
      query: {
        watch: true,
        allowWatchBookmarks: true,
        labelSelector,
        fieldSelector,
        resourceVersion,
        timeoutSeconds,
        ...(initialEvents === true && { sendInitialEvents: true, resourceVersionMatch: 'NotOlderThan' }),
      },
      signal: options.signal,
      deadlineMs: options.deadlineMs,
    };
    const stream = await this.transport.stream(request);
    return events<T>(stream, {
      about: `watch ${request.about}`,
      clock: this.clock,
      silenceMs: options.silenceMs ?? 90_000,
    });
  }

  /** Creates the object; fields that the server does not know are refused. */
  create<T extends KubeObject>(resource: Resource<T>, object: T, options: CreateOptions = {}): Promise<T> {
    const { namespace } = keyOf(object);
    return this.#json<T>('create', resource, keyOf(object), {
      ...options,
      path: pathOf(resource, { namespace }),
      query: { fieldManager: options.fieldManager, fieldValidation: 'Strict', dryRun: dryRun(options) },
      body: withType(resource, object),
      contentType: 'application/json',
    });
  }

  /**
   * Server-side apply: creates the object, or makes the fields that this manager owns equal to these and removes those it no longer
   * lists. The answer is the object as it now is; its version is unchanged when nothing was to do.
   */
  apply<T extends KubeObject>(resource: Resource<T>, object: T, options: ApplyOptions): Promise<T> {
    return this.#apply(resource, object, options);
  }

  /** `apply` on the status subresource. */
  applyStatus<T extends KubeObject>(resource: Resource<T>, object: T, options: ApplyOptions): Promise<T> {
    return this.#apply(resource, object, options, 'status');
  }

  async #apply<T extends KubeObject>(
    resource: Resource<T>,
    object: T,
    options: ApplyOptions,
    subresource?: 'status',
  ): Promise<T> {
    const { fieldManager, force, only, ...write } = options;
    try {
      return await this.#json<T>('apply', resource, keyOf(object), {
        ...write,
        path: pathOf(resource, { ...requiredKey(object), ...(subresource && { subresource }) }),
        query: { fieldManager, force: force ?? true, dryRun: dryRun(options) },
        body: withPrecondition(withType(resource, object), only),
        // The type says YAML; every JSON document is one.
        contentType: 'application/apply-patch+yaml',
      });
    } catch (error) {
      // Another object of that name: the server compares UIDs as it compares any field that cannot change.
      if (only !== undefined && isInvalid(error) && isAbout(error, 'metadata.uid')) {
        throw new ApiError(409, 'Conflict', error.message, { details: error.details });
      }
      throw error;
    }
  }

  /** Replaces the object. With `metadata.resourceVersion` set, only that version: of several racing writers one wins. */
  update<T extends KubeObject>(resource: Resource<T>, object: T, options: UpdateOptions = {}): Promise<T> {
    const { subresource } = options;
    return this.#json<T>('update', resource, keyOf(object), {
      ...options,
      path: pathOf(resource, { ...requiredKey(object), ...(subresource && { subresource }) }),
      query: { fieldManager: options.fieldManager, fieldValidation: 'Strict', dryRun: dryRun(options) },
      body: withType(resource, object),
      contentType: 'application/json',
    });
  }

  /** JSON merge patch or JSON patch. */
  patch<T extends KubeObject>(
    resource: Resource<T>,
    key: ObjectKey,
    patch: Patch,
    options: CreateOptions = {},
  ): Promise<T> {
    const { subresource } = patch;
    return this.#json<T>('patch', resource, key, {
      ...options,
      path: pathOf(resource, { ...key, ...(subresource && { subresource }) }),
      query: { fieldManager: options.fieldManager, fieldValidation: 'Strict', dryRun: dryRun(options) },
      body: patch.body,
      contentType: patch.type === 'json' ? 'application/json-patch+json' : 'application/merge-patch+json',
    });
  }

  /**
   * Deletes the object. The answer is what remains while it terminates, or undefined when it is gone.
   *
   * **Fails when** a precondition does not hold (`isConflict`); never because the object is gone already.
   */
  async delete<T extends KubeObject>(
    resource: Resource<T>,
    key: ObjectKey,
    options: DeleteOptions = {},
  ): Promise<T | undefined> {
    const { uid, resourceVersion, propagationPolicy, gracePeriodSeconds } = options;
    try {
      const answer = await this.#json<T>('delete', resource, key, {
        ...options,
        path: pathOf(resource, key),
        body: {
          apiVersion: 'v1',
          kind: 'DeleteOptions',
          propagationPolicy: propagationPolicy ?? 'Background',
          ...(gracePeriodSeconds !== undefined && { gracePeriodSeconds }),
          ...((uid !== undefined || resourceVersion !== undefined) && { preconditions: { uid, resourceVersion } }),
          ...(options.dryRun && { dryRun: ['All'] }),
        },
        contentType: 'application/json',
      });
      return answer.metadata?.deletionTimestamp === undefined ? undefined : answer;
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** A container's log, or undefined when there is none: no such pod, not started yet, no previous run. */
  async podLogs(key: ObjectKey, options: LogOptions = {}): Promise<string | undefined> {
    const { container, previous, tailLines, limitBytes, signal, deadlineMs } = options;
    try {
      return await this.transport.send({
        verb: 'get',
        about: about(Pods, key, 'log'),
        resource: 'pods/log',
        path: pathOf(Pods, { ...key, subresource: 'log' }),
        query: { container, previous, tailLines, limitBytes },
        signal,
        deadlineMs,
      });
    } catch (error) {
      // 400: "container … is waiting to start", "previous terminated container … not found".
      if (error instanceof ApiError && (error.code === 404 || error.code === 400)) return undefined;
      throw error;
    }
  }

  serverVersion(options: CallOptions = {}): Promise<ServerVersion> {
    return this.#raw<ServerVersion>('/version', options);
  }

  /** Whether the server serves this resource, for optional APIs: `supports('gateway.networking.k8s.io/v1', 'httproutes')`. */
  async supports(groupVersion: string, plural: string, options: CallOptions = {}): Promise<boolean> {
    try {
      const path = groupVersion.includes('/') ? `/apis/${groupVersion}` : `/api/${groupVersion}`;
      const list = await this.#raw<{ resources?: { name: string }[] }>(path, options);
      return list.resources?.some(({ name }) => name === plural) ?? false;
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }

  /** Ends every request, watch and connection. */
  close(): Promise<void> {
    return this.transport.close();
  }

  #raw<T>(path: string, options: CallOptions): Promise<T> {
    return this.#parsed<T>({ verb: 'get', about: path, resource: path, path, ...options });
  }

  #json<T>(
    verb: Verb,
    resource: Resource,
    key: Partial<ObjectKey> | { namespace: string | undefined },
    request: Omit<TransportRequest, 'verb' | 'about' | 'resource' | 'sensitive'>,
  ): Promise<T> {
    return this.#parsed<T>({
      ...request,
      verb,
      about: about(resource, key),
      resource: resource.plural,
      sensitive: resource.sensitive ?? false,
    });
  }

  async #parsed<T>(request: TransportRequest): Promise<T> {
    const text = await this.transport.send(request);
    try {
      return JSON.parse(text) as T;
    } catch (cause) {
      throw new ConnectionError('Malformed', `${request.verb} ${request.about}: the answer is not JSON`, { cause });
    }
  }
}

function about(
  resource: Resource,
  key: { readonly namespace?: string | undefined; readonly name?: string | undefined },
  subresource?: string,
): string {
  const name = [key.namespace, key.name].filter((part) => part !== undefined).join('/');
  return [subresource ? `${resource.plural}/${subresource}` : resource.plural, name].filter(Boolean).join(' ');
}

const keyOf = ({ metadata }: KubeObject): { namespace: string | undefined; name: string | undefined } => ({
  namespace: metadata?.namespace,
  name: metadata?.name,
});

function requiredKey(object: KubeObject): { namespace: string | undefined; name: string } {
  const { namespace, name } = keyOf(object);
  if (name === undefined) throw new TypeError(`${object.kind ?? 'object'} without a name`);
  return { namespace, name };
}

const dryRun = (options: WriteOptions): string | undefined => (options.dryRun === true ? 'All' : undefined);

/** The body, with the two fields that callers may leave out. `managedFields` may never be sent to an apply. */
function withType(resource: Resource, object: KubeObject): KubeObject {
  const body: KubeObject = { apiVersion: apiVersionOf(resource), kind: resource.kind, ...object };
  if (body.metadata?.managedFields === undefined) return body;
  const { managedFields: _, ...metadata } = body.metadata;
  return { ...body, metadata };
}

/** A version that no object has: etcd's first write makes 2. The server asks for it only where there is an object to compare. */
const NO_VERSION = '1';

function withPrecondition(object: KubeObject, only: ApplyOptions['only']): KubeObject {
  if (only === undefined) return object;
  const precondition = only === 'absent' ? { resourceVersion: NO_VERSION } : { uid: only.uid };
  return { ...object, metadata: { ...object.metadata, ...precondition } };
}

const isAbout = (error: ApiError, field: string): boolean =>
  error.details?.causes?.some((cause) => cause.field === field) ?? false;
