import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Admission, type AdmissionLimits, type Entry, type Leave } from '../../src/gateway/admission.ts';
import { ManualClock, settle } from '../support/manual-clock.ts';

const { signal } = new AbortController();
const LIMITS: AdmissionLimits = { waiting: 2000, waitMs: 60_000, perHolder: 1000 };

function setUp(capacity: number, limits: Partial<AdmissionLimits> = {}) {
  const clock = new ManualClock();
  const places = { capacity, taken: 0 };
  const admission = new Admission({
    clock,
    limits: { ...LIMITS, ...limits },
    room: () => Math.max(0, places.capacity - places.taken),
    outlook: () => ({ text: 'No engine is ready', retryAfterSeconds: 10 }),
  });
  /** Who was let in, in order, with what gives the place back. */
  const inside: { readonly holder: string; readonly work: number; readonly leave: Leave }[] = [];
  const refusals: string[] = [];
  const enter = (holder: string, work = 1, over: Partial<Entry> = {}, within = signal) => {
    const sequences = over.sequences ?? 1;
    const seat = () => {
      places.taken += sequences;
      return () => void (places.taken -= sequences);
    };
    admission.enter({ holder, work, sequences, seat, ...over }, within).then(
      (leave) => inside.push({ holder, work, leave }),
      (error: unknown) => refusals.push((error as Error).message),
    );
  };
  /** Ends the one that was let in last, so many times, and tells who was let in meanwhile. */
  const turns = async (count: number): Promise<string[]> => {
    await settle();
    const before = inside.length;
    for (let turn = 0; turn < count; turn += 1) {
      inside.at(-1)!.leave();
      await settle();
    }
    return inside.slice(before).map(({ holder }) => holder);
  };
  return { clock, places, admission, inside, refusals, enter, turns };
}

describe('admission', () => {
  test("one key's flood delays that key, and another's request by what is at the engines alone", async () => {
    const { inside, enter } = setUp(2);
    for (let i = 0; i < 50; i += 1) enter('flood');
    enter('alice');
    await settle();
    expect(inside.map(({ holder }) => holder)).toEqual(['flood', 'flood']);
    inside[0]!.leave();
    await settle();
    expect(inside.map(({ holder }) => holder)).toEqual(['flood', 'flood', 'alice']);
  });

  test('turns are shared by work, not by number', async () => {
    const { inside, enter } = setUp(1);
    for (let i = 0; i < 40; i += 1) enter('large', 10);
    for (let i = 0; i < 400; i += 1) enter('small', 1);
    for (let turn = 0; turn < 110; turn += 1) {
      await settle();
      inside.at(-1)!.leave();
    }
    const large = inside.filter(({ holder }) => holder === 'large').length;
    expect(large).toBeGreaterThanOrEqual(9);
    expect(large).toBeLessThanOrEqual(12);
  });

  test('a key that was away has no claim on the time that has passed', async () => {
    const { inside, enter } = setUp(1);
    enter('early');
    for (let turn = 0; turn < 20; turn += 1) {
      enter('busy');
      await settle();
      inside.at(-1)!.leave();
    }
    for (let i = 0; i < 10; i += 1) enter('early');
    for (let i = 0; i < 10; i += 1) enter('busy');
    const before = inside.length;
    for (let turn = 0; turn < 10; turn += 1) {
      await settle();
      inside.at(-1)!.leave();
    }
    const early = inside.slice(before).filter(({ holder }) => holder === 'early').length;
    expect(early).toBeLessThanOrEqual(6);
  });

  test('whoever waits is let in when an engine is ready, in order', async () => {
    const { admission, places, inside, enter } = setUp(0);
    for (let i = 0; i < 3; i += 1) enter('alice', i + 1);
    await settle();
    expect([admission.waiting, admission.waitingWork]).toEqual([3, 6]);
    places.capacity = 2;
    admission.fill();
    await settle();
    expect([inside.length, admission.waiting, admission.inFlight]).toEqual([2, 1, 2]);
  });

  test.each([
    {
      name: 'number',
      limits: { waiting: 4 },
      refused: 'No engine is ready, and 2 requests wait already.',
    },
    {
      name: 'number of one key',
      limits: { perHolder: 2 },
      refused: 'This key has 2 requests under way, of 2 that it may have. Wait for one of them.',
    },
  ])('the wait is bounded in $name', async ({ limits, refused }) => {
    const { refusals, enter, admission } = setUp(0, limits);
    for (let i = 0; i < 3; i += 1) enter('alice');
    await settle();
    expect(refusals).toEqual([refused]);
    expect(admission.waiting).toBe(2);
  });

  test('a key takes no more of the waiting room than it leaves to others', async () => {
    const { refusals, enter, admission } = setUp(0, { waiting: 8 });
    for (const [holder, waiting] of [
      ['alice', 4],
      ['bob', 6],
      ['carol', 7],
      ['dave', 8],
    ] as const) {
      for (let i = 0; i < 10; i += 1) enter(holder);
      await settle();
      expect(admission.waiting).toBe(waiting);
    }
    expect(refusals[0]).toBe('No engine is ready, and 4 requests wait already.');
    expect(refusals[6]).toBe('No engine is ready, and 6 requests wait already, 2 of them of this key.');
  });

  test('requests that leave without a turn cost their key nothing', async () => {
    const { enter, turns } = setUp(1);
    enter('busy');
    const leave = new AbortController();
    for (let i = 0; i < 50; i += 1) enter('alice', 10, {}, leave.signal);
    leave.abort(new Error('the client has left'));
    for (let i = 0; i < 30; i += 1) enter('bob');
    enter('alice');
    expect(await turns(2)).toContain('alice');
  });

  test('a key is charged for what its requests were, not for what they were taken for', async () => {
    const { enter, inside } = setUp(1);
    for (let i = 0; i < 40; i += 1) enter('modest');
    for (let i = 0; i < 40; i += 1) enter('understated', 0.01);
    for (let turn = 0; turn < 40; turn += 1) {
      await settle();
      inside.at(-1)!.leave(inside.at(-1)!.holder === 'understated' ? 3 : 1);
    }
    const understated = inside.filter(({ holder }) => holder === 'understated').length;
    expect(understated).toBeGreaterThanOrEqual(9);
    expect(understated).toBeLessThanOrEqual(12);
  });

  test('a request takes as many places as it asks for answers, and no more than its key may have', async () => {
    const { enter, inside, admission, refusals, places } = setUp(4, { perHolder: 8 });
    enter('alice', 1, { sequences: 6 });
    enter('alice', 1, { sequences: 3 });
    enter('alice', 1, { sequences: 9 });
    enter('bob');
    await settle();
    expect([inside.length, admission.waiting, places.taken]).toEqual([1, 1, 6]);
    expect([...admission.holders()]).toEqual([
      { holder: 'alice', waiting: 0, inFlight: 6 },
      { holder: 'bob', waiting: 1, inFlight: 0 },
    ]);
    expect(refusals).toEqual([
      'This key has 6 requests under way, of 8 that it may have. Wait for one of them.',
      'The request asks for 9 answers at once, and a key may have 8. Send fewer prompts, or a smaller n.',
    ]);
    inside[0]!.leave();
    await settle();
    expect([inside.length, places.taken]).toEqual([2, 1]);
  });

  test('who comes back from an engine that took nothing goes before its key, beyond any limit', async () => {
    const { enter, inside, refusals } = setUp(1, { waiting: 2, perHolder: 2 });
    enter('alice', 1);
    enter('alice', 2);
    enter('alice', 3, { isBack: true });
    for (let turn = 0; turn < 3; turn += 1) {
      await settle();
      inside.at(-1)!.leave();
    }
    expect(inside.map(({ work }) => work)).toEqual([1, 3, 2]);
    expect(refusals).toEqual([]);
  });

  test('the wait is bounded in time, and whoever leaves makes room', async () => {
    const { clock, refusals, enter, admission } = setUp(0, { waiting: 4 });
    const leave = new AbortController();
    enter('alice', 1, {}, leave.signal);
    enter('alice');
    await settle();
    leave.abort(new Error('the client has left'));
    enter('bob');
    await settle();
    expect([admission.waiting, refusals]).toEqual([2, ['the client has left']]);
    expect(admission.longestWaitMs).toBe(0);
    await clock.advance(60_000);
    expect(refusals.slice(1)).toEqual([
      'No engine is ready, and the request has waited for 60 s.',
      'No engine is ready, and the request has waited for 60 s.',
    ]);
  });

  test('no place is lost and none is given twice, whatever happens', async () => {
    const step = fc.oneof(
      fc.record({
        do: fc.constant('enter' as const),
        holder: fc.constantFrom('a', 'b', 'c'),
        work: fc.integer({ min: 1, max: 9 }),
      }),
      fc.record({ do: fc.constant('leave' as const), which: fc.nat(20) }),
      fc.record({ do: fc.constant('capacity' as const), places: fc.integer({ min: 0, max: 5 }) }),
      fc.record({ do: fc.constant('time' as const), ms: fc.integer({ min: 1, max: 30_000 }) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { clock, places, admission, inside, refusals, enter } = setUp(2);
        let entered = 0;
        let left = 0;
        const gone = new Set<number>();
        for (const one of steps) {
          if (one.do === 'enter') {
            enter(one.holder, one.work);
            entered += 1;
          } else if (one.do === 'leave' && inside.length > 0) {
            const index = one.which % inside.length;
            // Twice is as once.
            inside[index]!.leave();
            inside[index]!.leave();
            if (!gone.has(index)) left += 1;
            gone.add(index);
          } else if (one.do === 'capacity') {
            places.capacity = one.places;
            admission.fill();
          } else if (one.do === 'time') await clock.advance(one.ms);
          await settle();
          expect(admission.inFlight).toBe(inside.length - left);
          expect(entered).toBe(inside.length + refusals.length + admission.waiting);
          expect(places.taken).toBe(admission.inFlight);
          expect(admission.waiting === 0 || places.taken >= places.capacity).toBe(true);
        }
      }),
      { numRuns: 60 },
    );
  });
});
