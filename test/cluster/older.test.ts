import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { QwenCoderSpecInput } from '../../src/api/index.ts';
import { PodDisruptionBudgets, ServiceAccounts, Services } from '../../src/kube/index.ts';
import { childLabels } from '../../src/render/index.ts';
import { scaledClock } from '../support/scaled-clock.ts';
import { installHttpRoutes } from './gateway-api.ts';
import { World, eventually } from './world.ts';

const image: QwenCoderSpecInput = {
  model: { quantization: 'FP8', source: { type: 'Image', reference: 'models/coder-fp8:1' } },
};

let world: World;

// Streamed lists are the default from Kubernetes 1.34 on, and an administrator may turn them off.
beforeAll(async () => {
  world = await World.start({
    nodes: '8xH100-80GB',
    simulator: { clock: scaledClock(50), loadSeconds: 5 },
    apiServerArgs: ['--feature-gates=WatchList=false'],
    prepare: installHttpRoutes,
  });
});

afterAll(async () => {
  await world?.stop();
});

describe('an API server that does not stream lists', () => {
  test('is listed, and resources are served as on any other', async () => {
    const namespace = await world.namespace();
    await world.apply(namespace, 'coder', image);
    await world.ready(namespace, 'coder');
    await world.remove(namespace, 'coder');
    await eventually(async () => expect(await world.children(namespace, 'coder')).toEqual([]));
  });
});

describe('an older version of the operator', () => {
  test('may have made children that this one does not know: they keep no edit from being served', async () => {
    const namespace = await world.namespace();
    const { apiVersion, kind, metadata } = await world.apply(namespace, 'coder', image);
    await world.settled(namespace, 'coder');
    const old = {
      metadata: {
        namespace,
        name: 'coder-old',
        labels: childLabels('coder', 'endpoint'),
        ownerReferences: [{ apiVersion, kind, name: 'coder', uid: metadata.uid, controller: true }],
      },
    };
    const { client } = world;
    await Promise.all([
      client.create(Services, { ...old, spec: { ports: [{ port: 1 }] } }),
      client.create(ServiceAccounts, old),
      client.create(PodDisruptionBudgets, { ...old, spec: { selector: { matchLabels: { app: 'none' } } } }),
    ]);
    await world.apply(namespace, 'coder', { ...image, context: { maxModelLen: 65_536 } });
    expect(await world.ready(namespace, 'coder')).toMatchObject({ reason: 'Serving' });
  });
});
