import type { KubeClient, ListOptions } from '../../src/kube/client.ts';
import type { Resource } from '../../src/kube/resources.ts';
import type { KubeObject } from '../../src/kube/wire.ts';

/** What a watched collection tells. */
export interface Listener<T> {
  readonly onChange?: (object: T) => void;
  readonly onDelete?: (object: T) => void;
}

const keyOf = ({ metadata }: KubeObject): string => `${metadata?.namespace ?? ''}/${metadata?.name ?? ''}`;

/**
 * A collection kept equal to the server's by list and watch.
 *
 * The simulator has its own, simpler than the informer of the code under test: a defect there must not hide itself here. Any
 * interruption is followed by a new list.
 */
export class Watched<T extends KubeObject> {
  readonly #objects = new Map<string, T>();
  readonly #listener: Listener<T>;

  private constructor(listener: Listener<T>) {
    this.#listener = listener;
  }

  /** Resolves after the first list. */
  static async start<T extends KubeObject>(
    client: KubeClient,
    resource: Resource<T>,
    signal: AbortSignal,
    listener: Listener<T> = {},
    selection: Pick<ListOptions, 'fieldSelector'> = {},
  ): Promise<Watched<T>> {
    const watched = new Watched<T>(listener);
    const version = await watched.#list(client, resource, signal, selection);
    void watched.#run(client, resource, signal, selection, version);
    return watched;
  }

  get(namespace: string | undefined, name: string): T | undefined {
    return this.#objects.get(`${namespace ?? ''}/${name}`);
  }

  values(): T[] {
    return [...this.#objects.values()];
  }

  async #run(
    client: KubeClient,
    resource: Resource<T>,
    signal: AbortSignal,
    selection: Pick<ListOptions, 'fieldSelector'>,
    version: string,
  ): Promise<void> {
    let resourceVersion: string | undefined = version;
    while (!signal.aborted) {
      try {
        resourceVersion ??= await this.#list(client, resource, signal, selection);
        for await (const event of await client.watch(resource, { ...selection, resourceVersion, signal })) {
          if (event.type === 'BOOKMARK') {
            resourceVersion = event.resourceVersion;
          } else {
            resourceVersion = event.object.metadata?.resourceVersion;
            if (event.type === 'DELETED') this.#delete(event.object);
            else this.#set(event.object);
          }
        }
      } catch {
        // Whatever it was, a new list after a pause repairs it; an abort ends the loop.
        resourceVersion = undefined;
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    }
  }

  async #list(
    client: KubeClient,
    resource: Resource<T>,
    signal: AbortSignal,
    selection: Pick<ListOptions, 'fieldSelector'>,
  ): Promise<string> {
    const { items, resourceVersion } = await client.list(resource, { ...selection, signal });
    const keys = new Set(items.map(keyOf));
    for (const [key, object] of this.#objects) if (!keys.has(key)) this.#delete(object);
    for (const item of items) this.#set(item);
    return resourceVersion;
  }

  #set(object: T): void {
    const key = keyOf(object);
    const known = this.#objects.get(key);
    // Deleted and made anew between two looks: two objects, not one that changed.
    if (known && known.metadata?.uid !== object.metadata?.uid) this.#listener.onDelete?.(known);
    this.#objects.set(key, object);
    this.#listener.onChange?.(object);
  }

  #delete(object: T): void {
    this.#objects.delete(keyOf(object));
    this.#listener.onDelete?.(object);
  }
}
