import type { InternalKeys } from './keys.ts';
import type { Owner } from './metadata.ts';

/** The operator's own place in the cluster, as far as children depend on it. */
export interface Installation {
  /** Its namespace: from there its pods reach gateways and engines. */
  readonly namespace: string;
  /** Its own image, which gateways run too. */
  readonly image: string;
  /** Of one resource. */
  readonly keysOf: (owner: Pick<Owner, 'name' | 'uid'>) => InternalKeys;
}
