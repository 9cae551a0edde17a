import type { Deployment, Pod, PodDisruptionBudget, Service } from '../../../src/kube/index.ts';
import { ownership } from '../fields.ts';
import { type SeenObject, type Version, revisionOf, titleOf } from '../history.ts';
import { OWNED } from '../kinds.ts';
import type { Limits } from '../limits.ts';
import { ancestorsOf, orphanedOnPurpose, ownerlessSinceMs } from '../orphans.ts';
import { type Life, type Timeline, controllersOf, isLeaving, ownerUidOf, resourceNameOf } from '../timeline.ts';
import { type Violation, violation } from '../violation.ts';

const CHILDREN = new Set(OWNED.map(({ kind }) => kind));
const SELECTING = ['Service', 'PodDisruptionBudget', 'Deployment'];

/**
 * I1: each pod and each child that we label has exactly one controller, no two resources select one pod, and no GPU pod is without a
 * living owner for longer than `ownerlessMs`. Weights may be without an owner: that is how they are retained.
 */
export function oneOwner(timeline: Timeline, { ownerlessMs }: Limits): Violation[] {
  const onPurpose = orphanedOnPurpose(timeline);
  const violations: Violation[] = [];
  for (const life of timeline.lives) {
    if (ancestorsOf(timeline, life).some((uid) => onPurpose.has(uid))) continue;
    for (const { object, type } of life.versions) {
      const why = type === 'DELETED' ? undefined : whyNotOne(object);
      if (why !== undefined) violations.push(violation('I1', object, why));
    }
    if (isGpuPod(life.first)) violations.push(...ownerless(timeline, life, ownerlessMs));
  }
  return [...violations, ...doublySelected(timeline)];
}

function whyNotOne(object: SeenObject): string | undefined {
  const name = resourceNameOf(object);
  if (name === undefined) return undefined;
  const isOurs = object.kind === 'Pod' || (CHILDREN.has(object.kind) && ownership(object).operators.size > 0);
  if (!isOurs) return undefined;
  const controllers = controllersOf(object);
  if (controllers.length === 0 && object.kind === 'PersistentVolumeClaim') return undefined;
  if (controllers.length !== 1) return `it has ${controllers.length} controllers, not one`;
  const [controller] = controllers;
  if (object.kind !== 'Pod' && (ownerUidOf(object) === undefined || controller!.name !== name)) {
    return `it is labelled as a part of ${name} and controlled by ${controller!.kind} ${controller!.name}`;
  }
  return undefined;
}

function ownerless(timeline: Timeline, life: Life, ownerlessMs: number): Violation[] {
  const sinceMs = ownerlessSinceMs(timeline, life);
  if (sinceMs === undefined) return [];
  const done = life.versions.find(({ type, object }) => type === 'DELETED' || isLeaving(object) || hasEnded(object));
  const heldMs = (done?.atMs ?? timeline.history.endedAtMs) - sinceMs;
  if (heldMs <= ownerlessMs) return [];
  return [violation('I1', life.last, `it held GPUs for ${heldMs} ms without a living owner`)];
}

const isGpuPod = (object: SeenObject): boolean =>
  object.kind === 'Pod' &&
  resourceNameOf(object) !== undefined &&
  ((object as Pod).spec?.containers ?? []).some(({ resources }) =>
    Object.keys(resources?.limits ?? {}).some((name) => name.includes('/')),
  );

const hasEnded = (object: SeenObject): boolean => ['Succeeded', 'Failed'].includes((object as Pod).status?.phase ?? '');

/** Every pod whose labels, or whose namespace's selectors, have just come to be or changed. */
function doublySelected(timeline: Timeline): Violation[] {
  const violations: Violation[] = [];
  const previous = new Map<string, string>();
  for (const version of timeline.versions) {
    const { kind, metadata } = version.object;
    if (version.type === 'DELETED' || (kind !== 'Pod' && !SELECTING.includes(kind))) continue;
    const matter = JSON.stringify(kind === 'Pod' ? metadata.labels : [selectorOf(version.object), metadata.labels]);
    if (previous.get(metadata.uid) === matter) continue;
    previous.set(metadata.uid, matter);
    const pods = kind === 'Pod' ? [version] : livePods(timeline, version);
    for (const pod of pods) violations.push(...selectedTwice(timeline, pod, revisionOf(version)));
  }
  return violations;
}

const livePods = (timeline: Timeline, at: Version): Version[] =>
  timeline
    .livesOf('Pod', at.object.metadata.namespace)
    .map((life) => life.at(revisionOf(at)))
    .filter((pod) => pod !== undefined);

function selectedTwice(timeline: Timeline, pod: Version, revision: number): Violation[] {
  const { namespace, labels = {} } = pod.object.metadata;
  if (resourceNameOf(pod.object) === undefined) return [];
  const selecting = new Map<string, string>();
  for (const life of SELECTING.flatMap((kind) => timeline.livesOf(kind, namespace))) {
    const object = life.at(revision)?.object;
    const owner = object && ownerUidOf(object);
    if (!object || owner === undefined) continue;
    const selector = Object.entries(selectorOf(object) ?? {});
    if (selector.length > 0 && selector.every(([key, value]) => labels[key] === value)) {
      selecting.set(owner, titleOf(object));
    }
  }
  if (selecting.size < 2) return [];
  return [violation('I1', pod.object, `two resources select it: ${[...selecting.values()].join(' and ')}`)];
}

function selectorOf(object: SeenObject): Record<string, string> | undefined {
  switch (object.kind) {
    case 'Service':
      return (object as Service).spec?.selector;
    case 'PodDisruptionBudget':
      return (object as PodDisruptionBudget).spec?.selector?.matchLabels;
    default:
      return (object as Deployment).spec?.selector.matchLabels;
  }
}
