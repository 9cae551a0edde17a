import type { Condition, ConditionType, QwenCoderDeployment } from '../../src/api/index.ts';
import { type EventRecord, Events, type KubeClient, Pods } from '../../src/kube/index.ts';
import type { Pod } from '../../src/kube/wire.ts';
import { Resources } from '../../src/reconcile/apply.ts';
import { LATE_LOG } from '../../src/serving/diagnosis.ts';
import { Watched } from '../simulator/watched.ts';

/** What a failure is awaited in, one resource a namespace. */
export interface Expectation {
  readonly namespace: string;
  readonly type: ConditionType;
  readonly reason: string;
  /** Whether this pod shows what the condition is to say. */
  readonly showsIn: (pod: Pod) => boolean;
  /** What its message says, where the reason is also given before anything has failed. */
  readonly says?: string | undefined;
}

/** The first status that named the reason with all its evidence, and what it took to name it. */
export interface FirstSight {
  readonly resource: QwenCoderDeployment;
  readonly condition: Condition;
  /** Since the cluster showed the failure; since the resource was there, where no pod is to show it. */
  readonly seconds: number;
}

/**
 * When the cluster showed a failure, and in which status the operator first named it. It looks at every version of pods, Events and
 * resources, so what holds for a moment only is not missed.
 */
export class FailureLedger {
  readonly #stop = new AbortController();
  readonly #open = new Set<Open>();

  static async start(client: KubeClient): Promise<FailureLedger> {
    const ledger = new FailureLedger();
    const { signal } = ledger.#stop;
    await Promise.all([
      Watched.start(client, Pods, signal, { onChange: (pod) => ledger.#sawPod(pod) }),
      Watched.start(client, Events, signal, { onChange: (event) => ledger.#sawEvent(event) }),
      Watched.start(client, Resources, signal, { onChange: (resource) => ledger.#sawResource(resource) }),
    ]);
    return ledger;
  }

  stop(): void {
    this.#stop.abort(new Error('the test is over'));
  }

  /** To be asked before the resource is made. */
  await(expected: Expectation): Promise<FirstSight> {
    const { promise, resolve } = Promise.withResolvers<FirstSight>();
    this.#open.add({ ...expected, resolve, madeAt: undefined, shownAt: undefined, namedAt: undefined });
    return promise;
  }

  #sawPod(pod: Pod): void {
    for (const one of this.#of(pod)) if (one.showsIn(pod)) one.shownAt ??= performance.now();
  }

  /** Controllers tell of pods that they may not make. */
  #sawEvent(event: EventRecord): void {
    if (event.reason === 'FailedCreate') for (const one of this.#of(event)) one.shownAt ??= performance.now();
  }

  #sawResource(resource: QwenCoderDeployment): void {
    const now = performance.now();
    for (const one of this.#of(resource)) {
      one.madeAt ??= now;
      const condition = resource.status?.conditions?.find(({ type }) => type === one.type);
      if (condition?.status !== 'False' || condition.reason !== one.reason) continue;
      if (!condition.message.includes(one.says ?? '')) continue;
      one.namedAt ??= now;
      // A node that has much to do hands out a log later than the end of its container.
      if (condition.message.includes(LATE_LOG)) continue;
      this.#open.delete(one);
      one.resolve({ resource, condition, seconds: (one.namedAt - (one.shownAt ?? one.madeAt)) / 1000 });
    }
  }

  #of({ metadata }: { readonly metadata?: { readonly namespace?: string } }): Open[] {
    return [...this.#open].filter(({ namespace }) => namespace === metadata?.namespace);
  }
}

type Open = Expectation & {
  readonly resolve: (sight: FirstSight) => void;
  madeAt: number | undefined;
  shownAt: number | undefined;
  namedAt: number | undefined;
};
