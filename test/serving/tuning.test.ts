import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { QwenCoderSpecInput } from '../../src/api/index.ts';
import {
  type Attempt,
  type Observation,
  type ServingPlan,
  begin,
  configurationOf,
  engineVariant,
  fits,
  geometryOf,
  informed,
  observed,
  tune,
} from '../../src/serving/index.ts';
import { node, plainNode, planned, spec } from './builders.ts';

/** Four requests on one 96 GB card: room for less than the whole context. */
const fp8: QwenCoderSpecInput = { model: { quantization: 'FP8' } };
const onRtx = (more: QwenCoderSpecInput = {}): ServingPlan => planned({ ...fp8, ...more }, node('RTXPRO6000', 1));
const wanted = (more: QwenCoderSpecInput = {}) => spec({ ...fp8, ...more });

const after = (
  plan: ServingPlan,
  observation: Observation,
  before: readonly Attempt[] = [],
  input: QwenCoderSpecInput = {},
) => observed(before, plan, wanted(input), observation, 'now');

const plan = onRtx();
const pool = (blocks: number): Observation => ({ outcome: 'Fits', kvBlocks: blocks });
const refused = (blocks?: number): Observation => ({ outcome: 'DoesNotFit', message: 'To serve …', kvBlocks: blocks });
const exhausted: Observation = { outcome: 'OutOfMemory', message: 'CUDA out of memory.' };
const planBlocks = plan.memory!.kvPool / geometryOf(plan, wanted()).blockBytes;

describe('tune', () => {
  test('what no engine has tried is tried', () => {
    expect(tune(plan, wanted(), [])).toEqual({ state: 'Trying', attempt: undefined, failed: undefined });
    expect(tune(plan, wanted(), begin([], plan, wanted(), 'now'))).toMatchObject({ state: 'Trying' });
  });

  test('a plan that measured what was guessed is tuned', () => {
    expect(tune(plan, wanted(), after(plan, pool(planBlocks)))).toMatchObject({
      state: 'Tuned',
      fits: { maxModelLen: plan.maxModelLen, concurrency: 4 },
    });
  });

  test('a failed length steps back at once, to the longest that the measured memory holds', () => {
    const verdict = tune(plan, wanted(), after(plan, refused(200)));
    if (verdict.state !== 'Step') throw new Error(verdict.state);
    expect(verdict.isUrgent).toBe(true);
    const geometry = geometryOf(plan, wanted());
    expect(fits(geometry, 200, verdict.to.maxModelLen, 4)).toBe(true);
    expect(fits(geometry, 200, verdict.to.maxModelLen + 1, 4)).toBe(false);
    expect(verdict.to.maxNumSeqs).toBeLessThanOrEqual(200);
  });

  test('a tenth more is worth a restart, when there is one; less is not', () => {
    expect(tune(plan, wanted(), after(plan, pool(planBlocks * 1.05)))).toMatchObject({ state: 'Tuned' });
    expect(tune(plan, wanted(), after(plan, pool(Math.floor(planBlocks * 1.2))))).toMatchObject({
      state: 'Step',
      isUrgent: false,
    });
  });

  test('a length that loads and is not held as often as asked is shortened, without haste', () => {
    const verdict = tune(plan, wanted(), after(plan, pool(Math.floor(planBlocks * 0.8))));
    expect(verdict).toMatchObject({ state: 'Step', isUrgent: false, to: { concurrency: 4 } });
  });

  test('an engine that loads though no request fits has failed', () => {
    const old = onRtx({ engine: { version: '0.15.1' } });
    const attempts = after(old, pool(60), [], { engine: { version: '0.15.1' } });
    expect(attempts).toMatchObject([{ outcome: 'DoesNotFit', kvBlocks: 60 }]);
    expect(tune(old, wanted({ engine: { version: '0.15.1' } }), attempts)).toMatchObject({
      state: 'Step',
      isUrgent: true,
    });
  });

  test('memory for fewer than the asked requests serves the shortest context, and says so', () => {
    const verdict = tune(plan, wanted(), after(plan, refused(50)));
    if (verdict.state !== 'Step') throw new Error(verdict.state);
    expect(verdict.to).toMatchObject({ maxModelLen: 8192, concurrency: 2 });
    expect(tune(verdict.to, wanted(), after(verdict.to, pool(50)))).toMatchObject({ state: 'Crowded' });
  });

  test('memory for no request at all is no matter of length', () => {
    expect(tune(plan, wanted(), after(plan, refused(10)))).toMatchObject({ state: 'Stuck' });
  });

  test('out of memory without numbers gives the engine less of the GPU, as only that frees any', () => {
    const verdict = tune(plan, wanted(), after(plan, exhausted));
    if (verdict.state !== 'Step') throw new Error(verdict.state);
    expect(verdict.to.gpuMemoryUtilizationPercent).toBe(plan.gpuMemoryUtilizationPercent - 5);
    expect(verdict.to.maxModelLen).toBeLessThan(plan.maxModelLen);
  });

  test('a pinned utilization is kept: the length gives way', () => {
    const context = { context: { gpuMemoryUtilizationPercent: 92 } };
    const pinned = onRtx(context);
    const verdict = tune(pinned, wanted(context), after(pinned, exhausted, [], context));
    if (verdict.state !== 'Step') throw new Error(verdict.state);
    expect(verdict.to).toMatchObject({ gpuMemoryUtilizationPercent: 92 });
    expect(verdict.to.maxModelLen).toBeLessThanOrEqual(pinned.maxModelLen * 0.75);
  });

  test('a length below one that failed for no known reason is not left for it again', () => {
    const context = { context: { gpuMemoryUtilizationPercent: 92 } };
    const pinned = onRtx(context);
    const failed = after(pinned, exhausted, [], context);
    const verdict = tune(pinned, wanted(context), failed);
    if (verdict.state !== 'Step') throw new Error(verdict.state);
    const attempts = after(verdict.to, pool(planBlocks), failed, context);
    expect(tune(verdict.to, wanted(context), attempts)).toMatchObject({ state: 'Tuned' });
  });

  test.each([
    { name: 'fits', observation: pool(300), state: { state: 'Pinned', attempt: { outcome: 'Fits' } } },
    { name: 'does not', observation: refused(40), state: { state: 'Pinned', attempt: { outcome: 'DoesNotFit' } } },
  ])('a pinned length that $name is left alone, and what fits is known', ({ observation, state }) => {
    const context = { context: { maxModelLen: 16_384 } };
    const pinned = onRtx(context);
    const verdict = tune(pinned, wanted(context), after(pinned, observation, [], context));
    expect(verdict).toMatchObject(state);
    expect(verdict.state === 'Pinned' && verdict.fits!.maxModelLen).toBeGreaterThan(0);
  });

  test('without memory facts 32,768 tokens grow to what the engine measures', () => {
    const provisional = planned({}, plainNode(4));
    const attempts = observed([], provisional, spec(), pool(1200), 'now');
    expect(tune(provisional, spec(), attempts)).toMatchObject({
      state: 'Step',
      isUrgent: false,
      to: { maxModelLen: (Math.floor(1199 / 4) - 6) * 272, concurrency: 4 },
    });
  });

  test('whatever engines do, no length is tried twice, none is below 8,192, and it comes to an end', () => {
    const outcome = fc.oneof(
      fc.integer({ min: 0, max: 2000 }).map(pool),
      fc.integer({ min: 0, max: 2000 }).map(refused),
      fc.constant(refused()),
      fc.constant(exhausted),
    );
    fc.assert(
      fc.property(fc.array(outcome, { minLength: 12, maxLength: 12 }), (outcomes) => {
        let [now, attempts]: [ServingPlan, readonly Attempt[]] = [plan, []];
        const failed = new Set<string>();
        for (const observation of outcomes) {
          attempts = after(now, observation, attempts);
          expect(attempts.length).toBeLessThanOrEqual(10);
          for (const one of attempts) if (one.outcome !== 'Fits') failed.add(`${one.configuration} ${one.maxModelLen}`);
          const verdict = tune(now, wanted(), attempts);
          if (verdict.state !== 'Step') return;
          now = verdict.to;
          expect(now.maxModelLen).toBeGreaterThanOrEqual(8192);
          expect(failed).not.toContain(`${configurationOf(now, wanted())} ${now.maxModelLen}`);
        }
        throw new Error(`it does not end: ${JSON.stringify(attempts)}`);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('observed', () => {
  test('the same array says that nothing is news', () => {
    const attempts = after(plan, pool(planBlocks));
    expect(after(plan, pool(planBlocks), attempts)).toBe(attempts);
    expect(begin(attempts, plan, wanted(), 'later')).toBe(attempts);
  });

  test('keeps the time of the first try', () => {
    const attempts = observed(begin([], plan, wanted(), 'then'), plan, wanted(), pool(planBlocks), 'now');
    expect(attempts).toMatchObject([{ outcome: 'Fits', time: 'then' }]);
  });

  test('of more than ten attempts those on other engines go first', () => {
    let attempts = after({ ...plan, engineVersion: '0.29.0' }, pool(100));
    for (let length = 1; length <= 10; length += 1)
      attempts = after({ ...plan, maxModelLen: 8192 + length }, refused(), attempts);
    expect(attempts).toHaveLength(10);
    expect(new Set(attempts.map(({ configuration }) => configuration))).toEqual(
      new Set([configurationOf(plan, wanted())]),
    );
  });
});

describe('engines with their own arguments', () => {
  const own = { engine: { args: ['--max-num-batched-tokens=32768'] } };

  test('are measured anew: what was learned without them does not hold', () => {
    const attempts = after(plan, refused(200));
    expect(tune(plan, wanted(own), attempts).state).toBe('Trying');
    expect(informed(plan, wanted(own), attempts)).toBe(plan);
  });

  test('are kinds of their own, the same for the same arguments', () => {
    expect(engineVariant(wanted())).toBe('');
    expect(engineVariant(wanted(own))).toBe(engineVariant(wanted(own)));
    expect(engineVariant(wanted(own))).not.toBe(
      engineVariant(wanted({ engine: { env: [{ name: 'A', value: 'b' }] } })),
    );
  });
});

describe('informed', () => {
  test('a plan made anew after an edit begins where the last one came to', () => {
    const attempts = after(plan, refused(200));
    const verdict = tune(plan, wanted(), attempts);
    expect(informed(plan, wanted(), attempts).maxModelLen).toBe(verdict.state === 'Step' && verdict.to.maxModelLen);
  });

  test('a pinned length is what it is', () => {
    const context = { context: { maxModelLen: 16_384 } };
    const pinned = onRtx(context);
    expect(informed(pinned, wanted(context), after(pinned, refused(40), [], context))).toBe(pinned);
  });

  test('nothing known changes nothing', () => {
    expect(informed(plan, wanted(), [])).toBe(plan);
  });
});
