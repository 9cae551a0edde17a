import type { Clock } from '../runtime/clock.ts';
import { Refusal } from './refusal.ts';

/** A request that asks for a place at an engine. */
export interface Entry {
  /** Who asks: the name of the key. */
  readonly holder: string;
  /** Estimated work in seconds of an engine. */
  readonly work: number;
  /** Memory that it takes while it waits. */
  readonly bytes: number;
}

export interface AdmissionLimits {
  /** Requests that wait at once. */
  readonly waiting: number;
  /** Bytes of the requests that wait. */
  readonly waitingBytes: number;
  /** Longest wait. */
  readonly waitMs: number;
  /** Requests of one key, waiting or at an engine. */
  readonly perHolder: number;
}

export interface AdmissionOptions {
  readonly clock: Clock;
  readonly limits: AdmissionLimits;
  /** Places at the engines that are ready. */
  readonly capacity: () => number;
  /** What is said to those that wait in vain, and after how many seconds another try may go better. */
  readonly outlook: () => { readonly text: string; readonly retryAfterSeconds: number };
}

interface Waiting extends Entry {
  /** Virtual time at which its turn begins. */
  readonly start: number;
  readonly sinceMs: number;
  readonly admit: () => void;
  readonly dismiss: (why: Refusal) => void;
}

/**
 * Who goes to the engines next.
 *
 * Requests wait where no engine is ready as where all are busy. Turns are given by start-time fair queueing over the holders of keys,
 * weighted by work: each request moves its holder's virtual time on by its work, and the one whose time is earliest goes next. So a flood
 * of one key delays that key; another's request waits for no more than what is at the engines.
 *
 * **Guarantees**: no more requests are in flight than there is capacity; waiting is bounded in number, bytes and time, and in number for
 * each key; within a key the order is that of arrival.
 */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #queues = new Map<string, Waiting[]>();
  /** When the last request of a holder ends in virtual time. */
  readonly #ends = new Map<string, number>();
  readonly #present = new Map<string, number>();
  #virtual = 0;
  #inFlight = 0;
  #waiting = 0;
  #waitingBytes = 0;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** Requests of each holder that has any, waiting and at an engine. */
  *holders(): Generator<{ readonly holder: string; readonly waiting: number; readonly inFlight: number }> {
    for (const [holder, present] of this.#present) {
      const waiting = this.#queues.get(holder)?.length ?? 0;
      yield { holder, waiting, inFlight: present - waiting };
    }
  }

  /** Work that waits, in seconds of an engine. */
  get waitingWork(): number {
    let work = 0;
    for (const queue of this.#queues.values()) for (const one of queue) work += one.work;
    return work;
  }

  /** Age of the request that has waited longest, in milliseconds. */
  get longestWaitMs(): number {
    let since = Infinity;
    for (const [first] of this.#queues.values()) since = Math.min(since, first?.sinceMs ?? Infinity);
    return since === Infinity ? 0 : this.#options.clock.monotonic() - since;
  }

  /**
   * Takes a place where one is free, which most requests find; the answer gives it back, once.
   *
   * **Fails when** the key has too many: a `Refusal`.
   */
  tryEnter(entry: Entry): (() => void) | undefined {
    if (this.#waiting > 0 || this.#inFlight >= this.#options.capacity()) return undefined;
    this.#virtual = this.#comes(entry);
    this.#inFlight += 1;
    return this.#place(entry.holder);
  }

  /**
   * Waits for a place; the answer gives it back, once.
   *
   * **Fails when** too many wait, the key has too many, or the wait takes too long: a `Refusal`. When `signal` aborts: its reason.
   */
  async enter(entry: Entry, signal: AbortSignal): Promise<() => void> {
    const place = this.tryEnter(entry);
    if (place) return place;
    const { limits, outlook } = this.#options;
    if (this.#waiting >= limits.waiting || this.#waitingBytes + entry.bytes > limits.waitingBytes) {
      const { text, retryAfterSeconds } = outlook();
      throw new Refusal('NoEngine', `${text}, and ${this.#waiting} requests wait already.`, retryAfterSeconds);
    }
    signal.throwIfAborted();
    const start = this.#comes(entry);
    try {
      await this.#wait(entry, start, signal);
    } catch (error) {
      this.#goes(entry.holder);
      throw error;
    }
    return this.#place(entry.holder);
  }

  /** Lets in whom there is room for. To be called when capacity grows. */
  fill(): void {
    let room = this.#options.capacity() - this.#inFlight;
    while (room > 0 && this.#waiting > 0) {
      const next = this.#earliest();
      this.#virtual = Math.max(this.#virtual, next.start);
      this.#inFlight += 1;
      room -= 1;
      next.admit();
    }
  }

  /** Sends away all that wait. */
  dismiss(why: Refusal): void {
    for (const waiting of [...this.#queues.values()].flat()) waiting.dismiss(why);
  }

  /** Counts a request of a holder; the virtual time at which its turn begins. */
  #comes({ holder, work }: Entry): number {
    const present = this.#present.get(holder) ?? 0;
    if (present >= this.#options.limits.perHolder) {
      throw new Refusal(
        'TooManyRequests',
        `This key has ${present} requests under way, which is as many as it may have. Wait for one of them.`,
        5,
      );
    }
    this.#present.set(holder, present + 1);
    const start = Math.max(this.#virtual, this.#ends.get(holder) ?? 0);
    this.#ends.set(holder, start + work);
    return start;
  }

  #place(holder: string): () => void {
    let isIn = true;
    return () => {
      if (!isIn) return;
      isIn = false;
      this.#inFlight -= 1;
      this.#goes(holder);
      this.fill();
    };
  }

  #wait(entry: Entry, start: number, signal: AbortSignal): Promise<void> {
    const { clock, limits, outlook } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiting: Waiting = {
      ...entry,
      start,
      sinceMs: clock.monotonic(),
      admit: () => {
        end();
        resolve();
      },
      dismiss: (why) => {
        end();
        reject(why);
      },
    };
    const queue = this.#queues.get(entry.holder) ?? [];
    queue.push(waiting);
    this.#queues.set(entry.holder, queue);
    this.#waiting += 1;
    this.#waitingBytes += entry.bytes;
    const end = (): void => {
      cancel();
      signal.removeEventListener('abort', onAbort);
      this.#waiting -= 1;
      this.#waitingBytes -= entry.bytes;
      queue.splice(queue.indexOf(waiting), 1);
      if (queue.length === 0) this.#queues.delete(entry.holder);
    };
    const onAbort = (): void => {
      end();
      reject(signal.reason as Error);
    };
    const cancel = clock.schedule(limits.waitMs, () => {
      end();
      const { text, retryAfterSeconds } = outlook();
      const seconds = Math.round(limits.waitMs / 1000);
      reject(new Refusal('NoEngine', `${text}, and the request has waited for ${seconds} s.`, retryAfterSeconds));
    });
    signal.addEventListener('abort', onAbort, { once: true });
    return promise;
  }

  #earliest(): Waiting {
    let earliest: Waiting | undefined;
    for (const [first] of this.#queues.values()) {
      if (earliest === undefined || first!.start < earliest.start) earliest = first!;
    }
    return earliest!;
  }

  /** A holder without requests is forgotten once its time has come: its next request begins at the present. */
  #goes(holder: string): void {
    const present = this.#present.get(holder)! - 1;
    if (present > 0) {
      this.#present.set(holder, present);
      return;
    }
    this.#present.delete(holder);
    if (this.#inFlight === 0 && this.#waiting === 0) {
      this.#ends.clear();
      this.#virtual = 0;
    } else if ((this.#ends.get(holder) ?? 0) <= this.#virtual) this.#ends.delete(holder);
  }
}
