import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { QwenCoderSpecInput, QwenCoderStatus } from '../../src/api/index.ts';
import { ConfigMaps, Pods, Secrets } from '../../src/kube/index.ts';
import { COMPONENT, RESOURCE, calibrationsName } from '../../src/render/index.ts';
import { scaledClock } from '../support/scaled-clock.ts';
import { OPERATOR_NAME, OPERATOR_NAMESPACE } from './operator-process.ts';
import { World, eventually } from './world.ts';

/** What engines take besides weights and KV cache, and nobody is told. */
const HIDDEN_GIB: Readonly<Record<string, number>> = { 'RTX-PRO-6000': 8, L40S: 1 };

const hidden = (product: string): number =>
  Object.entries(HIDDEN_GIB).find(([part]) => product.includes(part))?.[1] ?? 2.6;

const onRtx = (more: QwenCoderSpecInput['context'] = {}, version?: string): QwenCoderSpecInput => ({
  model: { quantization: 'FP8', source: { type: 'Image', reference: 'models/coder-fp8:1' } },
  placement: { products: ['RTXPRO6000-96GB'] },
  context: { minConcurrency: 1, ...more },
  ...(version !== undefined && { engine: { version } }),
});

const onL40s: QwenCoderSpecInput = {
  model: { quantization: 'FP8', source: { type: 'Image', reference: 'models/coder-fp8:1' } },
  placement: { products: ['L40S-48GB'] },
  context: { minConcurrency: 16 },
};

let world: World;

beforeAll(async () => {
  world = await World.start({
    nodes: '1xRTXPRO6000-96GB*2,4xL40S-48GB*2',
    simulator: { clock: scaledClock(20), loadSeconds: 20, hiddenOverheadGiB: hidden },
  });
});

afterAll(async () => {
  await world?.stop();
});

afterEach(() => world.clear());

const statusOf = async (namespace: string, name = 'coder'): Promise<QwenCoderStatus> =>
  (await world.resource(namespace, name))!.status!;

/** Lengths and outcomes, oldest first. */
const attempts = async (namespace: string, name?: string) =>
  (await statusOf(namespace, name)).tuning?.map(({ maxModelLen, outcome }) => `${maxModelLen} ${outcome}`);

const engineOf = (namespace: string) => world.simulator.engines().find((engine) => engine.namespace === namespace)!;

/** Every engine pod that a resource ever had. */
async function podsEver(namespace: string, seen: Set<string>): Promise<number> {
  const { items } = await world.client.list(Pods, {
    namespace,
    labelSelector: `${RESOURCE}=coder,${COMPONENT}=engine`,
  });
  for (const { metadata } of items) seen.add(metadata!.uid!);
  return seen.size;
}

const tuned = (namespace: string) => world.condition(namespace, 'coder', 'Tuned', { status: 'True' }, 60_000);

describe('an engine with less memory than the guess', () => {
  test('steps back once, straight to what fits, and says why; the next resource of the kind begins there', async () => {
    const namespace = await world.namespace();
    await world.apply(namespace, 'coder', onRtx());
    const condition = await tuned(namespace);
    await world.ready(namespace, 'coder');
    const { plan, tuning } = await statusOf(namespace);
    expect(await attempts(namespace)).toEqual(['262144 DoesNotFit', `${plan!.maxModelLen} Fits`]);
    expect(tuning![0]!.message).toMatch(/To serve at least one request with the model's max seq len \(262144\)/);
    expect(engineOf(namespace).maxModelLen).toBe(plan!.maxModelLen);
    expect(plan!.maxModelLen).toBeGreaterThan(200_000);
    expect(condition.message).toMatch(
      /^\d+ tokens: 1 request of that length at once in \d\.\d GiB of KV cache a GPU\.$/,
    );

    const other = await world.namespace();
    await world.apply(other, 'coder', onRtx());
    await tuned(other);
    expect(await attempts(other)).toEqual([`${plan!.maxModelLen} Fits`]);
  });

  test('a version that starts although no request fits is stepped back too', async () => {
    const namespace = await world.namespace();
    await world.apply(namespace, 'coder', onRtx({}, '0.18.1'));
    await tuned(namespace);
    await world.ready(namespace, 'coder');
    const lengths = (await statusOf(namespace)).tuning!;
    expect(lengths.map(({ outcome }) => outcome)).toEqual(['DoesNotFit', 'Fits']);
    expect(lengths[0]!.message).toMatch(/^It started, and its \d+ KV blocks hold no request of that length\.$/);
    expect(lengths[1]!.maxModelLen).toBeGreaterThan(100_000);
    await world.settled(namespace, 'coder');
    expect(engineOf(namespace).maxModelLen).toBe(lengths[1]!.maxModelLen);
  });

  test('a step that an operator began is ended by the next one', async () => {
    const namespace = await world.namespace();
    const seen = new Set<string>();
    await world.apply(namespace, 'coder', onRtx({}, '0.29.0'));
    await eventually(async () => {
      await podsEver(namespace, seen);
      expect((await attempts(namespace))![0]).toBe('262144 DoesNotFit');
    });
    await world.restartOperator();
    await tuned(namespace);
    await world.ready(namespace, 'coder');
    await podsEver(namespace, seen);
    expect((await statusOf(namespace)).tuning!.map(({ outcome }) => outcome)).toEqual(['DoesNotFit', 'Fits']);
    expect(seen.size).toBe(2);
  });

  test('a pinned length is obeyed where it works, and what would fit is said', async () => {
    const namespace = await world.namespace();
    await world.apply(namespace, 'coder', onRtx({ maxModelLen: 65_536 }));
    const condition = await world.condition(
      namespace,
      'coder',
      'Tuned',
      { status: 'True', reason: 'LengthPinned' },
      60_000,
    );
    expect(condition.message).toMatch(/^spec\.context\.maxModelLen is 65536; 2\d{5} would fit/);
    expect(engineOf(namespace).maxModelLen).toBe(65_536);
  });
});

describe('an engine with more memory than the guess', () => {
  test('serves on, and takes the longer context when its pod goes anyway', async () => {
    const namespace = await world.namespace();
    await world.apply(namespace, 'coder', onL40s);
    await world.ready(namespace, 'coder');
    const waiting = await world.condition(namespace, 'coder', 'Tuned', {
      status: 'False',
      reason: 'LongerContextFits',
    });
    const [longer, present] = waiting.message.match(/\d{4,}/g)!.map(Number);
    expect(longer).toBeGreaterThanOrEqual(present! * 1.1);
    expect(engineOf(namespace).maxModelLen).toBe(present);
    await world.settled(namespace, 'coder');

    await world.client.delete(Pods, { namespace, name: engineOf(namespace).pod }, { gracePeriodSeconds: 0 });
    await tuned(namespace);
    await world.ready(namespace, 'coder');
    expect(engineOf(namespace).maxModelLen).toBe(longer);
    expect(await attempts(namespace)).toEqual([`${present} Fits`, `${longer} Fits`]);
    await world.settled(namespace, 'coder');
    const before = await world.versions(namespace, 'coder');
    await world.restartOperator('SIGTERM');
    await world.settled(namespace, 'coder');
    expect(await world.versions(namespace, 'coder')).toEqual(before);
  });
});

describe('the calibrations', () => {
  const key = { namespace: OPERATOR_NAMESPACE, name: calibrationsName(OPERATOR_NAME) };

  test('are kept in one ConfigMap, by kind of engine', async () => {
    const { data } = (await world.client.get(ConfigMaps, key))!;
    expect(Object.keys(data!).toSorted()).toEqual([
      'NVIDIA-L40S_vllm-0.33.0_tp4_FP8_kv-BF16',
      'NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition_vllm-0.18.1_tp1_FP8_kv-BF16',
      'NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition_vllm-0.29.0_tp1_FP8_kv-BF16',
      'NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition_vllm-0.33.0_tp1_FP8_kv-BF16',
    ]);
  });

  test('are known to an operator that starts anew', async () => {
    const namespace = await world.namespace();
    await world.apply(namespace, 'coder', onL40s);
    await tuned(namespace);
    expect((await statusOf(namespace)).tuning!.map(({ outcome }) => outcome)).toEqual(['Fits']);
  });

  test('cost the hint and nothing else where the ConfigMap is broken or gone', async () => {
    await world.client.patch(ConfigMaps, key, {
      type: 'merge',
      body: { data: { 'NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition_vllm-0.33.0_tp1_FP8_kv-BF16': '{' } },
    });
    await world.restartOperator('SIGTERM');
    const namespace = await world.namespace();
    await world.apply(namespace, 'coder', onRtx());
    await tuned(namespace);
    await world.ready(namespace, 'coder');
    expect((await statusOf(namespace)).tuning!.map(({ outcome }) => outcome)).toEqual(['DoesNotFit', 'Fits']);

    // A living resource would share what its status holds.
    await world.remove(namespace, 'coder');
    await eventually(async () => expect(await world.children(namespace, 'coder')).toEqual([]));
    await world.client.delete(ConfigMaps, key);
    await world.restartOperator('SIGTERM');
    const other = await world.namespace();
    await world.apply(other, 'coder', onRtx());
    await tuned(other);
    expect((await statusOf(other)).tuning!.map(({ outcome }) => outcome)).toEqual(['DoesNotFit', 'Fits']);
  });
});

describe('an engine that would hold a longer context', () => {
  /** In place of half an hour. */
  const IDLE_SECONDS = 5;

  /** One request after the other for so long. */
  async function work(namespace: string, seconds: number): Promise<number> {
    const { items } = await world.client.list(Secrets, { namespace });
    const key = items.map(({ data }) => data?.['engine-key']).find((value) => value !== undefined)!;
    const until = performance.now() + seconds * 1000;
    let answered = 0;
    while (performance.now() < until) {
      const { ok } = await fetch(`http://${engineOf(namespace).podIP}:8000/v1/chat/completions`, {
        method: 'POST',
        headers: { authorization: `Bearer ${Buffer.from(key, 'base64').toString('utf8')}` },
        body: JSON.stringify({ messages: [{ role: 'user', content: 'work' }] }),
      });
      if (ok) answered += 1;
    }
    return answered;
  }

  test('is left alone while it works, and takes it by itself once it is idle', async () => {
    await world.restartOperator('SIGTERM', [`--tuning-idle-seconds=${IDLE_SECONDS}`]);
    const namespace = await world.namespace();
    await world.apply(namespace, 'coder', { ...onL40s, engine: { version: '0.29.0' } });
    await world.ready(namespace, 'coder');
    const busy = engineOf(namespace);
    expect(await work(namespace, 3 * IDLE_SECONDS)).toBeGreaterThan(3);
    const { message } = await world.condition(namespace, 'coder', 'Tuned', {
      status: 'False',
      reason: 'LongerContextFits',
    });
    expect(message).toContain(`or after ${IDLE_SECONDS} seconds without a request`);
    expect(engineOf(namespace)).toMatchObject({ pod: busy.pod, maxModelLen: busy.maxModelLen });

    await tuned(namespace);
    await world.ready(namespace, 'coder');
    const { plan } = await statusOf(namespace);
    expect(plan!.maxModelLen).toBeGreaterThanOrEqual(busy.maxModelLen * 1.1);
    expect(engineOf(namespace).maxModelLen).toBe(plan!.maxModelLen);
    expect(await attempts(namespace)).toEqual([`${busy.maxModelLen} Fits`, `${plan!.maxModelLen} Fits`]);
  });
});
