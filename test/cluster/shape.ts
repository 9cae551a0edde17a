import type { KubeObject } from '../../src/kube/index.ts';
import { APPLIED, REVISION, canonicalJson } from '../../src/render/index.ts';
import type { World } from './world.ts';

/** What the children say, without what tells one moment or one rendering from another; a child that waits for its end is none. */
export async function shape(world: World, namespace: string, name: string): Promise<object[]> {
  const objects = (await world.children(namespace, name)).filter(
    ({ kind, metadata }) =>
      kind !== 'Pod' && kind !== 'ControllerRevision' && metadata!.deletionTimestamp === undefined,
  );
  return objects
    .map((object) => {
      const { spec, kind, metadata, automountServiceAccountToken } = object as KubeObject & {
        spec?: Record<string, unknown>;
        automountServiceAccountToken?: boolean;
      };
      const {
        [APPLIED]: _,
        'deployment.kubernetes.io/revision': _revision,
        ...annotations
      } = metadata!.annotations ?? {};
      return {
        kind: metadata!.ownerReferences === undefined ? `${kind}, kept` : kind,
        name: metadata!.name,
        labels: metadata!.labels,
        annotations: kind === 'PersistentVolumeClaim' ? {} : annotations,
        automountServiceAccountToken,
        // A Job asks for GPUs only while its pod decides where the volume is.
        spec: strip(spec, kind === 'Job' ? [...MOMENTARY, 'limits'] : MOMENTARY),
      };
    })
    .sort((a, b) => canonicalJson([a.kind, a.name]).localeCompare(canonicalJson([b.kind, b.name])));
}

/** Fields that differ from object to object: addresses, volumes, identities. */
const MOMENTARY = [
  'clusterIP',
  'clusterIPs',
  'volumeName',
  'controller-uid',
  'batch.kubernetes.io/controller-uid',
  REVISION,
];

/** The Secret of keys is named by what follows from the resource's UID. */
const KEYS_NAME = /-keys-[a-z0-9]{10}\b/g;

const strip = (spec: unknown, fields: readonly string[]): unknown =>
  JSON.parse(
    JSON.stringify(spec ?? null, (key, value: unknown) =>
      fields.includes(key) && value !== 'None' ? undefined : value,
    ).replaceAll(KEYS_NAME, '-keys'),
  );
