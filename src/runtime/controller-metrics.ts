import type { RequestReport } from '../kube/transport.ts';
import type { Metrics } from './metrics.ts';
import type { Priority, QueueMetrics, QueueState } from './work-queue.ts';

/** How a reconcile ended, in controller-runtime's words. */
export type ReconcileResult = 'success' | 'error' | 'requeue_after';

export interface ControllerMetrics {
  started(): void;
  /** `terminal` errors are errors too. */
  finished(result: ReconcileResult | 'aborted', durationMs: number, terminal: boolean): void;
}

/** controller-runtime `internal/controller/metrics`: the buckets that its dashboards know. */
const RECONCILE_SECONDS = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.25, 1.5, 1.75, 2,
  2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9, 10, 15, 20, 25, 30, 40, 50, 60,
];
/** controller-runtime `pkg/internal/metrics/workqueue.go`: `ExponentialBuckets(10e-9, 10, 12)`, without those below a microsecond. */
const QUEUE_SECONDS = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1, 10, 100, 1000];
/** client-go's `rest_client_request_duration_seconds`. */
const REQUEST_SECONDS = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60];

const METHODS: readonly RequestReport['method'][] = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'];
const RESULTS: readonly ReconcileResult[] = ['success', 'error', 'requeue_after'];
const PRIORITIES: readonly Priority[] = ['high', 'low'];

// Under the names that controller-runtime and client-go made known. Each may be asked for once of a registry.

/** What a controller tells of its reconciles. */
export function controllerMetrics(metrics: Metrics, controller: string, workers: number): ControllerMetrics {
  const labels = { controller: [controller] };
  const reconciles = metrics.counter({
    name: 'controller_runtime_reconcile_total',
    help: 'Reconciles by result.',
    labels: { ...labels, result: RESULTS },
  });
  const errors = metrics.counter({
    name: 'controller_runtime_reconcile_errors_total',
    help: 'Reconciles that failed.',
    labels,
  });
  const terminal = metrics.counter({
    name: 'controller_runtime_terminal_reconcile_errors_total',
    help: 'Reconciles that failed and are not tried again until the resource changes.',
    labels,
  });
  const seconds = metrics.histogram({
    name: 'controller_runtime_reconcile_time_seconds',
    help: 'Duration of a reconcile.',
    labels,
    buckets: RECONCILE_SECONDS,
  });
  const activeWorkers = metrics.gauge({
    name: 'controller_runtime_active_workers',
    help: 'Reconciles that run at this moment.',
    labels,
  });
  metrics
    .gauge({
      name: 'controller_runtime_max_concurrent_reconciles',
      help: 'Reconciles that may run at once.',
      labels,
    })
    .set({ controller }, workers);
  let active = 0;
  return {
    started: () => activeWorkers.set({ controller }, (active += 1)),
    finished: (result, durationMs, isTerminal) => {
      activeWorkers.set({ controller }, (active -= 1));
      if (result === 'aborted') return;
      seconds.observe({ controller }, durationMs / 1000);
      reconciles.inc({ controller, result });
      if (result === 'error') errors.inc({ controller });
      if (isTerminal) terminal.inc({ controller });
    },
  };
}

/** What the queue of a controller tells. */
export function queueMetrics(metrics: Metrics, name: string): QueueMetrics {
  const queue = { name, controller: name };
  const labels = { name: [name], controller: [name] };
  const adds = metrics.counter({ name: 'workqueue_adds_total', help: 'Keys that entered the queue.', labels });
  const retries = metrics.counter({
    name: 'workqueue_retries_total',
    help: 'Keys that entered the queue after a failure.',
    labels,
  });
  const queued = metrics.histogram({
    name: 'workqueue_queue_duration_seconds',
    help: 'Time from when a key could be taken until it was.',
    labels,
    buckets: QUEUE_SECONDS,
  });
  const worked = metrics.histogram({
    name: 'workqueue_work_duration_seconds',
    help: 'Time that a key was in work.',
    labels,
    buckets: QUEUE_SECONDS,
  });
  let stateOf: (() => QueueState) | undefined;
  metrics.collectedGauge(
    { name: 'workqueue_depth', help: 'Keys that could be taken.', labels: ['name', 'controller', 'priority'] },
    (set) => {
      const state = stateOf?.();
      for (const priority of state ? PRIORITIES : []) set({ ...queue, priority }, state!.depth[priority]);
    },
  );
  const told = (metric: string, help: string, seconds: (state: QueueState) => number): void =>
    metrics.collectedGauge({ name: metric, help, labels: ['name', 'controller'] }, (set) => {
      const state = stateOf?.();
      if (state) set(queue, seconds(state));
    });
  told(
    'workqueue_unfinished_work_seconds',
    'Sum of the time that keys in work have been there; steady growth means stuck reconciles.',
    ({ unfinishedMs }) => unfinishedMs / 1000,
  );
  told(
    'workqueue_longest_running_processor_seconds',
    'How long the oldest reconcile in work has been running.',
    ({ longestRunningMs }) => longestRunningMs / 1000,
  );
  return {
    added: () => adds.inc(queue),
    retried: () => retries.inc(queue),
    taken: (ms) => queued.observe(queue, ms / 1000),
    worked: (ms) => worked.observe(queue, ms / 1000),
    observe: (state) => void (stateOf = state),
  };
}

/** Answers the function to call with what became of each request to the API server. */
export function requestMetrics(metrics: Metrics): (report: RequestReport) => void {
  const requests = metrics.counter({
    name: 'rest_client_requests_total',
    help: 'Requests to the API server.',
    labels: { code: { atMost: 40 }, method: METHODS },
  });
  const seconds = metrics.histogram({
    name: 'rest_client_request_duration_seconds',
    help: 'Duration of requests to the API server.',
    labels: { verb: METHODS },
    buckets: REQUEST_SECONDS,
  });
  for (const method of METHODS) requests.inc({ code: '200', method }, 0);
  return ({ method, code, ms }) => {
    // `<error>` is client-go's word for a request without an answer.
    requests.inc({ code: code === 0 ? '<error>' : String(code), method });
    seconds.observe({ verb: method }, ms / 1000);
  };
}

/** Answers the function to call when this process begins or ceases to lead. */
export function leaderMetric(metrics: Metrics, lease: string): (isLeader: boolean) => void {
  const status = metrics.gauge({
    name: 'leader_election_master_status',
    help: '1 if this process leads, 0 if it stands by.',
    labels: { name: [lease] },
  });
  return (isLeader) => status.set({ name: lease }, isLeader ? 1 : 0);
}
