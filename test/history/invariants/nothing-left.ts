import type { QwenCoderDeployment } from '../../../src/api/index.ts';
import type { Pod } from '../../../src/kube/index.ts';
import { ownership } from '../fields.ts';
import { revisionOf } from '../history.ts';
import type { Limits } from '../limits.ts';
import { ancestorsOf, orphanedOnPurpose } from '../orphans.ts';
import { type Life, type Timeline, controllersOf, isLeaving, ownerUidOf, resourceNameOf } from '../timeline.ts';
import { type Violation, violation } from '../violation.ts';
import { operatorVersions } from '../writes.ts';

/**
 * I10: `goneMs` after a resource is gone, nothing of it remains but weights that it was told to retain; the operator deletes nothing
 * that no resource controls, makes no object of somebody else a child, and makes nothing for a resource that is going.
 */
export function nothingLeft(timeline: Timeline, { goneMs, reactionMs }: Limits): Violation[] {
  const { made, deletions } = operatorVersions(timeline);
  const strangers = deletions
    .filter(({ life }) => ownerUidOf(life.last) === undefined)
    .map(({ life }) => {
      const [controller] = controllersOf(life.last);
      const whose = controller ? `${controller.kind} ${controller.name} controls` : 'nobody controls';
      return violation('I10', life.last, `the operator deleted it, which ${whose}`);
    });
  const seized = made.flatMap(({ before, after }) => {
    const isNew = before === undefined || ownership(before.object).operators.size > 0;
    if (isNew || ownerUidOf(after.object) === undefined) return [];
    return [
      violation(
        'I10',
        after.object,
        'the operator made it a child, to be deleted with the resource, and somebody else had made it',
      ),
    ];
  });
  const late = made.flatMap(({ after, before }) => {
    const owner = timeline.life(ownerUidOf(after.object));
    const seen = owner?.between(after.atMs - reactionMs, revisionOf(after)) ?? [];
    const isGoing = seen.length > 0 && seen.every(({ type, object }) => type === 'DELETED' || isLeaving(object));
    if (!isGoing) return [];
    return [
      violation(
        'I10',
        after.object,
        `the operator ${before ? 'changed' : 'made'} it for ${owner!.title}, which is being deleted`,
      ),
    ];
  });
  return [...strangers, ...seized, ...late, ...left(timeline, goneMs)];
}

function left(timeline: Timeline, goneMs: number): Violation[] {
  const onPurpose = orphanedOnPurpose(timeline);
  return timeline.resources.flatMap((resource) => {
    const { end } = resource;
    if (end === undefined || onPurpose.has(resource.uid)) return [];
    return timeline.lives
      .filter((life) => isOf(timeline, life, resource) && !isRetained(life, resource) && !isAdopted(life, resource))
      .flatMap((life) => {
        const fromMs = Math.max(end.atMs, mayStayUntilMs(timeline, life));
        const stayedMs = (life.end?.atMs ?? timeline.history.endedAtMs) - fromMs;
        return stayedMs > goneMs
          ? [violation('I10', life.last, `it outlived ${resource.title} by ${stayedMs} ms`)]
          : [];
      });
  });
}

/** Controlled by it, directly or through others; or made by the operator under its name, in its time, and controlled by nobody. */
function isOf(timeline: Timeline, life: Life, resource: Life): boolean {
  const ancestors = ancestorsOf(timeline, life);
  if (ancestors.length > 0) return ancestors.includes(resource.uid);
  const { namespace, name } = resource.first.metadata;
  return (
    resourceNameOf(life.first) === name &&
    life.first.metadata.namespace === namespace &&
    ownership(life.first).operators.size > 0 &&
    revisionOf(life.versions[0]!) > revisionOf(resource.versions[0]!) &&
    revisionOf(life.versions[0]!) < revisionOf(resource.end!)
  );
}

const isRetained = ({ last }: Life, resource: Life): boolean =>
  last.kind === 'PersistentVolumeClaim' &&
  last.metadata.ownerReferences === undefined &&
  (resource.last as QwenCoderDeployment).spec.storage?.retain;

/** Weights that a later resource of the name took over. */
function isAdopted({ last }: Life, resource: Life): boolean {
  const uid = ownerUidOf(last);
  return uid !== undefined && uid !== resource.uid;
}

/** A pod is given its grace; a claim is kept for the pods that mount it. */
function mayStayUntilMs(timeline: Timeline, life: Life): number {
  const { kind, metadata } = life.first;
  if (kind === 'PersistentVolumeClaim') {
    const readers = timeline.livesOf('Pod', metadata.namespace).filter(({ first }) => mounts(first, metadata.name));
    return Math.max(0, ...readers.map(({ end }) => end?.atMs ?? Infinity));
  }
  const leaving = life.versions.find(({ object }) => isLeaving(object));
  if (kind !== 'Pod' || leaving === undefined) return 0;
  return leaving.atMs + (leaving.object.metadata.deletionGracePeriodSeconds ?? 0) * 1000;
}

const mounts = (pod: Pod, claim: string): boolean =>
  (pod.spec?.volumes ?? []).some(({ persistentVolumeClaim }) => persistentVolumeClaim?.claimName === claim);
