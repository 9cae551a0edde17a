import type { Program } from './deployment.ts';
import type { Identity } from './identity.ts';
import * as parts from './parts.ts';

export interface Installation extends Identity, Omit<Program, 'flags'> {
  /** Namespaces to serve; all when empty. */
  readonly namespaces?: readonly string[];
}

/** Everything that the operator needs, in the order in which it can be applied. */
export function installation({ name, namespace, version, image, namespaces = [] }: Installation): object[] {
  const flags = namespaces.length === 0 ? [] : [`--namespaces=${namespaces.join(',')}`];
  return rendered({ name, namespace }, [
    parts.namespace,
    parts.crd,
    parts.serviceAccount,
    ...(namespaces.length === 0
      ? [parts.clusterWideRights]
      : [parts.accountingRights, ...namespaces.map(parts.servingRights)]),
    parts.leaseRights,
    parts.lease,
    parts.calibrationRights,
    parts.calibrations,
    parts.secretRights,
    parts.secret,
    parts.deployment({ version, image, flags }),
    parts.disruptionBudget,
    parts.metricsService,
  ]);
}

/** Namespace, identity and rights, without anything that runs. */
export const rbac = (namespace: string, name: string): object[] =>
  rendered({ name, namespace }, [
    parts.namespace,
    parts.serviceAccount,
    parts.clusterWideRights,
    parts.leaseRights,
    parts.calibrationRights,
    parts.calibrations,
    parts.secretRights,
    parts.secret,
  ]);

const rendered = (who: Identity, all: readonly parts.Part[]): object[] =>
  all.flatMap((part) => parts.objectsOf(part, who));
