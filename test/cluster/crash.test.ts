import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { QwenCoderSpecInput } from '../../src/api/index.ts';
import { Deployments } from '../../src/kube/index.ts';
import { systemClock } from '../../src/runtime/index.ts';
import { scaledClock } from '../support/scaled-clock.ts';
import { shape } from './shape.ts';
import { World, eventually } from './world.ts';

const image: QwenCoderSpecInput = {
  model: { quantization: 'FP8', source: { type: 'Image', reference: 'models/coder-fp8:1' } },
};
const external: QwenCoderSpecInput = { ...image, scaling: { mode: 'External' } };

let world: World;

beforeAll(async () => {
  world = await World.start({ nodes: '8xH100-80GB*4', simulator: { clock: scaledClock(50), loadSeconds: 5 } });
});

afterEach(() => world.clear());

afterAll(async () => {
  await world?.stop();
});

describe('a crashed operator', () => {
  test('that restarts with nothing changed writes nothing', async () => {
    const namespace = await world.namespace();
    await Promise.all([
      world.apply(namespace, 'fetched', {}),
      world.apply(namespace, 'mounted', image),
      world.apply(namespace, 'impossible', { ...image, placement: { products: ['GB9000'] } }),
    ]);
    await world.settled(namespace, 'fetched');
    await world.settled(namespace, 'mounted');
    await world.condition(namespace, 'impossible', 'Stalled', { status: 'True' });
    const versions = () =>
      Promise.all(['fetched', 'mounted', 'impossible'].map((name) => world.versions(namespace, name)));
    const before = await versions();
    await world.restartOperator();
    // A resource made after the restart is reconciled after those that were there.
    await world.apply(namespace, 'later', image);
    await world.ready(namespace, 'later');
    expect(await versions()).toEqual(before);
  });

  /** Moments after an edit, in milliseconds: within the first writes, between them, after the last. */
  const moments = [0, 5, 10, 15, 20, 30, 40, 60, 80, 120, 200, 400];
  const steps: readonly QwenCoderSpecInput[] = [
    external,
    { ...external, replicas: 2 },
    { ...external, replicas: 2, parallelism: { tensorParallelSize: 4 } },
    { ...external, replicas: 2, suspend: true },
    { ...external, replicas: 2 },
  ];

  test(
    'that is killed at any moment of any edit ends in the objects of an undisturbed one, with no extra delete',
    { timeout: 300_000 },
    async () => {
      const final = steps.at(-1)!;
      const calm = await world.namespace();
      await world.apply(calm, 'coder', final);
      await world.settled(calm, 'coder');
      const expected = await shape(world, calm, 'coder');

      for (const [index, moment] of moments.entries()) {
        const namespace = await world.namespace();
        const first = steps[index % (steps.length - 1)]!;
        const deletions = await deletedDeployments(namespace);
        if (index % 2 === 1) {
          await world.apply(namespace, 'coder', first);
          await world.settled(namespace, 'coder');
        }
        await world.apply(namespace, 'coder', steps[(index % (steps.length - 1)) + 1]!);
        await systemClock.sleep(moment);
        await world.restartOperator();
        await world.apply(namespace, 'coder', final);
        await world.settled(namespace, 'coder');
        await eventually(async () => expect(await shape(world, namespace, 'coder')).toEqual(expected));
        expect(await deletions(), `killed after ${moment} ms`).toEqual([]);
        await world.clear();
      }
    },
  );
});

describe('two operators', () => {
  test('the standby takes over from one that was killed, and from one that stops', { timeout: 120_000 }, async () => {
    const namespace = await world.namespace();
    await world.apply(namespace, 'coder', external);
    await world.settled(namespace, 'coder');

    const standby = world.startOperator();
    await standby.logged((line) => line['phase'] === 'standby');
    await world.operator.stop('SIGKILL');
    await standby.leads();
    await world.apply(namespace, 'coder', { ...external, replicas: 2 });
    await eventually(async () =>
      expect((await world.resource(namespace, 'coder'))!.status).toMatchObject({ readyReplicas: 2 }),
    );

    world.operator = world.startOperator();
    await world.operator.logged((line) => line['phase'] === 'standby');
    expect(await standby.stop('SIGTERM')).toBe(0);
    await world.operator.leads();
    await world.apply(namespace, 'coder', external);
    await eventually(async () =>
      expect((await world.resource(namespace, 'coder'))!.status).toMatchObject({ replicas: 1 }),
    );
  });
});

/** Names of the Deployments deleted in the namespace from now on. */
async function deletedDeployments(namespace: string): Promise<() => Promise<string[]>> {
  const { resourceVersion } = await world.client.listPage(Deployments, { namespace });
  const stop = new AbortController();
  const names: string[] = [];
  const stream = await world.client.watch(Deployments, { namespace, resourceVersion, signal: stop.signal });
  const reading = (async () => {
    for await (const event of stream) if (event.type === 'DELETED') names.push(event.object.metadata!.name!);
  })().catch((error: unknown) => {
    if (!stop.signal.aborted) throw error;
  });
  return async () => {
    stop.abort();
    await reading;
    return names;
  };
}
