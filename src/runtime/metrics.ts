import * as prometheus from 'prom-client';

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

/**
 * The metrics of one process, in a registry of its own.
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
  readonly #collected: prometheus.Gauge[] = [];

  readonly contentType: string = this.#registry.contentType;

  constructor(options: MetricsOptions = {}) {
    if (options.process) prometheus.collectDefaultMetrics({ register: this.#registry });
  }

  /** The exposition, for `/metrics`. */
  async text(): Promise<string> {
    const text = await this.#registry.metrics();
    // Of a thousand resources these are fifteen thousand objects, of no use before the next scrape.
    for (const gauge of this.#collected) gauge.reset();
    return text;
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
