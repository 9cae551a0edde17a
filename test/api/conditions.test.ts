import { describe, expect, test } from 'vitest';
import {
  type Condition,
  type ConditionUpdate,
  CONDITIONS,
  condition,
  MAX_MESSAGE_LENGTH,
  REASONS,
  setCondition,
} from '../../src/api/index.ts';

const BEFORE = '2026-01-01T00:00:00Z';
const NOW = '2026-01-01T00:05:00Z';

const planned: ConditionUpdate = {
  type: 'Planned',
  status: 'True',
  reason: 'Planned',
  message: 'FP8 on 2x H100-80GB.',
  observedGeneration: 1,
};
const stored: readonly Condition[] = [
  { ...planned, lastTransitionTime: BEFORE },
  {
    type: 'Ready',
    status: 'False',
    reason: 'EnginesNotReady',
    message: '',
    observedGeneration: 1,
    lastTransitionTime: BEFORE,
  },
];

describe('setCondition', () => {
  test('answers the very same array when nothing changed', () => {
    expect(setCondition(stored, planned, NOW)).toBe(stored);
  });

  test('keeps the time of the last transition while the status stays', () => {
    const after = setCondition(stored, { ...planned, message: 'FP8 on 4x L40S.', observedGeneration: 2 }, NOW);
    expect(after[0]).toEqual({ ...stored[0], message: 'FP8 on 4x L40S.', observedGeneration: 2 });
    expect(after[1]).toBe(stored[1]);
    expect(stored[0]!.message).toBe('FP8 on 2x H100-80GB.');
  });

  test('moves the time when the status flips', () => {
    const update: ConditionUpdate = { ...planned, status: 'False', reason: 'NoGpuNodes' };
    expect(setCondition(stored, update, NOW)[0]).toEqual({ ...update, lastTransitionTime: NOW });
  });

  test('adds a type that was not there at the end', () => {
    const update: ConditionUpdate = { ...planned, type: 'Reproducible', reason: 'Pinned' };
    expect(setCondition(stored, update, NOW).map(({ type }) => type)).toEqual(['Planned', 'Ready', 'Reproducible']);
  });

  test('cuts a message that the CRD would refuse, and stays put on the next look', () => {
    const update = { ...planned, message: 'x'.repeat(MAX_MESSAGE_LENGTH + 1) };
    const after = setCondition(stored, update, NOW);
    expect(after[0]!.message).toHaveLength(MAX_MESSAGE_LENGTH);
    expect(setCondition(after, update, NOW)).toBe(after);
  });

  test('a reason of another condition does not compile', () => {
    // @ts-expect-error Pinned says nothing about the plan.
    const update: ConditionUpdate = { ...planned, reason: 'Pinned' };
    expect(REASONS.Pinned.types).not.toContain(update.type);
  });
});

describe('condition', () => {
  test('finds a condition by its type', () => {
    expect(condition(stored, 'Ready')).toBe(stored[1]);
    expect(condition(stored, 'Stalled')).toBeUndefined();
    expect(condition(undefined, 'Ready')).toBeUndefined();
  });
});

describe('the list of reasons', () => {
  test.each(Object.entries(REASONS))(
    '%s has a meaning, a remedy and a condition',
    (reason, { meaning, remedy, types }) => {
      expect(reason).toMatch(/^[A-Z][A-Za-z]+$/);
      expect(meaning).toMatch(/^[A-Za-z].*\.$/);
      expect(remedy).toMatch(/^[A-Za-z].*\.$/);
      expect(types.length).toBeGreaterThan(0);
      for (const type of types) expect(CONDITIONS).toHaveProperty(type);
    },
  );

  test.each(Object.keys(CONDITIONS))('condition %s has a reason', (type) => {
    expect(Object.values(REASONS).some(({ types }) => (types as readonly string[]).includes(type))).toBe(true);
  });
});
