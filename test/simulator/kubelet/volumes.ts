import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, normalize } from 'node:path';
import type { V1Volume } from '@kubernetes/client-node';
import type { PersistentVolume } from '../../../src/kube/resources.ts';
import type { PersistentVolumeClaim, Pod, Wire } from '../../../src/kube/wire.ts';
import type { Container, ReadValue } from './environment.ts';

type Volume = Wire<V1Volume>;

/** What volumes need to know of the cluster. */
export interface VolumeSource {
  readonly claim: (name: string) => PersistentVolumeClaim | undefined;
  readonly persistentVolume: (name: string) => PersistentVolume | undefined;
  readonly read: ReadValue;
  /** A folder with what an OCI image of this reference holds. */
  readonly image: (reference: string) => Promise<string>;
}

/** The folders on this machine that stand for a pod's volumes, or the name of one that is not there yet and why. */
export type Mounted =
  | { readonly ok: true; readonly folders: ReadonlyMap<string, string> }
  | { readonly ok: false; readonly missing: string };

export async function mountVolumes(pod: Pod, directory: string, source: VolumeSource): Promise<Mounted> {
  const folders = new Map<string, string>();
  for (const volume of pod.spec?.volumes ?? []) {
    const folder = await folderOf(volume, join(directory, 'volumes', volume.name), pod, source);
    if (typeof folder !== 'string') return { ok: false, missing: folder.missing };
    folders.set(volume.name, folder);
  }
  return { ok: true, folders };
}

async function folderOf(
  volume: Volume,
  own: string,
  pod: Pod,
  source: VolumeSource,
): Promise<string | { missing: string }> {
  if (volume.persistentVolumeClaim || volume.ephemeral) {
    const name = volume.persistentVolumeClaim?.claimName ?? `${pod.metadata?.name}-${volume.name}`;
    const claim = source.claim(name);
    const bound = claim?.status?.phase === 'Bound' ? source.persistentVolume(claim.spec?.volumeName ?? '') : undefined;
    const path = bound?.spec?.hostPath?.path ?? bound?.spec?.local?.path;
    return (
      path ?? {
        missing: claim ? `persistentvolumeclaim "${name}" is not bound` : `persistentvolumeclaim "${name}" not found`,
      }
    );
  }
  if (volume.image)
    return source.image(volume.image.reference ?? '').catch((error: unknown) => ({ missing: String(error) }));
  if (!existsSync(own)) mkdirSync(own, { recursive: true });
  const projected = [
    {
      secret: volume.secret && { name: volume.secret.secretName, optional: volume.secret.optional },
      configMap: volume.configMap,
    },
    ...(volume.projected?.sources ?? []),
  ];
  for (const { secret, configMap } of projected) {
    for (const [kind, reference] of [
      ['Secret', secret],
      ['ConfigMap', configMap],
    ] as const) {
      if (!reference) continue;
      const data = await source.read(kind, reference.name ?? '', undefined);
      if (!data && !reference.optional) return { missing: `${kind.toLowerCase()} "${reference.name}" not found` };
      for (const [key, value] of Object.entries(data ?? {})) writeFileSync(join(own, key), value);
    }
  }
  return own;
}

/** Finds paths of a container on this machine: the longest mount that holds the path wins. */
export function pathResolver(container: Container, folders: ReadonlyMap<string, string>) {
  const mounts = (container.volumeMounts ?? [])
    .map(({ name, mountPath, subPath, readOnly }) => {
      const folder = join(folders.get(name) ?? '', subPath ?? '');
      // The kubelet makes the folder of a subPath.
      if (subPath !== undefined) mkdirSync(folder, { recursive: true });
      return { at: normalize(mountPath).replace(/\/$/, ''), folder, readOnly: readOnly === true };
    })
    .sort((a, b) => b.at.length - a.at.length);
  return (path: string, write = false): string | undefined => {
    const wanted = normalize(path);
    const mount = mounts.find(({ at }) => wanted === at || wanted.startsWith(`${at}/`));
    if (!mount || (write && mount.readOnly)) return undefined;
    return join(mount.folder, wanted.slice(mount.at.length));
  };
}
