import { describe, expect, test } from 'vitest';
import { EngineLogs, type EngineLogsOptions, type Run } from '../../src/reconcile/engine-logs.ts';
import { systemClock } from '../../src/runtime/index.ts';
import { ManualClock, settle } from '../support/manual-clock.ts';

const { signal } = new AbortController();
const RUN: Run = {
  namespace: 'team-a',
  pod: 'coder-engine-0-x',
  uid: 'uid',
  container: 'engine',
  ended: 1,
  isPrevious: false,
  isRunning: false,
};
const CAUSE = 'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.';

/** Logs of one container by the API's two names; an error where the node does not answer. */
function logsOf(of: Readonly<Record<'current' | 'previous', string | Error>>) {
  const asked: string[] = [];
  const failures: unknown[] = [];
  const logs = new EngineLogs({
    read: async ({ isPrevious }) => {
      const name = isPrevious ? 'previous' : 'current';
      asked.push(name);
      const log = of[name];
      if (log instanceof Error) throw log;
      return log;
    },
    clock: systemClock,
    namespaces: undefined,
    onLate: () => {},
    onFailure: (error) => failures.push(error),
  });
  const causeOf = async (run: Run): Promise<string | undefined> =>
    (await logs.read(run, 'team-a/coder', [], signal)).findings?.cause?.id;
  return { causeOf, asked, failures };
}

const answering = (read: EngineLogsOptions['read'], clock = new ManualClock()): EngineLogs =>
  new EngineLogs({ read, clock, namespaces: undefined, onLate: () => {}, onFailure: () => {} });

describe('the log of a run', () => {
  test('is asked for once, whatever becomes of the run, when it tells the cause', async () => {
    const { causeOf, asked } = logsOf({ current: CAUSE, previous: CAUSE });
    const cause = await causeOf(RUN);
    expect(cause).toBeDefined();
    expect(await causeOf(RUN)).toBe(cause);
    expect(await causeOf({ ...RUN, isPrevious: true })).toBe(cause);
    expect(asked).toEqual(['current']);
  });

  test.each([
    ['that of the next run was had in its place', 'INFO vLLM API server version 0.33.0'],
    ['the node did not answer', new Error('no answer')],
  ])('is asked for once more as the previous one where %s', async (_, current) => {
    const { causeOf, asked } = logsOf({ current, previous: CAUSE });
    expect(await causeOf(RUN)).toBeUndefined();
    expect(await causeOf(RUN)).toBeUndefined();
    expect(await causeOf({ ...RUN, isPrevious: true })).toBeDefined();
    expect(await causeOf({ ...RUN, isPrevious: true })).toBeDefined();
    expect(asked).toEqual(['current', 'previous']);
  });

  test('that tells no cause at all is asked for twice and never again', async () => {
    const { causeOf, asked, failures } = logsOf({ current: 'nothing', previous: new Error('no answer') });
    await causeOf(RUN);
    for (let time = 0; time < 3; time += 1) expect(await causeOf({ ...RUN, isPrevious: true })).toBeUndefined();
    expect(asked).toEqual(['current', 'previous']);
    expect(failures).toHaveLength(1);
  });

  test('that has no line is late until it is the previous one', async () => {
    const logs = answering(({ isPrevious }) => Promise.resolve(isPrevious ? 'Starting to load model' : ''));
    const read = (run: Run) => logs.read(run, 'team-a/coder', [], signal);
    expect(await read(RUN)).toMatchObject({ isLate: true });
    expect(await read({ ...RUN, isPrevious: true })).toMatchObject({
      isLate: false,
      findings: { lastLine: 'Starting to load model' },
    });
  });

  test('that is had of the next run in place of one that served is late until it is the previous one', async () => {
    const served = 'INFO: Application startup complete.';
    const logs = answering(({ isRunning, isPrevious }) =>
      Promise.resolve(isRunning || isPrevious ? served : 'INFO vLLM API server version 0.33.0'),
    );
    const read = (run: Run) => logs.read(run, 'team-a/coder', [], signal);
    await read({ ...RUN, ended: 0, isRunning: true });
    expect(await read(RUN)).toMatchObject({ isLate: true, findings: { lastLine: served } });
    expect(await read({ ...RUN, isPrevious: true })).toMatchObject({ isLate: false, findings: { lastLine: served } });
  });

  test('that is late tells what it told while the run went on', async () => {
    const clock = new ManualClock();
    const rest = Promise.withResolvers<string>();
    const logs = answering(
      ({ isRunning }) => (isRunning ? Promise.resolve('INFO: Application startup complete.') : rest.promise),
      clock,
    );
    const read = async (run: Run) => {
      const patience = settle().then(() => clock.advance(2000));
      const [reading] = await Promise.all([logs.read(run, 'team-a/coder', [], signal), patience]);
      return reading;
    };
    const running = await read({ ...RUN, ended: 0, isRunning: true });
    expect(running).toMatchObject({ isLate: false, findings: { lastLine: 'INFO: Application startup complete.' } });
    expect(await read(RUN)).toEqual({ isLate: true, findings: running.findings });
    expect(await read({ ...RUN, uid: 'another' })).toEqual({ isLate: true, findings: undefined });
    rest.resolve(CAUSE);
    await rest.promise;
    expect((await read(RUN)).findings?.cause).toBeDefined();
  });
});
