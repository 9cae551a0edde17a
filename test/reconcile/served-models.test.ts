import { describe, expect, test } from 'vitest';
import type { Condition } from '../../src/api/index.ts';
import type { Reading } from '../../src/reconcile/engine-reports.ts';
import type { PodFacts } from '../../src/reconcile/facts.ts';
import { ServedModels } from '../../src/reconcile/served-models.ts';
import type { ServedModel } from '../../src/serving/index.ts';
import { pod, revision } from '../support/builders.ts';

const KEY = 'team-a/coder';
const { signal } = new AbortController();

const rendered = revision({
  template: {
    spec: { containers: [{ name: 'engine', args: ['/models', '--served-model-name', 'coder', '--port=8000'] }] },
  },
});
const read = (id: string): Reading<readonly ServedModel[]> => ({
  state: 'read',
  value: [{ id, root: undefined, maxModelLen: undefined }],
  atMs: 0,
});
const reading = { state: 'reading', last: undefined } as const;
const failed = { state: 'failed', message: '/v1/models answers 401', atMs: 0, times: 1 } as const;

/** What the engine answers is set by a test. */
function setUp(conditions: readonly Condition[] = []) {
  let answer: Reading<readonly ServedModel[]> = reading;
  const models = new ServedModels({ models: () => answer });
  return {
    answers: (next: Reading<readonly ServedModel[]>) => (answer = next),
    forget: () => models.forget(KEY),
    counted: (one: PodFacts): PodFacts =>
      models.counted(KEY, [one], { revisions: [rendered], engineKey: 'key', conditions }, signal)[0]!,
  };
}

describe('ServedModels', () => {
  test('an engine that starts counts once it says that it serves what it was told to', () => {
    const { counted, answers } = setUp();
    expect(counted(pod({ ready: false })).ready).toBe(false);
    expect(counted(pod())).toMatchObject({ ready: false });
    expect(counted(pod()).servesInstead).toBeUndefined();
    answers(read('coder'));
    expect(counted(pod())).toEqual(pod());
  });

  test('an engine that serves another model does not count, and what it serves is known', () => {
    const { counted, answers } = setUp();
    counted(pod({ ready: false }));
    answers(read('other'));
    expect(counted(pod())).toMatchObject({ ready: false, servesInstead: [{ id: 'other' }] });
  });

  test('an engine that was ready when this process came counts until it says otherwise', () => {
    const { counted, answers } = setUp();
    expect(counted(pod()).ready).toBe(true);
    answers(read('other'));
    expect(counted(pod()).ready).toBe(false);
  });

  test('a process that comes when the model is known to be wrong asks first', () => {
    const wrong: Condition = {
      type: 'EnginesReady',
      status: 'False',
      reason: 'WrongModelServed',
      message: '',
      lastTransitionTime: '2026-01-01T00:00:00Z',
    };
    expect(setUp([wrong]).counted(pod()).ready).toBe(false);
  });

  test('an engine that cannot be asked counts as its probe says', () => {
    const { counted, answers } = setUp();
    counted(pod({ ready: false }));
    answers(failed);
    expect(counted(pod()).ready).toBe(true);
  });

  test('an engine of an unknown revision is not asked', () => {
    const { counted, answers } = setUp();
    answers(read('other'));
    expect(counted(pod({ revision: 'bbbbbbbbbb' })).ready).toBe(true);
  });

  test('nothing is remembered of a deleted resource', () => {
    const { counted, forget } = setUp();
    counted(pod({ ready: false }));
    forget();
    expect(counted(pod()).ready).toBe(true);
  });
});
