import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { rollout } from '../../src/reconcile/rollout.ts';
import type { LiveSlot } from '../../src/reconcile/facts.ts';
import { liveSlot, pod, revision } from '../support/builders.ts';

const old = revision({ hash: 'old' });
const next = revision({ hash: 'new', number: 2 });
const starting = (index: number, hash: string) =>
  liveSlot(index, hash, [pod({ slot: index, revision: hash, ready: false })]);
const shape = (slots: ReturnType<typeof rollout>) =>
  slots.map((slot) => `${slot.index}:${slot.revision.hash}x${slot.replicas}`);

describe('rollout', () => {
  test.each([
    { name: 'nothing runs', wanted: 2, live: [], target: next, slots: ['0:newx1', '1:newx1'] },
    { name: 'nothing runs and there is no target', wanted: 2, live: [], target: undefined, slots: [] },
    {
      name: 'every slot serves the target',
      wanted: 2,
      live: [liveSlot(0, 'new'), liveSlot(1, 'new')],
      target: next,
      slots: ['0:newx1', '1:newx1'],
    },
    {
      name: 'two slots serve the old revision',
      wanted: 2,
      live: [liveSlot(0, 'old'), liveSlot(1, 'old')],
      target: next,
      slots: ['0:newx1', '1:oldx1'],
    },
    {
      name: 'one slot is on its way',
      wanted: 2,
      live: [starting(0, 'new'), liveSlot(1, 'old')],
      target: next,
      slots: ['0:newx1', '1:oldx1'],
    },
    {
      name: 'the first slot has arrived',
      wanted: 2,
      live: [liveSlot(0, 'new'), liveSlot(1, 'old')],
      target: next,
      slots: ['0:newx1', '1:newx1'],
    },
    {
      name: 'old slots do not serve',
      wanted: 2,
      live: [starting(0, 'old'), starting(1, 'old')],
      target: next,
      slots: ['0:newx1', '1:newx1'],
    },
    {
      name: 'the target has no weights yet',
      wanted: 2,
      live: [liveSlot(0, 'old'), liveSlot(1, 'old')],
      target: undefined,
      slots: ['0:oldx1', '1:oldx1'],
    },
    {
      name: 'fewer replicas are wanted',
      wanted: 1,
      live: [liveSlot(0, 'new'), liveSlot(1, 'new')],
      target: next,
      slots: ['0:newx1'],
    },
    {
      name: 'the revision of a slot was lost',
      wanted: 1,
      live: [liveSlot(0, 'lost')],
      target: next,
      slots: ['0:newx1'],
    },
  ])('$name', ({ wanted, live, target, slots }) => {
    expect(shape(rollout(wanted, false, target, [next, old], live))).toEqual(slots);
  });

  test('suspension keeps every slot and takes its pod', () => {
    expect(shape(rollout(2, true, next, [next, old], [liveSlot(0, 'new'), liveSlot(1, 'new')]))).toEqual([
      '0:newx0',
      '1:newx0',
    ]);
  });

  test('repeated steps end with every slot at the target and at most one serving slot away at a time', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }),
        (wanted, ready) => {
          let live: LiveSlot[] = Array.from({ length: wanted }, (_, index) =>
            ready[index] ? liveSlot(index, 'old') : starting(index, 'old'),
          );
          for (let step = 0; step < 2 * wanted + 2; step += 1) {
            const slots = rollout(wanted, false, next, [next, old], live);
            const serving = live.filter((slot) => slot.pods.some((p) => p.ready));
            const leftServing = serving.filter(
              (slot) => slots.find((s) => s.index === slot.index)?.revision.hash !== slot.revisionHash,
            );
            expect(leftServing.length).toBeLessThanOrEqual(1);
            live = slots.map((slot) => liveSlot(slot.index, slot.revision.hash));
          }
          expect(live.every((slot) => slot.revisionHash === 'new')).toBe(true);
        },
      ),
    );
  });
});
