import { getEventListeners } from 'node:events';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { highsPerLow, type Priority, WorkQueue, type WorkQueueOptions } from '../../src/runtime/work-queue.ts';
import { ManualClock, settle } from '../support/manual-clock.ts';

function queueWithClock(options: Partial<WorkQueueOptions> = {}) {
  const clock = new ManualClock();
  return { clock, queue: new WorkQueue({ clock, ...options }) };
}

/** What can be taken at this moment, in order; each key is given back at once. */
async function takeAll(queue: WorkQueue): Promise<string[]> {
  const keys: string[] = [];
  while (queue.state().depth.high + queue.state().depth.low > 0) {
    const key = (await queue.next())!;
    keys.push(key);
    queue.done(key);
  }
  return keys;
}

describe('WorkQueue', () => {
  test('a key added many times is taken once', async () => {
    const { queue } = queueWithClock();
    queue.add('a');
    queue.add('b');
    queue.add('a');
    queue.add('a');
    expect(await takeAll(queue)).toEqual(['a', 'b']);
  });

  test('keys of one priority come in the order in which they became ready', async () => {
    const { queue, clock } = queueWithClock();
    queue.add('late', { afterMs: 20 });
    queue.add('soon', { afterMs: 10 });
    queue.add('soon too', { afterMs: 10 });
    await clock.advance(15);
    queue.add('now');
    await clock.advance(5);
    expect(await takeAll(queue)).toEqual(['soon', 'soon too', 'now', 'late']);
  });

  test('a key in work is not given to a second worker', async () => {
    const { queue } = queueWithClock();
    queue.add('a');
    expect(await queue.next()).toBe('a');
    queue.add('a');
    let second: string | undefined = 'nothing';
    void queue.next().then((key) => (second = key));
    await settle();
    expect(second).toBe('nothing');
    queue.done('a');
    await settle();
    expect(second).toBe('a');
  });

  test('a key added while in work runs once more, however often it was added', async () => {
    const { queue } = queueWithClock();
    queue.add('a');
    await queue.next();
    queue.add('a');
    queue.add('a', { priority: 'low' });
    queue.add('a');
    queue.done('a');
    expect(await takeAll(queue)).toEqual(['a']);
  });

  test('a key added with a delay while in work runs once more after the delay', async () => {
    const { queue, clock } = queueWithClock();
    queue.add('a');
    await queue.next();
    queue.add('a', { afterMs: 100 });
    await clock.advance(50);
    queue.done('a');
    expect(await takeAll(queue)).toEqual([]);
    await clock.advance(50);
    expect(await takeAll(queue)).toEqual(['a']);
  });

  test('a delay that passes while the key is in work waits for it to be given back', async () => {
    const { queue, clock } = queueWithClock();
    queue.add('a');
    await queue.next();
    queue.add('a', { afterMs: 10 });
    await clock.advance(20);
    expect(queue.state()).toMatchObject({ depth: { high: 0, low: 0 }, waiting: 1, inWork: 1 });
    queue.done('a');
    expect(await takeAll(queue)).toEqual(['a']);
  });

  test('adding again keeps the higher priority', async () => {
    const { queue } = queueWithClock();
    queue.add('low', { priority: 'low' });
    queue.add('raised', { priority: 'low' });
    queue.add('high');
    queue.add('raised', { priority: 'high' });
    queue.add('high', { priority: 'low' });
    expect(await takeAll(queue)).toEqual(['high', 'raised', 'low']);
  });

  test('adding again keeps the shorter delay', async () => {
    const { queue, clock } = queueWithClock();
    queue.add('shortened', { afterMs: 1_000 });
    queue.add('shortened', { afterMs: 10 });
    queue.add('kept', { afterMs: 20 });
    queue.add('kept', { afterMs: 1_000 });
    queue.add('at once', { afterMs: 1_000 });
    queue.add('at once');
    queue.add('ready stays ready');
    queue.add('ready stays ready', { afterMs: 1_000 });
    expect(await takeAll(queue)).toEqual(['at once', 'ready stays ready']);
    await clock.advance(10);
    expect(await takeAll(queue)).toEqual(['shortened']);
    await clock.advance(10);
    expect(await takeAll(queue)).toEqual(['kept']);
    await clock.advance(10_000);
    expect(await takeAll(queue)).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  test('high comes before low', async () => {
    const { queue } = queueWithClock();
    for (let i = 0; i < 3; i++) queue.add(`low-${i}`, { priority: 'low' });
    for (let i = 0; i < 3; i++) queue.add(`high-${i}`);
    expect(await takeAll(queue)).toEqual(['high-0', 'high-1', 'high-2', 'low-0', 'low-1', 'low-2']);
  });

  test('a flood of high keys does not starve a low one', async () => {
    const { queue } = queueWithClock();
    queue.add('low', { priority: 'low' });
    for (let i = 0; i < 100; i++) queue.add(`high-${i}`);
    expect((await takeAll(queue)).indexOf('low')).toBe(highsPerLow);
  });

  test('workers that wait are served in the order in which they came', async () => {
    const { queue } = queueWithClock();
    const served: string[] = [];
    for (const worker of ['first', 'second', 'third']) void queue.next().then((key) => served.push(`${worker} ${key}`));
    queue.add('a');
    queue.add('b');
    queue.add('c');
    await settle();
    expect(served).toEqual(['first a', 'second b', 'third c']);
  });

  test('a worker whose signal aborts gets nothing and takes no key from others', async () => {
    const { queue } = queueWithClock();
    const leaving = new AbortController();
    const gone = queue.next(leaving.signal);
    const stays = queue.next();
    leaving.abort();
    queue.add('a');
    expect(await Promise.all([gone, stays])).toEqual([undefined, 'a']);
    expect(await queue.next(leaving.signal)).toBeUndefined();
  });

  test('a signal that outlives many keys keeps no listener of those that were served', async () => {
    const { queue } = queueWithClock();
    const { signal } = new AbortController();
    for (let i = 0; i < 3; i++) {
      const served = queue.next(signal);
      queue.add('a');
      queue.done((await served)!);
    }
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  test('giving back a key that is not in work does nothing', async () => {
    const { queue } = queueWithClock();
    queue.done('never added');
    queue.add('a');
    queue.done('a');
    expect(await takeAll(queue)).toEqual(['a']);
    expect(queue.state().inWork).toBe(0);
  });

  test('stop frees the workers that wait, forgets what waits and resolves when no key is in work', async () => {
    const { queue, clock } = queueWithClock();
    queue.add('a');
    queue.add('b');
    queue.add('later', { afterMs: 1_000 });
    await queue.next();
    await queue.next();
    const waiting = queue.next();
    let isDrained = false;
    const drained = queue.stop().then(() => (isDrained = true));
    expect(await waiting).toBeUndefined();
    queue.add('c');
    expect(await queue.next()).toBeUndefined();
    queue.done('a');
    await settle();
    expect(isDrained).toBe(false);
    queue.done('b');
    await drained;
    expect(clock.pending).toBe(0);
  });

  test('stop resolves at once when no key is in work, and again', async () => {
    const { queue } = queueWithClock();
    queue.add('a');
    await queue.stop();
    await queue.stop();
    expect(queue.state().inWork).toBe(0);
  });

  test('a failing key waits twice as long each time, until it is forgotten', async () => {
    const { queue, clock } = queueWithClock();
    const delays: number[] = [];
    queue.add('a');
    for (let i = 0; i < 4; i++) {
      const key = (await queue.next())!;
      delays.push(queue.retry(key));
      queue.done(key);
      await clock.advance(delays.at(-1)!);
    }
    expect(delays).toEqual([5, 10, 20, 40]);
    expect(queue.failures('a')).toBe(4);
    queue.forget('a');
    expect(queue.retry('a')).toBe(5);
  });

  test('with randomness given, back-off delays are spread over the whole delay', () => {
    const { queue } = queueWithClock({ random: () => 0.5 });
    expect([queue.retry('a'), queue.retry('a'), queue.retry('b')]).toEqual([2.5, 5, 2.5]);
  });

  test('retries of all keys together are limited: 100 at once, then 10 a second', () => {
    const { queue } = queueWithClock();
    const delays = Array.from({ length: 110 }, (_, i) => queue.retry(`key-${i}`));
    expect(delays[99]).toBe(5);
    expect(delays[109]).toBe(1_000);
  });

  test('no retry is further away than the longest back-off, however many keys fail', () => {
    const { queue } = queueWithClock();
    const delays = Array.from({ length: 5_000 }, (_, i) => queue.retry(`key-${i}`));
    expect(Math.max(...delays)).toBe(300_000);
  });

  test('an edit of a failing resource does not wait for the back-off', async () => {
    const { queue } = queueWithClock();
    for (let i = 0; i < 20; i++) queue.retry('a');
    queue.add('a');
    expect(await takeAll(queue)).toEqual(['a']);
  });

  test('a retry and a requeue keep the priority of the run', async () => {
    const { queue, clock } = queueWithClock();
    queue.add('retried', { priority: 'low' });
    queue.add('requeued', { priority: 'low' });
    await queue.next();
    await queue.next();
    queue.retry('retried');
    queue.requeue('requeued', 10);
    queue.done('retried');
    queue.done('requeued');
    await clock.advance(10);
    expect(queue.state().depth).toEqual({ high: 0, low: 2 });
  });

  test('a delay longer than a timer can hold is kept', async () => {
    const { queue, clock } = queueWithClock();
    const armed: number[] = [];
    const schedule = clock.schedule.bind(clock);
    clock.schedule = (ms, callback) => {
      armed.push(ms);
      return schedule(ms, callback);
    };
    const month = 31 * 24 * 3_600_000;
    queue.add('a', { afterMs: month });
    await clock.advance(month - 1);
    expect(await takeAll(queue)).toEqual([]);
    await clock.advance(1);
    expect(await takeAll(queue)).toEqual(['a']);
    expect(Math.max(...armed)).toBe(2 ** 31 - 1);
  });

  test('wall clock jumps move no delay', async () => {
    const { queue, clock } = queueWithClock();
    queue.add('a', { afterMs: 1_000 });
    clock.jumpWall(10 * 365 * 24 * 3_600_000);
    await clock.advance(999);
    clock.jumpWall(-20 * 365 * 24 * 3_600_000);
    expect(await takeAll(queue)).toEqual([]);
    await clock.advance(1);
    expect(await takeAll(queue)).toEqual(['a']);
  });

  test('the state tells depth by priority, what waits and how long work takes', async () => {
    const { queue, clock } = queueWithClock();
    queue.add('a');
    queue.add('b');
    await queue.next();
    await clock.advance(300);
    await queue.next();
    await clock.advance(100);
    queue.add('high');
    queue.add('low', { priority: 'low' });
    queue.add('later', { afterMs: 10 });
    expect(queue.state()).toEqual({
      depth: { high: 1, low: 1 },
      waiting: 1,
      inWork: 2,
      unfinishedMs: 500,
      longestRunningMs: 400,
    });
  });

  test('reports how long keys waited since they could be taken, and how long they were in work', async () => {
    const told: string[] = [];
    const { queue, clock } = queueWithClock({
      metrics: {
        added: () => told.push('added'),
        taken: (ms) => told.push(`waited ${ms}`),
        worked: (ms) => told.push(`worked ${ms}`),
        retried: () => told.push('retried'),
        observe: () => {},
      },
    });
    queue.add('a', { afterMs: 100 });
    queue.add('a', { afterMs: 200 });
    await clock.advance(130);
    await queue.next();
    await clock.advance(7);
    queue.retry('a');
    queue.done('a');
    expect(told).toEqual(['added', 'waited 30', 'retried', 'added', 'worked 7']);
  });

  test('delayed keys come in the order of their times, however often these change', async () => {
    const add = fc.record({ key: fc.nat(60), afterMs: fc.integer({ min: 1, max: 40 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(add, { maxLength: 150, size: 'max' }), async (adds) => {
        const { queue, clock } = queueWithClock();
        const soonest = new Map<string, number>();
        for (const { key, afterMs } of adds) {
          queue.add(String(key), { afterMs });
          if (afterMs >= (soonest.get(String(key)) ?? Infinity)) continue;
          // Whoever changes goes behind those of the same time.
          soonest.delete(String(key));
          soonest.set(String(key), afterMs);
        }
        await clock.advance(40);
        const expected = [...soonest].sort(([, a], [, b]) => a - b).map(([key]) => key);
        expect(await takeAll(queue)).toEqual(expected);
      }),
      { numRuns: 20 },
    );
  });

  test('behaves as its model under any sequence of adds, takes, returns and time', async () => {
    const key = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l');
    const priority = fc.constantFrom<Priority>('high', 'low');
    const command = fc.oneof(
      { weight: 5, arbitrary: fc.record({ do: fc.constant('add' as const), key, priority, afterMs: fc.constant(0) }) },
      { weight: 3, arbitrary: fc.record({ do: fc.constant('add' as const), key, priority, afterMs: fc.nat(50) }) },
      { weight: 4, arbitrary: fc.record({ do: fc.constant('next' as const) }) },
      { weight: 4, arbitrary: fc.record({ do: fc.constant('done' as const), pick: fc.nat(5) }) },
      {
        weight: 1,
        arbitrary: fc.record({ do: fc.constant('requeue' as const), pick: fc.nat(5), afterMs: fc.nat(30) }),
      },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.nat(40) }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(command, { maxLength: 80, size: 'max' }), async (commands) => {
        const { queue, clock } = queueWithClock();
        const model = new Model();
        const taken: string[] = [];
        const inWork: string[] = [];
        const takenTwice: string[] = [];
        const pick = (index: number) => inWork[index % inWork.length]!;
        for (const command of commands) {
          if (command.do === 'add') {
            queue.add(command.key, command);
            model.add(command.key, command.priority, command.afterMs);
          } else if (command.do === 'next') {
            void queue.next().then((key) => {
              if (inWork.includes(key!)) takenTwice.push(key!);
              taken.push(key!);
              inWork.push(key!);
            });
            model.next();
          } else if (command.do === 'advance') {
            await clock.advance(command.ms);
            model.advance(command.ms);
          } else if (inWork.length > 0) {
            const key = pick(command.pick);
            if (command.do === 'requeue') {
              queue.requeue(key, command.afterMs);
              model.requeue(key, command.afterMs);
            } else {
              inWork.splice(inWork.indexOf(key), 1);
              queue.done(key);
              model.done(key);
            }
          }
          await settle();
          expect(takenTwice).toEqual([]);
          expect(taken).toEqual(model.taken);
          expect(queue.state()).toMatchObject(model.state());
        }
      }),
      { numRuns: 60 },
    );
  });
});

/** The guarantees in their plainest form: one list of wishes, searched from the front. */
class Model {
  readonly taken: string[] = [];
  #now = 0;
  #arrivals = 0;
  #takers = 0;
  #highs = 0;
  #wishes: { key: string; priority: Priority; due: number; arrival: number; isReady: boolean }[] = [];
  readonly #inWork = new Map<string, Priority>();

  add(key: string, priority: Priority, afterMs: number): void {
    const due = this.#now + afterMs;
    const wish = this.#wishes.find((wish) => wish.key === key);
    if (!wish) {
      this.#wishes.push({ key, priority, due, arrival: this.#arrivals++, isReady: afterMs === 0 });
    } else {
      const isRaised = priority === 'high' && wish.priority === 'low';
      const isSooner = !wish.isReady && due < wish.due;
      // Whoever changes goes to the end of those who are like them.
      if (isRaised || isSooner) wish.arrival = this.#arrivals++;
      if (isRaised) wish.priority = 'high';
      if (isSooner) wish.due = due;
      if (wish.due <= this.#now) wish.isReady = true;
    }
    this.#serve();
  }

  requeue(key: string, afterMs: number): void {
    this.add(key, this.#inWork.get(key)!, afterMs);
  }

  next(): void {
    this.#takers += 1;
    this.#serve();
  }

  done(key: string): void {
    this.#inWork.delete(key);
    const wish = this.#wishes.find((wish) => wish.key === key);
    // It could not be taken before.
    if (wish?.isReady) wish.arrival = this.#arrivals++;
    this.#serve();
  }

  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const waiting = this.#wishes.filter((wish) => !wish.isReady && wish.due <= end);
      if (waiting.length === 0) break;
      this.#now = Math.min(...waiting.map((wish) => wish.due));
      for (const wish of waiting.filter((wish) => wish.due === this.#now).sort((a, b) => a.arrival - b.arrival)) {
        wish.isReady = true;
        wish.arrival = this.#arrivals++;
      }
      this.#serve();
    }
    this.#now = end;
  }

  state() {
    const free = this.#wishes.filter((wish) => wish.isReady && !this.#inWork.has(wish.key));
    const high = free.filter((wish) => wish.priority === 'high').length;
    return {
      depth: { high, low: free.length - high },
      waiting: this.#wishes.length - free.length,
      inWork: this.#inWork.size,
    };
  }

  #serve(): void {
    while (this.#takers > 0) {
      const free = this.#wishes
        .filter((wish) => wish.isReady && !this.#inWork.has(wish.key))
        .sort((a, b) => a.arrival - b.arrival);
      const high = free.find((wish) => wish.priority === 'high');
      const low = free.find((wish) => wish.priority === 'low');
      const wish = high && !(low && this.#highs >= highsPerLow) ? high : low;
      if (!wish) return;
      this.#highs = wish.priority === 'high' ? this.#highs + 1 : 0;
      this.#wishes = this.#wishes.filter((other) => other !== wish);
      this.#inWork.set(wish.key, wish.priority);
      this.#takers -= 1;
      this.taken.push(wish.key);
    }
  }
}
