import type { KubeClient, Secret } from '../kube/index.ts';
import { Secrets, isAlreadyExists, isForbidden, isRejected } from '../kube/index.ts';
import { type Installation, apiKeySecret, apiKeysRef, childNames, internalKeysSecret } from '../render/index.ts';
import type { Clock, Log } from '../runtime/index.ts';
import { type Facts, isFailing } from './facts.ts';
import { isAlive } from './failing-pods.ts';
import type { Problem } from './outcome.ts';

/** The garbage collector takes the Secret of a deleted namesake within seconds; a minute is plenty. */
const NAMESAKE_MS = 60_000;

export interface KeySecretsOptions {
  readonly client: Pick<KubeClient, 'create'>;
  readonly clock: Clock;
  /** A key that nobody can guess, for the clients of one endpoint. */
  readonly newKey: () => string;
}

/**
 * Makes the Secrets of a resource. It may make Secrets and nothing else with them, so it cannot look: a Deployment of gateways that mounts
 * them says that they were made before it.
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
    const again = gateway.pods.some((pod) => isFailing(pod) && isAlive(pod)) || this.#taken.has(key);
    const due = this.#wanted(facts, installation).filter(
      ({ metadata }) => again || !gateway.secrets.includes(metadata!.name!),
    );
    if (due.length === 0) return {};
    this.#taken.delete(key);
    let isTaken = false;
    for (const secret of due) {
      try {
        await this.#options.client.create(Secrets, secret, { signal });
        log.info('child created', { object: `Secret/${secret.metadata!.name}`, reason: 'gateways mount it' });
      } catch (error) {
        if (isAlreadyExists(error)) isTaken = true;
        else if (isRejected(error) || isForbidden(error))
          return { problem: { reason: 'ChildRejected', message: error.message } };
        else throw error;
      }
    }
    const ageMs = this.#options.clock.now() - createdMs;
    if (!isTaken || ageMs >= NAMESAKE_MS) return {};
    this.#taken.add(key);
    return { lookAgainMs: NAMESAKE_MS - ageMs };
  }

  #wanted({ owner, spec }: Facts, installation: Installation): Secret[] {
    const isGenerated = apiKeysRef(owner.name, spec)?.name === childNames.apiKey(owner.name);
    return [
      internalKeysSecret(owner, installation.keysOf(owner)),
      ...(isGenerated ? [apiKeySecret(owner, this.#options.newKey())] : []),
    ];
  }
}
