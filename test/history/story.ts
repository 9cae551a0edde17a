import { MANAGED_BY, OPERATOR, RESOURCE } from '../../src/render/labels.ts';
import { check } from './checker.ts';
import type { AuditedRequest, Canary, History, SeenObject, Version } from './history.ts';
import type { Limits } from './limits.ts';

export const OPERATOR_USER = 'system:serviceaccount:qwen-coder-system:qwen-coder-operator';

/** An object as a test writes it down: the story numbers its versions and gives it a UID. */
export type Draft = {
  readonly kind: string;
  readonly metadata: { readonly name: string } & Record<string, unknown>;
} & Record<string, unknown>;

/** Plural of a kind, as requests spell it. */
const plural = (kind: string): string => `${kind.toLowerCase()}s`;

/** A history made by hand, one act after the other: each takes a millisecond, and `wait` takes longer. */
export class Story {
  readonly #versions: Version[] = [];
  readonly #requests: AuditedRequest[] = [];
  readonly #logs: string[] = [];
  readonly #metrics: string[] = [];
  readonly #canaries: Canary[] = [];
  readonly #live = new Map<string, SeenObject>();
  #atMs = 1_000_000;
  #revision = 0;
  #uids = 0;

  /** Time passes; an operator that lives renews its Lease meanwhile. */
  wait(ms: number, { operatorLives = true } = {}): this {
    const end = this.#atMs + ms;
    if (operatorLives) this.#renewUntil(end);
    this.#atMs = end;
    return this;
  }

  #renewUntil(end: number): void {
    while (this.#atMs + 2_000 <= end) {
      this.#atMs += 2_000;
      this.#requests.push(this.#request({ kind: 'Lease', metadata: { name: 'lease' } }, 'update', OPERATOR_USER));
    }
  }

  /** Somebody makes or changes an object. Answers with its UID. */
  put(draft: Draft, by = 'user', subresource?: string): string {
    const before = this.#live.get(keyOf(draft));
    const uid = before?.metadata.uid ?? `uid-${(this.#uids += 1)}`;
    const object = this.#numbered(draft, uid);
    this.#live.set(keyOf(draft), object);
    this.#tick(before === undefined ? 'ADDED' : 'MODIFIED', object);
    const answer = { uid, resourceVersion: object.metadata.resourceVersion };
    const isNew = before === undefined;
    const request = { ...this.#request(draft, 'patch', by), code: isNew ? 201 : 200, subresource, answer };
    // What is answered about Secrets is not logged.
    const { answer: _, ...hushed } = request;
    this.#requests.push(draft.kind === 'Secret' ? { ...hushed, verb: isNew ? 'create' : 'patch' } : request);
    return uid;
  }

  /** Somebody writes an object as it is: the answer is the version that was there. */
  repeat(draft: Draft, by = OPERATOR_USER, subresource?: string): void {
    this.#atMs += 1;
    const { uid, resourceVersion } = this.#live.get(keyOf(draft))!.metadata;
    this.#requests.push({ ...this.#request(draft, 'patch', by), subresource, answer: { uid, resourceVersion } });
  }

  /** The API server says no. */
  refuse(draft: Draft, code: number, verb = 'patch'): void {
    this.#atMs += 1;
    this.#requests.push({ ...this.#request(draft, verb, OPERATOR_USER), code });
  }

  /** Somebody deletes an object, which is gone at once. */
  remove(draft: Draft, by = 'user', options: { readonly precondition?: boolean; readonly policy?: string } = {}): void {
    const live = this.#live.get(keyOf(draft))!;
    const { uid } = live.metadata;
    this.#live.delete(keyOf(draft));
    this.#tick('DELETED', this.#numbered(live, uid));
    const { precondition = true, policy } = options;
    this.#requests.push({
      ...this.#request(draft, 'delete', by),
      ...(precondition && { preconditions: { uid } }),
      ...(policy !== undefined && { propagationPolicy: policy }),
      answer: { uid, resourceVersion: undefined },
    });
  }

  log(line: string): void {
    this.#logs.push(line);
  }

  measure(text: string): void {
    this.#metrics.push(text);
  }

  hide(value: string, from: string): void {
    this.#canaries.push({ value, from });
  }

  history(): History {
    return {
      versions: this.#versions,
      requests: this.#requests,
      operator: OPERATOR_USER,
      logs: this.#logs,
      metrics: this.#metrics,
      canaries: this.#canaries,
      endedAtMs: this.#atMs,
    };
  }

  /** What the checker says of it, without the numbers of versions. */
  verdict(limits: Partial<Limits> = {}): string[] {
    return check(this.history(), limits).map(({ invariant, object, why }) => `${invariant} ${object}: ${why}`);
  }

  #numbered(draft: Draft | SeenObject, uid: string): SeenObject {
    this.#revision += 1;
    const metadata = { namespace: 'team-a', ...draft.metadata, uid, resourceVersion: String(this.#revision) };
    return { ...draft, metadata };
  }

  #tick(type: Version['type'], object: SeenObject): void {
    this.#atMs += 1;
    this.#versions.push({ atMs: this.#atMs, type, object });
  }

  #request({ kind, metadata }: Draft, verb: string, user: string): AuditedRequest {
    return {
      atMs: this.#atMs,
      user,
      userAgent: '',
      verb,
      group: '',
      resource: plural(kind),
      subresource: undefined,
      namespace: 'team-a',
      name: metadata.name,
      code: 200,
    };
  }
}

const keyOf = ({ kind, metadata: { name } }: Draft | SeenObject): string => `${kind}/${name}`;

/** Metadata of an object that is labelled as a part of `coder`. */
export const labelled = (name: string, over: object = {}, resource = 'coder') => ({
  name,
  labels: { [MANAGED_BY]: OPERATOR, [RESOURCE]: resource },
  ...over,
});

/** One controller. */
export const controlledBy = (kind: string, name: string, uid: string) => ({
  ownerReferences: [
    {
      apiVersion: kind === 'QwenCoderDeployment' ? 'qwencoder.dev/v1alpha1' : 'apps/v1',
      kind,
      name,
      uid,
      controller: true,
    },
  ],
});

/** An entry of `managedFields`, from paths such as `f:spec f:replicas`. */
export function managed(manager: string, ...paths: string[]): { managedFields: object[] } {
  const fieldsV1: Record<string, object> = {};
  for (const path of paths) {
    let node = fieldsV1;
    for (const step of path.split(' ')) node = (node[step] ??= {}) as Record<string, object>;
  }
  return { managedFields: [{ manager, operation: 'Apply', fieldsV1 }] };
}

/** Both. */
export const managedBoth = (...entries: { managedFields: object[] }[]): { managedFields: object[] } => ({
  managedFields: entries.flatMap(({ managedFields }) => managedFields),
});
