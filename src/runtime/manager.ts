import type { LeaseElection } from '../kube/lease.ts';
import type { Clock } from './clock.ts';
import type { Log } from './log.ts';

/** A part of the process with a lifetime. */
export interface Component {
  readonly name: string;
  /** Resolves when the part does its job (listens, has synced); rejects when it never will. It ends when the signal aborts. */
  start(signal: AbortSignal): void | Promise<void>;
  /** Resolves when it has ended in good order. May be called although it was never started. */
  stop?(): void | Promise<void>;
}

export interface ManagerOptions {
  readonly log: Log;
  readonly clock: Clock;
  /** First to start, last to stop. */
  readonly probes?: Component;
  /** Run on every replica, so that a standby is warm when it takes over. */
  readonly informers?: readonly Component[];
  /** Without it this process is the only one. */
  readonly election?: Pick<LeaseElection, 'campaign' | 'release'>;
  /** Run while this process leads, under the term's signal. They stop last to first: what others use comes first. */
  readonly controllers: readonly Component[];
  /** How long controllers may take to stop, all together. Default 24 s: above their own grace, below the 30 s that a pod gets. */
  readonly controllersStopMs?: number;
  /** How long each later step of stopping may take. Default 2 s. */
  readonly stepMs?: number;
}

export type ManagerPhase = 'starting' | 'standby' | 'leading' | 'stopping' | 'stopped';

/**
 * Starts and stops the parts of an operator in the one order that is right:
 * probes → informers, until they have synced → election → controllers; and back.
 *
 * **Guarantees**
 * - controllers run only while this process leads, and after every informer has synced;
 * - asked to stop, the Lease is released only after the controllers have stopped or used up their time, and closes the fence first, so
 *   the next leader meets no late write of ours;
 * - `run` resolves when `signal` asked to stop; it rejects when the term was lost or a part failed. The process edge makes exit code 0 of
 *   the first and 1 of the second: a process that lost its term knows the past, a fresh one knows nothing wrong. Unhandled rejections
 *   are bugs and end the process with 1 too (Node's default); nothing here catches them to carry on.
 */
export class Manager {
  readonly #options: ManagerOptions;
  #phase: ManagerPhase = 'starting';

  constructor(options: ManagerOptions) {
    this.#options = options;
  }

  get phase(): ManagerPhase {
    return this.#phase;
  }

  /** For `/readyz`. A standby is ready: it is all that it should be. */
  readonly readiness = {
    name: 'manager',
    check: (): string | undefined =>
      this.#phase === 'standby' || this.#phase === 'leading' ? undefined : `is ${this.#phase}`,
  };

  async run(signal: AbortSignal): Promise<void> {
    const { log } = this.#options;
    const running = new AbortController();
    let failure: { readonly error: unknown } | undefined;
    try {
      await this.#runUntilEnd(signal, running.signal);
    } catch (error) {
      if (!signal.aborted) failure = { error };
    }
    this.#enter('stopping');
    await this.#stop(running, failure !== undefined);
    this.#enter('stopped');
    if (!failure) return;
    log.error('the operator cannot go on', { error: failure.error });
    throw failure.error;
  }

  /** Never resolves: it ends with the reason of the end. */
  async #runUntilEnd(signal: AbortSignal, running: AbortSignal): Promise<never> {
    const { probes, informers = [], election, controllers } = this.#options;
    await probes?.start(running);
    await orAbort(Promise.all(informers.map(async (informer) => informer.start(running))), signal);
    this.#enter('standby');
    const term = (await election?.campaign(signal)) ?? running;
    this.#enter('leading');
    await orAbort(Promise.all(controllers.map(async (controller) => controller.start(term))), signal);
    return orAbort(orAbort(new Promise<never>(() => {}), term), signal);
  }

  async #stop(running: AbortController, hasFailed: boolean): Promise<void> {
    const { probes, informers = [], election, controllers, controllersStopMs = 24_000, stepMs = 2_000 } = this.#options;
    // After a failure there is nothing worth finishing, and a lost term must not write.
    const deadline = this.#options.clock.monotonic() + (hasFailed ? stepMs : controllersStopMs);
    for (const controller of controllers.toReversed()) {
      const leftMs = Math.max(0, deadline - this.#options.clock.monotonic());
      await this.#within(leftMs, controller.name, async () => controller.stop?.());
    }
    if (election) await this.#within(stepMs, 'lease', (limit) => election.release(limit));
    running.abort(new DOMException('The operator stops', 'AbortError'));
    await Promise.all(informers.map((one) => this.#within(stepMs, one.name, async () => one.stop?.())));
    await this.#within(stepMs, 'probes', async () => probes?.stop?.());
  }

  /** One part that does not stop, or fails to, keeps no other from stopping. */
  async #within(ms: number, name: string, act: (limit: AbortSignal) => Promise<void>): Promise<void> {
    const { clock, log } = this.#options;
    const limit = new AbortController();
    const cancel = clock.schedule(ms, () => limit.abort(new DOMException(`Not stopped in ${ms} ms`, 'TimeoutError')));
    try {
      await orAbort(act(limit.signal), limit.signal);
    } catch (error) {
      log.warn('a part did not stop in good order', { part: name, error });
    } finally {
      cancel();
    }
  }

  #enter(phase: ManagerPhase): void {
    this.#phase = phase;
    this.#options.log.info('manager enters a phase', { phase });
  }
}

/** The promise, or the signal's reason if that comes first; how the promise ends is then nobody's concern. */
async function orAbort<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: abort, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([promise, abort]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
