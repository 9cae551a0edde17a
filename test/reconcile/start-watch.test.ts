import { describe, expect, test } from 'vitest';
import { EngineReports } from '../../src/reconcile/engine-reports.ts';
import type { EngineFacts } from '../../src/reconcile/facts.ts';
import { loadSecondsOf, watchStarts } from '../../src/reconcile/start-watch.ts';
import { type Revision, readRevision, revisionObject } from '../../src/render/revision.ts';
import { container, facts, liveSlot, owner, pod, type PodOver, revision } from '../support/builders.ts';
import { ManualClock, settle } from '../support/manual-clock.ts';

const MINUTE = 60_000;
const { signal } = new AbortController();

const engine = (over: Partial<EngineFacts> = {}): EngineFacts => ({
  createdMs: 0,
  scheduledMs: 0,
  hasStarted: false,
  readyMs: undefined,
  ...over,
});
const starting = (over: PodOver = {}) => pod({ ready: false, engine: engine(), container: container(), ...over });

/** What is said of a resource with these pods, each in a slot of its own, at that minute; logs are read. */
async function said(
  pods: readonly ReturnType<typeof pod>[],
  minute: number,
  revisions: readonly Revision[] = [revision()],
) {
  const clock = new ManualClock(0);
  let reads = 0;
  const reports = new EngineReports({
    client: {
      podLogs: async () => {
        reads += 1;
        return 'Loading safetensors checkpoint shards:  41% Completed | 9/22';
      },
    },
    get: () => Promise.reject(new Error('no metrics')),
    clock,
    enqueue: () => {},
  });
  const world = facts({ revisions, slots: pods.map((one, index) => liveSlot(index, 'aaaaaaaaaa', [one])) });
  const look = () => watchStarts('team-a/coder', world, undefined, reports, minute * MINUTE, signal);
  look();
  await settle();
  return { start: look(), reads };
}

describe('watchStarts', () => {
  test('a start says what it is at, by its log once it takes long', async () => {
    expect(await said([starting()], 0.5)).toMatchObject({ start: { text: 'weights, 0 of 11 min' }, reads: 0 });
    expect(await said([starting()], 9)).toMatchObject({
      start: { text: 'weights 40 %, 8 of 11 min', pod: 'coder-engine-0-x', isExceeded: false },
      reads: 1,
    });
  });

  test('of several starts the one that has spent most of its budget counts', async () => {
    const young = starting({ container: container({ runningSinceMs: 8 * MINUTE }) });
    const old = starting({ slot: 1 });
    expect((await said([young, old], 9)).start?.pod).toBe('coder-engine-1-x');
    expect((await said([old, young], 9)).start?.pod).toBe('coder-engine-1-x');
  });

  test('an earlier start with the same weights sets the budget', async () => {
    const learned = revision({ loadSeconds: 120 });
    expect((await said([starting()], 5, [learned])).start).toMatchObject({
      text: 'weights 40 %, more than its 3 min',
      isExceeded: true,
    });
  });

  test.each([
    { name: 'answers', over: { ready: true } },
    { name: 'has answered before', over: { engine: engine({ hasStarted: true }) } },
    {
      name: 'ended with an error',
      over: { container: container({ end: { exitCode: 1, reason: 'Error', message: '' } }) },
    },
    { name: 'goes', over: { leaving: true } },
  ])('a pod that $name is not starting', async ({ over }) => {
    expect((await said([starting(over)], 90)).start).toBeUndefined();
  });
});

describe('the time of a load', () => {
  const ready = pod({
    engine: engine({ readyMs: 5 * MINUTE, hasStarted: true }),
    container: container({ runningSinceMs: MINUTE }),
  });

  test('is from the start of the container to its first answer', () => {
    expect(loadSecondsOf([liveSlot(0, 'aaaaaaaaaa', [ready])], revision())).toBe(240);
    expect(loadSecondsOf([liveSlot(0, 'bbbbbbbbbb', [ready])], revision())).toBeUndefined();
    expect(loadSecondsOf([liveSlot(0)], revision())).toBeUndefined();
  });

  test('is kept with the revision', () => {
    const kept = revision({ loadSeconds: 240 });
    expect(readRevision(revisionObject(owner(), kept))).toEqual(kept);
  });
});
