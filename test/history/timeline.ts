import { GROUP, KIND } from '../../src/api/index.ts';
import { MANAGED_BY, OPERATOR, RESOURCE } from '../../src/render/labels.ts';
import { type History, type SeenObject, type Version, revisionOf, titleOf } from './history.ts';

/** Everything that one object ever was, oldest first. */
export class Life {
  readonly versions: readonly Version[];

  constructor(versions: readonly Version[]) {
    this.versions = versions;
  }

  get first(): SeenObject {
    return this.versions[0]!.object;
  }

  get last(): SeenObject {
    return this.versions.at(-1)!.object;
  }

  get uid(): string {
    return this.first.metadata.uid;
  }

  get title(): string {
    return titleOf(this.first);
  }

  /** The version with which the object ceased to exist. */
  get end(): Version | undefined {
    const last = this.versions.at(-1)!;
    return last.type === 'DELETED' ? last : undefined;
  }

  /** The version that is true at a revision; undefined where the object does not exist. */
  at(revision: number): Version | undefined {
    const version = this.versions.findLast((candidate) => revisionOf(candidate) <= revision);
    return version?.type === 'DELETED' ? undefined : version;
  }

  /** The version that a revision replaced. */
  before(revision: number): Version | undefined {
    return this.versions.findLast((candidate) => revisionOf(candidate) < revision);
  }

  exactly(revision: number): Version | undefined {
    return this.versions.find((candidate) => revisionOf(candidate) === revision);
  }

  /** Every version that was true at some moment between a time and a revision: what somebody who lags may have seen. */
  between(sinceMs: number, revision: number): Version[] {
    return this.versions.filter((version, index) => {
      const replaced = this.versions[index + 1];
      return revisionOf(version) <= revision && (replaced === undefined || replaced.atMs >= sinceMs);
    });
  }
}

/**
 * A history in the order in which it happened. One etcd numbers the changes of all kinds, so ordering by version replays the very states
 * that the cluster went through.
 */
export class Timeline {
  readonly history: History;
  readonly versions: readonly Version[];
  readonly lives: readonly Life[];
  readonly #byUid = new Map<string, Life>();
  readonly #byKind = new Map<string, Life[]>();

  constructor(history: History) {
    this.history = history;
    this.versions = history.versions.toSorted((a, b) => revisionOf(a) - revisionOf(b));
    const versionsOf = Map.groupBy(this.versions, ({ object }) => object.metadata.uid);
    for (const [uid, versions] of versionsOf) {
      const life = new Life(versions);
      this.#byUid.set(uid, life);
      const { kind, metadata } = life.first;
      for (const key of [kind, `${kind} ${metadata.namespace}`]) {
        const lives = this.#byKind.get(key);
        if (lives) lives.push(life);
        else this.#byKind.set(key, [life]);
      }
    }
    this.lives = [...this.#byUid.values()];
  }

  life(uid: string | undefined): Life | undefined {
    return uid === undefined ? undefined : this.#byUid.get(uid);
  }

  livesOf(kind: string, namespace?: string): readonly Life[] {
    return this.#byKind.get(namespace === undefined ? kind : `${kind} ${namespace}`) ?? [];
  }

  get resources(): readonly Life[] {
    return this.livesOf(KIND);
  }
}

export const controllersOf = ({ metadata }: SeenObject) =>
  (metadata.ownerReferences ?? []).filter((reference) => reference.controller === true);

/** The UID of the resource that controls an object. */
export const ownerUidOf = (object: SeenObject): string | undefined =>
  controllersOf(object).find(({ kind, apiVersion }) => kind === KIND && apiVersion.startsWith(`${GROUP}/`))?.uid;

/** The name of the resource that an object is labelled as a part of, if it is labelled as the operator's. */
export const resourceNameOf = ({ metadata: { labels } }: SeenObject): string | undefined =>
  labels?.[MANAGED_BY] === OPERATOR ? labels[RESOURCE] : undefined;

export const isLeaving = ({ metadata }: SeenObject): boolean => metadata.deletionTimestamp !== undefined;
