import type { KubeObject, ObjectMeta } from '../../src/kube/index.ts';

/** An object as the recorder keeps it: trimmed, but whole in every field that an invariant reads. */
export interface SeenObject extends KubeObject {
  readonly kind: string;
  readonly metadata: ObjectMeta & { readonly name: string; readonly uid: string; readonly resourceVersion: string };
}

/** One version of one object, as the API server told its watchers. */
export interface Version {
  /** Milliseconds since the epoch at which the recorder heard of it. */
  readonly atMs: number;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: SeenObject;
}

export const WRITE_VERBS = ['create', 'update', 'patch', 'delete', 'deletecollection'] as const;

/** One request to the API server, from its audit log. */
export interface AuditedRequest {
  /** Milliseconds since the epoch at which the server received it. */
  readonly atMs: number;
  /** User name: `system:serviceaccount:<namespace>:<name>` for a service account. */
  readonly user: string;
  readonly userAgent: string;
  readonly verb: string;
  /** Empty for the core group. */
  readonly group: string;
  /** Plural of the kind. */
  readonly resource: string;
  readonly subresource: string | undefined;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly code: number;
  /** Of a delete whose body was logged. */
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
  readonly propagationPolicy?: string;
  /** The object that the server answered with, where answers were logged. */
  readonly answer?: { readonly uid: string | undefined; readonly resourceVersion: string | undefined };
}

/** A text that must never be shown, and where it comes from. */
export interface Canary {
  readonly value: string;
  readonly from: string;
}

/** Everything that an independent eye saw of one run. */
export interface History {
  /** In no particular order; `Timeline` sorts them. */
  readonly versions: readonly Version[];
  /** Every write of everybody, and every request of the operator. Empty where there was no audit log. */
  readonly requests: readonly AuditedRequest[];
  /** User name of the operator. */
  readonly operator: string;
  /** Lines that the operator logged. */
  readonly logs: readonly string[];
  /** What the operator's metrics endpoint said. */
  readonly metrics: readonly string[];
  readonly canaries: readonly Canary[];
  /** Milliseconds since the epoch at which the recorder stopped. */
  readonly endedAtMs: number;
}

export const revisionOf = ({ object }: Version): number => Number(object.metadata.resourceVersion);

/** `Pod team-a/coder-0`. */
export const titleOf = ({ kind, metadata: { namespace, name } }: SeenObject): string =>
  `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`;
