import { afterAll, beforeAll, expect, test } from 'vitest';
import { CustomResourceDefinitions, type KubeClient, type KubeObject } from '../../src/kube/index.ts';
import { Resources } from '../../src/reconcile/apply.ts';
import { type Clock, systemClock } from '../../src/runtime/index.ts';
import { Recorder } from '../history/recorder.ts';
import { Cluster } from './cluster.ts';
import { until } from './control-plane.ts';
import { unlimitedClient } from './unlimited-client.ts';

const namespace = 'default';

let cluster: Cluster;
let client: KubeClient;

beforeAll(async () => {
  cluster = await Cluster.start();
  client = unlimitedClient(cluster.kubeconfigPath, 'test');
  await cluster.kubectl(['apply', '--server-side', '-f', 'crds']);
  await until('the kind to be served', 30_000, undefined, () =>
    client.supports('qwencoder.dev/v1alpha1', Resources.plural),
  );
});
afterAll(async () => {
  await client.close();
  await cluster.stop();
});

/** A clock on which nobody wakes until it is released. */
function heldClock() {
  const { promise, resolve: release } = Promise.withResolvers<void>();
  let sleeps = 0;
  const clock: Clock = {
    ...systemClock,
    async sleep(ms, signal) {
      sleeps += 1;
      await promise;
      await systemClock.sleep(ms, signal);
    },
  };
  return { clock, release, howOftenSlept: () => sleeps };
}

const create = (name: string) => client.create(Resources, { metadata: { namespace, name }, spec: {} } as KubeObject);

/** Which takes from the API server the past that it streams. */
const changeDefinition = () =>
  client.patch(
    CustomResourceDefinitions,
    { name: `${Resources.plural}.${Resources.group}` },
    {
      type: 'json',
      body: [
        {
          op: 'add',
          path: '/spec/versions/0/additionalPrinterColumns/-',
          value: { name: 'UID', type: 'string', jsonPath: '.metadata.uid' },
        },
      ],
    },
  );

/** Of resources: what happened, to which, and its label then. */
const seen = ({ versions }: Recorder) =>
  versions
    .filter(({ object }) => object.kind === Resources.kind)
    .map(({ type, object: { metadata } }) => [type, metadata.name, metadata.labels?.['step']]);

test('the recorder has each version of a kind whose past the API server forgot as its definition was changed', async () => {
  const { clock, release, howOftenSlept } = heldClock();
  const held = unlimitedClient(cluster.kubeconfigPath, 'recorder', clock);
  const recorder = await Recorder.start(held);
  await create('kept');
  await create('gone');
  await until('both to be recorded', 10_000, undefined, async () => seen(recorder).length === 2);
  const before = howOftenSlept();
  await changeDefinition();
  await until('the stream to end', 30_000, undefined, async () => howOftenSlept() > before);
  for (const step of ['1', '2']) {
    await client.patch(
      Resources,
      { namespace, name: 'kept' },
      { type: 'merge', body: { metadata: { labels: { step } } } },
    );
  }
  await client.delete(Resources, { namespace, name: 'gone' });
  await create('brief');
  await client.delete(Resources, { namespace, name: 'brief' });
  release();
  await recorder.catchUp();
  expect(seen(recorder)).toEqual([
    ['ADDED', 'kept', undefined],
    ['ADDED', 'gone', undefined],
    ['MODIFIED', 'kept', '1'],
    ['MODIFIED', 'kept', '2'],
    ['DELETED', 'gone', undefined],
    ['ADDED', 'brief', undefined],
    ['DELETED', 'brief', undefined],
  ]);
  await recorder.stop();
  await held.close();
});
