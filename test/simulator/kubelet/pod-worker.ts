import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Node, Pod } from '../../../src/kube/wire.ts';
import { type Clock, timestamp } from '../../../src/runtime/clock.ts';
import type { Addresses } from '../addresses.ts';
import { type Fault, isFault } from '../vllm/faults.ts';
import { VllmProcess } from '../vllm/process.ts';
import { ContainerLog } from './container-log.ts';
import { ContainerRunner, type ContainerSurroundings } from './container.ts';
import { type Container, environment, expand, type ReadValue } from './environment.ts';
import { containerGpus, type GpuDevices } from './gpus.ts';
import { type PodParts, podStatus, type PodStatus } from './pod-status.ts';
import type { ProgramContext } from './program.ts';
import { execute, startProgram } from './programs.ts';
import { mountVolumes, pathResolver, refreshVolumes, type VolumeSource } from './volumes.ts';

/** A kubelet syncs each pod about once a minute; here more often, since tests wait for it. */
const REFRESH_MS = 10_000;

export const FAULT_ANNOTATION = 'simulator.qwencoder.dev/fault';

/** A worker's way to the cluster. */
export interface PodWorld extends Omit<VolumeSource, 'claim' | 'read'> {
  readonly clock: Clock;
  readonly addresses: Addresses;
  readonly devices: GpuDevices;
  readonly node: (name: string) => Node | undefined;
  readonly claim: (namespace: string, name: string) => ReturnType<VolumeSource['claim']>;
  readonly read: (namespace: string, ...rest: Parameters<ReadValue>) => ReturnType<ReadValue>;
  readonly serviceLinks: (namespace: string) => Promise<Record<string, string>>;
  readonly pull: (image: string) => Promise<void>;
  readonly writeStatus: (pod: Pod, status: PodStatus) => Promise<void>;
  /** Deletes the pod object at last. */
  readonly remove: (pod: Pod) => Promise<void>;
  /** Tells KWOK, which serves logs and port-forward, where they are. */
  readonly announce: (
    pod: Pod,
    logs: readonly { container: string; log: ContainerLog }[],
    podIP: string,
  ) => Promise<void>;
  readonly event: (pod: Pod, type: 'Normal' | 'Warning', reason: string, message: string) => void;
  readonly faultOf: (pod: Pod) => Fault | undefined;
  readonly engine: ProgramContext['engine'];
  readonly hubUrl: string;
  readonly nameServer: string;
  readonly compileCache: string;
  /** Where pods reach the API server, as every container is told. */
  readonly apiServer: { readonly host: string; readonly port: string };
  readonly mayTalk: (pod: Pod) => Promise<boolean>;
  readonly defaultVersion: string;
  /** Where pods keep logs and volumes. */
  readonly directory: string;
}

/**
 * The life of one pod on one node: sandbox, volumes, init containers, containers, and its end.
 *
 * Guarantees: the status on the server follows what happens here, and the pod object is deleted only after every container ended.
 */
export class PodWorker {
  #pod: Pod;
  readonly #world: PodWorld;
  readonly #directory: string;
  readonly #init: ContainerRunner[] = [];
  readonly #main: ContainerRunner[] = [];
  readonly #logs: { container: string; log: ContainerLog }[] = [];
  #folders: ReadonlyMap<string, string> = new Map();
  readonly #startTime: string;
  #podIP: string | undefined;
  #isInitialized: boolean;
  #isOver = false;
  #eviction: Pick<PodStatus, 'reason' | 'message'> | undefined;
  #written: PodStatus | undefined;
  #writing: Promise<void> | undefined;
  #isDirty = false;
  #stopping = false;
  readonly #gone = new AbortController();

  constructor(pod: Pod, world: PodWorld) {
    this.#pod = pod;
    this.#world = world;
    this.#directory = join(world.directory, 'pods', pod.metadata?.uid ?? '');
    this.#startTime = pod.status?.startTime ?? timestamp(world.clock);
    this.#isInitialized = (pod.spec?.initContainers ?? []).length === 0;
    mkdirSync(this.#directory, { recursive: true });
    for (const container of pod.spec?.initContainers ?? []) this.#init.push(this.#runner(container, true));
    for (const container of pod.spec?.containers ?? []) this.#main.push(this.#runner(container, false));
  }

  get pod(): Pod {
    return this.#pod;
  }

  /** The vLLM processes that run in it. */
  get engines(): VllmProcess[] {
    return this.#main.map(({ program }) => program).filter((program) => program instanceof VllmProcess);
  }

  get podIP(): string | undefined {
    return this.#podIP;
  }

  /** Runs until no container will run again. Waits for ever for volumes that never come. */
  async run(): Promise<void> {
    const { devices, node, addresses, announce } = this.#world;
    let rejection = devices.allocate(this.#pod, node(this.#pod.spec?.nodeName ?? ''));
    // A pod whose object was deleted by force may hold its devices a moment longer.
    for (let tries = 0; rejection !== undefined && tries < 20; tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      rejection = devices.allocate(this.#pod, node(this.#pod.spec?.nodeName ?? ''));
    }
    if (rejection !== undefined) {
      await this.#reject('UnexpectedAdmissionError', rejection);
      return;
    }
    this.#setWaiting('ContainerCreating');
    if (!(await this.#mount())) return;
    this.#podIP = addresses.allocate();
    // Logs can be asked for from now on; a server without these kinds does without.
    await announce(this.#pod, this.#logs, this.#podIP);
    this.#changed();
    void this.#refresh();
    if (await this.#initialize()) await Promise.all(this.#main.map((runner) => runner.run()));
    if (!this.#gone.signal.aborted && !this.#stopping) await this.#finish();
  }

  /** The pod object changed. */
  update(pod: Pod): void {
    this.#pod = pod;
    const seconds = pod.metadata?.deletionGracePeriodSeconds ?? pod.spec?.terminationGracePeriodSeconds ?? 30;
    if (pod.metadata?.deletionTimestamp === undefined) {
      if ((pod.spec?.readinessGates ?? []).length > 0) this.#changed();
      return;
    }
    void this.#stop(seconds);
  }

  /** Its containers are killed, and none runs again. */
  evict(message: string): void {
    if (this.#isOver || this.#stopping) return;
    this.#eviction = { reason: 'Evicted', message };
    this.#world.event(this.#pod, 'Warning', 'Evicted', message);
    for (const runner of [...this.#init, ...this.#main]) runner.kill();
  }

  /** The pod object is gone: everything ends at once and nothing is written. */
  async abandon(): Promise<void> {
    this.#gone.abort(new Error('pod is gone'));
    const runners = [...this.#init, ...this.#main];
    for (const runner of runners) runner.kill();
    await Promise.all(runners.map(async ({ program }) => program?.exited));
    this.#release();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #stop(graceSeconds: number): Promise<void> {
    const isFirst = !this.#stopping;
    this.#stopping = true;
    const runners = [...this.#init, ...this.#main];
    await Promise.all(runners.map((runner) => runner.stop(graceSeconds)));
    if (!isFirst || this.#gone.signal.aborted) return;
    this.#isOver = true;
    this.#changed();
    await this.#writing;
    this.#release();
    if (!this.#gone.signal.aborted) await this.#world.remove(this.#pod);
  }

  async #mount(): Promise<boolean> {
    const { clock, claim, read, event } = this.#world;
    const namespace = this.#pod.metadata?.namespace ?? 'default';
    let told: string | undefined;
    while (!this.#stopping && !this.#gone.signal.aborted) {
      const mounted = await mountVolumes(this.#pod, this.#directory, {
        ...this.#world,
        claim: (name) => claim(namespace, name),
        read: (...rest) => read(namespace, ...rest),
      });
      if (mounted.ok) {
        this.#folders = mounted.folders;
        return true;
      }
      if (told !== mounted.missing)
        event(this.#pod, 'Warning', 'FailedMount', `MountVolume.SetUp failed: ${mounted.missing}`);
      told = mounted.missing;
      await clock.sleep(1000, this.#gone.signal).catch(() => undefined);
    }
    return false;
  }

  /** Secrets and ConfigMaps that change reach a pod's files some time later. */
  async #refresh(): Promise<void> {
    const { clock, read } = this.#world;
    const namespace = this.#pod.metadata?.namespace ?? 'default';
    if (!(this.#pod.spec?.volumes ?? []).some(({ secret, configMap, projected }) => secret ?? configMap ?? projected))
      return;
    while (!this.#gone.signal.aborted && !this.#isOver) {
      // The server may be away; the next look finds out.
      await refreshVolumes(this.#pod, this.#directory, (...rest) => read(namespace, ...rest)).catch(() => undefined);
      await clock.sleep(REFRESH_MS, this.#gone.signal).catch(() => undefined);
    }
  }

  async #initialize(): Promise<boolean> {
    for (const runner of this.#init) {
      const isSidecar = runner.container.restartPolicy === 'Always';
      const run = runner.run();
      if (isSidecar) {
        while (!runner.hasStarted && !this.#stopping) await this.#world.clock.sleep(100);
        continue;
      }
      await run;
      if (!runner.hasSucceeded || this.#stopping) return false;
      this.#changed();
    }
    this.#isInitialized = true;
    this.#changed();
    return !this.#stopping;
  }

  async #finish(): Promise<void> {
    this.#isOver = true;
    for (const runner of this.#init) if (runner.container.restartPolicy === 'Always') await runner.stop(2);
    this.#changed();
    await this.#writing;
    this.#release();
  }

  async #reject(reason: string, message: string): Promise<void> {
    const status: PodStatus = { phase: 'Failed', reason, message, startTime: this.#startTime };
    this.#world.event(this.#pod, 'Warning', reason, message);
    this.#isOver = true;
    await this.#world.writeStatus(this.#pod, status);
  }

  #release(): void {
    this.#world.devices.release(this.#pod.metadata?.uid ?? '');
    if (this.#podIP !== undefined) this.#world.addresses.free(this.#podIP);
  }

  #setWaiting(reason: string): void {
    for (const [index, runner] of this.#init.entries()) runner.setWaiting(index === 0 ? reason : 'PodInitializing');
    for (const runner of this.#main) runner.setWaiting(this.#init.length === 0 ? reason : 'PodInitializing');
  }

  #runner(container: Container, isInit: boolean): ContainerRunner {
    const { clock, pull, event } = this.#world;
    const log = new ContainerLog(join(this.#directory, 'logs', container.name));
    this.#logs.push({ container: container.name, log });
    const policy = this.#pod.spec?.restartPolicy ?? 'Always';
    const { namespace, name, uid } = this.#pod.metadata ?? {};
    const restarts =
      isInit && container.restartPolicy !== 'Always'
        ? policy === 'Never'
          ? 'never'
          : 'on-failure'
        : restartsOf(policy);
    let env: Readonly<Record<string, string>> = {};
    const around: ContainerSurroundings = {
      clock,
      log,
      restarts: container.restartPolicy === 'Always' ? 'always' : restarts,
      pull,
      start: async (container, terminationMessage) => {
        const context = await this.#context(container, log, terminationMessage);
        env = context.env;
        return startProgram(context);
      },
      exec: (command, program, signal) =>
        execute(command, program, { clock, podAddress: this.#podIP ?? '', env }, signal),
      podAddress: () => this.#podIP ?? '',
      onChange: () => this.#changed(),
      event: (type, reason, message) => event(this.#pod, type, reason, message),
      podLabel: `${name}_${namespace}(${uid})`,
    };
    const runner = new ContainerRunner(container, around);
    runner.setGrace(this.#pod.spec?.terminationGracePeriodSeconds ?? 30);
    return runner;
  }

  async #context(
    container: Container,
    log: ContainerLog,
    terminationMessage: (text: string) => void,
  ): Promise<ProgramContext> {
    const {
      clock,
      node,
      read,
      faultOf,
      engine,
      hubUrl,
      nameServer,
      compileCache,
      apiServer,
      mayTalk,
      defaultVersion,
      serviceLinks,
    } = this.#world;
    const namespace = this.#pod.metadata?.namespace ?? 'default';
    const theNode = node(this.#pod.spec?.nodeName ?? '');
    const podIP = this.#podIP ?? '';
    const links = this.#pod.spec?.enableServiceLinks === false ? {} : await serviceLinks(namespace);
    const own = await environment(container, { pod: this.#pod, podIP, hostIP: hostIPOf(theNode) }, (...rest) =>
      read(namespace, ...rest),
    );
    const server = { KUBERNETES_SERVICE_HOST: apiServer.host, KUBERNETES_SERVICE_PORT: apiServer.port };
    const env = { ...server, ...links, ...own };
    const mounts = pathResolver(container, this.#folders);
    return {
      clock,
      image: container.image ?? '',
      command: (container.command ?? []).map((word) => expand(word, env)),
      args: (container.args ?? []).map((word) => expand(word, env)),
      env,
      gpus: containerGpus(container.resources?.limits, theNode),
      hostPath: mounts,
      podAddress: podIP,
      write: (stream, line) => log.write(stream, line),
      terminationMessage,
      fault: faultOf(this.#pod),
      engine,
      hubUrl,
      nameServer: `${nameServer}/${namespace}`,
      compileCache,
      mayTalk: await mayTalk(this.#pod),
      defaultVersion,
    };
  }

  /** Writes the status soon; changes that come meanwhile travel together. */
  #changed(): void {
    this.#isDirty = true;
    this.#writing ??= this.#write().finally(() => (this.#writing = undefined));
  }

  async #write(): Promise<void> {
    const { clock, writeStatus, node } = this.#world;
    await Promise.resolve();
    while (this.#isDirty && !this.#gone.signal.aborted) {
      this.#isDirty = false;
      const parts: PodParts = {
        init: this.#init.map(({ status, container, hasSucceeded, hasStarted }) => ({
          ...status,
          ready: container.restartPolicy === 'Always' ? hasStarted : hasSucceeded,
        })),
        main: this.#main.map(({ status }) => status),
        hasSandbox: this.#podIP !== undefined,
        isInitialized: this.#isInitialized,
        podIP: this.#podIP,
        hostIP: hostIPOf(node(this.#pod.spec?.nodeName ?? '')),
        startTime: this.#startTime,
        restartPolicy: this.#pod.spec?.restartPolicy ?? 'Always',
        isOver: this.#isOver,
      };
      const status = {
        ...podStatus(this.#pod, parts, this.#written, timestamp(clock)),
        ...(this.#isOver && this.#eviction),
      };
      if (JSON.stringify(status) === JSON.stringify(this.#written)) continue;
      try {
        await writeStatus(this.#pod, status);
        this.#written = status;
      } catch {
        // The server is away or the pod is gone; the watch tells which.
        this.#isDirty = true;
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    }
  }
}

const restartsOf = (policy: string): ContainerSurroundings['restarts'] =>
  policy === 'Never' ? 'never' : policy === 'OnFailure' ? 'on-failure' : 'always';

const hostIPOf = (node: Node | undefined): string =>
  node?.status?.addresses?.find(({ type }) => type === 'InternalIP')?.address ?? '127.0.0.1';

/** The fault that a pod asks for by itself. */
export function annotatedFault(pod: Pod): Fault | undefined {
  const asked = pod.metadata?.annotations?.[FAULT_ANNOTATION];
  return isFault(asked) ? asked : undefined;
}
