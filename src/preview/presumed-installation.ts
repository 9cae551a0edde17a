import { Options } from '../options.ts';
import type { KubeObject } from '../kube/wire.ts';
import { type Installation, internalKeys, liveGateway } from '../render/index.ts';

/**
 * The operator's installation, for somebody who is not the operator: as said, else by the defaults of this version. The secret that names
 * and keys follow from is nobody's business, so the names of Secrets are made up.
 */
export function presumedInstallation(given: {
  readonly image?: string | undefined;
  readonly namespace?: string;
}): Installation {
  const defaults = Options.parse({});
  return {
    image: given.image ?? defaults.image,
    namespace: given.namespace ?? defaults['lease-namespace'],
    keysOf: (owner) => internalKeys(owner, ''),
  };
}

/**
 * The same, as far as the gateways of a resource show it: the name of their Secret, and their image.
 *
 * @param image Of the gateways, where somebody said which.
 */
export function shownInstallation(
  presumed: Installation,
  children: readonly KubeObject[],
  image: string | undefined,
): Installation {
  const live = liveGateway(children);
  if (live === undefined) return presumed;
  return {
    ...presumed,
    image: image ?? live.image,
    keysOf: (owner) => ({ ...presumed.keysOf(owner), secretName: live.keysName }),
  };
}
