import { describe, expect, test } from 'vitest';
import { failingPods } from '../../src/reconcile/failing-pods.ts';
import type { PodFacts } from '../../src/reconcile/facts.ts';
import { container, liveSlot, pod, type PodOver } from '../support/builders.ts';

const END = { exitCode: 1, reason: 'Error', message: '' };
const engine = (createdMs: number, hasStarted = false) => ({
  ip: undefined,
  createdMs,
  scheduledMs: createdMs,
  hasStarted,
  readyMs: undefined,
});
const crashed = (over: PodOver = {}): PodFacts => pod({ ready: false, container: container({ end: END }), ...over });
const evicted = (atMs: number | undefined): PodFacts =>
  pod({
    name: 'evicted',
    ready: false,
    phase: 'Failed',
    failure: { reason: 'Evicted', message: 'The node was low on resource: ephemeral-storage.', atMs },
    engine: engine(0),
  });
const next = (createdMs: number, hasStarted = false): PodFacts =>
  pod({ name: 'next', ready: false, engine: engine(createdMs, hasStarted) });

const names = (pods: readonly PodFacts[]): (string | undefined)[] => pods.map(({ metadata }) => metadata.name);
const found = (...pods: PodFacts[]) => names(failingPods({ slots: [liveSlot(0, 'aaaaaaaaaa', pods)] }, 'aaaaaaaaaa'));

describe('failingPods', () => {
  test('a slot with an engine that answers has none', () => {
    expect(found(pod({ name: 'ready' }), crashed({ name: 'crashed' }))).toEqual([]);
  });

  test('those of the target come first, then by slot', () => {
    const slots = [
      liveSlot(0, 'older', [crashed({ name: 'old' })]),
      liveSlot(1, 'target', [crashed({ name: 'b' }), crashed({ name: 'a' })]),
    ];
    expect(names(failingPods({ slots }, 'target'))).toEqual(['a', 'b', 'old']);
  });

  test('what ended a pod counts until its successor has answered', () => {
    expect(found(evicted(5000))).toEqual(['evicted']);
    expect(found(evicted(5000), next(5000))).toEqual(['evicted']);
    expect(found(evicted(5000), next(5000, true))).toEqual([]);
  });

  test('what ended a pod long before the present one was made does not count', () => {
    expect(found(evicted(5000), next(600_000))).toEqual([]);
    expect(found(evicted(undefined), next(5000))).toEqual([]);
  });

  test('a run that answered and went silent counts, one on its way to its first answer does not', () => {
    const running = container({ runningSinceMs: 1000 });
    const silentSince = (unreadyMs: number) =>
      pod({ ready: false, container: running, engine: { ...engine(0, true), unreadyMs } });
    expect(found(silentSince(9000))).toEqual(['coder-engine-0-x']);
    expect(found(silentSince(1000))).toEqual([]);
    expect(found(pod({ ready: false, container: running, engine: { ...engine(0), unreadyMs: 9000 } }))).toEqual([]);
  });

  test('an engine that serves another model counts', () => {
    expect(found(pod({ ready: false, servesInstead: [] }))).toEqual(['coder-engine-0-x']);
  });

  test('a pod that is leaving does not count', () => {
    expect(found(crashed({ leaving: true }))).toEqual([]);
  });
});
