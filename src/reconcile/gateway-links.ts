import { ControlClient } from '../gateway/control/client.ts';
import type { Load, State } from '../gateway/control/protocol.ts';
import { GATEWAY_PORTS } from '../render/index.ts';
import type { Clock, Log } from '../runtime/index.ts';
import { hostOf } from './engine-reports.ts';
import type { PodFacts } from './facts.ts';

export interface GatewayLinksOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Which leader speaks; grows from each to the next. */
  readonly epoch: () => number;
}

interface Link {
  /** As it was told of last. */
  pod: PodFacts;
  readonly controlKey: string;
  readonly client: ControlClient;
  load: Load | undefined;
}

/** What the gateways of a resource have to do together. */
export interface Demand {
  readonly inFlight: number;
  readonly held: number;
}

/**
 * The streams to the gateways of all resources, one to each of their pods.
 *
 * **Guarantees**: no call waits; a gateway that cannot be reached is tried again, and disturbs no reconcile.
 */
export class GatewayLinks {
  readonly name = 'gateway links';
  readonly #options: GatewayLinksOptions;
  /** By resource, then by pod. */
  readonly #links = new Map<string, Map<string, Link>>();

  constructor(options: GatewayLinksOptions) {
    this.#options = options;
  }

  start(): void {}

  stop(): void {
    for (const key of this.#links.keys()) this.forget(key);
  }

  /**
   * Tells the gateways of a resource how its engines stand.
   *
   * @param pods Its gateway pods; links to others end.
   */
  tell(key: string, pods: readonly PodFacts[], controlKey: string, state: State): void {
    const links = this.#links.get(key) ?? new Map<string, Link>();
    const reachable = new Map(pods.filter(isReachable).map((pod) => [pod.metadata.uid!, pod]));
    for (const [uid, link] of links) {
      const pod = reachable.get(uid);
      if (pod?.ip === link.pod.ip && link.controlKey === controlKey) continue;
      link.client.stop();
      links.delete(uid);
    }
    for (const [uid, pod] of reachable) {
      const link = links.get(uid) ?? this.#open(pod, controlKey);
      links.set(uid, link);
      link.pod = pod;
      link.client.tell(state);
    }
    if (links.size > 0) this.#links.set(key, links);
    else this.#links.delete(key);
  }

  /** Ends the links to the gateways of a resource that is gone, or of which nothing can be told; the next word opens them again. */
  forget(key: string): void {
    for (const { client } of this.#links.get(key)?.values() ?? []) client.stop();
    this.#links.delete(key);
  }

  /** By resource, as far as its gateways have told. */
  *demands(): Generator<[key: string, demand: Demand]> {
    for (const [key, links] of this.#links) {
      const loads = [...links.values()].flatMap(({ load }) => load ?? []);
      if (loads.length === 0) continue;
      const inFlight = loads.flatMap(({ replicas }) => Object.values(replicas));
      yield [key, { inFlight: sum(inFlight.map((one) => one.inFlight)), held: sum(loads.map(({ held }) => held)) }];
    }
  }

  #open(pod: PodFacts, controlKey: string): Link {
    const { clock, log, epoch } = this.#options;
    const { namespace, name } = pod.metadata;
    let wasTold = false;
    const link: Link = {
      pod,
      controlKey,
      load: undefined,
      client: new ControlClient({
        clock,
        url: `http://${hostOf(pod.ip!)}:${GATEWAY_PORTS.control}`,
        key: controlKey,
        epoch: epoch(),
        onLoad: (load) => {
          wasTold = false;
          link.load = load;
        },
        onFailure: (error) => {
          link.load = undefined;
          // A gateway that starts refuses connections for a moment.
          if (wasTold || !link.pod.ready) return;
          log.warn('a gateway is not linked; it is tried again', { namespace, pod: name, error });
          wasTold = true;
        },
      }),
    };
    void link.client.run();
    return link;
  }
}

const isReachable = ({ ip, phase }: PodFacts): boolean => ip !== undefined && phase === 'Running';

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
