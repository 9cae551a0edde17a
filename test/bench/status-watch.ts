import type { QwenCoderDeployment } from '../../src/api/index.ts';
import { Informer, type KubeClient } from '../../src/kube/index.ts';
import { Resources } from '../../src/reconcile/apply.ts';

/** What has to be so for a resource to count as converged. */
export interface Goal {
  /** Ready, or only a status about the present generation. */
  readonly ready: boolean;
}

interface Seen {
  transitions: number;
  quietVersions: number;
  convergedAtMs: number | undefined;
}

/** Watches the resources of some namespaces as a stranger would, and counts what their conditions do. */
export class StatusWatch {
  readonly #informer: Informer<never>;
  readonly #goal: Goal;
  readonly #seen = new Map<string, Seen>();
  readonly #waiting = new Set<() => void>();
  readonly #ofOne: QwenCoderDeployment[] = [];

  private constructor(client: KubeClient, namespaces: readonly string[], goal: Goal) {
    this.#goal = goal;
    this.#informer = new Informer({
      client,
      resource: Resources as never,
      namespaces,
      onChange: ({ object, previous }) => this.#changed(object, previous),
      onError: (error) => process.stderr.write(`status watch: ${String(error)}\n`),
    });
  }

  static async start(client: KubeClient, namespaces: readonly string[], goal: Goal): Promise<StatusWatch> {
    const watch = new StatusWatch(client, namespaces, goal);
    watch.#informer.start();
    await watch.#informer.whenSynced();
    return watch;
  }

  /** Conditions whose status changed, appearing for the first time included. */
  get transitions(): number {
    return this.#sum(({ transitions }) => transitions);
  }

  /** Versions of a resource whose status differs from the version before, and no condition's status does. */
  get quietVersions(): number {
    return this.#sum(({ quietVersions }) => quietVersions);
  }

  get convergedCount(): number {
    return this.#sum(({ convergedAtMs }) => (convergedAtMs === undefined ? 0 : 1));
  }

  /** Milliseconds since the epoch at which the last resource had converged for the first time. */
  get lastConvergedAtMs(): number {
    return Math.max(...Array.from(this.#seen.values(), ({ convergedAtMs }) => convergedAtMs ?? Infinity));
  }

  /** The resource whose status was seen first, in each version in which its status differs from the version before. */
  get versionsOfOne(): readonly QwenCoderDeployment[] {
    return this.#ofOne;
  }

  resource(namespace: string, name: string): QwenCoderDeployment | undefined {
    return this.#informer.get({ namespace, name });
  }

  /** Resolves when this many resources have converged. */
  async converged(count: number, withinMs: number): Promise<void> {
    await this.#until(() => this.convergedCount >= count, `${count} resources to converge`, withinMs);
  }

  /** Resolves when one resource is at its goal and nothing is under way. */
  async settled(namespace: string, name: string, generation: number, withinMs: number): Promise<void> {
    const isSettled = () => {
      const resource = this.resource(namespace, name);
      return resource?.status?.observedGeneration === generation && isAtGoal(resource, this.#goal);
    };
    await this.#until(isSettled, `${namespace}/${name} to settle`, withinMs);
  }

  stop(): Promise<void> {
    return this.#informer.stop();
  }

  #sum(of: (seen: Seen) => number): number {
    let sum = 0;
    for (const seen of this.#seen.values()) sum += of(seen);
    return sum;
  }

  #changed(resource: QwenCoderDeployment, previous: QwenCoderDeployment | undefined): void {
    const { uid } = resource.metadata;
    let seen = this.#seen.get(uid);
    if (seen === undefined) {
      this.#seen.set(uid, (seen = { transitions: 0, quietVersions: 0, convergedAtMs: undefined }));
    }
    const before = new Map(previous?.status?.conditions?.map(({ type, status }) => [type, status]));
    const flips = (resource.status?.conditions ?? []).filter(({ type, status }) => before.get(type) !== status).length;
    seen.transitions += flips;
    if (JSON.stringify(resource.status) !== JSON.stringify(previous?.status)) {
      if ((this.#ofOne[0]?.metadata.uid ?? uid) === uid) this.#ofOne.push(resource);
      if (flips === 0) seen.quietVersions += 1;
    }
    if (isAtGoal(resource, this.#goal)) seen.convergedAtMs ??= Date.now();
    for (const wake of this.#waiting) wake();
  }

  async #until(isSo: () => boolean, what: string, withinMs: number): Promise<void> {
    const deadline = performance.now() + withinMs;
    while (!isSo()) {
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) throw new Error(`waited ${withinMs / 1000} s for ${what}; ${this.convergedCount} converged`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(() => wake(), leftMs);
        const wake = () => {
          clearTimeout(timer);
          this.#waiting.delete(wake);
          resolve();
        };
        this.#waiting.add(wake);
      });
    }
  }
}

function isAtGoal({ metadata, status }: QwenCoderDeployment, goal: Goal): boolean {
  if (status?.observedGeneration !== metadata.generation || (status.conditions?.length ?? 0) === 0) return false;
  if (!goal.ready) return true;
  const ready = status.conditions?.find(({ type }) => type === 'Ready');
  return ready?.status === 'True' && ready.observedGeneration === metadata.generation;
}
