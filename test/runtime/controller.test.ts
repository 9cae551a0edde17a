import { describe, expect, onTestFinished, test } from 'vitest';
import { RetryError, TerminalError, WaitError } from '../../src/errors.ts';
import { Controller, type ControllerOptions, type Reconcile } from '../../src/runtime/controller.ts';
import { controllerMetrics, queueMetrics } from '../../src/runtime/controller-metrics.ts';
import { Metrics } from '../../src/runtime/metrics.ts';
import { ManualClock, settle } from '../support/manual-clock.ts';
import { CollectingLog } from './collecting-log.ts';

interface Run {
  readonly key: string;
  readonly at: number;
}

function start(reconcile: Reconcile, options: Partial<ControllerOptions> = {}) {
  const clock = new ManualClock();
  const log = new CollectingLog();
  const metrics = new Metrics();
  const runs: Run[] = [];
  const term = new AbortController();
  const controller = new Controller({
    name: 'test',
    clock,
    log,
    metrics: controllerMetrics(metrics, 'test', 2),
    workers: 2,
    queue: { metrics: queueMetrics(metrics, 'test') },
    ...options,
    reconcile: (key, context) => {
      runs.push({ key, at: clock.monotonic() });
      return reconcile(key, context);
    },
  });
  controller.start(term.signal);
  onTestFinished(() => term.abort());
  return { clock, log, metrics, runs, term, controller };
}

const finished = async () => {};

/** A reconcile that ends when the test says so. */
function held() {
  const gates = new Map<string, PromiseWithResolvers<void>>();
  const gate = (key: string) => {
    const known = gates.get(key) ?? Promise.withResolvers<void>();
    gates.set(key, known);
    return known;
  };
  return { reconcile: (key: string) => gate(key).promise, finish: (key: string) => gate(key).resolve() };
}

describe('Controller', () => {
  test('a key that was reconciled well is not reconciled again until it is added', async () => {
    const { controller, clock, runs } = start(finished);
    controller.add('a');
    await clock.advance(24 * 3_600_000);
    controller.add('a');
    await settle();
    expect(runs).toEqual([
      { key: 'a', at: 0 },
      { key: 'a', at: 24 * 3_600_000 },
    ]);
  });

  test('keys added before the start wait for it', async () => {
    const runs: string[] = [];
    const controller = new Controller({
      name: 'test',
      clock: new ManualClock(),
      log: new CollectingLog(),
      reconcile: async (key) => void runs.push(key),
    });
    controller.add('a');
    controller.add('b');
    await settle();
    expect(runs).toEqual([]);
    controller.start(new AbortController().signal);
    await settle();
    expect(runs).toEqual(['a', 'b']);
    await controller.stop();
  });

  test('no more reconciles run at once than there are workers, and never two of one key', async () => {
    const { reconcile, finish } = held();
    const { controller, runs } = start(reconcile);
    for (const key of ['a', 'b', 'c']) controller.add(key);
    await settle();
    controller.add('a');
    await settle();
    expect(runs.map(({ key }) => key)).toEqual(['a', 'b']);
    finish('b');
    await settle();
    expect(runs.map(({ key }) => key)).toEqual(['a', 'b', 'c']);
    finish('a');
    await settle();
    expect(runs.map(({ key }) => key)).toEqual(['a', 'b', 'c', 'a']);
  });

  test('requeueAfterMs runs the key again after that time', async () => {
    const { controller, clock, runs } = start(async () => ({ requeueAfterMs: 30_000 }));
    controller.add('a');
    await clock.advance(60_000);
    expect(runs.map(({ at }) => at)).toEqual([0, 30_000, 60_000]);
  });

  test.each([
    { name: 'a RetryError', error: new RetryError('Conflict', 'the object changed') },
    { name: 'an unknown error', error: new TypeError('undefined is not a function') },
    { name: 'a thrown text', error: 'no error object' },
  ])('$name is tried again with back-off and logged once a failure', async ({ error }) => {
    const { controller, clock, runs, log } = start(async () => {
      throw error;
    });
    controller.add('a');
    await clock.advance(40);
    expect(runs.map(({ at }) => at)).toEqual([0, 5, 15, 35]);
    expect(log.lines()).toEqual(Array.from({ length: 4 }, () => 'warn reconcile failed'));
    expect(log.entries[1]!.fields).toMatchObject({
      controller: 'test',
      key: 'a',
      error,
      failures: 2,
      retryAfterMs: 10,
    });
  });

  test('a reconcile that goes well ends the row of failures', async () => {
    const endings = ['fail', 'fail', 'fail', 'well', 'fail'];
    const { controller, clock, runs } = start(async () => {
      if (endings.shift() === 'fail') throw new RetryError('Conflict', 'the object changed');
    });
    controller.add('a');
    await clock.advance(100);
    controller.add('a');
    await clock.advance(5);
    expect(runs.map(({ at }) => at)).toEqual([0, 5, 15, 35, 100, 105]);
  });

  test.each([
    { name: 'a WaitError', error: new WaitError('NotYet', 'the node pool grows', 1e9) },
    { name: 'a TerminalError', error: new TerminalError('Refused', 'never') },
  ])('$name ends the row of failures', async ({ error }) => {
    const failure = new RetryError('Conflict', 'the object changed');
    const endings = [failure, failure, failure, error, failure];
    const { controller, clock, runs } = start(async () => {
      const ending = endings.shift();
      if (ending) throw ending;
    });
    controller.add('a');
    await clock.advance(1_035);
    controller.add('a');
    await clock.advance(5);
    expect(runs.map(({ at }) => at)).toEqual([0, 5, 15, 35, 1_035, 1_040]);
  });

  test('a WaitError looks again after its time, is no failure and is not logged as one', async () => {
    const { controller, clock, runs, log, metrics } = start(async () => {
      throw new WaitError('NotYet', 'the node pool grows', 10_000);
    });
    controller.add('a');
    await clock.advance(30_000);
    expect(runs.map(({ at }) => at)).toEqual([0, 10_000, 20_000, 30_000]);
    expect(log.lines('info', 'warn', 'error')).toEqual([]);
    expect(await metrics.text()).toContain(
      'controller_runtime_reconcile_total{controller="test",result="requeue_after"} 4',
    );
    expect(await metrics.text()).toContain('controller_runtime_reconcile_errors_total{controller="test"} 0');
  });

  test('a TerminalError is not tried again until the key is added', async () => {
    const { controller, clock, runs } = start(async () => {
      throw new TerminalError('NoSuchModel', 'the repository has no such revision');
    });
    controller.add('a');
    await clock.advance(24 * 3_600_000);
    expect(runs).toHaveLength(1);
    controller.add('a');
    await settle();
    expect(runs).toHaveLength(2);
  });

  test('a TerminalError is logged once while it says the same and nothing else happens', async () => {
    const messages = ['first', 'first', 'second', 'well', 'second', 'wait', 'second', 'retry', 'second', 'second'];
    const { controller, log } = start(async () => {
      const message = messages.shift();
      if (message === 'wait') throw new WaitError('NotYet', 'wait', 1e9);
      if (message === 'retry') throw new RetryError('Conflict', 'retry');
      if (message !== undefined && message !== 'well') throw new TerminalError('Refused', message);
    });
    while (messages.length > 0) {
      controller.add('a');
      await settle();
    }
    const told = log.entries.filter(({ level }) => level === 'error').map(({ fields }) => fields['error'] as Error);
    expect(told.map(({ message }) => message)).toEqual(['first', 'second', 'second', 'second', 'second']);
  });

  test('each run has an id of its own that its log lines carry', async () => {
    const ids: string[] = [];
    const { controller, log } = start(async (_key, context) => {
      ids.push(context.reconcileId);
      context.log.info('looking');
    });
    controller.add('a');
    await settle();
    controller.add('a');
    await settle();
    expect(new Set(ids).size).toBe(2);
    expect(log.entries.map(({ fields }) => fields)).toEqual(
      ids.map((reconcileId) => ({ controller: 'test', key: 'a', reconcileId })),
    );
  });

  test('stop takes no further key and waits for those in work', async () => {
    const { reconcile, finish } = held();
    const { controller, clock, runs } = start(reconcile);
    for (const key of ['a', 'b', 'c']) controller.add(key);
    await settle();
    let isStopped = false;
    const stopped = controller.stop().then(() => (isStopped = true));
    await clock.advance(15_000);
    finish('a');
    await settle();
    expect(isStopped).toBe(false);
    finish('b');
    await stopped;
    expect(runs.map(({ key }) => key)).toEqual(['a', 'b']);
    expect(clock.pending).toBe(0);
  });

  test('stop aborts reconciles that do not finish within the grace', async () => {
    let context: { signal: AbortSignal } | undefined;
    const { controller, clock, log } = start((_key, given) => {
      context = given;
      return new Promise(() => {});
    });
    controller.add('a');
    await settle();
    let isStopped = false;
    const stopped = controller.stop().then(() => (isStopped = true));
    await clock.advance(19_999);
    expect([isStopped, context!.signal.aborted]).toEqual([false, false]);
    await clock.advance(1);
    await stopped;
    expect(context!.signal.aborted).toBe(true);
    expect(log.lines()).toEqual(['warn reconciles did not finish in time and are aborted']);
  });

  test('an abort is no error: it is not logged, not counted and not tried again', async () => {
    const { controller, term, clock, log, metrics, runs } = start(
      (_key, { signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    );
    controller.add('a');
    await settle();
    term.abort(new Error('leadership lost'));
    await clock.advance(600_000);
    controller.add('b');
    await settle();
    expect(runs).toHaveLength(1);
    expect(log.entries).toEqual([]);
    const text = await metrics.text();
    expect(text).toContain('controller_runtime_reconcile_errors_total{controller="test"} 0');
    expect(text).toContain('controller_runtime_active_workers{controller="test"} 0');
  });

  test('every ending is counted under the names that dashboards know', async () => {
    const endings = [
      undefined,
      new RetryError('Conflict', 'changed'),
      new TerminalError('Refused', 'never'),
      new WaitError('NotYet', 'soon', 1e9),
    ];
    const { controller, metrics } = start(async (key) => {
      const error = endings[Number(key)];
      if (error) throw error;
    });
    for (const key of endings.keys()) controller.add(String(key));
    await settle();
    const text = await metrics.text();
    const lines = text
      .split('\n')
      .filter((line) => /^(controller_runtime|workqueue)_[a-z_]*(_total|_count|workers|reconciles|depth)\{/.test(line));
    expect(lines.sort()).toMatchInlineSnapshot(`
      [
        "controller_runtime_active_workers{controller="test"} 0",
        "controller_runtime_max_concurrent_reconciles{controller="test"} 2",
        "controller_runtime_reconcile_errors_total{controller="test"} 2",
        "controller_runtime_reconcile_time_seconds_count{controller="test"} 4",
        "controller_runtime_reconcile_total{controller="test",result="error"} 2",
        "controller_runtime_reconcile_total{controller="test",result="requeue_after"} 1",
        "controller_runtime_reconcile_total{controller="test",result="success"} 1",
        "controller_runtime_terminal_reconcile_errors_total{controller="test"} 1",
        "workqueue_adds_total{name="test",controller="test"} 6",
        "workqueue_depth{name="test",controller="test",priority="high"} 0",
        "workqueue_depth{name="test",controller="test",priority="low"} 0",
        "workqueue_queue_duration_seconds_count{name="test",controller="test"} 4",
        "workqueue_retries_total{name="test",controller="test"} 1",
        "workqueue_work_duration_seconds_count{name="test",controller="test"} 4",
      ]
    `);
  });
});
