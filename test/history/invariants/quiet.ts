import { KIND } from '../../../src/api/index.ts';
import type { EventRecord, Job, Node } from '../../../src/kube/index.ts';
import { canonicalJson } from '../../../src/render/digest.ts';
import { aliveClock } from '../alive.ts';
import { type AuditedRequest, type SeenObject, type Version, revisionOf } from '../history.ts';
import type { Limits } from '../limits.ts';
import { type Life, type Timeline, resourceNameOf } from '../timeline.ts';
import { type Violation, violation } from '../violation.ts';
import { type Made, type Writes, operatorVersions, operatorWrites, succeeded } from '../writes.ts';

/**
 * I12: the operator writes about a resource only within `settleMs` of a change of the resource, its children, its namespace's quotas or the
 * nodes that was not the operator's own; it never writes twice in a row without effect; no write changes nothing but a time.
 *
 * Time counts only while an operator is alive, so that a restart is no excuse: what changed before it was settled before it.
 */
export function quiet(timeline: Timeline, limits: Limits): Violation[] {
  const writes = operatorVersions(timeline);
  return [...uncalledFor(timeline, writes, limits), ...withoutEffect(writes), ...ofTimeOnly(writes.made)];
}

function uncalledFor(timeline: Timeline, writes: Writes, { settleMs, reactionMs }: Limits): Violation[] {
  const alive = aliveClock(timeline.history);
  const changes = changesByScope(timeline, writes);
  const retries = retriesOf(timeline);
  const acts = [
    ...writes.made.map(({ request, life, after }) => ({ request, life, version: after })),
    ...writes.idle.map(({ request, life }) => ({ request, life, version: undefined })),
    ...writes.deletions.filter(({ life }) => !isFailedJob(life.last)),
  ];
  return acts.flatMap(({ request, life, version }) => {
    const scope = scopeOf(life.last);
    if (scope === undefined || isCount(request, life) || retries.has(request)) return [];
    const lived = alive(request.atMs);
    const isCause = (change: Version) =>
      (version ? revisionOf(change) < revisionOf(version) : change.atMs <= request.atMs + SKEW_MS) &&
      lived - alive(change.atMs) <= settleMs + reactionMs;
    if ([...(changes.get(scope) ?? []), ...(changes.get(NODES) ?? [])].some(isCause)) return [];
    return [
      violation(
        'I12',
        life.last,
        `the operator's ${request.verb} came ${settleMs} ms or more after the last change of ${scope}`,
      ),
    ];
  });
}

/** The recorder may hear of a change later than the operator. */
const SKEW_MS = 200;
const NODES = 'nodes';

/** What changed that the operator did not do, by what it is about. */
function changesByScope(timeline: Timeline, writes: Writes): ReadonlyMap<string, readonly Version[]> {
  const changes = new Map<string, Version[]>();
  const deletedByOperator = new Set(writes.deletions.map(({ version }) => version));
  const resources = timeline.resources.map(({ first }) => first.metadata);
  for (const version of timeline.versions) {
    if (writes.isMade(version) || deletedByOperator.has(version)) continue;
    for (const scope of scopesTouched(version.object, resources)) {
      const others = changes.get(scope);
      if (others) others.push(version);
      else changes.set(scope, [version]);
    }
  }
  return changes;
}

/**
 * A resource's own objects by their label; those that hold a name of its children by their name; quotas by being in its namespace; nodes by
 * being nodes.
 */
function scopesTouched(object: SeenObject, resources: readonly SeenObject['metadata'][]): string[] {
  const { kind, metadata } = object;
  if (kind === 'Node') return offersGpus(object) ? [NODES] : [];
  if (kind === 'Event' || kind === 'Lease') return [];
  const scope = scopeOf(object);
  const isAbout = (resource: string): boolean => kind === 'ResourceQuota' || isNameOfChild(metadata.name, resource);
  const named = resources
    .filter(({ namespace, name }) => namespace === metadata.namespace && isAbout(name))
    .map(({ namespace, name }) => `${namespace}/${name}`);
  return [...new Set([...(scope === undefined ? [] : [scope]), ...named])];
}

const isNameOfChild = (name: string, resource: string): boolean => name === resource || name.startsWith(`${resource}-`);

const offersGpus = (node: Node): boolean =>
  Object.keys(node.status?.allocatable ?? {}).some((name) => name.includes('/'));

/** The resource that an object is about. */
function scopeOf(object: SeenObject): string | undefined {
  const { namespace, name } = object.metadata;
  if (object.kind === KIND) return `${namespace}/${name}`;
  if (object.kind === 'Event') {
    const { regarding } = object as unknown as EventRecord;
    return `${regarding?.namespace}/${regarding?.name}`;
  }
  const resource = resourceNameOf(object);
  return resource && `${namespace}/${resource}`;
}

/** The count of a series of Events is written when the series ends, minutes after its cause. */
const isCount = ({ verb }: AuditedRequest, { first }: Life): boolean => first.kind === 'Event' && verb === 'patch';

/** A download that used up its retries is started again after a while. */
const isFailedJob = (object: SeenObject): boolean =>
  object.kind === 'Job' &&
  ((object as unknown as Job).status?.conditions?.some(({ type, status }) => type === 'Failed' && status === 'True') ??
    false);

/** What was refused is tried again, and nobody watches the quota or policy that refused it. */
function retriesOf(timeline: Timeline): ReadonlySet<AuditedRequest> {
  const retries = new Set<AuditedRequest>();
  const last = new Map<string, AuditedRequest>();
  for (const request of operatorWrites(timeline)) {
    const { resource, namespace, name, subresource } = request;
    const key = [resource, subresource, namespace, name].join('/');
    const before = last.get(key);
    if (before !== undefined && !succeeded(before)) retries.add(request);
    last.set(key, request);
  }
  return retries;
}

/** Two writes in a row that left an object as it was. One may be a retry whose first answer was lost. */
function withoutEffect(writes: Writes): Violation[] {
  const idle = Map.groupBy(writes.idle, ({ request, life }) => `${life.uid} ${request.subresource}`);
  return [...idle.values()].flatMap((group) =>
    group.flatMap(({ request, life }, index) => {
      const before = group[index - 1];
      const isSecond = before?.request.answer?.resourceVersion === request.answer?.resourceVersion;
      if (before === undefined || !isSecond) return [];
      return [violation('I12', life.last, `the operator's ${request.verb} changed nothing, as the one before it`)];
    }),
  );
}

const TIME = /\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?|\b1[5-9]\d{8}(\d{3})?\b/g;

/** Writes after which the object says what it said before, at another time. */
function ofTimeOnly(made: readonly Made[]): Violation[] {
  return made.flatMap(({ before, after }) => {
    if (before === undefined || after.object.kind === 'Event') return [];
    const [was, is] = [before, after].map(content);
    if (was === is || was!.replaceAll(TIME, '') !== is!.replaceAll(TIME, '')) return [];
    return [violation('I12', after.object, 'the operator changed nothing of it but a time')];
  });
}

function content({ object }: Version): string {
  const { managedFields: _, resourceVersion: _version, generation: _generation, ...metadata } = object.metadata;
  return canonicalJson({ ...object, metadata });
}
