import { KIND } from '../../src/api/index.ts';
import { isDelete } from './writes.ts';
import { type Life, type Timeline, controllersOf } from './timeline.ts';

/**
 * UIDs of owners whose dependents somebody chose to keep: `kubectl delete --cascade=orphan`. The operator never may, so its own orphans
 * are not among them.
 */
export function orphanedOnPurpose(timeline: Timeline): ReadonlySet<string> {
  const { history } = timeline;
  const byOperator = new Set(
    history.requests
      .filter((request) => isDelete(request) && request.user === history.operator)
      .map(({ answer }) => answer?.uid),
  );
  const uids = timeline.lives
    .filter(({ versions }) => versions.some(({ object }) => object.metadata.finalizers?.includes('orphan')))
    .map(({ uid }) => uid);
  return new Set(uids.filter((uid) => !byOperator.has(uid)));
}

/** The UIDs of everything above an object, its nearest controller first, as it was when it last had one. */
export function ancestorsOf(timeline: Timeline, life: Life): string[] {
  const uids: string[] = [];
  let current: Life | undefined = life;
  while (current !== undefined) {
    const uid: string | undefined = controllerUidOf(current);
    if (uid === undefined || uids.includes(uid)) break;
    uids.push(uid);
    current = timeline.life(uid);
  }
  return uids;
}

const controllerUidOf = ({ versions }: Life): string | undefined =>
  versions
    .toReversed()
    .flatMap(({ object }) => controllersOf(object))
    .at(0)?.uid;

/** Since when no living resource stands above an object; undefined where one does. */
export function ownerlessSinceMs(timeline: Timeline, life: Life): number | undefined {
  if (life.first.kind === KIND) return life.end?.atMs;
  const lost = life.versions.findLastIndex(({ object }) => controllersOf(object).length > 0) + 1;
  if (lost < life.versions.length) return life.versions[lost]!.atMs;
  const owner = timeline.life(controllerUidOf(life));
  if (owner === undefined) return life.versions[0]!.atMs;
  const above = ownerlessSinceMs(timeline, owner);
  return owner.end === undefined ? above : Math.min(owner.end.atMs, above ?? Infinity);
}
