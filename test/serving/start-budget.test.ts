import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Start, type StartBudget, startBudget, startProgress } from '../../src/serving/index.ts';
import { node, planned, spec } from './builders.ts';

const MINUTE = 60_000;
const plan = planned({}, node('H100', 8));
const budget = { scheduleSeconds: 300, imageSeconds: 900, weightsSeconds: 840, warmUpSeconds: 600 };
const load = ({ weightsSeconds, warmUpSeconds }: StartBudget): number => weightsSeconds + warmUpSeconds;

const start = (over: Partial<Start> = {}): Start => ({
  createdMs: 0,
  scheduledMs: undefined,
  startedMs: undefined,
  weightsPercent: undefined,
  weightsSeconds: undefined,
  ...over,
});
const loading = start({ scheduledMs: 0, startedMs: 0 });

describe('startBudget', () => {
  test('grows with the weights and with storage that is shared', () => {
    const local = startBudget(plan, spec(), undefined);
    const shared = startBudget(plan, spec({ storage: { accessMode: 'ReadWriteMany' } }), undefined);
    const larger = startBudget({ ...plan, weightBytes: 2 * plan.weightBytes }, spec(), undefined);
    expect(local).toMatchObject({ scheduleSeconds: 300, imageSeconds: 900 });
    expect([Math.round(local.weightsSeconds), local.warmUpSeconds]).toEqual([643, 600]);
    expect(shared.weightsSeconds).toBeGreaterThan(local.weightsSeconds);
    expect(larger.weightsSeconds).toBeCloseTo(2 * local.weightsSeconds);
  });

  test('is twice what an earlier start took, and two minutes at least', () => {
    const learned = startBudget(plan, spec(), 400);
    expect(load(learned)).toBeCloseTo(800);
    const calculated = startBudget(plan, spec(), undefined);
    expect(learned.weightsSeconds / load(learned)).toBeCloseTo(calculated.weightsSeconds / load(calculated));
    expect(load(startBudget(plan, spec(), 5))).toBeCloseTo(120);
  });

  test('leaves a declared pool the time to bring a node', () => {
    const shapes = { nodeShapes: [{ product: 'NVIDIA-L40S', memory: '48Gi', gpus: 4 }] };
    expect(startBudget(plan, spec({ placement: shapes }), undefined).scheduleSeconds).toBe(900);
  });
});

describe('startProgress', () => {
  test.each([
    { name: 'without a node', of: start(), at: 2 * MINUTE, text: 'waiting for a node, 2 of 5 min' },
    {
      name: 'pulling',
      of: start({ scheduledMs: MINUTE }),
      at: 7 * MINUTE,
      text: 'pulling the image and mounting volumes, 6 of 15 min',
    },
    { name: 'reading', of: { ...loading, weightsPercent: 41 }, at: 9 * MINUTE, text: 'weights 40 %, 8 of 14 min' },
    { name: 'reading silently', of: loading, at: 3 * MINUTE, text: 'weights, 2 of 14 min' },
    { name: 'warming up', of: { ...loading, weightsSeconds: 180 }, at: 7.5 * MINUTE, text: 'warm-up, 4 of 10 min' },
    {
      name: 'warming up too long',
      of: { ...loading, weightsSeconds: 180 },
      at: 14 * MINUTE,
      text: 'warm-up, more than its 10 min',
    },
    {
      name: 'too long',
      of: { ...loading, weightsPercent: 41 },
      at: 15 * MINUTE,
      text: 'weights 40 %, more than its 14 min',
    },
    { name: 'ahead of our clock', of: start({ createdMs: MINUTE }), at: 0, text: 'waiting for a node, 0 of 5 min' },
  ])('a start that is $name reads "$text"', ({ of, at, text }) => {
    expect(startProgress(of, budget, at).text).toBe(text);
  });

  test('time alone changes nothing more when a phase takes too long', () => {
    const phases = [start(), start({ scheduledMs: 0 }), loading, { ...loading, weightsSeconds: 60 }];
    const late = phases.map((phase) => startProgress(phase, budget, 60 * MINUTE));
    expect(late.map(({ isExceeded, nextMs }) => [isExceeded, nextMs])).toEqual(phases.map(() => [true, undefined]));
  });

  test('says something else at most ten times a phase, and exactly when it announced it', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 20 * MINUTE }), (at) => {
        const now = startProgress(loading, budget, at);
        if (now.nextMs === undefined) return;
        expect(startProgress(loading, budget, at + now.nextMs - 1)).toMatchObject({ text: now.text, share: now.share });
        expect(startProgress(loading, budget, at + now.nextMs).share).toBeCloseTo(now.share + 0.1);
      }),
    );
  });
});
