import type { KubeObject } from '../kube/index.ts';
import { APPLIED, COMPONENT, type Owner } from '../render/index.ts';
import { difference } from './difference.ts';
import { type LiveChild, digestOf } from './live-child.ts';

/** One write that is due, and why. */
export type Action =
  | { readonly do: 'create'; readonly object: KubeObject; readonly reason: string }
  | { readonly do: 'apply'; readonly object: KubeObject; readonly live: KubeObject; readonly reason: string }
  | { readonly do: 'delete'; readonly object: KubeObject; readonly reason: string };

/** Kinds whose content cannot be changed: a new content has a new name. */
const IMMUTABLE = new Set(['Job']);

const RENDERING_CHANGED = 'its rendering changed';

/** Weights are worth hours of download, so they go last. */
const isOfWeights = ({ metadata }: KubeObject): boolean => metadata?.labels?.[COMPONENT] === 'weights';

export interface DiffOptions {
  /** Keep weights that nothing desired names: an older revision may still read them. */
  readonly keepWeights: boolean;
}

export interface Difference {
  /** What must be written. */
  readonly actions: readonly Action[];
  /** Whole children that hold their rendering, and need not be compared again. */
  readonly matches: readonly LiveChild[];
}

/**
 * What must be written so that the live children become the desired ones.
 *
 * **Guarantees**: no action when nothing differs; desired order is kept, deletions come last; only objects that `owner` controls are
 * deleted.
 */
export function diff(
  owner: Owner,
  desired: readonly KubeObject[],
  live: readonly LiveChild[],
  options: DiffOptions,
): Difference {
  const liveByName = new Map(live.map((object) => [nameOf(object), object]));
  const actions: Action[] = [];
  const matches: LiveChild[] = [];
  for (const object of desired) {
    const current = liveByName.get(nameOf(object));
    if (current === undefined) actions.push({ do: 'create', object, reason: 'it does not exist' });
    else if (!isLeaving(current)) {
      const reason = applyReason(object, current);
      if (reason !== undefined) actions.push({ do: 'apply', object, live: current, reason });
      else if (!current.isAbridged) matches.push(current);
    }
  }
  const wanted = new Set(desired.map(nameOf));
  for (const object of live) {
    if (wanted.has(nameOf(object)) || isLeaving(object) || !isControlledBy(object, owner)) continue;
    if (options.keepWeights && isOfWeights(object)) continue;
    actions.push({ do: 'delete', object, reason: 'it is no longer wanted' });
  }
  return { actions, matches };
}

function applyReason(desired: KubeObject, live: LiveChild): string | undefined {
  if (IMMUTABLE.has(desired.kind!)) return undefined;
  if (live.isAbridged) return digestOf(live) === digestOf(desired) ? undefined : RENDERING_CHANGED;
  const path = difference(desired, live);
  if (path === undefined) return undefined;
  return path.endsWith(APPLIED) ? RENDERING_CHANGED : `${path} differs`;
}

export const nameOf = (object: KubeObject): string => `${object.kind}/${object.metadata?.name}`;

export const isLeaving = (object: KubeObject): boolean => object.metadata?.deletionTimestamp !== undefined;

export const isControlledBy = (object: KubeObject, owner: Pick<Owner, 'uid'>): boolean =>
  object.metadata?.ownerReferences?.some((reference) => reference.controller === true && reference.uid === owner.uid) ??
  false;
