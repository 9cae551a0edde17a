import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { type AuditedRequest, WRITE_VERBS } from './history.ts';
import { LOGGED_IN_FULL } from './kinds.ts';

/**
 * Rules of an audit policy, before the one that logs the metadata of everything. Of what the operator writes, the bodies are logged,
 * whoever writes it: an answer names the version that a request made, and a delete's body its preconditions. Secrets are no part of it.
 */
export const AUDIT_RULES: readonly object[] = [
  {
    level: 'RequestResponse',
    omitManagedFields: true,
    verbs: WRITE_VERBS,
    // Named one by one: the answers to serviceaccounts/token are secrets.
    resources: LOGGED_IN_FULL.map(({ group, plural }) => ({
      group,
      resources: [plural, `${plural}/status`, `${plural}/scale`],
    })),
  },
  { level: 'Request', verbs: ['delete', 'deletecollection'] },
];

/** A line of the log, as far as it is read. */
interface AuditEvent {
  readonly stage: string;
  readonly verb: string;
  readonly user: { readonly username: string };
  readonly userAgent?: string;
  readonly requestReceivedTimestamp: string;
  readonly objectRef?: {
    readonly apiGroup?: string;
    readonly resource?: string;
    readonly subresource?: string;
    readonly namespace?: string;
    readonly name?: string;
  };
  readonly responseStatus?: { readonly code?: number };
  readonly requestObject?: {
    readonly kind?: string;
    readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
    readonly propagationPolicy?: string;
  };
  readonly responseObject?: {
    readonly metadata?: { readonly name?: string; readonly uid?: string; readonly resourceVersion?: string };
    readonly details?: { readonly uid?: string };
  };
}

/**
 * An audit log as it grows: every write of everybody and every request of one user.
 *
 * **Assumes** one file: the API server is told to start no other (`--audit-log-maxsize`).
 */
export class AuditLog {
  readonly #path: string;
  readonly #user: string;
  readonly #requests: AuditedRequest[] = [];
  #offset: number;

  private constructor(path: string, user: string, offset: number) {
    this.#path = path;
    this.#user = user;
    this.#offset = offset;
  }

  /** Begins at the present end. */
  static async open(path: string, user: string): Promise<AuditLog> {
    return new AuditLog(path, user, await sizeOf(path));
  }

  /** Everything since it was opened, in the order of the log. */
  async read(): Promise<readonly AuditedRequest[]> {
    const end = await sizeOf(this.#path);
    if (end === this.#offset) return this.#requests;
    const chunks: Buffer[] = [];
    for await (const chunk of createReadStream(this.#path, { start: this.#offset, end: end - 1 })) {
      chunks.push(chunk as Buffer);
    }
    const text = Buffer.concat(chunks);
    const whole = text.lastIndexOf('\n') + 1;
    this.#offset += whole;
    for (const line of text.toString('utf8', 0, whole).split('\n')) {
      const request = requestOf(line, this.#user);
      if (request !== undefined) this.#requests.push(request);
    }
    return this.#requests;
  }
}

const sizeOf = (path: string): Promise<number> =>
  stat(path).then(
    ({ size }) => size,
    () => 0,
  );

function requestOf(line: string, operator: string): AuditedRequest | undefined {
  const isOfInterest = line.includes(`"${operator}"`) || WRITE_VERBS.some((verb) => line.includes(`"verb":"${verb}"`));
  if (!isOfInterest) return undefined;
  const event = JSON.parse(line) as AuditEvent;
  const { verb, user, objectRef = {}, requestObject, responseObject } = event;
  // A watch is logged when it begins and when it ends; nothing happens at its end.
  if (event.stage !== (verb === 'watch' ? 'ResponseStarted' : 'ResponseComplete')) return undefined;
  const options = requestObject?.kind === 'DeleteOptions' ? requestObject : undefined;
  return {
    atMs: Date.parse(event.requestReceivedTimestamp),
    user: user.username,
    userAgent: event.userAgent ?? '',
    verb,
    group: objectRef.apiGroup ?? '',
    resource: objectRef.resource ?? '',
    subresource: objectRef.subresource,
    namespace: objectRef.namespace,
    name: objectRef.name ?? responseObject?.metadata?.name,
    code: event.responseStatus?.code ?? 0,
    ...(options?.preconditions && { preconditions: options.preconditions }),
    ...(options?.propagationPolicy !== undefined && { propagationPolicy: options.propagationPolicy }),
    ...(responseObject && {
      answer: {
        uid: responseObject.metadata?.uid ?? responseObject.details?.uid,
        resourceVersion: responseObject.metadata?.resourceVersion,
      },
    }),
  };
}
