import { type Backoff, backoffMs, defaultBackoff, fullJitterMs, RetryBucket } from './backoff.ts';
import type { Clock } from './clock.ts';

/** `low` is for work that nobody waits for: the initial list, updates that changed nothing. */
export type Priority = 'high' | 'low';

export interface AddOptions {
  /** Default `high`. */
  readonly priority?: Priority;
  /** Milliseconds from now before the key may be taken. Default 0. */
  readonly afterMs?: number;
}

/** What a queue tells about itself when asked. */
export interface QueueState {
  /** Keys that could be taken. */
  readonly depth: Readonly<Record<Priority, number>>;
  /** Keys whose delay has not passed, and keys in work that will run once more. */
  readonly waiting: number;
  readonly inWork: number;
  /** Sum of the time that keys in work have been there. */
  readonly unfinishedMs: number;
  readonly longestRunningMs: number;
}

/** Where a queue reports. Durations in milliseconds. */
export interface QueueMetrics {
  added(): void;
  taken(queuedMs: number): void;
  worked(workedMs: number): void;
  retried(): void;
  /** Called once; `state` may be asked at any time after. */
  observe(state: () => QueueState): void;
}

export interface WorkQueueOptions {
  readonly clock: Clock;
  readonly metrics?: QueueMetrics;
  readonly backoff?: Backoff;
  /** Answers in `[0, 1)`; when given, back-off delays get full jitter. */
  readonly random?: () => number;
  /** The bucket that all retries share. Default 10/s, burst 100 (client-go's). */
  readonly retries?: { readonly perSecond: number; readonly burst: number };
}

/** After this many high keys in a row, a waiting low key has its turn. */
export const highsPerLow = 10;

/** Longest delay that a Node timer can hold; longer ones are armed again. */
const longestTimerMs = 2 ** 31 - 1;

interface Entry<K> {
  readonly key: K;
  /** `idle`: in work or nowhere, and not waiting for another run. */
  place: 'idle' | 'ready' | 'delayed';
  priority: Priority;
  /** Monotonic time from which the key may be taken. */
  due: number;
  /** Order of becoming delayed, which decides between equal `due`. */
  order: number;
  /** Index in the heap while delayed. */
  index: number;
  previous: Entry<K> | undefined;
  next: Entry<K> | undefined;
  inWork: boolean;
  takenAt: number;
  /** Priority of the run in work. */
  takenPriority: Priority;
}

/**
 * A queue of keys for workers: keyed, de-duplicating, delaying, with two priorities.
 *
 * **Guarantees**
 * - one entry per key, however often it is added;
 * - never two workers on one key;
 * - a key added while in work runs once more, after `done`;
 * - adding again keeps the higher of the priorities and the shorter of the delays;
 * - keys of one priority come in the order in which they became ready;
 * - high before low, but at least each {@link highsPerLow}+1st key taken is a low one if one is ready;
 * - `stop` hands out no further key, and resolves when no key is in work.
 *
 * **Assumes** that each key taken is given back with `done`, and that `requeue` and `retry` are called before that.
 *
 * `add`, `next` and `done` are O(1) for keys that are ready and O(log n) for delayed ones.
 *
 * @example
 * for (let key = await queue.next(signal); key !== undefined; key = await queue.next(signal)) {
 *   try { await work(key); queue.forget(key); } catch { queue.retry(key); } finally { queue.done(key); }
 * }
 */
export class WorkQueue<K extends string = string> {
  readonly #clock: Clock;
  readonly #metrics: QueueMetrics | undefined;
  readonly #backoff: Backoff;
  readonly #random: (() => number) | undefined;
  readonly #retries: RetryBucket;
  readonly #entries = new Map<K, Entry<K>>();
  readonly #failures = new Map<K, number>();
  readonly #high = new ReadyList<K>();
  readonly #low = new ReadyList<K>();
  readonly #delayed = new DelayHeap<K>();
  readonly #takers: ((key: K | undefined) => void)[] = [];
  readonly #inWork = new Set<Entry<K>>();
  #highsInARow = 0;
  #armedFor = Infinity;
  #disarm: (() => void) | undefined;
  #stopped: { promise: Promise<void>; resolve: () => void } | undefined;

  constructor(options: WorkQueueOptions) {
    this.#clock = options.clock;
    this.#metrics = options.metrics;
    this.#backoff = options.backoff ?? defaultBackoff;
    this.#random = options.random;
    const { perSecond, burst } = options.retries ?? { perSecond: 10, burst: 100 };
    this.#retries = new RetryBucket(perSecond, burst, this.#clock.monotonic(), this.#backoff.capMs);
    this.#metrics?.observe(() => this.state());
  }

  /** Adds a key; nothing happens once the queue is stopped. */
  add(key: K, options?: AddOptions): void {
    if (this.#stopped) return;
    const priority = options?.priority ?? 'high';
    const afterMs = options?.afterMs ?? 0;
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = {
        key,
        place: 'idle',
        priority,
        due: 0,
        order: 0,
        index: -1,
        previous: undefined,
        next: undefined,
        inWork: false,
        takenAt: 0,
        takenPriority: priority,
      };
      this.#entries.set(key, entry);
    }
    const now = this.#clock.monotonic();
    const due = afterMs > 0 ? now + afterMs : now;
    if (entry.place === 'idle') {
      entry.priority = priority;
      entry.due = due;
      this.#metrics?.added();
    } else {
      const raised = priority === 'high' && entry.priority === 'low';
      const sooner = due < entry.due;
      if (!raised && !sooner) return;
      this.#takeOut(entry);
      if (raised) entry.priority = 'high';
      if (sooner) entry.due = due;
    }
    if (entry.due > now) this.#delay(entry);
    else this.#makeReady(entry);
    this.#serve();
  }

  /** Runs a key in work again, `afterMs` from now, at the priority that it has. */
  requeue(key: K, afterMs: number): void {
    this.add(key, { afterMs, priority: this.#entries.get(key)?.takenPriority ?? 'high' });
  }

  /**
   * Runs a key in work again after a failure: later with each failure since `forget`, and not sooner than the retries of all keys
   * together allow. Answers the delay in milliseconds.
   */
  retry(key: K): number {
    const failures = (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, failures);
    const ms = backoffMs(failures, this.#backoff);
    const afterMs = Math.max(
      this.#random ? fullJitterMs(ms, this.#random) : ms,
      this.#retries.reserve(this.#clock.monotonic()),
    );
    this.#metrics?.retried();
    this.requeue(key, afterMs);
    return afterMs;
  }

  /** Ends a key's row of failures. */
  forget(key: K): void {
    this.#failures.delete(key);
  }

  /** Failures in a row, since `forget`. */
  failures(key: K): number {
    return this.#failures.get(key) ?? 0;
  }

  /** The next key, when there is one; nothing when the queue is stopped or the signal aborts first. */
  next(signal?: AbortSignal): Promise<K | undefined> {
    if (this.#stopped || signal?.aborted) return Promise.resolve(undefined);
    const key = this.#take();
    if (key !== undefined) return Promise.resolve(key);
    return new Promise((resolve) => {
      const taker = (key: K | undefined) => {
        signal?.removeEventListener('abort', leave);
        resolve(key);
      };
      const leave = () => {
        this.#takers.splice(this.#takers.indexOf(taker), 1);
        resolve(undefined);
      };
      this.#takers.push(taker);
      signal?.addEventListener('abort', leave, { once: true });
    });
  }

  /** Gives a key back; whoever added it meanwhile gets their run. */
  done(key: K): void {
    const entry = this.#entries.get(key);
    if (!entry?.inWork) return;
    entry.inWork = false;
    this.#inWork.delete(entry);
    this.#metrics?.worked(this.#clock.monotonic() - entry.takenAt);
    if (this.#stopped) {
      if (this.#inWork.size === 0) this.#stopped.resolve();
      return;
    }
    if (entry.place === 'idle') {
      this.#entries.delete(key);
      return;
    }
    if (entry.place === 'ready') this.#list(entry).push(entry);
    this.#serve();
  }

  state(): QueueState {
    const now = this.#clock.monotonic();
    let unfinishedMs = 0;
    let longestRunningMs = 0;
    let again = 0;
    for (const entry of this.#inWork) {
      const ms = now - entry.takenAt;
      unfinishedMs += ms;
      if (ms > longestRunningMs) longestRunningMs = ms;
      if (entry.place === 'ready') again += 1;
    }
    return {
      depth: { high: this.#high.size, low: this.#low.size },
      waiting: this.#delayed.size + again,
      inWork: this.#inWork.size,
      unfinishedMs,
      longestRunningMs,
    };
  }

  /** Hands out no further key, forgets those that wait, and resolves when no key is in work. */
  stop(): Promise<void> {
    if (this.#stopped) return this.#stopped.promise;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#stopped = { promise, resolve };
    this.#disarm?.();
    for (const taker of this.#takers.splice(0)) taker(undefined);
    if (this.#inWork.size === 0) resolve();
    return promise;
  }

  #list(entry: Entry<K>): ReadyList<K> {
    return entry.priority === 'high' ? this.#high : this.#low;
  }

  /** A key in work is ready but in no list until it is given back, so no worker can get it. */
  #makeReady(entry: Entry<K>): void {
    entry.place = 'ready';
    if (!entry.inWork) this.#list(entry).push(entry);
  }

  #delay(entry: Entry<K>): void {
    entry.place = 'delayed';
    this.#delayed.push(entry);
    if (entry.due < this.#armedFor) this.#arm();
  }

  #takeOut(entry: Entry<K>): void {
    if (entry.place === 'delayed') this.#delayed.remove(entry);
    else if (!entry.inWork) this.#list(entry).remove(entry);
  }

  #arm(): void {
    this.#disarm?.();
    this.#disarm = undefined;
    this.#armedFor = Infinity;
    const first = this.#delayed.first;
    if (!first) return;
    this.#armedFor = first.due;
    // Node fires up to one millisecond early and `#wake` arms again then; rounding up makes that rare.
    const ms = Math.min(longestTimerMs, Math.ceil(first.due - this.#clock.monotonic()));
    this.#disarm = this.#clock.schedule(Math.max(0, ms), () => this.#wake());
  }

  #wake(): void {
    const now = this.#clock.monotonic();
    for (let first = this.#delayed.first; first && first.due <= now; first = this.#delayed.first) {
      this.#delayed.remove(first);
      this.#makeReady(first);
    }
    this.#arm();
    this.#serve();
  }

  #serve(): void {
    while (this.#takers.length > 0) {
      const key = this.#take();
      if (key === undefined) return;
      this.#takers.shift()!(key);
    }
  }

  #take(): K | undefined {
    const lowsTurn = this.#high.size === 0 || (this.#highsInARow >= highsPerLow && this.#low.size > 0);
    const entry = (lowsTurn ? this.#low : this.#high).shift();
    if (!entry) return undefined;
    this.#highsInARow = lowsTurn ? 0 : this.#highsInARow + 1;
    entry.place = 'idle';
    entry.inWork = true;
    entry.takenAt = this.#clock.monotonic();
    entry.takenPriority = entry.priority;
    this.#inWork.add(entry);
    this.#metrics?.taken(entry.takenAt - entry.due);
    return entry.key;
  }
}

/** First in, first out, with removal from anywhere in O(1). */
class ReadyList<K> {
  #head: Entry<K> | undefined;
  #tail: Entry<K> | undefined;
  size = 0;

  push(entry: Entry<K>): void {
    entry.previous = this.#tail;
    entry.next = undefined;
    if (this.#tail) this.#tail.next = entry;
    else this.#head = entry;
    this.#tail = entry;
    this.size += 1;
  }

  shift(): Entry<K> | undefined {
    const entry = this.#head;
    if (entry) this.remove(entry);
    return entry;
  }

  remove(entry: Entry<K>): void {
    if (entry.previous) entry.previous.next = entry.next;
    else this.#head = entry.next;
    if (entry.next) entry.next.previous = entry.previous;
    else this.#tail = entry.previous;
    entry.previous = undefined;
    entry.next = undefined;
    this.size -= 1;
  }
}

/** Delayed entries, soonest first: a binary heap in which each entry knows its place, so that any can leave in O(log n). */
class DelayHeap<K> {
  readonly #heap: Entry<K>[] = [];
  #pushes = 0;

  get size(): number {
    return this.#heap.length;
  }

  get first(): Entry<K> | undefined {
    return this.#heap[0];
  }

  push(entry: Entry<K>): void {
    entry.order = this.#pushes++;
    this.#heap.push(entry);
    this.#up(entry, this.#heap.length - 1);
  }

  remove(entry: Entry<K>): void {
    const { index } = entry;
    const last = this.#heap.pop()!;
    entry.index = -1;
    if (last === entry) return;
    this.#up(last, index);
    this.#down(last, last.index);
  }

  #up(entry: Entry<K>, start: number): void {
    let index = start;
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = this.#heap[parentIndex]!;
      if (!isSooner(entry, parent)) break;
      this.#heap[index] = parent;
      parent.index = index;
      index = parentIndex;
    }
    this.#heap[index] = entry;
    entry.index = index;
  }

  #down(entry: Entry<K>, start: number): void {
    let index = start;
    for (;;) {
      let childIndex = 2 * index + 1;
      if (childIndex >= this.#heap.length) break;
      const right = this.#heap[childIndex + 1];
      if (right && isSooner(right, this.#heap[childIndex]!)) childIndex += 1;
      const child = this.#heap[childIndex]!;
      if (!isSooner(child, entry)) break;
      this.#heap[index] = child;
      child.index = index;
      index = childIndex;
    }
    this.#heap[index] = entry;
    entry.index = index;
  }
}

function isSooner<K>(a: Entry<K>, b: Entry<K>): boolean {
  return a.due < b.due || (a.due === b.due && a.order < b.order);
}
