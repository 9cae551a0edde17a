import type { KubeClient, Secret } from '../kube/index.ts';
import { Secrets, isAlreadyExists, isForbidden, isRejected } from '../kube/index.ts';
import { type Installation, apiKeySecret, apiKeysRef, childNames, internalKeysSecret } from '../render/index.ts';
import type { Clock, Log } from '../runtime/index.ts';
import { type Facts, type PodFacts, isFailing } from './facts.ts';
import { isAlive } from './failing-pods.ts';
import type { Problem } from './outcome.ts';

/** The garbage collector takes the Secret of a deleted namesake within seconds; a minute is plenty. */
const NAMESAKE_MS = 60_000;
/** A gateway that has a node starts within so long, unless its image is pulled or it misses a Secret: the kubelet tells that in an Event alone. */
const START_MS = 30_000;

export interface KeySecretsOptions {
  readonly client: Pick<KubeClient, 'create'>;
  readonly clock: Clock;
  /** A key that nobody can guess, for the clients of one endpoint. */
  readonly newKey: () => string;
}

/**
 * Makes the Secrets of a resource. It may make Secrets and nothing else with them, so it cannot look: a Deployment of gateways that mounts
 * them says that they were made before it, and pods that do not start, that they may be gone.
 *
 * **Guarantees**: one that is there is never changed, whosever it is; nothing is asked of the API server while gateways mount what they
 * need and work.
 */
export class KeySecrets {
  readonly #options: KeySecretsOptions;
  /** Resources whose name for a Secret was taken when they were young. */
  readonly #taken = new Set<string>();

  constructor(options: KeySecretsOptions) {
    this.#options = options;
  }

  /**
   * Makes what is missing, or may be.
   *
   * @param createdMs When the resource was made.
   */
  async ensure(
    facts: Facts,
    installation: Installation,
    createdMs: number,
    log: Log,
    signal: AbortSignal,
  ): Promise<{ readonly problem?: Problem; readonly lookAgainMs?: number }> {
    const { owner, gateway } = facts;
    const key = `${owner.namespace}/${owner.name}`;
    const now = this.#options.clock.now();
    const waits = gateway.pods
      .filter(isStarting)
      .map((pod) => Date.parse(pod.metadata.creationTimestamp!) + START_MS - now);
    const again =
      this.#taken.has(key) || gateway.pods.some((pod) => isFailing(pod) && isAlive(pod)) || waits.some((ms) => ms <= 0);
    const due = this.#wanted(facts, installation).filter(
      ({ metadata: { name } = {} }) => again || !gateway.secrets.includes(name!) || isMissed(name!, facts.pods),
    );
    const looks = waits.filter((ms) => ms > 0);
    this.#taken.delete(key);
    let isTaken = false;
    for (const secret of due) {
      try {
        await this.#options.client.create(Secrets, secret, { signal });
        log.info('child created', { object: `Secret/${secret.metadata!.name}`, reason: 'gateways mount it' });
      } catch (error) {
        if (isAlreadyExists(error)) isTaken = true;
        else if (!isRejected(error) && !isForbidden(error)) throw error;
        // Whether it is there is asked after whether it may be made: of one that was there it says nothing.
        else if (!gateway.secrets.includes(secret.metadata!.name!))
          return { problem: { reason: 'ChildRejected', message: error.message } };
      }
    }
    const ageMs = now - createdMs;
    if (isTaken && ageMs < NAMESAKE_MS) {
      this.#taken.add(key);
      looks.push(NAMESAKE_MS - ageMs);
    }
    return looks.length === 0 ? {} : { lookAgainMs: Math.min(...looks) };
  }

  #wanted({ owner, spec }: Facts, installation: Installation): Secret[] {
    const isGenerated = apiKeysRef(owner.name, spec)?.name === childNames.apiKey(owner.name);
    return [
      internalKeysSecret(owner, installation.keysOf(owner)),
      ...(isGenerated ? [apiKeySecret(owner, this.#options.newKey())] : []),
    ];
  }
}

const isStarting = (pod: PodFacts): boolean =>
  isAlive(pod) && !isFailing(pod) && pod.nodeName !== undefined && pod.phase === 'Pending';

/** Whether an engine cannot begin without a Secret, in the kubelet's words. */
const isMissed = (name: string, engines: readonly PodFacts[]): boolean =>
  engines.some((pod) => isAlive(pod) && pod.container?.waiting?.message === `secret "${name}" not found`);
