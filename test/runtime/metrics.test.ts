import { describe, expect, test } from 'vitest';
import { controllerMetrics, leaderMetric, queueMetrics, requestMetrics } from '../../src/runtime/controller-metrics.ts';
import { Metrics } from '../../src/runtime/metrics.ts';
import { WorkQueue } from '../../src/runtime/work-queue.ts';
import { ManualClock } from '../support/manual-clock.ts';

/** The samples of a metric: its lines without comments, histogram buckets left out. */
async function samples(metrics: Metrics, name: string): Promise<string[]> {
  const text = await metrics.text();
  return text.split('\n').filter((line) => line.startsWith(name) && !line.startsWith(`${name}_bucket`));
}

describe('Metrics', () => {
  test('known metrics are there at 0 before anything happened', async () => {
    const metrics = new Metrics();
    controllerMetrics(metrics, 'coder', 8);
    const queue = new WorkQueue({ clock: new ManualClock(), metrics: queueMetrics(metrics, 'coder') });
    leaderMetric(metrics, 'operator');
    requestMetrics(metrics);
    const lines = (await metrics.text()).split('\n').filter((line) => line !== '' && !/^#|_bucket/.test(line));
    await queue.stop();
    expect(lines.sort()).toMatchInlineSnapshot(`
      [
        "controller_runtime_active_workers{controller="coder"} 0",
        "controller_runtime_max_concurrent_reconciles{controller="coder"} 8",
        "controller_runtime_reconcile_errors_total{controller="coder"} 0",
        "controller_runtime_reconcile_time_seconds_count{controller="coder"} 0",
        "controller_runtime_reconcile_time_seconds_sum{controller="coder"} 0",
        "controller_runtime_reconcile_total{controller="coder",result="error"} 0",
        "controller_runtime_reconcile_total{controller="coder",result="requeue_after"} 0",
        "controller_runtime_reconcile_total{controller="coder",result="success"} 0",
        "controller_runtime_terminal_reconcile_errors_total{controller="coder"} 0",
        "leader_election_master_status{name="operator"} 0",
        "rest_client_request_duration_seconds_count{verb="DELETE"} 0",
        "rest_client_request_duration_seconds_count{verb="GET"} 0",
        "rest_client_request_duration_seconds_count{verb="PATCH"} 0",
        "rest_client_request_duration_seconds_count{verb="POST"} 0",
        "rest_client_request_duration_seconds_count{verb="PUT"} 0",
        "rest_client_request_duration_seconds_sum{verb="DELETE"} 0",
        "rest_client_request_duration_seconds_sum{verb="GET"} 0",
        "rest_client_request_duration_seconds_sum{verb="PATCH"} 0",
        "rest_client_request_duration_seconds_sum{verb="POST"} 0",
        "rest_client_request_duration_seconds_sum{verb="PUT"} 0",
        "rest_client_requests_total{code="200",method="DELETE"} 0",
        "rest_client_requests_total{code="200",method="GET"} 0",
        "rest_client_requests_total{code="200",method="PATCH"} 0",
        "rest_client_requests_total{code="200",method="POST"} 0",
        "rest_client_requests_total{code="200",method="PUT"} 0",
        "workqueue_adds_total{name="coder",controller="coder"} 0",
        "workqueue_depth{name="coder",controller="coder",priority="high"} 0",
        "workqueue_depth{name="coder",controller="coder",priority="low"} 0",
        "workqueue_longest_running_processor_seconds{name="coder",controller="coder"} 0",
        "workqueue_queue_duration_seconds_count{name="coder",controller="coder"} 0",
        "workqueue_queue_duration_seconds_sum{name="coder",controller="coder"} 0",
        "workqueue_retries_total{name="coder",controller="coder"} 0",
        "workqueue_unfinished_work_seconds{name="coder",controller="coder"} 0",
        "workqueue_work_duration_seconds_count{name="coder",controller="coder"} 0",
        "workqueue_work_duration_seconds_sum{name="coder",controller="coder"} 0",
      ]
    `);
  });

  test('nothing is told that nobody counts', async () => {
    expect((await new Metrics().text()).trim()).toBe('');
  });

  test('two instances in one process do not meet', async () => {
    const [first, second] = [new Metrics(), new Metrics()];
    controllerMetrics(first, 'coder', 8);
    expect(await samples(first, 'controller_runtime_max_concurrent_reconciles')).toHaveLength(1);
    expect(await samples(second, 'controller_runtime_max_concurrent_reconciles')).toHaveLength(0);
  });

  test('requests are counted by code and method; those without an answer as <error>', async () => {
    const metrics = new Metrics();
    const report = requestMetrics(metrics);
    report({ verb: 'list', method: 'GET', resource: 'pods', code: 200, ms: 12 });
    report({ verb: 'apply', method: 'PATCH', resource: 'deployments', code: 409, ms: 12 });
    report({ verb: 'watch', method: 'GET', resource: 'pods', code: 0, ms: 30_000 });
    expect((await samples(metrics, 'rest_client_requests_total')).filter((line) => !line.endsWith(' 0'))).toEqual([
      'rest_client_requests_total{code="200",method="GET"} 1',
      'rest_client_requests_total{code="409",method="PATCH"} 1',
      'rest_client_requests_total{code="<error>",method="GET"} 1',
    ]);
    expect(await samples(metrics, 'rest_client_request_duration_seconds_count{verb="GET"')).toEqual([
      'rest_client_request_duration_seconds_count{verb="GET"} 2',
    ]);
  });

  test('the queue is asked for its depth when metrics are read', async () => {
    const metrics = new Metrics();
    const queue = new WorkQueue({ clock: new ManualClock(), metrics: queueMetrics(metrics, 'coder') });
    queue.add('a');
    queue.add('b', { priority: 'low' });
    queue.add('c', { priority: 'low' });
    expect(await samples(metrics, 'workqueue_depth')).toEqual([
      'workqueue_depth{name="coder",controller="coder",priority="high"} 1',
      'workqueue_depth{name="coder",controller="coder",priority="low"} 2',
    ]);
  });

  test('work that does not end shows', async () => {
    const clock = new ManualClock();
    const metrics = new Metrics();
    const queue = new WorkQueue({ clock, metrics: queueMetrics(metrics, 'coder') });
    queue.add('a');
    await queue.next();
    await clock.advance(90_000);
    expect(await samples(metrics, 'workqueue_longest_running_processor_seconds')).toEqual([
      'workqueue_longest_running_processor_seconds{name="coder",controller="coder"} 90',
    ]);
  });

  test('leadership shows as 1 and 0', async () => {
    const metrics = new Metrics();
    const isLeading = leaderMetric(metrics, 'operator');
    isLeading(true);
    expect(await samples(metrics, 'leader_election_master_status')).toEqual([
      'leader_election_master_status{name="operator"} 1',
    ]);
    isLeading(false);
    expect(await samples(metrics, 'leader_election_master_status')).toEqual([
      'leader_election_master_status{name="operator"} 0',
    ]);
  });

  test('the closed values of labels are there at 0, in every combination, and others count as "other"', async () => {
    const metrics = new Metrics();
    const rollouts = metrics.counter({
      name: 'rollouts_total',
      help: 'Rollouts.',
      labels: { strategy: ['Surge', 'Replace'], result: ['done', 'failed'] },
    });
    rollouts.inc({ strategy: 'Surge', result: 'done' });
    rollouts.inc({ strategy: 'whatever a user wrote', result: 'done' }, 2);
    expect(await samples(metrics, 'rollouts_total')).toEqual([
      'rollouts_total{strategy="Surge",result="done"} 1',
      'rollouts_total{strategy="Surge",result="failed"} 0',
      'rollouts_total{strategy="Replace",result="done"} 0',
      'rollouts_total{strategy="Replace",result="failed"} 0',
      'rollouts_total{strategy="other",result="done"} 2',
    ]);
  });

  test('open labels take as many values as they may and no more', async () => {
    const metrics = new Metrics();
    const tokens = metrics.counter({ name: 'tokens_total', help: 'Tokens.', labels: { team: { atMost: 2 } } });
    for (const team of ['a', 'b', 'c', 'd', 'a']) tokens.inc({ team });
    expect(await samples(metrics, 'tokens_total')).toEqual([
      'tokens_total{team="a"} 2',
      'tokens_total{team="b"} 1',
      'tokens_total{team="other"} 2',
    ]);
  });

  test('gauges and histograms follow the same rules', async () => {
    const metrics = new Metrics();
    metrics.gauge({ name: 'replicas', help: 'Replicas.', labels: { state: ['ready'] } }).set({ state: 'ready' }, 3);
    const seconds = metrics.histogram({ name: 'start_seconds', help: 'Starts.', buckets: [1, 60] });
    seconds.observe({}, 30);
    expect(await samples(metrics, 'replicas')).toEqual(['replicas{state="ready"} 3']);
    expect(await samples(metrics, 'start_seconds')).toEqual(['start_seconds_sum 30', 'start_seconds_count 1']);
  });

  test('a collected gauge shows what is told at each reading and forgets the rest', async () => {
    const metrics = new Metrics();
    const resources = new Map([['a', 1]]);
    metrics.collectedGauge({ name: 'gpus', help: 'GPUs.', labels: ['name'] }, (set) => {
      for (const [name, gpus] of resources) set({ name }, gpus);
    });
    expect(await samples(metrics, 'gpus')).toEqual(['gpus{name="a"} 1']);
    resources.delete('a');
    resources.set('b', 4);
    expect(await samples(metrics, 'gpus')).toEqual(['gpus{name="b"} 4']);
  });

  test('the process tells its memory and event-loop lag when asked to', async () => {
    const metrics = new Metrics({ process: true });
    const text = await metrics.text();
    expect(text).toContain('nodejs_eventloop_lag_p99_seconds');
    expect(text).toContain('process_resident_memory_bytes');
  });
});
