import { createHmac } from 'node:crypto';
import type { PodTemplateSpec } from '../kube/wire.ts';
import type { Secret } from '../kube/resources.ts';
import { digest } from './digest.ts';
import { childNames } from './labels.ts';
import { KubeSecret, type K8s, manifest } from './manifest.ts';
import { type Owner, metadata } from './metadata.ts';

/** In the Secret of a resource's own keys. */
export const ENGINE_KEY = 'engine-key';
export const CONTROL_KEY = 'control-key';
/** In the generated Secret of clients' keys. */
export const API_KEY = 'api-key';

/** Where vLLM reads the key that it asks for. */
export const ENGINE_KEY_VARIABLE = 'VLLM_API_KEY';

/** What gateways show to engines, and the operator to gateways. */
export interface InternalKeys {
  /** Of the Secret that holds them; another secret of the operator or another resource gives another name. */
  readonly secretName: string;
  readonly engineKey: string;
  readonly controlKey: string;
}

/**
 * The keys of one resource. Derived, so that the operator knows them without a right to read Secrets, and each resource has its own.
 *
 * @param secret The operator's own.
 */
export function internalKeys({ name, uid }: Pick<Owner, 'name' | 'uid'>, secret: string): InternalKeys {
  const derived = (purpose: string): string =>
    createHmac('sha256', secret).update(`${purpose} of ${uid}`).digest('base64url');
  return {
    secretName: childNames.keys(name, digest(derived('name'))),
    engineKey: derived(ENGINE_KEY),
    controlKey: derived(CONTROL_KEY),
  };
}

export const internalKeysSecret = (owner: Owner, { secretName, engineKey, controlKey }: InternalKeys): Secret =>
  secret(owner, secretName, { [ENGINE_KEY]: engineKey, [CONTROL_KEY]: controlKey });

/** The first key of the endpoint, for whoever may read the Secret; rotated by editing it. */
export const apiKeySecret = (owner: Owner, key: string): Secret =>
  secret(owner, childNames.apiKey(owner.name), { [API_KEY]: key });

const secret = (owner: Owner, name: string, stringData: Record<string, string>): Secret =>
  manifest<K8s.KubeSecretProps, Secret>(KubeSecret, { metadata: metadata(owner, name, 'gateway'), stringData });

/** The Secret that an engine's key comes from; undefined in templates of operators that had no gateway. */
export function engineKeysOf(template: PodTemplateSpec): string | undefined {
  const env = template.spec?.containers[0]?.env;
  return env?.find(({ name }) => name === ENGINE_KEY_VARIABLE)?.valueFrom?.secretKeyRef?.name;
}
