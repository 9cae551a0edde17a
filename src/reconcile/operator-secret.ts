import { type KubeClient, type ObjectKey, Secrets, isConflict } from '../kube/index.ts';

export interface OperatorSecretOptions {
  readonly client: Pick<KubeClient, 'get' | 'patch'>;
  /** The Secret, in the operator's own namespace. The installation makes it, empty; the operator may make none there. */
  readonly key: ObjectKey;
  /** Something that nobody can guess. */
  readonly random: () => string;
}

const ENTRY = 'secret';

/**
 * What the keys between operator, gateways and engines are derived from: the one Secret that the operator reads, its own.
 *
 * **Guarantees**: filled once; of several that fill it at once all get what the first one wrote.
 */
export class OperatorSecret {
  readonly name = 'operator secret';
  readonly #options: OperatorSecretOptions;
  #value: string | undefined;

  constructor(options: OperatorSecretOptions) {
    this.#options = options;
  }

  /** **Fails when** it was not loaded. */
  get value(): string {
    if (this.#value === undefined) throw new Error("the operator's Secret was not read");
    return this.#value;
  }

  /** Reads it, and fills it where it is empty. **Fails when** it is not there, or may not be read. */
  async start(signal: AbortSignal): Promise<void> {
    while (this.#value === undefined) this.#value = (await this.#read(signal)) ?? (await this.#fill(signal));
  }

  async #read(signal: AbortSignal): Promise<string | undefined> {
    const { client, key } = this.#options;
    const found = await client.get(Secrets, key, { signal });
    if (found === undefined) {
      throw new Error(
        `Secret ${key.namespace}/${key.name} is not there; the installation of this version makes it: apply its chart or install.yaml again`,
      );
    }
    const encoded = found.data?.[ENTRY];
    this.#version = found.metadata?.resourceVersion;
    return encoded === undefined || encoded === '' ? undefined : Buffer.from(encoded, 'base64').toString('utf8');
  }

  #version: string | undefined;

  /** Undefined where another one was quicker. */
  async #fill(signal: AbortSignal): Promise<string | undefined> {
    const { client, key, random } = this.#options;
    const value = random();
    const body = { metadata: { resourceVersion: this.#version }, stringData: { [ENTRY]: value } };
    try {
      await client.patch(Secrets, key, { type: 'merge', body }, { signal });
      return value;
    } catch (error) {
      if (isConflict(error)) return undefined;
      throw error;
    }
  }
}
