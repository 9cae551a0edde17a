import type { Clock } from '../runtime/clock.ts';
import { Refusal } from './refusal.ts';

/** A request that asks for a place at an engine. */
export interface Entry {
  /** Who asks: the name of the key. */
  readonly holder: string;
  /** Estimated work in seconds of an engine. */
  readonly work: number;
  /** Answers that it asks for: each takes a place. */
  readonly sequences: number;
  /** It had a turn that came to nothing: it goes before its holder's others, and no limit turns it away. */
  readonly isBack?: boolean;
  /** Takes places at an engine that has one. Called when its turn comes, before anybody else's; the answer gives them back. */
  readonly seat: () => () => void;
}

/**
 * Gives a place back, once.
 *
 * @param work What the request really was, in seconds of an engine, where that is known.
 */
export type Leave = (work?: number) => void;

export interface AdmissionLimits {
  /** Requests that wait at once. */
  readonly waiting: number;
  /** Longest wait. */
  readonly waitMs: number;
  /** Answers of one key, waiting or under way. */
  readonly perHolder: number;
}

export interface AdmissionOptions {
  readonly clock: Clock;
  readonly limits: AdmissionLimits;
  /** Places that are free at the engines that are ready. */
  readonly room: () => number;
  /** What is said to those that wait in vain, and after how many seconds another try may go better. */
  readonly outlook: () => { readonly text: string; readonly retryAfterSeconds: number };
}

interface Waiting {
  readonly entry: Entry;
  readonly sinceMs: number;
  readonly admit: () => void;
  readonly dismiss: (why: Refusal) => void;
}

/**
 * Who goes to the engines next.
 *
 * Requests wait where no engine is ready as where all are busy. Turns are given by start-time fair queueing over the holders of keys,
 * weighted by work: each turn moves its holder's virtual time on by the request's work, first as estimated and at its end as it was, and the
 * holder whose time is earliest goes next. So a flood of one key delays that key; another's request waits for no more than what is at the
 * engines. Who leaves without a turn has cost nothing.
 *
 * **Guarantees**: a turn is given only while an engine has a free place; waiting is bounded in number and time, and in number for each key, of
 * which none takes more of the waiting room than it leaves to others; within a key the order is that of arrival.
 */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #queues = new Map<string, Waiting[]>();
  /** Virtual time at which the next turn of a holder begins. */
  readonly #turns = new Map<string, number>();
  /** Answers of each holder, waiting and under way. */
  readonly #present = new Map<string, number>();
  #virtual = 0;
  #inFlight = 0;
  #waiting = 0;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** Requests that have a place. */
  get inFlight(): number {
    return this.#inFlight;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** Requests that wait and answers that are under way, of each holder that has any. */
  *holders(): Generator<{ readonly holder: string; readonly waiting: number; readonly inFlight: number }> {
    for (const [holder, present] of this.#present) {
      const queue = this.#queues.get(holder) ?? [];
      const inFlight = queue.reduce((rest, { entry }) => rest - entry.sequences, present);
      yield { holder, waiting: queue.length, inFlight };
    }
  }

  /** Work that waits, in seconds of an engine. */
  get waitingWork(): number {
    let work = 0;
    for (const queue of this.#queues.values()) for (const { entry } of queue) work += entry.work;
    return work;
  }

  /** Age of the request that has waited longest, in milliseconds. */
  get longestWaitMs(): number {
    let since = Infinity;
    for (const [first] of this.#queues.values()) since = Math.min(since, first?.sinceMs ?? Infinity);
    return since === Infinity ? 0 : this.#options.clock.monotonic() - since;
  }

  /**
   * Takes a place where one is free, which most requests find.
   *
   * **Fails when** the key has too many: a `Refusal`.
   */
  tryEnter(entry: Entry): Leave | undefined {
    if (this.#waiting > 0 || this.#options.room() <= 0) return undefined;
    this.#comes(entry);
    return this.#admit(entry);
  }

  /**
   * Waits for a place.
   *
   * **Fails when** too many wait, the key has too many, or the wait takes too long: a `Refusal`. When `signal` aborts: its reason.
   */
  async enter(entry: Entry, signal: AbortSignal): Promise<Leave> {
    const leave = this.tryEnter(entry);
    if (leave) return leave;
    signal.throwIfAborted();
    if (!entry.isBack) this.#askForWaitingRoom(entry.holder);
    this.#comes(entry);
    return this.#wait(entry, signal);
  }

  /** Lets in whom there is room for. To be called when there is more of it. */
  fill(): void {
    while (this.#waiting > 0 && this.#options.room() > 0) this.#next().admit();
  }

  /** Sends away all that wait. */
  dismiss(why: Refusal): void {
    for (const waiting of [...this.#queues.values()].flat()) waiting.dismiss(why);
  }

  #askForWaitingRoom(holder: string): void {
    const { limits, outlook } = this.#options;
    const own = this.#queues.get(holder)?.length ?? 0;
    if (own < limits.waiting - this.#waiting) return;
    const { text, retryAfterSeconds } = outlook();
    const who = own === this.#waiting ? '' : `, ${own} of them of this key`;
    throw new Refusal('NoEngine', `${text}, and ${this.#waiting} requests wait already${who}.`, retryAfterSeconds);
  }

  /** Counts the answers of a request. */
  #comes({ holder, sequences, isBack = false }: Entry): void {
    const present = this.#present.get(holder) ?? 0;
    const { perHolder } = this.#options.limits;
    if (!isBack && sequences > perHolder) {
      throw new Refusal(
        'BadRequest',
        `The request asks for ${sequences} answers at once, and a key may have ${perHolder}. Send fewer prompts, or a smaller n.`,
      );
    }
    if (!isBack && present + sequences > perHolder) {
      throw new Refusal(
        'TooManyRequests',
        `This key has ${present} requests under way, of ${perHolder} that it may have. Wait for one of them.`,
        5,
      );
    }
    this.#present.set(holder, present + sequences);
    this.#turns.set(holder, Math.max(this.#virtual, this.#turns.get(holder) ?? 0));
  }

  /** Gives a turn, whose time is the present from now on. */
  #admit(entry: Entry): Leave {
    const { holder, work } = entry;
    const turn = this.#turns.get(holder)!;
    this.#virtual = Math.max(this.#virtual, turn);
    this.#turns.set(holder, turn + work);
    this.#inFlight += 1;
    const unseat = entry.seat();
    let isIn = true;
    return (done = work) => {
      if (!isIn) return;
      isIn = false;
      this.#inFlight -= 1;
      this.#turns.set(holder, Math.max(this.#virtual, this.#turns.get(holder)! + done - work));
      this.#goes(entry);
      unseat();
      this.fill();
    };
  }

  #wait(entry: Entry, signal: AbortSignal): Promise<Leave> {
    const { clock, limits, outlook } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<Leave>();
    const queue = this.#queues.get(entry.holder) ?? [];
    const leaveQueue = (): void => {
      cancel();
      signal.removeEventListener('abort', onAbort);
      this.#waiting -= 1;
      queue.splice(queue.indexOf(waiting), 1);
      if (queue.length === 0) this.#queues.delete(entry.holder);
    };
    const giveUp = (why: Error): void => {
      leaveQueue();
      this.#goes(entry);
      reject(why);
    };
    const waiting: Waiting = {
      entry,
      sinceMs: clock.monotonic(),
      admit: () => {
        leaveQueue();
        resolve(this.#admit(entry));
      },
      dismiss: giveUp,
    };
    if (entry.isBack) queue.unshift(waiting);
    else queue.push(waiting);
    this.#queues.set(entry.holder, queue);
    this.#waiting += 1;
    const onAbort = (): void => giveUp(signal.reason as Error);
    const cancel = clock.schedule(limits.waitMs, () => {
      const { text, retryAfterSeconds } = outlook();
      const seconds = Math.round(limits.waitMs / 1000);
      giveUp(new Refusal('NoEngine', `${text}, and the request has waited for ${seconds} s.`, retryAfterSeconds));
    });
    signal.addEventListener('abort', onAbort, { once: true });
    return promise;
  }

  /** The one that waits whose holder's turn is earliest. */
  #next(): Waiting {
    let next: Waiting | undefined;
    let earliest = Infinity;
    for (const [holder, [first]] of this.#queues) {
      const turn = this.#turns.get(holder)!;
      if (turn < earliest) [next, earliest] = [first, turn];
    }
    return next!;
  }

  /** A holder without requests is forgotten once its time has come: its next request begins at the present. */
  #goes({ holder, sequences }: Entry): void {
    const present = this.#present.get(holder)! - sequences;
    if (present > 0) {
      this.#present.set(holder, present);
      return;
    }
    this.#present.delete(holder);
    if (this.#inFlight === 0 && this.#waiting === 0) {
      this.#turns.clear();
      this.#virtual = 0;
    } else if (this.#turns.get(holder)! <= this.#virtual) this.#turns.delete(holder);
  }
}
