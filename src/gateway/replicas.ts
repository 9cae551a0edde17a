import { Pool } from 'undici';
import type { Clock } from '../runtime/clock.ts';

/** A replica as the operator tells of it. */
export interface Endpoint {
  /** Stable as long as the engine's process is: the pod's UID. */
  readonly id: string;
  /** `10.0.0.1:8000`, an IPv6 address in brackets. */
  readonly address: string;
  /** A draining replica finishes what it has and gets nothing new. */
  readonly state: 'Ready' | 'Draining';
  /** Answers that its engine works on at once. */
  readonly slots: number;
}

/** A replica with what this gateway has sent to it. */
export class Replica {
  readonly id: string;
  readonly address: string;
  readonly connections: Pool;
  state: Endpoint['state'];
  slots: number;
  /** Answers under way. */
  inFlight = 0;
  /** Estimated work of what is in flight, in seconds of an engine. */
  work = 0;
  /** It could not be reached, or took no request, when it was tried last. */
  isAway = false;

  constructor({ id, address, state, slots }: Endpoint, connections: Pool) {
    this.id = id;
    this.address = address;
    this.state = state;
    this.slots = slots;
    this.connections = connections;
  }

  /** Whether it may get requests. */
  get isReady(): boolean {
    return this.state === 'Ready' && !this.isAway;
  }

  /** Places that are free. A request for several answers may take more than there are. */
  get room(): number {
    return this.isReady ? Math.max(0, this.slots - this.inFlight) : 0;
  }

  /** Takes places; the answer gives them back. */
  seat(sequences: number, work: number): () => void {
    this.inFlight += sequences;
    this.work += work;
    return () => {
      this.inFlight -= sequences;
      // Sums of fractions leave dust.
      this.work = this.inFlight === 0 ? 0 : this.work - work;
    };
  }
}

export interface ReplicasOptions {
  readonly clock: Clock;
  /** Told when a replica comes, goes or changes. */
  readonly onChange: () => void;
}

/** A replica that was away is asked for its health again after this long, and has so long to answer. */
const HEALTH_MS = 1000;
const HEALTH_ANSWER_MS = 3000;
/** A node that is gone drops packets: the connection is given up. */
const CONNECT_MS = 3000;

/**
 * The replicas of the endpoint.
 *
 * **Guarantees**: a replica that left is forgotten when the last of its requests has ended, and its connections are closed; one that
 * cannot be reached or takes no requests is left out until its `/health` answers 200.
 */
export class Replicas {
  readonly #options: ReplicasOptions;
  readonly #replicas = new Map<string, Replica>();
  /** Those that are no more, and still have requests. */
  readonly #leaving = new Set<Replica>();
  readonly #stopped = new AbortController();

  constructor(options: ReplicasOptions) {
    this.#options = options;
  }

  /** Those that have a free place. */
  open(): Replica[] {
    const open: Replica[] = [];
    for (const replica of this.#replicas.values()) if (replica.room > 0) open.push(replica);
    return open;
  }

  all(): Iterable<Replica> {
    return this.#replicas.values();
  }

  /** Whether one may get requests, at once or in its turn. */
  get isServing(): boolean {
    for (const replica of this.#replicas.values()) if (replica.isReady) return true;
    return false;
  }

  /** Free places of all. */
  get room(): number {
    let room = 0;
    for (const replica of this.#replicas.values()) room += replica.room;
    return room;
  }

  /** Takes the whole list over. */
  set(endpoints: readonly Endpoint[]): void {
    const ids = new Set(endpoints.map(({ id }) => id));
    for (const replica of this.#replicas.values()) if (!ids.has(replica.id)) this.#remove(replica);
    for (const endpoint of endpoints) {
      const replica = this.#replicas.get(endpoint.id);
      if (replica && replica.address === endpoint.address) {
        replica.state = endpoint.state;
        replica.slots = endpoint.slots;
      } else {
        if (replica) this.#remove(replica);
        this.#replicas.set(endpoint.id, new Replica(endpoint, connectionsTo(endpoint.address)));
      }
    }
    this.#options.onChange();
  }

  /** Notes that a replica takes no requests; it comes back when its health does. */
  lost(replica: Replica): void {
    if (replica.isAway) return;
    replica.isAway = true;
    this.#options.onChange();
    void this.#waitForHealth(replica);
  }

  /** Breaks all connections; requests that are under way hear why. */
  async close(why: Error): Promise<void> {
    this.#stopped.abort();
    const all = [...this.#replicas.values(), ...this.#leaving];
    await Promise.all(all.map(({ connections }) => connections.destroy(why)));
  }

  #remove(replica: Replica): void {
    this.#replicas.delete(replica.id);
    this.#leaving.add(replica);
    // What is in flight ends first.
    void replica.connections.close().finally(() => this.#leaving.delete(replica));
  }

  async #waitForHealth(replica: Replica): Promise<void> {
    const { clock, onChange } = this.#options;
    const { signal } = this.#stopped;
    while (this.#replicas.get(replica.id) === replica) {
      try {
        await clock.sleep(HEALTH_MS, signal);
        const { statusCode, body } = await replica.connections.request({
          method: 'GET',
          path: '/health',
          headersTimeout: HEALTH_ANSWER_MS,
          bodyTimeout: HEALTH_ANSWER_MS,
          signal,
        });
        await body.dump();
        if (statusCode === 200) {
          replica.isAway = false;
          onChange();
          return;
        }
      } catch {
        if (signal.aborted) return;
      }
    }
  }
}

const connectionsTo = (address: string): Pool =>
  new Pool(`http://${address}`, {
    connect: { timeout: CONNECT_MS },
    // uvicorn closes an idle connection after 5 s; a request on a closing one would fail.
    keepAliveTimeout: 4000,
    keepAliveMaxTimeout: 4000,
  });
