import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';

/** A request that changed something, as the API server's audit log tells it. */
export interface Write {
  /** Milliseconds since the epoch at which it was received, and answered. */
  readonly receivedAtMs: number;
  readonly answeredAtMs: number;
  readonly user: string;
  readonly verb: string;
  /** Plural of the kind, with the subresource: `qwencoderdeployments/status`. */
  readonly resource: string;
  readonly namespace: string;
  readonly name: string;
  readonly code: number;
}

interface Line {
  readonly verb: string;
  readonly requestReceivedTimestamp: string;
  readonly stageTimestamp: string;
  readonly user: { readonly username: string };
  readonly objectRef?: { resource?: string; subresource?: string; namespace?: string; name?: string };
  readonly responseStatus?: { readonly code: number };
}

const WRITES = new Set(['create', 'update', 'patch', 'delete', 'deletecollection']);

/** Reads the writes of one user as the log grows. */
export class AuditLog {
  readonly #path: string;
  readonly #user: string;
  readonly #writes: Write[] = [];
  #file: FileHandle | undefined;
  #rest = '';
  #requests = 0;

  constructor(path: string, user: string) {
    this.#path = path;
    this.#user = user;
  }

  /** All writes so far, in the order in which they were answered. */
  async writes(): Promise<readonly Write[]> {
    await this.#readOn();
    return this.#writes;
  }

  /** Requests of any kind so far. */
  async requests(): Promise<number> {
    await this.#readOn();
    return this.#requests;
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }

  async #readOn(): Promise<void> {
    this.#file ??= await open(this.#path);
    const buffer = Buffer.alloc(1 << 22);
    for (;;) {
      const { bytesRead } = await this.#file.read(buffer, 0, buffer.length);
      if (bytesRead === 0) return;
      const lines = (this.#rest + buffer.toString('utf8', 0, bytesRead)).split('\n');
      this.#rest = lines.pop()!;
      for (const line of lines) if (line.includes(this.#user)) this.#take(JSON.parse(line) as Line);
    }
  }

  #take({ verb, user, objectRef, responseStatus, requestReceivedTimestamp, stageTimestamp }: Line): void {
    if (user.username !== this.#user) return;
    this.#requests += 1;
    if (!WRITES.has(verb)) return;
    const { resource = '', subresource, namespace = '', name = '' } = objectRef ?? {};
    this.#writes.push({
      receivedAtMs: Date.parse(requestReceivedTimestamp),
      answeredAtMs: Date.parse(stageTimestamp),
      user: user.username,
      verb,
      resource: subresource === undefined ? resource : `${resource}/${subresource}`,
      namespace,
      name,
      code: responseStatus?.code ?? 0,
    });
  }
}

/** The Lease is renewed every two seconds, whatever happens. */
export const isLease = ({ resource }: Write): boolean => resource === 'leases';

/** How many writes of each kind and verb. */
export function countByKind(writes: readonly Write[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { verb, resource, code } of writes) {
    const key = `${verb} ${resource}${code >= 300 ? ` (${code})` : ''}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}
