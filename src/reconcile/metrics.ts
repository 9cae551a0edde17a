import { KIND, type QwenCoderDeployment } from '../api/index.ts';
import { Nodes, Pods, ResourceQuotas } from '../kube/index.ts';
import type { Clock, Metrics } from '../runtime/index.ts';
import { type PlanFailure, type PlanOutcome, type PlanRequest, hasWholeGpus, shortName } from '../serving/index.ts';
import { CHILD_KINDS } from './apply.ts';
import type { Action } from './diff.ts';
import type { NodeGpus } from './inventory.ts';

/** What metrics are read from at each scrape. */
export interface Scraped {
  resources(): Iterable<QwenCoderDeployment>;
  watches(): Iterable<Watched>;
  readonly inventory: { gpus(resourceName: string): Iterable<NodeGpus> };
}

/** How the cache of one kind stands. */
export interface Watched {
  readonly kind: string;
  readonly objects: number;
  /** Since the server was last heard of. */
  readonly silentMs: number;
}

/** The planner, as a reconcile asks it. */
export type Planner = (request: PlanRequest) => PlanOutcome;

/** Labels that name a resource. `namespace` itself would clash with the one that Prometheus puts on whatever it scrapes. */
const RESOURCE_LABELS = ['resource_namespace', 'resource_name'] as const;

const DEFAULT_GPU_RESOURCE = 'nvidia.com/gpu';

const PLAN_OUTCOMES = Object.keys({
  Planned: true,
  NoGpuNodes: true,
  NoFittingGpu: true,
  DriverTooOld: true,
  QuotaTooSmall: true,
  UnknownGpuProduct: true,
  InvalidParallelism: true,
  UnsupportedEngineVersion: true,
  ManagedArgument: true,
  UnknownArgument: true,
  InvalidQuantization: true,
} satisfies Record<PlanFailure['reason'] | 'Planned', true>);

/** Planning is arithmetic: beyond a tenth of a second something is wrong. */
const PLAN_SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1];

const CHILDREN = CHILD_KINDS.map(({ kind }) => kind);
const WATCHED = [KIND, ...CHILDREN, Pods.kind, Nodes.kind, ResourceQuotas.kind];
const VERBS = { create: 'create', apply: 'update', delete: 'delete' } as const satisfies Record<Action['do'], string>;

/**
 * What the operator tells of its resources and of its own work, besides what `Metrics` tells of any controller.
 *
 * **Guarantees**: counting costs no request and no walk; what is told of each resource is read from the caches when somebody scrapes, so
 * the series of a deleted resource are gone with it. Every candidate tells it, the one that leads and those that stand by: queries take
 * the `max by` resource.
 */
export class OperatorMetrics {
  readonly #clock: Clock;
  readonly #plans;
  readonly #planSeconds;
  readonly #writes;
  readonly #statusWrites;
  readonly #watchErrors;
  readonly #leaseErrors;

  constructor(metrics: Metrics, clock: Clock, build: { readonly version: string; readonly node: string }) {
    this.#clock = clock;
    this.#plans = metrics.counter({
      name: 'qwen_coder_plans_total',
      help: 'Runs of the planner by outcome: Planned, or the reason why nothing fits.',
      labels: { outcome: PLAN_OUTCOMES },
    });
    this.#planSeconds = metrics.histogram({
      name: 'qwen_coder_plan_duration_seconds',
      help: 'Duration of a run of the planner.',
      buckets: PLAN_SECONDS,
    });
    this.#writes = metrics.counter({
      name: 'qwen_coder_writes_total',
      help: 'Children that were written, by kind and verb.',
      labels: { kind: CHILDREN, verb: Object.values(VERBS) },
    });
    this.#statusWrites = metrics.counter({
      name: 'qwen_coder_status_writes_total',
      help: 'Statuses that were written.',
    });
    this.#watchErrors = metrics.counter({
      name: 'qwen_coder_watch_errors_total',
      help: 'Watches that were interrupted and objects that could not be read, by kind.',
      labels: { kind: WATCHED },
    });
    this.#leaseErrors = metrics.counter({
      name: 'qwen_coder_lease_errors_total',
      help: 'Failed attempts to read or renew the Lease.',
    });
    const { version, node } = build;
    metrics
      .gauge({
        name: 'qwen_coder_build_info',
        help: 'Always 1; which version of the operator runs on which Node.js.',
        labels: { version: [version], node_version: [node] },
      })
      .set({ version, node_version: node }, 1);
  }

  /** Counts a write of a child. */
  wrote({ do: verb, object: { kind = '' } }: Action): void {
    this.#writes.inc({ kind, verb: VERBS[verb] });
  }

  statusWritten(): void {
    this.#statusWrites.inc();
  }

  watchFailed(kind: string): void {
    this.#watchErrors.inc({ kind });
  }

  leaseFailed(): void {
    this.#leaseErrors.inc();
  }

  /** The same planner, counted and timed. */
  measured(plan: Planner): Planner {
    return (request) => {
      const started = this.#clock.monotonic();
      const outcome = plan(request);
      this.#planSeconds.observe({}, (this.#clock.monotonic() - started) / 1000);
      this.#plans.inc({ outcome: outcome.fits ? 'Planned' : outcome.reason });
      return outcome;
    };
  }
}

/** Registers what is read at each scrape. About 15 series a resource. */
export function collectFrom(metrics: Metrics, caches: Scraped): void {
  metrics.collectedGauge(
    {
      name: 'qwen_coder_resource_condition',
      help: 'Always 1; the status and the reason of each condition of each resource.',
      labels: [...RESOURCE_LABELS, 'condition', 'status', 'reason'],
    },
    (set) => {
      for (const resource of caches.resources()) {
        for (const { type: condition, status, reason } of resource.status?.conditions ?? [])
          set({ ...named(resource), condition, status, reason }, 1);
      }
    },
  );
  metrics.collectedGauge(
    {
      name: 'qwen_coder_resource_info',
      help: 'Always 1; the serving plan of each resource that has one.',
      labels: [...RESOURCE_LABELS, 'engine', 'engine_version', 'quantization', 'gpus', 'context'],
    },
    (set) => {
      for (const resource of caches.resources()) {
        const {
          engine = '',
          engineVersion = '',
          quantization = '',
          gpus = '',
          maxModelLen,
        } = resource.status?.plan ?? {};
        if (maxModelLen === undefined) continue;
        const context = String(maxModelLen);
        set({ ...named(resource), engine, engine_version: engineVersion, quantization, gpus, context }, 1);
      }
    },
  );
  metrics.collectedGauge(
    {
      name: 'qwen_coder_resource_replicas',
      help: 'Replicas of each resource: wanted, running (their pods exist) and ready.',
      labels: [...RESOURCE_LABELS, 'state'],
    },
    (set) => {
      for (const resource of caches.resources()) {
        const { scaling, replicas = 0, readyReplicas = 0 } = resource.status ?? {};
        const labels = named(resource);
        set({ ...labels, state: 'wanted' }, scaling?.desiredReplicas ?? 0);
        set({ ...labels, state: 'running' }, replicas);
        set({ ...labels, state: 'ready' }, readyReplicas);
      }
    },
  );
  metrics.collectedGauge(
    {
      name: 'qwen_coder_resource_unobserved_generations',
      help: 'Edits of each resource that no status tells of yet.',
      labels: RESOURCE_LABELS,
    },
    (set) => {
      for (const resource of caches.resources())
        set(named(resource), (resource.metadata.generation ?? 0) - (resource.status?.observedGeneration ?? 0));
    },
  );
  metrics.collectedGauge(
    {
      name: 'qwen_coder_gpus',
      help: 'Whole GPUs by product: held by engines, held by others, free, or free on nodes that take no pods.',
      labels: ['product', 'state'],
    },
    (set) => {
      for (const [product, states] of gpusByProduct(caches))
        for (const [state, gpus] of Object.entries(states)) set({ product, state }, gpus);
    },
  );
  metrics.collectedGauge(
    { name: 'qwen_coder_cached_objects', help: 'Objects in the cache, by kind.', labels: ['kind'] },
    (set) => {
      for (const { kind, objects } of caches.watches()) set({ kind }, objects);
    },
  );
  metrics.collectedGauge(
    {
      name: 'qwen_coder_watch_silence_seconds',
      help: 'Time since the API server was last heard of on the quietest watch of a kind. A silent watch is opened again after 90 s.',
      labels: ['kind'],
    },
    (set) => {
      for (const { kind, silentMs } of caches.watches()) set({ kind }, silentMs / 1000);
    },
  );
}

const named = ({ metadata: { namespace, name } }: QwenCoderDeployment) => ({
  resource_namespace: namespace,
  resource_name: name,
});

type GpuStates = Record<'engines' | 'others' | 'free' | 'cordoned', number>;

/** GPUs of every extended resource that some resource asks for. */
function gpusByProduct(caches: Scraped): ReadonlyMap<string, GpuStates> {
  const names = new Set([DEFAULT_GPU_RESOURCE]);
  for (const { spec } of caches.resources()) names.add(spec?.placement?.resourceName ?? DEFAULT_GPU_RESOURCE);
  const byProduct = new Map<string, GpuStates>();
  for (const name of names) {
    for (const { product, part, offered, engines, others, schedulable } of caches.inventory.gpus(name)) {
      if (!hasWholeGpus({ product, part })) continue;
      const short = shortName(product);
      const states = byProduct.get(short) ?? { engines: 0, others: 0, free: 0, cordoned: 0 };
      states.engines += engines;
      states.others += others;
      states[schedulable ? 'free' : 'cordoned'] += Math.max(0, offered - engines - others);
      byProduct.set(short, states);
    }
  }
  return byProduct;
}
