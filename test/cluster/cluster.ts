import { spawn } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AdminApi } from './admin-api.ts';
import { findBinaries, findKubectl, logToStderr } from './binaries.ts';
import { makeAuthority } from './certificates.ts';
import { Component } from './component.ts';
import { type ComponentName, endOf, PortTakenError, prepareKwok, startControlPlane, until } from './control-plane.ts';
import { gpuNodes, type NodeObject } from './gpu-nodes.ts';
import { kubeconfigFor } from './kubeconfig.ts';
import { kwokDefinitions } from './kwok.ts';
import { localStorageClass } from './storage.ts';
import { makeTemporaryDirectory, type TemporaryDirectory } from './temporary.ts';

export type { ComponentName } from './control-plane.ts';

export interface ClusterOptions {
  /** Nodes to begin with, such as `8xH100-80GB*3,CPU`. */
  readonly nodes?: string;
  /** `simulator` (default): nobody here touches pods. `kwok`: pods are Running and Ready at once, and Jobs complete. */
  readonly podsRun?: 'simulator' | 'kwok';
  /** Use this cluster instead of starting one; `QWEN_CODER_KUBECONFIG` says the same. Nodes named here are added to it. */
  readonly kubeconfig?: string;
  /** Users besides `admin`, with their groups; `tokenFor` has their tokens. */
  readonly users?: Readonly<Record<string, readonly string[]>>;
  /** Writes every request as a line of JSON to `auditLogPath`: its metadata, or what these rules of an audit policy say of it. */
  readonly auditLog?: boolean | readonly object[];
  readonly apiServerArgs?: readonly string[];
  readonly controllerManagerArgs?: readonly string[];
  readonly log?: (line: string) => void;
  /** Called when a program of the control plane dies that nobody killed. By default the process fails. */
  readonly onFailure?: (error: Error) => void;
}

/** Credentials of one user or service account. */
export interface Credentials {
  readonly kubeconfigPath: string;
  readonly kubeconfig: string;
  readonly token: string;
}

interface Parts {
  readonly directory: TemporaryDirectory;
  readonly api: AdminApi;
  readonly kubeconfigPath: string;
  readonly kubeconfig: string;
  readonly authorityPath: string;
  readonly kubectlPath: string;
  readonly auditLogPath: string | undefined;
  readonly tokens: ReadonlyMap<string, string>;
  readonly components: ReadonlyMap<ComponentName, Component>;
  /** In an adopted cluster: paths of what was put there and is taken away at the end. */
  readonly guests?: readonly string[];
}

/**
 * A Kubernetes cluster on loopback: etcd, API server, controller manager and scheduler as released, nodes by KWOK.
 *
 * **Guarantees**: `start` resolves when a pod can be created and scheduled; several clusters live side by side; nothing
 * outlives the process that started it, however that ends.
 */
export class Cluster {
  /** For the administrator. */
  readonly kubeconfigPath: string;
  readonly kubeconfig: string;
  readonly serverUrl: string;
  /** The authority that signed the API server's certificate. */
  readonly caPath: string;
  readonly api: AdminApi;
  /** Scratch space that goes with the cluster. */
  readonly directory: string;
  readonly kubectlPath: string;
  readonly auditLogPath: string | undefined;
  readonly #parts: Parts;
  readonly #nodes = new Set<string>();
  #isStopped = false;

  private constructor(parts: Parts) {
    this.#parts = parts;
    this.kubeconfig = parts.kubeconfig;
    this.kubeconfigPath = parts.kubeconfigPath;
    this.serverUrl = parts.api.server;
    this.caPath = parts.authorityPath;
    this.api = parts.api;
    this.directory = parts.directory.path;
    this.kubectlPath = parts.kubectlPath;
    this.auditLogPath = parts.auditLogPath;
  }

  static async start(options: ClusterOptions = {}): Promise<Cluster> {
    const existing = options.kubeconfig ?? process.env['QWEN_CODER_KUBECONFIG'];
    if (existing) return Cluster.#adopt(existing, options);
    const log = options.log ?? logToStderr;
    for (let attempt = 1; ; attempt++) {
      try {
        return await Cluster.#startOwn(options, log);
      } catch (error) {
        if (!(error instanceof PortTakenError) || attempt === 5) throw error;
        log('cluster: another process took a port meanwhile; starting anew');
      }
    }
  }

  static async #startOwn(options: ClusterOptions, log: (line: string) => void): Promise<Cluster> {
    const binaries = await findBinaries(log);
    const startedAt = performance.now();
    const directory = await makeTemporaryDirectory();
    const components = new Map<ComponentName, Component>();
    const failed = new AbortController();
    let onUnexpectedExit = (component: Component) => failed.abort(endOf(component));
    try {
      const plane = await startControlPlane(
        binaries,
        directory.path,
        {
          users: options.users ?? {},
          auditRules: options.auditLog === true ? [] : options.auditLog || undefined,
          apiServerArgs: options.apiServerArgs ?? [],
          controllerManagerArgs: options.controllerManagerArgs ?? [],
          podsRun: options.podsRun ?? 'simulator',
        },
        components,
        (component) => onUnexpectedExit(component),
        failed.signal,
      );
      const cluster = new Cluster({ ...plane, directory, kubectlPath: binaries.kubectl, components });
      await plane.api.ensure('/apis/storage.k8s.io/v1/storageclasses', localStorageClass);
      await installKwokDefinitions(plane.api, failed.signal);
      components.get('kwok')!.start();
      await Promise.all([
        cluster.#register(gpuNodes(options.nodes ?? ''), failed.signal),
        // Pods are refused until the controller manager has made their namespace's service account.
        until('the default service account', 30_000, failed.signal, async () => {
          const account = await plane.api.find('/api/v1/namespaces/default/serviceaccounts/default');
          return account !== undefined;
        }),
      ]);
      failed.signal.throwIfAborted();
      onUnexpectedExit = (component) => (options.onFailure ?? failProcess)(endOf(component));
      log(`cluster: ready at ${cluster.serverUrl} in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
      return cluster;
    } catch (error) {
      onUnexpectedExit = () => {};
      await Promise.all([...components.values()].map((component) => component.kill()));
      await directory.remove();
      throw failed.signal.aborted ? failed.signal.reason : error;
    }
  }

  static async #adopt(kubeconfigPath: string, options: ClusterOptions): Promise<Cluster> {
    const log = options.log ?? logToStderr;
    const directory = await makeTemporaryDirectory();
    const api = await AdminApi.open(kubeconfigPath);
    const components = new Map<ComponentName, Component>();
    const guests: string[] = [];
    if (options.nodes) {
      const { kwok } = await findBinaries(log);
      const authority = makeAuthority('kwok');
      const how = await prepareKwok(kwok, directory.path, kubeconfigPath, authority, options.podsRun ?? 'simulator');
      const logPath = join(directory.path, 'kwok.log');
      const component = new Component('kwok', { ...how, logPath }, (it) =>
        (options.onFailure ?? failProcess)(endOf(it)),
      );
      guests.push(...(await installKwokDefinitions(api)));
      component.start();
      components.set('kwok', component);
    }
    const cluster = new Cluster({
      api,
      directory,
      components,
      kubectlPath: await findKubectl(log),
      kubeconfigPath,
      kubeconfig: await readFile(kubeconfigPath, 'utf8'),
      authorityPath: join(directory.path, 'ca.crt'),
      auditLogPath: undefined,
      tokens: new Map(),
      guests,
    });
    await writeFile(cluster.caPath, api.authority);
    if (options.nodes) await cluster.addNodes(options.nodes);
    return cluster;
  }

  /** Whether the cluster was there before, and will be after. */
  get isAdopted(): boolean {
    return this.#parts.guests !== undefined;
  }

  /** A program of the control plane, to be killed, paused and started again by whoever tests what happens then. */
  component(name: ComponentName): Component {
    const component = this.#parts.components.get(name);
    if (!component) throw new Error(`${name} of this cluster was not started here`);
    return component;
  }

  /** The token of `admin` or of one of the users that the cluster was started with. */
  tokenFor(user: string): string {
    const token = this.#parts.tokens.get(user);
    if (token === undefined) throw new Error(`no user ${user}: name it in the cluster's option "users"`);
    return token;
  }

  /** Credentials of a user that the cluster was started with. */
  userKubeconfig(user: string, namespace?: string): Promise<Credentials> {
    return this.#credentials(user, this.tokenFor(user), namespace);
  }

  /** Credentials of a service account, by TokenRequest: so code under test has that account's rights and no more. */
  async serviceAccountKubeconfig(namespace: string, name: string, expirationSeconds = 86_400): Promise<Credentials> {
    const { status } = await this.api.call<{ status: { token: string } }>(
      `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`,
      {
        method: 'POST',
        body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds } },
      },
    );
    return this.#credentials(`${namespace}-${name}`, status.token, namespace);
  }

  async #credentials(user: string, token: string, namespace: string | undefined): Promise<Credentials> {
    const kubeconfig = kubeconfigFor({
      server: this.serverUrl,
      authority: this.api.authority,
      user,
      token,
      ...(namespace === undefined ? {} : { namespace }),
    });
    const kubeconfigPath = join(this.directory, `${user.replaceAll(/[^a-z0-9-]/gi, '-')}.user.kubeconfig`);
    await writeFile(kubeconfigPath, kubeconfig, { mode: 0o600 });
    return { kubeconfigPath, kubeconfig, token };
  }

  /** The real kubectl, as administrator unless another kubeconfig is named. Answers what it printed; fails as it fails. */
  kubectl(
    args: readonly string[],
    options: { readonly input?: string; readonly kubeconfig?: string; readonly signal?: AbortSignal } = {},
  ): Promise<string> {
    return new Promise((resolve, reject) => {
      const child = spawn(this.kubectlPath, args, {
        env: { PATH: process.env['PATH'], ...this.kubectlEnv(options.kubeconfig) },
        stdio: ['pipe', 'pipe', 'pipe'],
        signal: options.signal,
      });
      let stdout = '';
      let stderr = '';
      child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk));
      child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
      child.once('error', reject);
      child.once('close', (code) => {
        if (code === 0) resolve(stdout);
        else reject(new Error(`kubectl ${args.join(' ')}: exit code ${code}\n${stderr}${stdout}`));
      });
      child.stdin.on('error', () => {}); // kubectl may end without reading; its exit code says why.
      child.stdin.end(options.input ?? '');
    });
  }

  /** What a kubectl process started elsewhere needs in its environment. */
  kubectlEnv(kubeconfig = this.kubeconfigPath): Record<string, string> {
    return {
      KUBECONFIG: kubeconfig,
      KUBERC: 'off',
      KUBECACHEDIR: join(this.directory, 'kubectl-cache'),
      HOME: this.#parts.guests ? (process.env['HOME'] ?? '/') : this.directory,
    };
  }

  /** Adds nodes and waits until they are Ready. Answers their names. */
  async addNodes(specification: string): Promise<string[]> {
    const { items } = await this.api.call<{ items: Node[] }>('/api/v1/nodes');
    const nodes = gpuNodes(specification, new Set(items.map((node) => node.metadata.name)));
    await this.#register(nodes);
    return nodes.map((node) => node.metadata.name);
  }

  /** Makes the nodes those of this specification: adds what is missing, removes what is not in it. */
  async applyNodes(specification: string): Promise<void> {
    const wanted = gpuNodes(specification);
    const names = new Set(wanted.map((node) => node.metadata.name));
    for (const name of this.#nodes) if (!names.has(name)) await this.removeNode(name);
    await this.#register(wanted.filter((node) => !this.#nodes.has(node.metadata.name)));
  }

  /** Takes a node away, as when a machine is lost for good. Its pods are left to the control plane. */
  async removeNode(name: string): Promise<void> {
    await this.api.call(`/api/v1/nodes/${name}`, { method: 'DELETE' });
    this.#nodes.delete(name);
  }

  async #register(nodes: readonly NodeObject[], signal?: AbortSignal): Promise<void> {
    if (nodes.length === 0) return;
    const waiting = new Set<string>();
    for (const node of nodes) {
      await this.api.call('/api/v1/nodes', { method: 'POST', body: node });
      this.#nodes.add(node.metadata.name);
      waiting.add(node.metadata.name);
    }
    await until(`nodes to be Ready`, 60_000 + 50 * nodes.length, signal, async () => {
      const { items } = await this.api.call<{ items: Node[] }>('/api/v1/nodes');
      for (const node of items) if (isUsable(node)) waiting.delete(node.metadata.name);
      return waiting.size === 0;
    });
  }

  /** Ends the cluster and removes everything of it. An adopted cluster only loses what was put there. */
  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    if (this.#parts.guests) {
      for (const name of this.#nodes) await this.removeNode(name);
      for (const path of this.#parts.guests) await this.api.call(path, { method: 'DELETE' });
    }
    this.api.close();
    await Promise.all([...this.#parts.components.values()].map((component) => component.kill()));
    await this.#parts.directory.remove();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

interface Node {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly taints?: readonly { readonly key: string }[] };
  readonly status: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

/** Ready, and the controller manager has taken the taint of new nodes away. */
function isUsable({ spec, status }: Node): boolean {
  const isReady = status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
  return isReady && !(spec.taints?.some(({ key }) => key === 'node.kubernetes.io/not-ready') ?? false);
}

const definitionsPath = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

/** Answers the paths of the definitions that were not there before. */
async function installKwokDefinitions(api: AdminApi, signal?: AbortSignal): Promise<string[]> {
  const made: string[] = [];
  for (const definition of kwokDefinitions) {
    if (await api.ensure(definitionsPath, definition)) made.push(`${definitionsPath}/${definition.metadata.name}`);
  }
  await until('the definitions of KWOK to be served', 30_000, signal, async () => {
    const lists = kwokDefinitions.map(({ spec }) => api.find(`/apis/kwok.x-k8s.io/v1alpha1/${spec.names.plural}`));
    return (await Promise.all(lists)).every((list) => list !== undefined);
  });
  return made;
}

/** A control plane that lost a program proves nothing: better no result than a misleading one. */
function failProcess(error: Error): void {
  queueMicrotask(() => {
    throw error;
  });
}
