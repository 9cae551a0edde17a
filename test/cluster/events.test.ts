import { KubeConfig } from '@kubernetes/client-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  ConfigMaps,
  EventRecorder,
  Events,
  eventStore,
  KubeClient,
  type ObjectReference,
} from '../../src/kube/index.ts';
import { systemClock } from '../../src/runtime/index.ts';
import { Cluster } from './cluster.ts';

let cluster: Cluster;
let client: KubeClient;

beforeAll(async () => {
  cluster = await Cluster.start();
  const config = new KubeConfig();
  config.loadFromFile(cluster.kubeconfigPath);
  client = KubeClient.connect(config, { clock: systemClock, userAgent: 'test' });
});
afterAll(async () => {
  await client.close();
  await cluster.stop();
});

describe('EventRecorder', () => {
  test('the API server takes an Event with the longest note, and its count', async () => {
    const subject = await client.create(ConfigMaps, { metadata: { namespace: 'default', name: 'a'.repeat(253) } });
    const { namespace, name, uid } = subject.metadata!;
    const regarding = { apiVersion: 'v1', kind: 'ConfigMap', namespace, name, uid } as ObjectReference;
    const failures: unknown[] = [];
    const recorder = new EventRecorder({
      store: eventStore(client),
      clock: systemClock,
      controller: 'example.dev/operator',
      instance: `${'pod'.repeat(30)}_0a1b2c3d-0000-4000-8000-000000000000`,
      onFailure: (error) => failures.push(error),
    });
    const note = 'ä'.repeat(2_000);
    for (let i = 0; i < 3; i++) {
      recorder.record(regarding, { type: 'Warning', reason: 'NoGpuNode', action: 'Plan', note });
    }
    recorder.record({ kind: 'Node', name: 'gpu-0' }, { type: 'Normal', reason: 'Seen', action: 'Look', note: 'one' });
    await recorder.stop();
    expect(failures).toEqual([]);
    const { items } = await client.list(Events, { namespace: 'default' });
    const ours = items.filter(({ reportingController }) => reportingController === 'example.dev/operator');
    expect(Object.fromEntries(ours.map(({ reason, series }) => [reason, series?.count]))).toEqual({
      NoGpuNode: 3,
      Seen: undefined,
    });
  });
});
