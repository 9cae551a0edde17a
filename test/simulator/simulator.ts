import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';
import { KubeClient } from '../../src/kube/client.ts';
import type { Pod } from '../../src/kube/wire.ts';
import { type Clock, systemClock } from '../../src/runtime/clock.ts';
import { Addresses } from './addresses.ts';
import { Hub } from './hub.ts';
import { ImagePullError } from './kubelet/container.ts';
import { Kubelet } from './kubelet/kubelet.ts';
import { annotatedFault } from './kubelet/pod-worker.ts';
import { Provisioner } from './provisioner.ts';
import type { Answer, Conversation } from './vllm/answer.ts';
import type { EngineSpeed } from './vllm/engine.ts';
import type { Fault } from './vllm/faults.ts';
import type { Load } from './vllm/metrics.ts';
import { imageVersion, isAtLeast } from './vllm/version.ts';

export interface SimulatorOptions {
  /** Path of an administrator's kubeconfig: of a `Cluster`, or of any cluster with KWOK nodes. */
  readonly kubeconfigPath: string;
  /** Where volumes and logs are kept: a `Cluster`'s directory goes with it, however the process ends. */
  readonly directory?: string;
  /** The time of pods and engines; real unless said otherwise. */
  readonly clock?: Clock;
  /** From start to readiness of an engine, on the clock; 20. */
  readonly loadSeconds?: number;
  /** What engines use beyond weights and KV cache and nobody is told: one number, or by GPU product; 2.6. */
  readonly hiddenOverheadGiB?: number | ((product: string) => number);
  readonly speed?: EngineSpeed;
  /** The model's words in place of the deterministic ones. */
  readonly answer?: (conversation: Conversation) => Answer;
  /** Whether pods keep to NetworkPolicies that let them talk to nobody; false, as with a network plugin that ignores them. */
  readonly enforcesNetworkPolicies?: boolean;
  /** After readiness, for faults of engines that serve; 5. */
  readonly crashAfterSeconds?: number;
}

/** A checkpoint that is on a volume from the start. */
export interface Seed {
  /** A repository of the hub. */
  readonly repository: string;
  /** Folder on the volume; its root when absent. */
  readonly path?: string;
}

/** Which pods a fault is for. */
export type PodSelector = (pod: Pod) => boolean;

/** One simulated vLLM, as tests look at it. */
export interface SimulatedEngine {
  readonly namespace: string;
  readonly pod: string;
  readonly podIP: string;
  readonly version: string;
  /** What follows `vllm serve`, as the container got it. */
  readonly args: readonly string[];
  /** Whether it listens. */
  readonly isServing: boolean;
  /** Zero before it serves. */
  readonly maxModelLen: number;
  /** Inference requests answered. */
  readonly served: number;
  readonly load: Load;
}

/** The newest vLLM that the simulator knows. */
const NEWEST = '0.33.0';
const OLDEST = '0.14.1';

/**
 * The GPUs and the container runtime of a cluster: runs the pods of its KWOK nodes as they are, vLLM simulated, with storage and a
 * model hub. Everything listens on loopback addresses alone.
 *
 * Assumes one simulator a cluster.
 */
export class Simulator {
  readonly hub: Hub;
  /** Every pod's address begins with it. */
  readonly addressPrefix: string;
  readonly #client: KubeClient;
  readonly #kubelet: Kubelet;
  readonly #provisioner: Provisioner;
  readonly #addresses: Addresses;
  readonly #cleanUp: () => void;
  readonly #faults: Faults;
  readonly #seeds: Map<string, Seed>;

  private constructor(parts: {
    hub: Hub;
    client: KubeClient;
    kubelet: Kubelet;
    provisioner: Provisioner;
    addresses: Addresses;
    cleanUp: () => void;
    faults: Faults;
    seeds: Map<string, Seed>;
  }) {
    this.hub = parts.hub;
    this.addressPrefix = parts.addresses.prefix;
    this.#client = parts.client;
    this.#kubelet = parts.kubelet;
    this.#provisioner = parts.provisioner;
    this.#addresses = parts.addresses;
    this.#cleanUp = parts.cleanUp;
    this.#faults = parts.faults;
    this.#seeds = parts.seeds;
  }

  static async start(options: SimulatorOptions): Promise<Simulator> {
    const config = new KubeConfig();
    config.loadFromFile(options.kubeconfigPath);
    // Requests to the API server take real time, whatever the pods' clock says.
    const client = KubeClient.connect(config, {
      clock: systemClock,
      userAgent: 'simulator/1',
      requestsPerSecond: 1000,
      burst: 2000,
    });
    const server = new URL(config.getCurrentCluster()!.server);
    const directory = mkdtempSync(join(options.directory ?? tmpdir(), 'qwen-coder-simulator-'));
    const cleanUp = () => rmSync(directory, { recursive: true, force: true });
    process.once('exit', cleanUp);
    const addresses = Addresses.take();
    const hub = await Hub.start();
    const faults = new Faults();
    const seeds = new Map<string, Seed>();
    const overhead = options.hiddenOverheadGiB ?? 2.6;
    const kubelet = await Kubelet.start({
      client,
      clock: options.clock ?? systemClock,
      addresses,
      directory,
      hubUrl: hub.url,
      compileCache: join(tmpdir(), 'qwen-coder-simulator-compiled'),
      apiServer: { host: server.hostname.replace(/^\[(.*)\]$/, '$1'), port: server.port },
      enforcesNetworkPolicies: options.enforcesNetworkPolicies ?? false,
      defaultVersion: NEWEST,
      pull: (image) => faults.pull(image),
      image: (reference) => imageFolder(reference, directory, hub, faults),
      faultOf: (pod) => faults.of(pod),
      engine: {
        loadSeconds: options.loadSeconds ?? 20,
        hiddenOverheadGiB: typeof overhead === 'number' ? () => overhead : overhead,
        speed: options.speed,
        answer: options.answer,
        crashAfterSeconds: options.crashAfterSeconds,
      },
    });
    const provisioner = await Provisioner.start(client, directory, ({ metadata }, folder) => {
      const seed = seeds.get(`${metadata?.namespace}/${metadata?.name}`);
      if (seed) hub.writeCheckpoint(seed.repository, join(folder, seed.path ?? ''));
    });
    return new Simulator({ hub, client, kubelet, provisioner, addresses, cleanUp, faults, seeds });
  }

  /**
   * Containers of matching pods that start from now on have this fault, so many of them; undefined heals them. The latest call that
   * matches counts.
   */
  setFault(selector: PodSelector, fault: Fault | undefined, times = Infinity): void {
    this.#faults.set(selector, fault, times);
  }

  /** The engines of matching pods die now, under their servers: of this fault, or of nothing that their logs tell. */
  crash(selector: PodSelector, fault?: Fault): void {
    for (const { pod, process } of this.#kubelet.engines()) {
      // Whoever stops the process meanwhile ends the crash too.
      if (selector(pod)) process.crash(fault).catch(() => undefined);
    }
  }

  /** The node runs short of something: its kubelet ends matching pods and says this of it. */
  evict(selector: PodSelector, message: string): void {
    this.#kubelet.evict(selector, message);
  }

  /** Images that match cannot be pulled, for this reason. */
  refuseImages(pattern: RegExp, why: string): void {
    this.#faults.refusedImages.push({ pattern, why });
  }

  /** A claim of this name, made from now on, comes with a checkpoint on it: for users who bring their own. */
  seedClaim(namespace: string, name: string, seed: Seed): void {
    this.#seeds.set(`${namespace}/${name}`, seed);
  }

  /** The vLLM processes of this moment. */
  engines(): SimulatedEngine[] {
    return this.#kubelet.engines().map(({ pod, podIP, process }) => ({
      namespace: pod.metadata?.namespace ?? '',
      pod: pod.metadata?.name ?? '',
      podIP,
      version: process.version,
      args: process.args,
      isServing: process.engine !== undefined,
      maxModelLen: process.layout?.maxModelLen ?? 0,
      served: process.served,
      load: process.engine?.load ?? { running: 0, waiting: 0, kvCacheUsage: 0 },
    }));
  }

  /** Ends everything that runs; objects in the cluster stay as they are. */
  async stop(): Promise<void> {
    this.#provisioner.stop();
    await this.#kubelet.stop();
    await this.hub.stop();
    await this.#client.close();
    this.#addresses.release();
    process.off('exit', this.#cleanUp);
    this.#cleanUp();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/** What tests ask to go wrong. */
class Faults {
  readonly refusedImages: { readonly pattern: RegExp; readonly why: string }[] = [];
  readonly #faults: { selector: PodSelector; fault: Fault | undefined; left: number }[] = [];

  set(selector: PodSelector, fault: Fault | undefined, times: number): void {
    this.#faults.unshift({ selector, fault, left: times });
  }

  /** Asked once for each start of a container. */
  of(pod: Pod): Fault | undefined {
    const set = this.#faults.find(({ selector, left }) => left > 0 && selector(pod));
    if (set === undefined) return annotatedFault(pod);
    set.left -= 1;
    return set.fault;
  }

  async pull(image: string): Promise<void> {
    const version = /(^|\/)vllm-openai[:@]/.test(image) ? imageVersion(image) : undefined;
    const isUnreleased = version !== undefined && !(isAtLeast(version, OLDEST) && isAtLeast(NEWEST, version));
    const refused = this.refusedImages.find(({ pattern }) => pattern.test(image));
    if (refused) throw new ImagePullError(`Failed to pull image "${image}": ${refused.why}`);
    if (!isUnreleased) return;
    throw new ImagePullError(
      `Failed to pull image "${image}": rpc error: code = NotFound desc = failed to pull and unpack image "${image}": failed to resolve image: not found`,
    );
  }
}

/** An image volume: every image holds a checkpoint, FP8 where its name says so. */
async function imageFolder(reference: string, directory: string, hub: Hub, faults: Faults): Promise<string> {
  await faults.pull(reference);
  const folder = join(directory, 'images', encodeURIComponent(reference));
  if (!existsSync(folder))
    hub.writeCheckpoint(/fp8/i.test(reference) ? 'Qwen/Qwen3-Coder-Next-FP8' : 'Qwen/Qwen3-Coder-Next', folder);
  return folder;
}
