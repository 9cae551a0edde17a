import type { V1ContainerState, V1ContainerStatus } from '@kubernetes/client-node';
import type { Wire } from '../../../src/kube/wire.ts';
import { type Clock, timestamp } from '../../../src/runtime/clock.ts';
import type { ContainerLog } from './container-log.ts';
import { type Container, ContainerConfigError } from './environment.ts';
import { type Probe, type ProbeTarget, runProbe } from './probe.ts';
import type { Program } from './program.ts';

export type ContainerState = Wire<V1ContainerState>;
export type ContainerStatus = Wire<V1ContainerStatus>;

/** kubelet `kubelet.go`: 10 s doubled to 5 min, forgotten after a run of twice that. */
const BACKOFF_MS = 10_000;
const MAX_BACKOFF_MS = 300_000;
/** kubelet `kuberuntime_container.go`: what SIGTERM is given at least, when a hook took all the grace. */
const LEAST_GRACE_MS = 2000;

/** The image cannot be had. */
export class ImagePullError extends Error {}

/** What a container needs from its pod. */
export interface ContainerSurroundings {
  readonly clock: Clock;
  readonly log: ContainerLog;
  readonly restarts: 'always' | 'on-failure' | 'never';
  /** **Fails with** `ImagePullError`. */
  readonly pull: (image: string) => Promise<void>;
  /** **Fails with** `ContainerConfigError`. */
  readonly start: (container: Container, terminationMessage: (text: string) => void) => Promise<Program>;
  readonly exec: (command: readonly string[], program: Program, signal: AbortSignal) => Promise<number>;
  /** Known before the first run. */
  readonly podAddress: () => string;
  readonly onChange: () => void;
  readonly event: (type: 'Normal' | 'Warning', reason: string, message: string) => void;
  /** For the message of a back-off. */
  readonly podLabel: string;
}

/**
 * One container of a pod over all its runs: pulls, starts, probes, restarts with back-off, stops.
 *
 * Guarantees: `run` resolves when the container has ended for good; `status` is true at every moment.
 */
export class ContainerRunner {
  readonly container: Container;
  readonly #around: ContainerSurroundings;
  readonly #stopping = new AbortController();
  #state: ContainerState = { waiting: { reason: 'ContainerCreating' } };
  #lastState: ContainerState | undefined;
  #restartCount = 0;
  #ready = false;
  #started = false;
  #program: Program | undefined;
  #probes = new AbortController();
  #killTimer: { deadline: number; cancel: () => void } | undefined;
  #wakeUp: (() => void) | undefined;

  constructor(container: Container, around: ContainerSurroundings) {
    this.container = container;
    this.#around = around;
  }

  get status(): ContainerStatus {
    return {
      name: this.container.name,
      image: this.container.image ?? '',
      imageID: `${this.container.image ?? ''}@simulated`,
      containerID: this.#state.waiting ? '' : `simulator://${this.container.name}-${this.#restartCount}`,
      ready: this.#ready,
      started: this.#started,
      restartCount: this.#restartCount,
      state: this.#state,
      lastState: this.#lastState ?? {},
    };
  }

  get program(): Program | undefined {
    return this.#program;
  }

  get isReady(): boolean {
    return this.#ready;
  }

  get hasStarted(): boolean {
    return this.#started;
  }

  get terminated(): NonNullable<ContainerState['terminated']> | undefined {
    return this.#state.terminated;
  }

  /** Whether it ended well; false while it runs. */
  get hasSucceeded(): boolean {
    return this.#state.terminated?.exitCode === 0;
  }

  /** Before the container's turn, or while its volumes are not there. */
  setWaiting(reason: string, message?: string): void {
    this.#state = { waiting: { reason, ...(message !== undefined && { message }) } };
    this.#around.onChange();
  }

  /** Resolves when no further run will follow. */
  async run(): Promise<void> {
    const { clock, restarts } = this.#around;
    let backOffMs = 0;
    for (;;) {
      if (!(await this.#prepare())) return;
      const startedAt = clock.monotonic();
      const exitCode = await this.#runOnce();
      if (this.#stopping.signal.aborted || restarts === 'never' || (restarts === 'on-failure' && exitCode === 0))
        return;

      if (clock.monotonic() - startedAt > 2 * MAX_BACKOFF_MS) backOffMs = 0;
      const delayMs = backOffMs;
      backOffMs = Math.min(MAX_BACKOFF_MS, Math.max(BACKOFF_MS, backOffMs * 2));
      // The first restart waits only for the kubelet's next look.
      await this.#pause(1000);
      if (this.#stopping.signal.aborted) return;
      this.#lastState = this.#state;
      if (delayMs > 0) {
        const message = `back-off ${goDuration(delayMs)} restarting failed container=${this.container.name} pod=${this.#around.podLabel}`;
        this.setWaiting('CrashLoopBackOff', message);
        this.#around.event(
          'Warning',
          'BackOff',
          `Back-off restarting failed container ${this.container.name} in pod ${this.#around.podLabel}`,
        );
        await this.#pause(delayMs);
        if (this.#stopping.signal.aborted) return;
      }
      this.#restartCount += 1;
    }
  }

  /** Pulls and starts, with the kubelet's retries; false when it was stopped meanwhile. */
  async #prepare(): Promise<boolean> {
    const { pull, start, log, clock } = this.#around;
    let failures = 0;
    let terminationMessage = '';
    while (!this.#stopping.signal.aborted) {
      try {
        await pull(this.container.image ?? '');
        log.begin(this.#restartCount);
        this.#program = await start(this.container, (text) => (terminationMessage = text));
        this.#messageOf = () => terminationMessage;
        if (this.#stopping.signal.aborted) this.#program.signal('SIGKILL');
        this.#state = { running: { startedAt: timestamp(clock) } };
        return true;
      } catch (error) {
        if (error instanceof ContainerConfigError) {
          this.setWaiting('CreateContainerConfigError', error.message);
          await this.#pause(5000);
        } else if (error instanceof ImagePullError) {
          this.setWaiting('ErrImagePull', error.message);
          this.#around.event('Warning', 'Failed', error.message);
          await this.#pause(2000);
          if (this.#stopping.signal.aborted) return false;
          this.setWaiting(
            'ImagePullBackOff',
            `Back-off pulling image "${this.container.image}": ErrImagePull: ${error.message}`,
          );
          await this.#pause(Math.min(MAX_BACKOFF_MS, BACKOFF_MS * 2 ** failures));
          failures += 1;
        } else {
          throw error;
        }
      }
    }
    return false;
  }

  #messageOf: () => string = () => '';

  async #runOnce(): Promise<number> {
    const { clock, log, event, onChange } = this.#around;
    const program = this.#program!;
    const startedAt = timestamp(clock);
    this.#probes = new AbortController();
    this.#ready = false;
    this.#started = !this.container.startupProbe;
    onChange();
    event('Normal', 'Started', `Started container ${this.container.name}`);
    this.#beginProbes();
    const { exitCode, reason } = await program.exited;
    this.#probes.abort(new Error('container ended'));
    this.#killTimer?.cancel();
    this.#killTimer = undefined;
    this.#program = undefined;
    this.#ready = false;
    this.#started = false;
    const fallback =
      exitCode !== 0 && this.container.terminationMessagePolicy === 'FallbackToLogsOnError' ? log.tail() : '';
    const message = this.#messageOf() || fallback;
    log.end();
    this.#state = {
      terminated: {
        exitCode,
        reason: reason ?? (exitCode === 0 ? 'Completed' : 'Error'),
        startedAt,
        finishedAt: timestamp(clock),
        containerID: this.status.containerID ?? '',
        ...(message !== '' && { message }),
      },
    };
    onChange();
    return exitCode;
  }

  #beginProbes(): void {
    const { startupProbe, readinessProbe, livenessProbe } = this.container;
    const begin = () => {
      if (readinessProbe) this.#probe('Readiness', readinessProbe, (isSuccess) => this.#setReady(isSuccess));
      else this.#setReady(true);
      if (livenessProbe) {
        const onResult = (isSuccess: boolean) => {
          if (!isSuccess) void this.#killUnhealthy('liveness', livenessProbe);
        };
        this.#probe('Liveness', livenessProbe, onResult, this.#probes.signal, this.#program?.clock);
      }
    };
    if (!startupProbe) {
      begin();
      return;
    }
    const stop = new AbortController();
    this.#probes.signal.addEventListener('abort', () => stop.abort(this.#probes.signal.reason), { once: true });
    const onResult = (isSuccess: boolean) => {
      stop.abort(new Error('decided'));
      if (!isSuccess) {
        void this.#killUnhealthy('startup', startupProbe);
        return;
      }
      this.#started = true;
      this.#around.onChange();
      begin();
    };
    this.#probe('Startup', startupProbe, onResult, stop.signal);
  }

  #probe(
    name: string,
    probe: Probe,
    onResult: (isSuccess: boolean) => void,
    signal = this.#probes.signal,
    clock = this.#around.clock,
  ): void {
    const { podAddress, exec, event } = this.#around;
    const program = this.#program!;
    const target: ProbeTarget = {
      podAddress: podAddress(),
      portOf: (port) => this.container.ports?.find((candidate) => candidate.name === port)?.containerPort,
      exec: (command, signal) => exec(command, program, signal),
    };
    void runProbe({
      probe,
      target,
      clock,
      signal,
      onResult,
      onFailure: (failure) => event('Warning', 'Unhealthy', `${name} probe failed: ${failure}`),
    });
  }

  #setReady(isReady: boolean): void {
    if (this.#ready === isReady) return;
    this.#ready = isReady;
    this.#around.onChange();
  }

  async #killUnhealthy(which: string, probe: Probe): Promise<void> {
    this.#probes.abort(new Error('unhealthy'));
    this.#setReady(false);
    this.#around.event(
      'Normal',
      'Killing',
      `Container ${this.container.name} failed ${which} probe, will be restarted`,
    );
    await this.#terminate((probe.terminationGracePeriodSeconds ?? this.#graceSeconds) * 1000);
  }

  #graceSeconds = 30;

  /** The pod's grace period, for kills that nobody gave another. */
  setGrace(seconds: number): void {
    this.#graceSeconds = seconds;
  }

  /** Ends it for good: hook, SIGTERM, SIGKILL when the grace is over. Called again it only shortens the grace. */
  async stop(graceSeconds: number): Promise<void> {
    const isFirst = !this.#stopping.signal.aborted;
    this.#stopping.abort(new Error('pod stops'));
    this.#wakeUp?.();
    if (!isFirst) {
      this.#killAt(this.#around.clock.monotonic() + graceSeconds * 1000);
      return;
    }
    if (!this.#program) {
      if (this.#state.waiting && this.#lastState?.terminated) this.#state = this.#lastState;
      return;
    }
    this.#around.event('Normal', 'Killing', `Stopping container ${this.container.name}`);
    await this.#terminate(graceSeconds * 1000);
  }

  async #terminate(graceMs: number): Promise<void> {
    const { clock } = this.#around;
    const program = this.#program;
    if (!program) return;
    const deadline = clock.monotonic() + graceMs;
    this.#killAt(deadline);
    const hook = this.container.lifecycle?.preStop;
    if (hook && graceMs > 0) await this.#runHook(hook, program, graceMs);
    if (this.#program !== program) return;
    program.signal('SIGTERM');
    const killDeadline = Math.max(deadline, clock.monotonic() + LEAST_GRACE_MS);
    if (graceMs > 0 && killDeadline > deadline) this.#killAt(killDeadline, true);
    await program.exited;
  }

  #killAt(deadline: number, mayDelay = false): void {
    const { clock } = this.#around;
    const program = this.#program;
    if (!program || (this.#killTimer && !mayDelay && this.#killTimer.deadline <= deadline)) return;
    this.#killTimer?.cancel();
    this.#killTimer = {
      deadline,
      cancel: clock.schedule(Math.max(0, deadline - clock.monotonic()), () => program.signal('SIGKILL')),
    };
  }

  async #runHook(
    hook: NonNullable<NonNullable<Container['lifecycle']>['preStop']>,
    program: Program,
    graceMs: number,
  ): Promise<void> {
    const { clock, exec, event } = this.#around;
    const stop = new AbortController();
    const cancel = clock.schedule(graceMs, () => stop.abort(new Error('grace period is over')));
    void program.exited.then(() => stop.abort(new Error('container ended')));
    try {
      if (hook.sleep) await clock.sleep(hook.sleep.seconds * 1000, stop.signal);
      if (hook.exec) {
        const exitCode = await exec(hook.exec.command ?? [], program, stop.signal);
        if (exitCode !== 0)
          event('Warning', 'FailedPreStopHook', `PreStopHook failed: command exited with ${exitCode}`);
      }
    } catch (error) {
      // An interrupted hook delays nothing further.
      event('Warning', 'FailedPreStopHook', `PreStopHook failed: ${String(error)}`);
    } finally {
      cancel();
    }
  }

  /** Ends it at once, as when the pod object is gone. */
  kill(): void {
    this.#stopping.abort(new Error('pod is gone'));
    this.#wakeUp?.();
    this.#program?.signal('SIGKILL');
  }

  /** Sleeps, unless stopped meanwhile. */
  async #pause(ms: number): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#around.clock.schedule(ms, resolve);
    this.#wakeUp = () => {
      cancel();
      resolve();
    };
    await promise;
    this.#wakeUp = undefined;
  }
}

/** `10s`, `2m40s`: as Go prints durations. */
function goDuration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}
