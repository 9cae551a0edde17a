import type { Clock } from '../runtime/clock.ts';
import type { KubeClient } from './client.ts';
import { type Lease, Leases } from './resources.ts';
import type { ObjectKey } from './wire.ts';

/**
 * The one Lease that candidates compete for. Any rejection is a failed attempt; none is interpreted, because the next attempt reads
 * the Lease again.
 */
export interface LeaseStore {
  /** Nothing when there is no such Lease. */
  get(key: ObjectKey, signal: AbortSignal): Promise<Lease | undefined>;
  /** Rejects if it exists. */
  create(lease: Lease, signal: AbortSignal): Promise<Lease>;
  /** Rejects if `metadata.resourceVersion` is not the stored one: the only arbiter between candidates. */
  update(lease: Lease, signal: AbortSignal): Promise<Lease>;
}

export interface LeaseOptions {
  readonly store: LeaseStore;
  readonly key: ObjectKey;
  /** Unique to this process: {@link leaseIdentity}. */
  readonly identity: string;
  readonly clock: Clock;
  /** Answers in `[0, 1)`. */
  readonly random: () => number;
  /** How long others wait after the last renewal that they saw. Default 15 s (client-go's, as the next two). */
  readonly leaseDurationMs?: number;
  /** How long a leader leads without a renewal. Default 10 s. The difference is what clocks of different speed may err. */
  readonly renewDeadlineMs?: number;
  /** Time between attempts. Default 2 s. */
  readonly retryPeriodMs?: number;
  /** Told when this process begins to lead and when it ceases to. */
  readonly onLeading?: (isLeader: boolean) => void;
  /** Told of who holds the Lease, each time that it changes; nobody holds it if empty. */
  readonly onHolder?: (holder: string, isSelf: boolean) => void;
  /** Told of attempts that failed. */
  readonly onFailure?: (error: unknown) => void;
}

/**
 * Terms are counted on from the time at which a Lease is made, in tens of seconds: one that was deleted and made anew is above what the
 * old one had counted, so whoever remembers terms is never told by a new leader that it is an old one.
 */
const firstTerm = (clock: Clock): number => Math.floor(clock.now() / 10_000);

/** This process led and does not any more: whatever it was about to write belongs to another. */
export class LeadershipLost extends Error {
  readonly code = 'LeadershipLost';
  override readonly name = 'LeadershipLost';
}

/** client-go `leaderelection.go`: `JitterFactor`. */
const jitterFactor = 1.2;
/** Candidates that wait for the same expiry do not all ask in the same millisecond. */
const expirySpreadMs = 250;

/** The Lease on a real API server. Its writes pass the fence, because they are what opens it. */
export function leaseStore(client: Pick<KubeClient, 'get' | 'create' | 'update'>): LeaseStore {
  return {
    get: (key, signal) => client.get(Leases, key, { signal }),
    create: (lease, signal) => client.create(Leases, lease, { signal, fenced: false }),
    update: (lease, signal) => client.update(Leases, lease, { signal, fenced: false }),
  };
}

/** `hostname_unique`: a restarted process must not take itself for its predecessor. */
export function leaseIdentity(hostname: string, unique: string): string {
  return `${hostname}_${unique}`;
}

/** Lease times carry exactly six fractional digits: the API server answers 500 to three (kubernetes/kubernetes#141204). */
export function microTime(clock: Clock): string {
  return new Date(clock.now()).toISOString().replace('Z', '000Z');
}

/**
 * Leader election over a Lease, by client-go's rules (`tools/leaderelection`).
 *
 * **Guarantees**, if clocks run at rates that differ by less than `leaseDurationMs / renewDeadlineMs`
 * - `isLeader` is true in at most one process at a time;
 * - a leader that cannot renew stops by itself: `fence` looks at the monotonic clock, so it refuses even when timers and answers are
 *   late because the process was frozen or its event loop blocked;
 * - wall clocks decide nothing: a Lease has expired when *this* process has seen no change of it for its duration;
 * - after a crash a candidate that reaches the API server leads at most `leaseDurationMs` + 2.2 · `retryPeriodMs` + 0.25 s later, 19.65 s
 *   by default; after `release`, at most 2.2 · `retryPeriodMs` later.
 *
 * **Caveats** A write that left before the fence closed may arrive after; writes that must not be late carry a resourceVersion. The
 * monotonic clock of Linux stands still while the whole machine is suspended.
 *
 * @example
 * const term = await election.campaign(signal);
 * term.addEventListener('abort', () => process.exit(1));
 */
export class LeaseElection {
  readonly #options: Required<LeaseOptions>;
  readonly #clock: Clock;
  /** The Lease as last seen, and since when its content has not changed. */
  #seen: Lease | undefined;
  #seenContent = '';
  #seenAt = 0;
  #holder: string | undefined;
  /** Monotonic time at which the last successful renewal was *sent*: the server stored it no earlier. */
  #renewedAt = 0;
  #term: AbortController | undefined;
  #cancelDeadline: (() => void) | undefined;

  constructor(options: LeaseOptions) {
    this.#options = {
      leaseDurationMs: 15_000,
      renewDeadlineMs: 10_000,
      retryPeriodMs: 2_000,
      onLeading: () => {},
      onHolder: () => {},
      onFailure: () => {},
      ...options,
    };
    this.#clock = options.clock;
    const { leaseDurationMs, renewDeadlineMs, retryPeriodMs } = this.#options;
    if (!(leaseDurationMs > renewDeadlineMs && renewDeadlineMs > retryPeriodMs * jitterFactor)) {
      throw new Error(
        `Lease times must be duration > deadline > ${jitterFactor} · retry; they are ${leaseDurationMs}, ${renewDeadlineMs}, ${retryPeriodMs} ms`,
      );
    }
  }

  /** True while this process may act as the leader. */
  isLeader(): boolean {
    if (!this.#term || this.#term.signal.aborted) return false;
    if (this.#sinceRenewalMs() <= this.#options.renewDeadlineMs) return true;
    this.#lose(`no renewal for ${Math.round(this.#sinceRenewalMs())} ms`);
    return false;
  }

  /** Throws {@link LeadershipLost} unless this process leads at this very moment. To be called right before each write. */
  fence(): void {
    if (this.isLeader()) return;
    throw new LeadershipLost('This process does not lead', { cause: this.#term?.signal.reason });
  }

  /**
   * Resolves once this process leads, with the signal of its term: it aborts with {@link LeadershipLost} when the term ends, by loss or
   * by release. Rejects with the given signal's reason. To be called once, because who lost exits.
   */
  async campaign(signal: AbortSignal): Promise<AbortSignal> {
    for (;;) {
      signal.throwIfAborted();
      // An answer that took longer than the deadline, as after a freeze, proves nothing about this moment.
      if ((await this.#attempt(signal)) && this.#sinceRenewalMs() <= this.#options.renewDeadlineMs) break;
      await this.#clock.sleep(this.#untilNextAttemptMs(), signal);
    }
    const term = new AbortController();
    this.#term = term;
    this.#options.onLeading(true);
    this.#armDeadline();
    void this.#keepRenewing(term.signal);
    return term.signal;
  }

  /**
   * Ends the term and lets the next candidate in at once. Nothing may be written after. Does nothing on a process that does not lead;
   * a failure to write costs the others the Lease's duration, no more.
   */
  async release(signal: AbortSignal): Promise<void> {
    if (!this.isLeader()) return;
    this.#end(new LeadershipLost('The Lease was released'));
    const { store, key, identity, onFailure } = this.#options;
    try {
      // Read anew: a renewal whose answer was not awaited may have made a newer version.
      const lease = await this.#bounded(signal, (limit) => store.get(key, limit));
      if (lease?.spec?.holderIdentity !== identity) return;
      const now = microTime(this.#clock);
      // client-go `release`: one second, because zero is invalid.
      const spec = { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1, acquireTime: now, renewTime: now };
      this.#observe(await this.#bounded(signal, (limit) => store.update({ ...lease, spec }, limit)));
    } catch (error) {
      onFailure(error);
    }
  }

  async #keepRenewing(term: AbortSignal): Promise<void> {
    while (!term.aborted) {
      try {
        await this.#clock.sleep(this.#options.retryPeriodMs, term);
      } catch {
        return; // The term ended while we slept.
      }
      // A process that was frozen does not renew what it has lost, which would keep the others waiting once more.
      if (!this.isLeader()) return;
      const isOurs = await this.#attempt(term);
      if (!isOurs && this.#holder !== this.#options.identity) this.#lose(`"${this.#holder}" holds the Lease`);
    }
  }

  /** One try to take or renew the Lease; true if it is ours by an answer of the server. */
  async #attempt(signal: AbortSignal): Promise<boolean> {
    const { store, key, identity } = this.#options;
    try {
      const seen = this.#seen;
      if (seen?.spec?.holderIdentity === identity) {
        try {
          return await this.#write(seen, signal);
        } catch (error) {
          if (signal.aborted) return false;
          this.#options.onFailure(error);
        }
      }
      const lease = await this.#bounded(signal, (limit) => store.get(key, limit));
      if (!lease) return await this.#write(undefined, signal);
      this.#observe(lease);
      if (this.#term && lease.spec?.holderIdentity !== identity) return false;
      return this.#untilFreeMs() <= 0 && (await this.#write(lease, signal));
    } catch (error) {
      if (!signal.aborted) this.#options.onFailure(error);
      return false;
    }
  }

  async #write(lease: Lease | undefined, signal: AbortSignal): Promise<boolean> {
    const { store, key, identity, leaseDurationMs } = this.#options;
    const time = microTime(this.#clock);
    // Content that is the same, after a step back of the wall clock, would be no change and so no renewal in the eyes of others.
    const now = time === lease?.spec?.renewTime ? time.replace('000Z', '001Z') : time;
    const isRenewal = lease?.spec?.holderIdentity === identity;
    const before = lease?.spec?.leaseTransitions;
    const spec = {
      ...lease?.spec,
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(leaseDurationMs / 1000),
      acquireTime: (isRenewal && lease.spec?.acquireTime) || now,
      renewTime: now,
      leaseTransitions: isRenewal ? (before ?? 0) : before === undefined ? firstTerm(this.#clock) : before + 1,
    };
    const sentAt = this.#clock.monotonic();
    const answer = await this.#bounded(signal, (limit) =>
      lease
        ? store.update({ ...lease, spec }, limit)
        : store.create({ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { ...key }, spec }, limit),
    );
    this.#renewedAt = sentAt;
    this.#observe(answer);
    return true;
  }

  /** No request may use up the time in which another could still succeed (controller-runtime: half the renew deadline). */
  async #bounded<T>(signal: AbortSignal, request: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const timeout = new AbortController();
    const ms = this.#options.renewDeadlineMs / 2;
    const cancel = this.#clock.schedule(ms, () =>
      timeout.abort(new DOMException(`No answer in ${ms} ms`, 'TimeoutError')),
    );
    try {
      return await request(AbortSignal.any([signal, timeout.signal]));
    } finally {
      cancel();
    }
  }

  #observe(lease: Lease): void {
    const content = JSON.stringify(lease.spec ?? {});
    if (content !== this.#seenContent || !this.#seen) {
      this.#seenContent = content;
      this.#seenAt = this.#clock.monotonic();
    }
    this.#seen = lease;
    const holder = lease.spec?.holderIdentity ?? '';
    if (holder === this.#holder) return;
    this.#holder = holder;
    this.#options.onHolder(holder, holder === this.#options.identity);
  }

  #sinceRenewalMs(): number {
    return this.#clock.monotonic() - this.#renewedAt;
  }

  /** How long the Lease as seen keeps us out. */
  #untilFreeMs(): number {
    const { identity, leaseDurationMs } = this.#options;
    const spec = this.#seen?.spec;
    if (!spec?.holderIdentity || spec.holderIdentity === identity) return 0;
    // The longer of what its holder promised and what we would: a shorter one, edited in, would make two leaders.
    const durationMs = Math.max((spec.leaseDurationSeconds ?? 0) * 1000, leaseDurationMs);
    return this.#seenAt + durationMs - this.#clock.monotonic();
  }

  #untilNextAttemptMs(): number {
    const { retryPeriodMs, random } = this.#options;
    const retryMs = retryPeriodMs * (1 + jitterFactor * random());
    const freeMs = this.#untilFreeMs();
    // client-go only polls; asking right at the expiry saves up to one period of take-over time.
    return freeMs > 0 ? Math.min(retryMs, freeMs + random() * expirySpreadMs) : retryMs;
  }

  /** The number of the term, which is larger than that of every term before. **Fails when** this process never led. */
  get term(): number {
    const term = this.#seen?.spec?.leaseTransitions;
    if (!this.#term || term === undefined) throw new Error('this process has not led');
    return term;
  }

  /** Ends the term in time even if nobody asks for the fence. Renewals need not arm it: it looks at the last one when it fires. */
  #armDeadline(): void {
    const ms = this.#renewedAt + this.#options.renewDeadlineMs - this.#clock.monotonic();
    this.#cancelDeadline = this.#clock.schedule(Math.max(0, ms) + 1, () => {
      if (this.isLeader()) this.#armDeadline();
    });
  }

  #lose(why: string): void {
    this.#end(new LeadershipLost(`Leadership lost: ${why}`));
  }

  #end(reason: LeadershipLost): void {
    if (!this.#term || this.#term.signal.aborted) return;
    this.#cancelDeadline?.();
    this.#options.onLeading(false);
    this.#term.abort(reason);
  }
}
