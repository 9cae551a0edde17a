import * as prometheus from 'prom-client';
import type { RequestReport } from '../kube/transport.ts';
import type { Priority, QueueMetrics, QueueState } from './work-queue.ts';

/** How a reconcile ended, in controller-runtime's words. */
export type ReconcileResult = 'success' | 'error' | 'requeue_after';

export interface ControllerMetrics {
  started(): void;
  /** `terminal` errors are errors too. */
  finished(result: ReconcileResult | 'aborted', durationMs: number, terminal: boolean): void;
}

/** Label values: a closed list, or any up to a number of them; whatever else is counted as `other`. */
export type LabelValues = readonly string[] | { readonly atMost: number };
export type Labels = Readonly<Record<string, string>>;

export interface MetricOptions {
  readonly name: string;
  readonly help: string;
  readonly labels?: Readonly<Record<string, LabelValues>>;
}

export interface Counter {
  inc(labels?: Labels, by?: number): void;
}

export interface Gauge {
  set(labels: Labels, value: number): void;
}

export interface Histogram {
  observe(labels: Labels, value: number): void;
}

export interface MetricsOptions {
  /** Also collect the process: memory, CPU, garbage collection, event-loop lag. It installs observers that last as long as the process. */
  readonly process?: boolean;
}

/** controller-runtime `internal/controller/metrics`: the buckets that its dashboards know. */
const reconcileSeconds = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.25, 1.5, 1.75, 2,
  2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9, 10, 15, 20, 25, 30, 40, 50, 60,
];
/** controller-runtime `pkg/internal/metrics/workqueue.go`: `ExponentialBuckets(10e-9, 10, 12)`, without those below a microsecond. */
const queueSeconds = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1, 10, 100, 1000];
/** client-go's `rest_client_request_duration_seconds`. */
const requestSeconds = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60];

const methods: readonly RequestReport['method'][] = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'];
const results: readonly ReconcileResult[] = ['success', 'error', 'requeue_after'];
const priorities: readonly Priority[] = ['high', 'low'];

/**
 * The metrics of one process under the names that controller-runtime and client-go made known, in a registry of its own.
 *
 * **Guarantees**
 * - every combination of closed label values is there at 0 from the start, so that `rate` and alerts see the first event;
 * - the number of series is bounded, whatever the label values;
 * - nothing is global: two instances in one process do not meet.
 *
 * This file alone knows prom-client.
 */
export class Metrics {
  readonly #registry = new prometheus.Registry();
  readonly #queues = new Map<string, () => QueueState>();
  readonly #collected: prometheus.Gauge[] = [];
  readonly #reconciles;
  readonly #reconcileErrors;
  readonly #terminalErrors;
  readonly #reconcileSeconds;
  readonly #activeWorkers;
  readonly #maxWorkers;
  readonly #adds;
  readonly #retries;
  readonly #queueSeconds;
  readonly #workSeconds;
  readonly #requests;
  readonly #requestSeconds;
  readonly #leader;

  readonly contentType: string = this.#registry.contentType;

  constructor(options: MetricsOptions = {}) {
    const registers = [this.#registry];
    const counter = <L extends string>(name: string, help: string, labelNames: readonly L[]) =>
      new prometheus.Counter({ name, help, labelNames, registers });
    const histogram = <L extends string>(name: string, help: string, labelNames: readonly L[], buckets: number[]) =>
      new prometheus.Histogram({ name, help, labelNames, buckets, registers });
    const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[]) =>
      new prometheus.Gauge({ name, help, labelNames, registers });

    this.#reconciles = counter('controller_runtime_reconcile_total', 'Reconciles by result.', ['controller', 'result']);
    this.#reconcileErrors = counter('controller_runtime_reconcile_errors_total', 'Reconciles that failed.', [
      'controller',
    ]);
    this.#terminalErrors = counter(
      'controller_runtime_terminal_reconcile_errors_total',
      'Reconciles that failed and are not tried again until the resource changes.',
      ['controller'],
    );
    this.#reconcileSeconds = histogram(
      'controller_runtime_reconcile_time_seconds',
      'Duration of a reconcile.',
      ['controller'],
      reconcileSeconds,
    );
    this.#activeWorkers = gauge('controller_runtime_active_workers', 'Reconciles that run at this moment.', [
      'controller',
    ]);
    this.#maxWorkers = gauge('controller_runtime_max_concurrent_reconciles', 'Reconciles that may run at once.', [
      'controller',
    ]);

    this.#adds = counter('workqueue_adds_total', 'Keys that entered the queue.', ['name', 'controller']);
    this.#retries = counter('workqueue_retries_total', 'Keys that entered the queue after a failure.', [
      'name',
      'controller',
    ]);
    this.#queueSeconds = histogram(
      'workqueue_queue_duration_seconds',
      'Time from when a key could be taken until it was.',
      ['name', 'controller'],
      queueSeconds,
    );
    this.#workSeconds = histogram(
      'workqueue_work_duration_seconds',
      'Time that a key was in work.',
      ['name', 'controller'],
      queueSeconds,
    );
    this.#queueGauge(
      'workqueue_depth',
      'Keys that could be taken.',
      ['name', 'controller', 'priority'],
      (set, name, state) => {
        for (const priority of priorities) set({ name, controller: name, priority }, state.depth[priority]);
      },
    );
    this.#queueGauge(
      'workqueue_unfinished_work_seconds',
      'Sum of the time that keys in work have been there; steady growth means stuck reconciles.',
      ['name', 'controller'],
      (set, name, state) => set({ name, controller: name }, state.unfinishedMs / 1000),
    );
    this.#queueGauge(
      'workqueue_longest_running_processor_seconds',
      'How long the oldest reconcile in work has been running.',
      ['name', 'controller'],
      (set, name, state) => set({ name, controller: name }, state.longestRunningMs / 1000),
    );

    this.#requests = counter('rest_client_requests_total', 'Requests to the API server.', ['code', 'method']);
    this.#requestSeconds = histogram(
      'rest_client_request_duration_seconds',
      'Duration of requests to the API server.',
      ['verb'],
      requestSeconds,
    );
    this.#leader = gauge('leader_election_master_status', '1 if this process leads, 0 if it stands by.', ['name']);
    for (const method of methods) {
      this.#requests.inc({ method, code: '200' }, 0);
      this.#requestSeconds.zero({ verb: method });
    }
    if (options.process) prometheus.collectDefaultMetrics({ register: this.#registry });
  }

  /** The exposition, for `/metrics`. */
  async text(): Promise<string> {
    const text = await this.#registry.metrics();
    // Of a thousand resources these are fifteen thousand objects, of no use before the next scrape.
    for (const gauge of this.#collected) gauge.reset();
    return text;
  }

  controller(name: string, workers: number): ControllerMetrics {
    for (const result of results) this.#reconciles.inc({ controller: name, result }, 0);
    const byResult = {
      success: this.#reconciles.labels(name, 'success'),
      error: this.#reconciles.labels(name, 'error'),
      requeue_after: this.#reconciles.labels(name, 'requeue_after'),
    };
    const errors = this.#reconcileErrors.labels(name);
    const terminal = this.#terminalErrors.labels(name);
    const seconds = this.#reconcileSeconds.labels(name);
    const active = this.#activeWorkers.labels(name);
    errors.inc(0);
    terminal.inc(0);
    active.set(0);
    this.#reconcileSeconds.zero({ controller: name });
    this.#maxWorkers.labels(name).set(workers);
    return {
      started: () => active.inc(),
      finished: (result, durationMs, isTerminal) => {
        active.dec();
        if (result === 'aborted') return;
        seconds.observe(durationMs / 1000);
        byResult[result].inc();
        if (result === 'error') errors.inc();
        if (isTerminal) terminal.inc();
      },
    };
  }

  queue(name: string): QueueMetrics {
    const adds = this.#adds.labels(name, name);
    const retries = this.#retries.labels(name, name);
    const queued = this.#queueSeconds.labels(name, name);
    const worked = this.#workSeconds.labels(name, name);
    adds.inc(0);
    retries.inc(0);
    this.#queueSeconds.zero({ name, controller: name });
    this.#workSeconds.zero({ name, controller: name });
    return {
      added: () => adds.inc(),
      retried: () => retries.inc(),
      taken: (ms) => queued.observe(ms / 1000),
      worked: (ms) => worked.observe(ms / 1000),
      observe: (state) => void this.#queues.set(name, state),
    };
  }

  /** Answers the function to call with what became of each request. */
  requests(): (report: RequestReport) => void {
    const codes = bounded({ atMost: 40 });
    return ({ method, code, ms }) => {
      // `<error>` is client-go's word for a request without an answer.
      this.#requests.inc({ code: code === 0 ? '<error>' : codes(String(code)), method });
      this.#requestSeconds.observe({ verb: method }, ms / 1000);
    };
  }

  /** Answers the function to call when this process begins or ceases to lead. */
  leader(name: string): (isLeader: boolean) => void {
    const status = this.#leader.labels(name);
    status.set(0);
    return (isLeader) => status.set(isLeader ? 1 : 0);
  }

  counter(options: MetricOptions): Counter {
    const { labelNames, bind, combinations } = labelling(options);
    const counts = new Counts(labelNames, bind);
    for (const labels of combinations) counts.add(labels, 0);
    void new prometheus.Counter({
      ...naming(options),
      labelNames,
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const { labels, value } of counts.all()) this.inc(labels, value);
      },
    });
    return { inc: (labels = {}, by = 1) => counts.add(labels, by) };
  }

  gauge(options: MetricOptions): Gauge {
    const { labelNames, bind, combinations } = labelling(options);
    const metric = new prometheus.Gauge({ ...naming(options), labelNames, registers: [this.#registry] });
    for (const labels of combinations) metric.set(labels, 0);
    return { set: (labels, value) => metric.set(bind(labels), value) };
  }

  /** A gauge whose series are told anew at each scrape: those not told are gone. For values that live in a cache, which bounds them. */
  collectedGauge(
    options: { readonly name: string; readonly help: string; readonly labels: readonly string[] },
    collect: (set: (labels: Labels, value: number) => void) => void,
  ): void {
    const gauge = new prometheus.Gauge({
      ...naming(options),
      labelNames: [...options.labels],
      registers: [this.#registry],
      collect() {
        this.reset();
        collect((labels, value) => this.set(labels, value));
      },
    });
    this.#collected.push(gauge);
  }

  histogram(options: MetricOptions & { readonly buckets: readonly number[] }): Histogram {
    const { labelNames, bind, combinations } = labelling(options);
    const metric = new prometheus.Histogram({
      ...naming(options),
      labelNames,
      buckets: [...options.buckets],
      registers: [this.#registry],
    });
    for (const labels of combinations) metric.zero(labels);
    return { observe: (labels, value) => metric.observe(bind(labels), value) };
  }

  #queueGauge<L extends string>(
    name: string,
    help: string,
    labels: readonly L[],
    tell: (set: (labels: Record<L, string>, value: number) => void, queue: string, state: QueueState) => void,
  ): void {
    this.collectedGauge({ name, help, labels }, (set) => {
      for (const [queue, state] of this.#queues) tell(set, queue, state());
    });
  }
}

/** Counts by labels. prom-client, which looks at all names and values at each call, takes several times as long and is told at scrapes. */
class Counts {
  readonly #names: readonly string[];
  readonly #bind: (labels: Labels) => Record<string, string>;
  readonly #counts = new Map<string, { readonly labels: Record<string, string>; value: number }>();

  /** @param bind Labels as they are counted, since values are bounded. */
  constructor(names: readonly string[], bind: (labels: Labels) => Record<string, string>) {
    this.#names = names;
    this.#bind = bind;
  }

  add(labels: Labels, by: number): void {
    const count = this.#counts.get(this.#key(labels)) ?? this.#bound(labels);
    count.value += by;
  }

  all(): Iterable<{ readonly labels: Record<string, string>; readonly value: number }> {
    return this.#counts.values();
  }

  #bound(given: Labels) {
    const labels = this.#bind(given);
    const key = this.#key(labels);
    let count = this.#counts.get(key);
    if (count === undefined) this.#counts.set(key, (count = { labels, value: 0 }));
    return count;
  }

  #key(labels: Labels): string {
    let key = '';
    for (const name of this.#names) key += `${labels[name] ?? ''}\n`;
    return key;
  }
}

function naming(options: { readonly name: string; readonly help: string }): { name: string; help: string } {
  return { name: options.name, help: options.help };
}

/** Lets the values of a label through until there are as many as it may have. */
function bounded(values: LabelValues): (value: string) => string {
  const isClosed = Array.isArray(values);
  const known = new Set<string>(isClosed ? values : []);
  const room = isClosed ? 0 : (values as { atMost: number }).atMost;
  return (value) => {
    if (known.has(value)) return value;
    if (known.size >= room) return 'other';
    known.add(value);
    return value;
  };
}

function labelling(options: MetricOptions): {
  labelNames: string[];
  bind: (labels: Labels) => Record<string, string>;
  combinations: Record<string, string>[];
} {
  const labels = Object.entries(options.labels ?? {}).map(([name, values]) => ({
    name,
    values,
    bound: bounded(values),
  }));
  let combinations: Record<string, string>[] = [{}];
  for (const { name, values } of labels) {
    const closed = Array.isArray(values) ? (values as readonly string[]) : [];
    combinations = combinations.flatMap((labels) => closed.map((value) => ({ ...labels, [name]: value })));
  }
  return {
    labelNames: labels.map(({ name }) => name),
    bind: (given) => {
      const result: Record<string, string> = {};
      for (const { name, bound } of labels) result[name] = bound(given[name] ?? '');
      return result;
    },
    combinations,
  };
}
