import { canonicalJson } from '../../src/render/digest.ts';
import { Secrets } from '../../src/kube/index.ts';
import { ownership, valueAt } from './fields.ts';
import { type AuditedRequest, type Version, WRITE_VERBS, revisionOf } from './history.ts';
import type { Life, Timeline } from './timeline.ts';

/** A write of the operator that made a version. */
export interface Made {
  readonly request: AuditedRequest;
  readonly life: Life;
  readonly before: Version | undefined;
  readonly after: Version;
}

/** A write of the operator that left an object as it was. */
export interface Idle {
  readonly request: AuditedRequest;
  readonly life: Life;
}

/** A deletion that the operator asked for and got. */
export interface Deletion {
  readonly request: AuditedRequest;
  readonly life: Life;
  /** The version with which the object began to go, or was gone. */
  readonly version: Version | undefined;
}

/** What each write of the operator came to. */
export interface Writes {
  readonly made: readonly Made[];
  readonly idle: readonly Idle[];
  readonly deletions: readonly Deletion[];
  isMade(version: Version): boolean;
}

/** The recorder hears of a version after the server received the write that made it; the two clocks are read apart. */
const SKEW_MS = 50;

const isWrite = ({ verb }: AuditedRequest): boolean => WRITE_VERBS.some((write) => write === verb);
export const isDelete = ({ verb }: AuditedRequest): boolean => verb === 'delete' || verb === 'deletecollection';
export const succeeded = ({ code }: AuditedRequest): boolean => code >= 200 && code < 300;

/** The operator's requests to change something, in order; its Lease and whatever was refused included. */
export const operatorWrites = ({ history }: Timeline): AuditedRequest[] =>
  history.requests
    .filter((request) => request.user === history.operator && isWrite(request))
    .toSorted((a, b) => a.atMs - b.atMs);

/**
 * Finds the version that each write of the operator made. An answer names a version, but a write that changes nothing is answered with
 * the version that somebody else made: that is told by the others' answers, and by whether the operator's own fields differ.
 */
export function operatorVersions(timeline: Timeline): Writes {
  const { history } = timeline;
  const answered = new Set<string>();
  for (const request of history.requests) {
    const { answer } = request;
    if (request.user !== history.operator && succeeded(request) && answer?.uid !== undefined) {
      answered.add(`${answer.uid} ${answer.resourceVersion}`);
    }
  }
  const made = new Map<Version, Made>();
  const idle: Idle[] = [];
  const deletions: Deletion[] = [];
  for (const request of operatorWrites(timeline)) {
    const answer = request.answer ?? madeSecret(timeline, request);
    const life = timeline.life(answer?.uid);
    if (!succeeded(request) || life === undefined) continue;
    if (isDelete(request)) {
      const version = life.versions.find(({ type, object }) => type === 'DELETED' || object.metadata.deletionTimestamp);
      deletions.push({ request, life, version });
      continue;
    }
    const after = life.exactly(Number(answer!.resourceVersion));
    if (after === undefined) continue;
    const before = life.before(revisionOf(after));
    const isOthers = answered.has(`${life.uid} ${after.object.metadata.resourceVersion}`);
    const isItsOwn =
      !made.has(after) &&
      isSince(after, request) &&
      (before === undefined || !isOthers || ownFieldsDiffer(before, after));
    if (isItsOwn) made.set(after, { request, life, before, after });
    else idle.push({ request, life });
  }
  return { made: [...made.values()], idle, deletions, isMade: (version) => made.has(version) };
}

/** What is answered about Secrets is not logged: one that was created is the first of its name since. */
function madeSecret(timeline: Timeline, request: AuditedRequest): AuditedRequest['answer'] {
  if (request.resource !== Secrets.plural || request.verb !== 'create') return undefined;
  return timeline
    .livesOf(Secrets.kind, request.namespace)
    .filter(({ first, versions }) => first.metadata.name === request.name && isSince(versions[0]!, request))
    .map(({ first }) => first.metadata)[0];
}

const isSince = (version: Version, request: AuditedRequest): boolean => version.atMs >= request.atMs - SKEW_MS;

function ownFieldsDiffer(before: Version, after: Version): boolean {
  const owned = new Map([...ownership(before.object).operators, ...ownership(after.object).operators]);
  return [...owned.values()].some(
    (path) => canonicalJson([valueAt(before.object, path)]) !== canonicalJson([valueAt(after.object, path)]),
  );
}
