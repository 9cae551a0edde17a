import type { QwenCoderDeployment } from '../../../src/api/index.ts';
import type { Deployment, KubeObject, PersistentVolumeClaim, Pod, PodTemplateSpec } from '../../../src/kube/index.ts';
import { RESOURCE, REVISION, SLOT, childNames } from '../../../src/render/labels.ts';
import { type AuditedRequest, type SeenObject, type Version, revisionOf } from '../history.ts';
import type { Limits } from '../limits.ts';
import { type Life, type Timeline, isLeaving, ownerUidOf } from '../timeline.ts';
import { type Violation, violation } from '../violation.ts';
import { isDelete, operatorVersions, operatorWrites } from '../writes.ts';

/**
 * I3: the operator deletes nothing that the resource still wants, and each delete names the UID of the object that it was decided about.
 * A wish that is younger than `reactionMs` may not have reached it.
 */
export function wantedStays(timeline: Timeline, { reactionMs }: Limits): Violation[] {
  const blind = operatorWrites(timeline)
    .filter((request) => isDelete(request) && !isTurnedAway(request) && request.preconditions?.uid === undefined)
    .map(({ resource, namespace, name, verb }) => ({
      invariant: 'I3' as const,
      object: `${resource} ${namespace}/${name ?? '*'}`,
      why: `the operator's ${verb} carries no UID: it would take an object of that name made meanwhile`,
    }));
  const wanted = operatorVersions(timeline).deletions.flatMap(({ life, version }) => {
    if (version === undefined) return [];
    const why = whyWanted(timeline, life, version, reactionMs);
    return why === undefined ? [] : [violation('I3', version.object, `the operator deleted it although ${why}`)];
  });
  return [...blind, ...wanted];
}

/** Refused before its body was read: the log cannot tell what was in it. */
const isTurnedAway = ({ code }: AuditedRequest): boolean => [401, 403, 429].includes(code);

/** Why the resource wanted the object all through the time that the operator may have looked at; undefined if it did not. */
function whyWanted(timeline: Timeline, life: Life, version: Version, reactionMs: number): string | undefined {
  const resource = timeline.life(ownerUidOf(life.last));
  if (resource === undefined) return undefined;
  const revision = revisionOf(version);
  const seen = resource.between(version.atMs - reactionMs, revision);
  if (seen.length === 0) return undefined;
  const reasons = seen.map((state) =>
    state.type === 'DELETED' || isLeaving(state.object)
      ? undefined
      : wish(timeline, state.object as QwenCoderDeployment, life.last, revision),
  );
  return reasons.includes(undefined) ? undefined : reasons.at(-1);
}

function wish(
  timeline: Timeline,
  resource: QwenCoderDeployment,
  object: SeenObject,
  revision: number,
): string | undefined {
  const { name } = resource.metadata;
  switch (object.kind) {
    case 'Service':
    case 'ServiceAccount':
    case 'PodDisruptionBudget': {
      // Older versions of the operator may have made others, which nobody needs any more.
      const always = [childNames.endpoint(name), childNames.engines(name), childNames.engine(name)];
      return always.includes(object.metadata.name) ? `${name} exists, and every resource has it` : undefined;
    }
    case 'HTTPRoute':
    case 'Ingress': {
      const isWanted = resource.spec.endpoint?.expose?.type === object.kind && object.metadata.name === name;
      return isWanted ? `${name} is to be reached by it` : undefined;
    }
    case 'Deployment': {
      const slot = Number((object as Deployment).spec!.selector.matchLabels?.[SLOT]);
      const replicas = replicasOf(resource);
      return slot < replicas
        ? `${name} wants ${replicas} replicas, and this is the place of number ${slot}`
        : undefined;
    }
    case 'Pod': {
      const labels = object.metadata.labels ?? {};
      const isTarget = resource.status?.revisions?.target?.endsWith(`-${labels[REVISION]}`) ?? false;
      const isWanted = isTarget && !resource.spec.suspend && Number(labels[SLOT]) < replicasOf(resource);
      return isWanted ? `${name} wants replica ${labels[SLOT]} at this very revision` : undefined;
    }
    case 'PersistentVolumeClaim': {
      const reader = readersOf(timeline, resource, revision).find((reader) => reads(reader, object));
      return reader && `${reader.kind} ${reader.metadata!.name} reads the weights on it`;
    }
    default:
      return undefined;
  }
}

/** How many replicas a resource asks for at the least. */
function replicasOf({ spec }: QwenCoderDeployment): number {
  const mode = spec.scaling?.mode ?? 'Builtin';
  return mode === 'Builtin' ? (spec.scaling?.minReplicas ?? 1) : (spec.replicas ?? 1);
}

/** What mounts a resource's weights, or is about to: its slots, its pods and the revision that it moves to. */
function readersOf(timeline: Timeline, resource: QwenCoderDeployment, revision: number): KubeObject[] {
  const { namespace, name } = resource.metadata;
  const live = (kind: string) => timeline.livesOf(kind, namespace).flatMap((life) => life.at(revision)?.object ?? []);
  return [
    ...live('Deployment').filter((object) => ownerUidOf(object) === resource.metadata.uid),
    ...live('Pod').filter((object) => object.metadata.labels?.[RESOURCE] === name && SLOT in object.metadata.labels),
    ...live('ControllerRevision').filter((object) => object.metadata.name === resource.status?.revisions?.target),
  ];
}

function reads(reader: KubeObject, claim: PersistentVolumeClaim): boolean {
  const template =
    (reader as Deployment).spec?.template ?? (reader as { data?: { template?: PodTemplateSpec } }).data?.template;
  const volumes = (reader.kind === 'Pod' ? (reader as Pod).spec : template?.spec)?.volumes ?? [];
  return volumes.some(({ persistentVolumeClaim }) => persistentVolumeClaim?.claimName === claim.metadata!.name);
}
