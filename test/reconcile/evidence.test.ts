import { describe, expect, test } from 'vitest';
import type { KubeClient } from '../../src/kube/index.ts';
import type { Run } from '../../src/reconcile/engine-logs.ts';
import { logTail } from '../../src/reconcile/evidence.ts';

const { signal } = new AbortController();
const FIRST: Run = {
  namespace: 'team-a',
  pod: 'coder-engine-0-x',
  uid: 'uid',
  container: 'engine',
  ended: 1,
  isPrevious: false,
  isRunning: false,
};

/** The logs of a container that was started so often again when it is looked at. */
function reading(run: Run, restartCount: number, uid = 'uid'): { log: Promise<string | undefined>; asked: string[] } {
  const asked: string[] = [];
  const status = { containerStatuses: [{ name: 'engine', restartCount }] };
  const client = {
    podLogs: async (_key: unknown, { previous = false }: { previous?: boolean }) => {
      asked.push(previous ? 'previous' : 'current');
      return `run ${previous ? restartCount : restartCount + 1}`;
    },
    list: async () => {
      asked.push('pod');
      return { items: [{ metadata: { uid }, status }], resourceVersion: '1' };
    },
  };
  return { log: logTail(client as unknown as KubeClient)(run, signal), asked };
}

describe('logTail', () => {
  test('a run that is the last one is read as the current one', async () => {
    const { log, asked } = reading(FIRST, 0);
    expect(await log).toBe('run 1');
    expect(asked).toEqual(['current', 'pod']);
  });

  test('a run that was followed by another while its log was asked for is read as the previous one', async () => {
    const { log, asked } = reading(FIRST, 1);
    expect(await log).toBe('run 1');
    expect(asked).toEqual(['current', 'pod', 'previous']);
  });

  test('a run that is known to be followed, and one that goes on, cost one request', async () => {
    const previous = reading({ ...FIRST, isPrevious: true }, 1);
    expect(await previous.log).toBe('run 1');
    const running = reading({ ...FIRST, ended: 0, isRunning: true }, 0);
    expect(await running.log).toBe('run 1');
    expect([previous.asked, running.asked]).toEqual([['previous'], ['current']]);
  });

  test('another pod of that name is not asked', async () => {
    const { log, asked } = reading(FIRST, 3, 'other');
    await log;
    expect(asked).toEqual(['current', 'pod']);
  });
});
