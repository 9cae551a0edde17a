import { compareVersions } from './resource-version.ts';
import type { DeepReadonly, KubeObject, ObjectKey } from './wire.ts';

/** One change of the cache, told after the cache holds it. `object` of a delete is the last state known. */
export interface Change<T> {
  readonly type: 'add' | 'update' | 'delete';
  readonly object: DeepReadonly<T>;
  /** What the cache held before; absent for `add`. */
  readonly previous?: DeepReadonly<T>;
}

/** The values under which an object is found: the same for as long as the object is held. */
export type IndexFunction<T> = (object: DeepReadonly<T>) => readonly string[];

export interface StoreOptions<Raw extends KubeObject, T> {
  /** What is kept of an object, told what was kept of it before. `managedFields` are gone already; what is returned belongs to the store. */
  readonly project: (raw: Raw, held: DeepReadonly<T> | undefined) => T;
  readonly indexBy?: Readonly<Record<string, IndexFunction<T>>>;
  readonly onChange: (change: Change<T>) => void;
}

interface Entry<T> {
  readonly key: string;
  readonly uid: string;
  readonly version: string;
  readonly object: DeepReadonly<T>;
}

/** A deleted object: nothing of it, and nothing older, may come back. The version is empty when it was not held. */
interface Forgotten {
  readonly uid: string;
  readonly version: string;
}

/** The initial state while it arrives: invisible to readers until `InformerStore.replace`. */
export class Scratch<Raw extends KubeObject, T> {
  readonly entries = new Map<string, Entry<T>>();
  readonly #entry: (raw: Raw) => Entry<T>;

  constructor(entry: (raw: Raw) => Entry<T>) {
    this.#entry = entry;
  }

  apply(raw: Raw): void {
    const entry = this.#entry(raw);
    const held = this.entries.get(entry.key);
    if (!held || compareVersions(entry.version, held.version) > 0) this.entries.set(entry.key, entry);
  }

  remove(raw: Raw): void {
    const { key, version } = identity(raw);
    const held = this.entries.get(key);
    if (held && compareVersions(version, held.version) >= 0) this.entries.delete(key);
  }
}

/** The initial state is older than what was seen already. */
export class RewindError extends Error {
  constructor(offered: string, seen: string) {
    super(`the server answered with version ${offered} after version ${seen}`);
    this.name = 'RewindError';
  }
}

/**
 * The cache of one collection, fed by a list or watch and by our own writes. No I/O, no time.
 *
 * **Guarantees**
 * - An object never goes back to an older version, whatever the order in which watch events, lists and own writes come in.
 * - A recreated object (same name, other UID) is told as a delete and an add.
 * - What is told is what is held: applying the changes in order yields the store.
 * - An own write stays visible until the stream has delivered it or something newer, and does not outlive the stream's verdict: when
 *   the stream has passed its version without it (deleted meanwhile, or outside the selector), it goes.
 *
 * **Fails when** an object has no name, UID or version, or its projection or an index function throws. Nothing changed then.
 *
 * **Assumes** events of one stream come in order of their versions, as etcd and the watch cache deliver them, and versions compare
 * as `compareVersions` says.
 */
export class InformerStore<Raw extends KubeObject, T = Raw> {
  readonly #options: StoreOptions<Raw, T>;
  readonly #entries = new Map<string, Entry<T>>();
  readonly #indexes: { readonly name: string; readonly of: IndexFunction<T>; readonly index: Index<T> }[];
  /** Own writes that the stream has not delivered yet. */
  readonly #unconfirmed = new Map<string, Entry<T>>();
  /** Objects that we deleted, by key, until the stream says so too. */
  readonly #forgotten = new Map<string, Forgotten>();
  #version = '';

  constructor(options: StoreOptions<Raw, T>) {
    this.#options = options;
    this.#indexes = Object.entries(options.indexBy ?? {}).map(([name, of]) => ({ name, of, index: new Index() }));
  }

  /** Every change up to this version is in the store; empty before the first `replace`. */
  get version(): string {
    return this.#version;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: ObjectKey): DeepReadonly<T> | undefined {
    return this.#entries.get(keyText(key))?.object;
  }

  /** All objects, or those of one namespace, appended to `into`. */
  collect(into: DeepReadonly<T>[], namespace?: string): void {
    const prefix = namespace === undefined ? '' : `${namespace}/`;
    for (const entry of this.#entries.values()) if (entry.key.startsWith(prefix)) into.push(entry.object);
  }

  /** Objects that the named index function filed under this value. */
  byIndex(name: string, value: string): DeepReadonly<T>[] {
    const indexed = this.#indexes.find((index) => index.name === name);
    if (!indexed) throw new RangeError(`no index ${name}`);
    return indexed.index.get(value);
  }

  scratch(): Scratch<Raw, T> {
    return new Scratch((raw) => this.#entry(raw));
  }

  /**
   * Takes over a complete initial state at once; what it lacks is deleted, unless it is an own write younger than the snapshot.
   * With `rewind`, the snapshot is the truth whatever was seen before: the server was restored from a backup.
   *
   * **Fails when** the snapshot is older than what the store has seen (`RewindError`), unless told to rewind.
   */
  replace(scratch: Scratch<Raw, T>, version: string, { rewind = false } = {}): void {
    if (rewind) {
      this.#unconfirmed.clear();
      this.#forgotten.clear();
    } else if (this.#version !== '' && compareVersions(version, this.#version) < 0) {
      throw new RewindError(version, this.#version);
    }
    this.#version = version;
    const changes: Change<T>[] = [];
    for (const entry of this.#entries.values()) {
      if (scratch.entries.has(entry.key)) continue;
      if (rewind || compareVersions(entry.version, version) <= 0) this.#delete(entry, entry.object, changes);
    }
    this.#remember(scratch, version);
    for (const entry of scratch.entries.values()) {
      this.#confirm(entry);
      this.#put(entry, changes, rewind);
    }
    this.#sweep(changes);
    this.#tell(changes);
  }

  /** `ADDED` or `MODIFIED` from the stream. */
  apply(raw: Raw): void {
    const changes: Change<T>[] = [];
    const { key, version } = identity(raw);
    const held = this.#entries.get(key);
    // The echo of an own write is held already, and projecting it is most of what an event costs.
    const entry = held?.version === version ? held : this.#entry(raw);
    this.#confirm(entry);
    this.#put(entry, changes);
    this.#advance(entry.version, changes);
    this.#tell(changes);
  }

  /** `DELETED` from the stream: the object is gone, or no longer matches the selector. */
  remove(raw: Raw): void {
    const changes: Change<T>[] = [];
    const entry = this.#entry(raw);
    this.#confirm(entry);
    const forgotten = this.#forgotten.get(entry.key);
    // The end of that object, not a moment at which it did not match the selector.
    if (
      forgotten?.uid === entry.uid &&
      forgotten.version !== '' &&
      compareVersions(entry.version, forgotten.version) > 0
    ) {
      this.#forgotten.delete(entry.key);
    }
    const held = this.#entries.get(entry.key);
    if (held && compareVersions(entry.version, held.version) >= 0) {
      this.#delete(held, held.uid === entry.uid ? entry.object : held.object, changes);
    }
    this.#advance(entry.version, changes);
    this.#tell(changes);
  }

  /** A bookmark: the stream has delivered everything up to this version. */
  advance(version: string): void {
    const changes: Change<T>[] = [];
    this.#advance(version, changes);
    this.#tell(changes);
  }

  /** The answer to an own write. Taken if it is newer than what is held; it belongs to the store from then on. */
  observe(raw: Raw): void {
    const entry = this.#entry(raw);
    // The stream is past it: what it delivered, or that it delivered nothing, is the truth.
    if (this.#version !== '' && compareVersions(entry.version, this.#version) <= 0) return;
    const changes: Change<T>[] = [];
    if (this.#put(entry, changes)) this.#unconfirmed.set(entry.key, entry);
    this.#tell(changes);
  }

  /** The object with this UID is deleted for good, by an own write. Late events about it are ignored. */
  forget(key: ObjectKey, uid: string): void {
    const at = keyText(key);
    const held = this.#entries.get(at);
    if (held && held.uid !== uid) return;
    this.#forgotten.set(at, { uid, version: held?.version ?? this.#forgotten.get(at)?.version ?? '' });
    if (this.#forgotten.size > MAX_FORGOTTEN) {
      const [oldest] = this.#forgotten.keys();
      this.#forgotten.delete(oldest!);
    }
    if (!held) return;
    const changes: Change<T>[] = [];
    this.#delete(held, held.object, changes);
    this.#unconfirmed.delete(held.key);
    this.#tell(changes);
  }

  /** Holds this in place of what it holds of that version of an object, and tells nobody. Of another version it keeps what it holds. */
  exchange(key: ObjectKey, version: string, object: DeepReadonly<T>): void {
    const held = this.#entries.get(keyText(key));
    if (held?.version !== version) return;
    const entry = { ...held, object };
    this.#unfile(held);
    this.#entries.set(entry.key, entry);
    this.#file(entry);
    if (this.#unconfirmed.get(entry.key) === held) this.#unconfirmed.set(entry.key, entry);
  }

  #entry(raw: Raw): Entry<T> {
    const { key, uid, version } = identity(raw);
    // Half of a Pod's heap, and nobody reads them. To delete them would leave a dictionary, several times as large as an object.
    const { managedFields: _, ...metadata } = raw.metadata!;
    raw.metadata = metadata;
    const object = this.#options.project(raw, this.#entries.get(key)?.object) as DeepReadonly<T>;
    // What cannot be filed is not to be held.
    for (const { of } of this.#indexes) of(object);
    return { key, uid, version, object };
  }

  /** Whether the entry was newer than what was held. */
  #put(entry: Entry<T>, changes: Change<T>[], evenIfOlder = false): boolean {
    const forgotten = this.#forgotten.get(entry.key);
    if (forgotten) {
      if (entry.uid === forgotten.uid || compareVersions(entry.version, forgotten.version) <= 0) return false;
      this.#forgotten.delete(entry.key);
    }
    const held = this.#entries.get(entry.key);
    if (held) {
      const order = compareVersions(entry.version, held.version);
      if (order === 0 || (order < 0 && !evenIfOlder)) return false;
      if (held.uid !== entry.uid) this.#delete(held, held.object, changes);
      else this.#unfile(held);
    }
    this.#entries.set(entry.key, entry);
    this.#file(entry);
    changes.push(
      held?.uid === entry.uid
        ? { type: 'update', object: entry.object, previous: held.object }
        : { type: 'add', object: entry.object },
    );
    return true;
  }

  #delete(held: Entry<T>, last: DeepReadonly<T>, changes: Change<T>[]): void {
    this.#entries.delete(held.key);
    this.#unfile(held);
    changes.push({ type: 'delete', object: last, previous: held.object });
  }

  /** Drops deletions that a snapshot young enough to show the object confirms by not showing it. */
  #remember(scratch: Scratch<Raw, T>, version: string): void {
    for (const [key, forgotten] of this.#forgotten) {
      if (forgotten.version === '' || compareVersions(forgotten.version, version) > 0) continue;
      if (!scratch.entries.has(key)) this.#forgotten.delete(key);
    }
  }

  #confirm(entry: Entry<T>): void {
    const own = this.#unconfirmed.get(entry.key);
    if (own && compareVersions(entry.version, own.version) >= 0) this.#unconfirmed.delete(entry.key);
  }

  #advance(version: string, changes: Change<T>[]): void {
    if (compareVersions(version, this.#version) > 0) this.#version = version;
    this.#sweep(changes);
  }

  /** Own writes that the stream passed without delivering them. */
  #sweep(changes: Change<T>[]): void {
    if (this.#unconfirmed.size === 0) return;
    for (const own of this.#unconfirmed.values()) {
      if (compareVersions(own.version, this.#version) > 0) continue;
      this.#unconfirmed.delete(own.key);
      if (this.#entries.get(own.key) === own) this.#delete(own, own.object, changes);
    }
  }

  #file(entry: Entry<T>): void {
    for (const { of, index } of this.#indexes) for (const value of of(entry.object)) index.add(value, entry);
  }

  #unfile(entry: Entry<T>): void {
    for (const { of, index } of this.#indexes) for (const value of of(entry.object)) index.remove(value, entry);
  }

  #tell(changes: readonly Change<T>[]): void {
    for (const change of changes) this.#options.onChange(change);
  }
}

/** A deletion that the stream never confirms (it was faster than the answer) is remembered for this many later ones. */
const MAX_FORGOTTEN = 10_000;

/** Few are found under one value, so exact lists are smaller than maps, and than lists that have room to grow. */
class Index<T> {
  readonly #values = new Map<string, readonly Entry<T>[]>();

  get(value: string): DeepReadonly<T>[] {
    return (this.#values.get(value) ?? []).map((entry) => entry.object);
  }

  add(value: string, entry: Entry<T>): void {
    this.#values.set(value, this.#values.get(value)?.concat(entry) ?? [entry]);
  }

  remove(value: string, entry: Entry<T>): void {
    const others = this.#values.get(value)!.filter((other) => other !== entry);
    if (others.length > 0) this.#values.set(value, others);
    else this.#values.delete(value);
  }
}

const keyText = ({ namespace, name }: ObjectKey): string => `${namespace ?? ''}/${name}`;

function identity(raw: KubeObject): { key: string; uid: string; version: string } {
  const metadata = raw.metadata;
  if (metadata?.name === undefined || metadata.uid === undefined || metadata.resourceVersion === undefined) {
    throw new TypeError(`a ${raw.kind ?? 'object'} without name, UID or version`);
  }
  return {
    key: `${metadata.namespace ?? ''}/${metadata.name}`,
    uid: metadata.uid,
    version: metadata.resourceVersion,
  };
}
