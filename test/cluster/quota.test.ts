import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { QwenCoderSpecInput } from '../../src/api/index.ts';
import { ResourceQuotas } from '../../src/kube/index.ts';
import { COMPONENT } from '../../src/render/index.ts';
import { scaledClock } from '../support/scaled-clock.ts';
import { World } from './world.ts';

const image: QwenCoderSpecInput = {
  model: { quantization: 'FP8', source: { type: 'Image', reference: 'models/coder-fp8:1' } },
};

let world: World;

beforeAll(async () => {
  world = await World.start({ nodes: '8xH100-80GB', simulator: { clock: scaledClock(20), loadSeconds: 5 } });
});
afterEach(() => world.clear());
afterAll(() => world?.stop());

const allow = (namespace: string, gpus: number) =>
  world.client.apply(
    ResourceQuotas,
    { metadata: { namespace, name: 'gpus' }, spec: { hard: { 'requests.nvidia.com/gpu': String(gpus) } } },
    { fieldManager: 'user' },
  );

test('a quota that no replica fits under is told before anything is fetched, and raised, the resource goes on by itself', async () => {
  const namespace = await world.namespace();
  await allow(namespace, 1);
  await world.apply(namespace, 'coder', {});
  const planned = { status: 'False', reason: 'QuotaTooSmall' } as const;
  const { message } = await world.condition(namespace, 'coder', 'Planned', planned);
  expect(message).toContain(
    'ResourceQuota gpus allows the namespace 1 of nvidia.com/gpu, and a replica needs 2 or more',
  );
  await world.condition(namespace, 'coder', 'Stalled', { status: 'True', reason: 'QuotaTooSmall' });
  expect((await world.resource(namespace, 'coder'))!.status!.plan!.rejected).toContainEqual({
    candidate: 'FP8 on 2x H100-80GB',
    reason: 'needs 2 GPUs; ResourceQuota gpus allows the namespace 1',
  });
  const made = (await world.children(namespace, 'coder')).filter(({ metadata }) =>
    ['engine', 'weights'].includes(metadata!.labels![COMPONENT]!),
  );
  const kinds = made.map(({ kind }) => kind);
  for (const kind of ['PersistentVolumeClaim', 'Job', 'Deployment', 'Pod']) expect(kinds).not.toContain(kind);

  await allow(namespace, 2);
  expect(await world.ready(namespace, 'coder', 60_000)).toMatchObject({ reason: 'Serving' });
});

test('a quota of another namespace changes nothing', async () => {
  const [theirs, ours] = [await world.namespace(), await world.namespace()];
  await allow(theirs, 0);
  await Promise.all([world.apply(theirs, 'coder', image), world.apply(ours, 'coder', image)]);
  await world.condition(theirs, 'coder', 'Planned', { status: 'False', reason: 'QuotaTooSmall' });
  expect(await world.ready(ours, 'coder', 60_000)).toMatchObject({ reason: 'Serving' });
});
