import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { localProvisioner } from '../cluster/storage.ts';
import type { KubeClient } from '../../src/kube/client.ts';
import {
  type PersistentVolume,
  PersistentVolumeClaims,
  PersistentVolumes,
  type StorageClass,
  StorageClasses,
} from '../../src/kube/resources.ts';
import type { PersistentVolumeClaim } from '../../src/kube/wire.ts';
import { Watched } from './watched.ts';

const SELECTED_NODE = 'volume.kubernetes.io/selected-node';
const PROVISIONED_BY = 'pv.kubernetes.io/provisioned-by';

/** Puts what a test wants onto a new volume. */
export type SeedVolume = (claim: PersistentVolumeClaim, folder: string) => void;

/**
 * Makes a volume, a folder on this machine, for every claim of a StorageClass with our provisioner; Kubernetes' own controllers bind it.
 *
 * ReadWriteOnce volumes stay on the node that the scheduler selected; ReadWriteMany ones can be used everywhere. A released volume
 * whose policy is Delete goes with its folder.
 */
export class Provisioner {
  readonly #client: KubeClient;
  readonly #directory: string;
  readonly #stop = new AbortController();
  readonly #busy = new Set<string>();
  readonly #seed: SeedVolume;
  #classes!: Watched<StorageClass>;

  private constructor(client: KubeClient, directory: string, seed: SeedVolume) {
    this.#client = client;
    this.#seed = seed;
    this.#directory = join(directory, 'persistent-volumes');
  }

  static async start(client: KubeClient, directory: string, seed: SeedVolume): Promise<Provisioner> {
    const provisioner = new Provisioner(client, directory, seed);
    const { signal } = provisioner.#stop;
    provisioner.#classes = await Watched.start(client, StorageClasses, signal);
    await Watched.start(client, PersistentVolumes, signal, {
      onChange: (volume) => void provisioner.#reclaim(volume).catch(() => undefined),
    });
    await Watched.start(client, PersistentVolumeClaims, signal, {
      onChange: (claim) => void provisioner.#provision(claim),
    });
    return provisioner;
  }

  stop(): void {
    this.#stop.abort(new Error('simulator stops'));
  }

  async #provision(claim: PersistentVolumeClaim): Promise<void> {
    const { metadata, spec, status } = claim;
    if (status?.phase !== 'Pending' || spec?.volumeName || metadata?.deletionTimestamp !== undefined) return;
    const storageClass = this.#classes.get(undefined, spec?.storageClassName ?? '');
    if (storageClass?.provisioner !== localProvisioner) return;
    const node = metadata?.annotations?.[SELECTED_NODE];
    if (storageClass.volumeBindingMode === 'WaitForFirstConsumer' && node === undefined) return;
    const name = `pvc-${metadata?.uid}`;
    if (this.#busy.has(name)) return;
    this.#busy.add(name);
    const path = join(this.#directory, name);
    mkdirSync(path, { recursive: true });
    this.#seed(claim, path);
    const isShared = spec?.accessModes?.some((mode) => mode === 'ReadWriteMany' || mode === 'ReadOnlyMany') === true;
    const volume: PersistentVolume = {
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name, annotations: { [PROVISIONED_BY]: localProvisioner } },
      spec: {
        capacity: { storage: spec?.resources?.requests?.['storage'] ?? '1Gi' },
        accessModes: spec?.accessModes ?? ['ReadWriteOnce'],
        persistentVolumeReclaimPolicy: storageClass.reclaimPolicy ?? 'Delete',
        storageClassName: spec?.storageClassName ?? '',
        hostPath: { path },
        claimRef: {
          apiVersion: 'v1',
          kind: 'PersistentVolumeClaim',
          name: metadata?.name ?? '',
          namespace: metadata?.namespace ?? '',
          uid: metadata?.uid ?? '',
          resourceVersion: metadata?.resourceVersion ?? '',
        },
        ...(!isShared &&
          node !== undefined && {
            nodeAffinity: {
              required: {
                nodeSelectorTerms: [
                  { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [node] }] },
                ],
              },
            },
          }),
      },
    };
    try {
      await this.#client.create(PersistentVolumes, volume, { signal: this.#stop.signal });
    } catch (error) {
      // It exists from an earlier try, or the next change of the claim tries again.
      if ((error as { code?: unknown }).code !== 409) this.#busy.delete(name);
    }
  }

  async #reclaim(volume: PersistentVolume): Promise<void> {
    const { metadata, spec, status } = volume;
    if (status?.phase !== 'Released' || spec?.persistentVolumeReclaimPolicy !== 'Delete') return;
    if (metadata?.annotations?.[PROVISIONED_BY] !== localProvisioner || metadata.deletionTimestamp !== undefined)
      return;
    rmSync(spec.hostPath?.path ?? join(this.#directory, metadata.name ?? ''), { recursive: true, force: true });
    await this.#client.delete(PersistentVolumes, { name: metadata.name ?? '' }, { signal: this.#stop.signal });
  }
}
