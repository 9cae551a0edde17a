import { GROUP, KIND, type QwenCoderDeployment, VERSION } from '../api/index.ts';
import { decide } from '../reconcile/decision.ts';
import type { Learned } from '../reconcile/target.ts';
import type { Installation, WeightsAccess } from '../render/index.ts';
import { calibrationKey, engineVariant } from '../serving/index.ts';
import { type Outlook, outlook } from './outlook.ts';
import { shownInstallation } from './presumed-installation.ts';
import { type Report, reportOf } from './report.ts';
import type { Snapshot } from './snapshot.ts';
import type { Wish } from './wish.ts';

/** What the operator would do about a resource. */
export interface Preview {
  readonly report: Report;
  readonly ahead: Outlook;
}

/** An owner reference needs one, and a resource that is not in the cluster has none yet. */
const NO_UID = '00000000-0000-0000-0000-000000000000';

export interface PreviewOptions {
  readonly cluster: Snapshot;
  readonly namespace: string;
  readonly installation: Installation;
  /** Of gateways, where somebody said which. */
  readonly image?: string | undefined;
  readonly access?: WeightsAccess | undefined;
  /** Whether the resource is compared with what the cluster has of it. */
  readonly isLive: boolean;
}

/** Decides about a resource as the operator would, and carries that out in thought. */
export function preview(
  wish: Wish,
  { cluster, namespace, installation, image, access, isLive }: PreviewOptions,
): Preview {
  // No key belongs to what is compared with nothing: no pod is its own.
  const key = isLive ? `${namespace}/${wish.name}` : '';
  const live = cluster.resource(key);
  const resource = resourceOf(wish, namespace, live);
  const variant = engineVariant(resource.spec);
  const learned: Learned = {
    attempts: live?.status?.tuning ?? [],
    calibration: (footprint) => cluster.calibration(calibrationKey(footprint, variant)),
    isIdle: false,
  };
  const decision = decide(cluster, key, resource, resource.spec, {
    installation: shownInstallation(installation, cluster.children(key), image),
    access,
    learned,
  });
  const ahead = outlook(decision);
  const report = reportOf(decision, {
    namespace: wish.namespace ?? (isLive ? namespace : undefined),
    outlook: ahead,
    snapshot: isLive ? cluster : undefined,
  });
  return { report, ahead };
}

/** The wish as the API server would store it. */
function resourceOf({ name, uid, spec }: Wish, namespace: string, live: QwenCoderDeployment | undefined) {
  // An autoscaler writes this field; a file that leaves it out leaves it alone.
  const replicas = spec.scaling.mode === 'External' ? (spec.replicas ?? live?.spec.replicas) : spec.replicas;
  return {
    apiVersion: `${GROUP}/${VERSION}`,
    kind: KIND,
    metadata: {
      name,
      namespace,
      uid: live?.metadata.uid ?? uid ?? NO_UID,
      generation: (live?.metadata.generation ?? 0) + 1,
      resourceVersion: '',
      creationTimestamp: '',
    },
    spec: { ...spec, ...(replicas !== undefined && { replicas }) },
  } satisfies QwenCoderDeployment;
}
