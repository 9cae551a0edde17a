import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Admission, type AdmissionLimits } from '../../src/gateway/admission.ts';
import { ManualClock, settle } from '../support/manual-clock.ts';

const { signal } = new AbortController();
const LIMITS: AdmissionLimits = { waiting: 1000, waitingBytes: 2 ** 30, waitMs: 60_000, perHolder: 1000 };

function setUp(capacity: number, limits: Partial<AdmissionLimits> = {}) {
  const clock = new ManualClock();
  const places = { capacity };
  const admission = new Admission({
    clock,
    limits: { ...LIMITS, ...limits },
    capacity: () => places.capacity,
    outlook: () => ({ text: 'No engine is ready', retryAfterSeconds: 10 }),
  });
  /** Who was let in, in order, with what gives the place back. */
  const inside: { readonly holder: string; readonly leave: () => void }[] = [];
  const refusals: string[] = [];
  const enter = (holder: string, work = 1, bytes = 100, within = signal) => {
    admission.enter({ holder, work, bytes }, within).then(
      (leave) => inside.push({ holder, leave }),
      (error: unknown) => refusals.push((error as Error).message),
    );
  };
  return { clock, places, admission, inside, refusals, enter };
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
    { name: 'number', limits: { waiting: 2 }, refused: 'No engine is ready, and 2 requests wait already.' },
    { name: 'bytes', limits: { waitingBytes: 250 }, refused: 'No engine is ready, and 2 requests wait already.' },
    {
      name: 'number of one key',
      limits: { perHolder: 2 },
      refused: 'This key has 2 requests under way, which is as many as it may have. Wait for one of them.',
    },
  ])('the wait is bounded in $name', async ({ limits, refused }) => {
    const { refusals, enter, admission } = setUp(0, limits);
    for (let i = 0; i < 3; i += 1) enter('alice');
    await settle();
    expect(refusals).toEqual([refused]);
    expect(admission.waiting).toBe(2);
  });

  test('the wait is bounded in time, and whoever leaves makes room', async () => {
    const { clock, refusals, enter, admission } = setUp(0, { waiting: 2 });
    const leave = new AbortController();
    enter('alice', 1, 100, leave.signal);
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
          expect(admission.waiting === 0 || admission.inFlight >= places.capacity).toBe(true);
        }
      }),
      { numRuns: 60 },
    );
  });
});
