import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readlinkSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
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
  mkdirSync(own, { recursive: true });
  const files = await projectedFiles(volume, source.read);
  if (files.missing !== undefined) return { missing: files.missing };
  if (files.isProjected) writeAtomically(own, files.content);
  return own;
}

/** Brings the files of a pod's Secrets and ConfigMaps up to date, as the kubelet does now and then. */
export async function refreshVolumes(pod: Pod, directory: string, read: ReadValue): Promise<void> {
  for (const volume of pod.spec?.volumes ?? []) {
    const { content, isProjected, missing } = await projectedFiles(volume, read);
    if (isProjected && missing === undefined) writeAtomically(join(directory, 'volumes', volume.name), content);
  }
}

type Item = { readonly key: string; readonly path: string };

/** The files of Secrets and ConfigMaps in a volume. One that is gone and not optional is missing. */
async function projectedFiles(volume: Volume, read: ReadValue) {
  const sources = [
    {
      secret: volume.secret && {
        name: volume.secret.secretName,
        items: volume.secret.items,
        optional: volume.secret.optional,
      },
      configMap: volume.configMap,
    },
    ...(volume.projected?.sources ?? []),
  ];
  const content = new Map<string, string>();
  let isProjected = false;
  for (const { secret, configMap } of sources) {
    for (const [kind, reference] of [
      ['Secret', secret],
      ['ConfigMap', configMap],
    ] as const) {
      if (!reference) continue;
      isProjected = true;
      const data = await read(kind, reference.name ?? '', undefined);
      const what = `${kind.toLowerCase()} "${reference.name}"`;
      if (!data && !reference.optional) return { content, isProjected, missing: `${what} not found` };
      const items: readonly Item[] = reference.items ?? Object.keys(data ?? {}).map((key) => ({ key, path: key }));
      for (const { key, path } of items) {
        const value = data?.[key];
        if (value !== undefined) content.set(path, value);
        else if (!reference.optional)
          return { content, isProjected, missing: `references non-existent key ${key} of ${what}` };
      }
    }
  }
  return { content, isProjected, missing: undefined };
}

/** As the kubelet writes them: a folder that is exchanged as a whole, and links to what is in it. */
function writeAtomically(root: string, content: ReadonlyMap<string, string>): void {
  const data = join(root, '..data');
  const digest = createHash('sha256')
    .update(JSON.stringify([...content]))
    .digest('hex');
  const folder = `..${digest.slice(0, 16)}`;
  const before = existsSync(data) ? readlinkSync(data) : undefined;
  if (before === folder) return;
  mkdirSync(join(root, folder), { recursive: true });
  for (const [path, value] of content) writeFileSync(join(root, folder, path), value);
  symlinkSync(folder, join(root, '..data_tmp'));
  renameSync(join(root, '..data_tmp'), data);
  for (const path of content.keys())
    if (!existsSync(join(root, path))) symlinkSync(join('..data', path), join(root, path));
  if (before !== undefined) rmSync(join(root, before), { recursive: true });
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
