/** The provisioner that the simulator plays. */
export const localProvisioner = 'simulator.qwencoder.dev/local';

/** The cluster's default StorageClass: like a local disk, a volume is made where its first pod is put. */
export const localStorageClass = {
  apiVersion: 'storage.k8s.io/v1',
  kind: 'StorageClass',
  metadata: {
    name: 'local',
    annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' },
  },
  provisioner: localProvisioner,
  volumeBindingMode: 'WaitForFirstConsumer',
  reclaimPolicy: 'Delete',
  allowVolumeExpansion: true,
} as const;
