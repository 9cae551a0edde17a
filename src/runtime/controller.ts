import { randomUUID } from 'node:crypto';
import { TerminalError, WaitError } from '../errors.ts';
import type { Clock } from './clock.ts';
import type { Log } from './log.ts';
import type { ControllerMetrics } from './controller-metrics.ts';
import { type AddOptions, WorkQueue, type WorkQueueOptions } from './work-queue.ts';

export interface ReconcileContext {
  /** Aborted when leadership is lost, and at shutdown once the grace is over. Belongs into every request. */
  readonly signal: AbortSignal;
  /** New for each run; on every line of `log`. */
  readonly reconcileId: string;
  readonly log: Log;
}

export type ReconcileOutcome = void | { readonly requeueAfterMs?: number | undefined };

/**
 * Brings one resource nearer to its desired state. It gets a key, never an event: what it does follows from the state of the world
 * alone, so that a lost, doubled or reordered event changes nothing.
 */
export type Reconcile = (key: string, context: ReconcileContext) => Promise<ReconcileOutcome>;

export interface ControllerOptions {
  readonly name: string;
  readonly reconcile: Reconcile;
  readonly clock: Clock;
  readonly log: Log;
  /** Reconciles that may run at once. Default 8. Node has one thread: more of them hide API latency, nothing else. */
  readonly workers?: number;
  /** How long reconciles in work may go on after `stop`. Default 20 s. */
  readonly graceMs?: number;
  readonly metrics?: ControllerMetrics;
  readonly queue?: Omit<WorkQueueOptions, 'clock'>;
  readonly newId?: () => string;
}

export const defaultWorkers = 8;
export const defaultGraceMs = 20_000;

/**
 * Turns keys into reconciles and their endings into queue entries:
 *
 * | ending | next run |
 * |---|---|
 * | returned | when the key is added again |
 * | returned `requeueAfterMs` | after that; sooner if added |
 * | `WaitError` | after its `afterMs`; sooner if added |
 * | `TerminalError` | when the key is added again; the same message is logged once |
 * | any other error | with back-off; sooner if added |
 * | any error after the signal aborted | none: an abort is no error |
 *
 * **Guarantees** those of {@link WorkQueue}; keys added before `start` wait for it, so a standby knows its work when it takes over.
 */
export class Controller {
  readonly name: string;
  readonly queue: WorkQueue;
  readonly #options: ControllerOptions;
  readonly #log: Log;
  readonly #terminal = new Map<string, string>();
  readonly #hardStop = new AbortController();
  #stopping: Promise<void> | undefined;

  constructor(options: ControllerOptions) {
    this.name = options.name;
    this.#options = options;
    this.#log = options.log.child({ controller: options.name });
    this.queue = new WorkQueue({ ...options.queue, clock: options.clock });
  }

  /** Asks for a reconcile. Cheap and safe at any time. */
  add(key: string, options?: AddOptions): void {
    this.queue.add(key, options);
  }

  /** Begins to take keys; reconciles get a signal that aborts with `term`. */
  start(term: AbortSignal): void {
    const signal = AbortSignal.any([term, this.#hardStop.signal]);
    const count = this.#options.workers ?? defaultWorkers;
    for (let i = 0; i < count; i++) void this.#work(signal);
  }

  /** Takes no further key and resolves when those in work have finished, or were aborted after the grace. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    const { clock } = this.#options;
    const drained = this.queue.stop();
    const graceMs = this.#options.graceMs ?? defaultGraceMs;
    const late = Promise.withResolvers<void>();
    const cancel = clock.schedule(graceMs, () => {
      this.#log.warn('reconciles did not finish in time and are aborted', {
        inWork: this.queue.state().inWork,
        graceMs,
      });
      this.#hardStop.abort(new DOMException('The operator stops', 'AbortError'));
      late.resolve();
    });
    await Promise.race([drained, late.promise]);
    cancel();
  }

  async #work(signal: AbortSignal): Promise<void> {
    const { queue } = this;
    for (let key = await queue.next(signal); key !== undefined; key = await queue.next(signal)) {
      await this.#run(key, signal);
      queue.done(key);
    }
  }

  /** Never rejects: this is where errors of reconciles end. */
  async #run(key: string, signal: AbortSignal): Promise<void> {
    const { clock, metrics, reconcile } = this.#options;
    const reconcileId = (this.#options.newId ?? randomUUID)();
    const log = this.#log.child({ key, reconcileId });
    const started = clock.monotonic();
    metrics?.started();
    try {
      const outcome = await reconcile(key, { signal, reconcileId, log });
      this.queue.forget(key);
      this.#terminal.delete(key);
      const afterMs = outcome?.requeueAfterMs;
      if (afterMs !== undefined) this.queue.requeue(key, afterMs);
      metrics?.finished(afterMs === undefined ? 'success' : 'requeue_after', clock.monotonic() - started, false);
    } catch (error) {
      const durationMs = clock.monotonic() - started;
      const ending = signal.aborted ? 'aborted' : this.#settleFailure(key, error, log);
      metrics?.finished(ending, durationMs, error instanceof TerminalError);
    }
  }

  #settleFailure(key: string, error: unknown, log: Log): 'error' | 'requeue_after' {
    if (error instanceof WaitError) {
      this.queue.forget(key);
      this.#terminal.delete(key);
      this.queue.requeue(key, error.afterMs);
      log.debug('reconcile waits', { error, afterMs: error.afterMs });
      return 'requeue_after';
    }
    if (error instanceof TerminalError) {
      this.queue.forget(key);
      const message = `${error.code}: ${error.message}`;
      if (this.#terminal.get(key) !== message) log.error('reconcile failed and waits for a change', { error });
      this.#terminal.set(key, message);
      return 'error';
    }
    this.#terminal.delete(key);
    const afterMs = this.queue.retry(key);
    log.warn('reconcile failed', { error, failures: this.queue.failures(key), retryAfterMs: Math.round(afterMs) });
    return 'error';
  }
}
