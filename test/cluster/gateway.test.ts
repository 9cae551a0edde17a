import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Pod, Pods, Secrets } from '../../src/kube/index.ts';
import { COMPONENT, RESOURCE } from '../../src/render/index.ts';
import { scaledClock } from '../support/scaled-clock.ts';
import { installHttpRoutes } from './gateway-api.ts';
import { World, eventually } from './world.ts';

/** Weights that need no download: engines start at once. */
const image = {
  model: { quantization: 'FP8', source: { type: 'Image' as const, reference: 'models/coder-fp8:1' } },
};
const SPEED = 20;

let world: World;

beforeAll(async () => {
  world = await World.start({
    nodes: '8xH100-80GB*2',
    // Loading takes longer than a gateway's start.
    simulator: { clock: scaledClock(SPEED), loadSeconds: 60, enforcesNetworkPolicies: true },
  });
});
afterAll(async () => {
  await world?.stop();
});
afterEach(() => world.clear());

const podsOf = async (namespace: string, component: 'gateway' | 'engine'): Promise<Pod[]> => {
  const labelSelector = `${RESOURCE}=coder,${COMPONENT}=${component}`;
  return (await world.client.list(Pods, { namespace, labelSelector })).items;
};

/** Addresses of gateways that are ready. */
const gateways = async (namespace: string): Promise<string[]> =>
  (await podsOf(namespace, 'gateway'))
    .filter(({ status }) => status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True'))
    .map(({ status }) => status!.podIP!);

async function apiKey(namespace: string): Promise<string> {
  const secret = await world.client.get(Secrets, { namespace, name: 'coder-api-key' });
  return Buffer.from(secret!.data!['api-key']!, 'base64').toString('utf8');
}

interface Answer {
  readonly status: number;
  readonly text: Promise<string>;
}

/** One chat on a connection of its own. */
const chat = (host: string, key: string, body: object = {}): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${key}` };
    request({ host, port: 8000, path: '/v1/chat/completions', method: 'POST', agent: false, headers }, (response) =>
      resolve({ status: response.statusCode!, text: text(response) }),
    )
      .once('error', reject)
      .end(JSON.stringify({ model: 'qwen3-coder-next', messages: [{ role: 'user', content: 'hello' }], ...body }));
  });

/** Tokens that keep a stream going for so many real seconds at least. */
const lasting = (seconds: number) => ({ stream: true, ignore_eos: true, max_tokens: seconds * SPEED * 100 });

async function serving(namespace: string, spec: object = image): Promise<{ host: string; key: string }> {
  await world.apply(namespace, 'coder', spec);
  await world.ready(namespace, 'coder');
  const [host] = await gateways(namespace);
  return { host: host!, key: await apiKey(namespace) };
}

const served = (namespace: string): number[] =>
  world.simulator
    .engines()
    .filter((engine) => engine.namespace === namespace && engine.isServing)
    .map((engine) => engine.served);

describe('the endpoint', () => {
  test('answers whoever shows the generated key, and nobody else', async () => {
    const namespace = await world.namespace();
    const { host, key } = await serving(namespace);
    const answer = await chat(host, key);
    expect([answer.status, JSON.parse(await answer.text)]).toMatchObject([200, { object: 'chat.completion' }]);
    expect((await chat(host, 'qwen-guessed-0123456789')).status).toBe(401);
    // Nor does an engine answer whoever goes around the gateway.
    const [engine] = await podsOf(namespace, 'engine');
    expect((await chat(engine!.status!.podIP!, key)).status).toBe(401);
  });

  test('takes over keys that somebody edits, without a restart', async () => {
    const namespace = await world.namespace();
    const { host, key } = await serving(namespace);
    const body = { stringData: { 'api-key': 'alice: alices-key-0123456789\n' } };
    await world.client.patch(Secrets, { namespace, name: 'coder-api-key' }, { type: 'merge', body });
    await eventually(async () => expect((await chat(host, 'alices-key-0123456789')).status).toBe(200));
    expect((await chat(host, key)).status).toBe(401);
    const restarts = (await podsOf(namespace, 'gateway')).map(
      ({ status }) => status!.containerStatuses![0]!.restartCount,
    );
    expect(restarts).toEqual([0, 0]);
  });

  test('of a suspended resource refuses at once, and serves again once it is resumed', async () => {
    const namespace = await world.namespace();
    const { host, key } = await serving(namespace);
    await world.apply(namespace, 'coder', { ...image, suspend: true });
    await eventually(async () => {
      const answer = await chat(host, key);
      expect([answer.status, await answer.text]).toEqual([503, expect.stringContaining('The endpoint is suspended')]);
    });
    await world.apply(namespace, 'coder', { ...image, suspend: false });
    await eventually(async () => expect((await chat(host, key)).status).toBe(200));
  });

  test('comes back where somebody deletes its inner keys, be it an engine or a gateway that starts next', async () => {
    const namespace = await world.namespace();
    await serving(namespace);
    for (const component of ['engine', 'gateway'] as const) {
      const keys = (await world.client.list(Secrets, { namespace })).items.map(({ metadata }) => metadata!.name!);
      const name = keys.find((one) => one.startsWith('coder-keys-'))!;
      await world.client.delete(Secrets, { namespace, name });
      const before = await podsOf(namespace, component);
      for (const { metadata } of before)
        await world.client.delete(Pods, { namespace, name: metadata!.name! }, { gracePeriodSeconds: 0 });
      const host = await eventually(async () => {
        expect(await world.client.get(Secrets, { namespace, name })).toBeDefined();
        const [found] = await gateways(namespace);
        expect(found).toBeDefined();
        return found!;
      }, 60_000);
      expect((await chat(host, await apiKey(namespace))).status).toBe(200);
    }
  });

  test('holds requests while the first engine starts', async () => {
    const namespace = await world.namespace();
    await world.apply(namespace, 'coder', image);
    await world.condition(namespace, 'coder', 'EndpointReady', { status: 'False', reason: 'NoReadyEngine' });
    const [host] = await gateways(namespace);
    const answer = await chat(host!, await apiKey(namespace), { stream: true });
    expect([answer.status, await answer.text]).toEqual([200, expect.stringMatching(/data: \[DONE\]\n\n$/)]);
  });
});

describe('replicas', () => {
  const two = { ...image, scaling: { mode: 'External' as const }, replicas: 2 };

  test('that come are used, and those that go finish what they have', async () => {
    const namespace = await world.namespace();
    const { host, key } = await serving(namespace, { ...two, replicas: 1 });
    await world.apply(namespace, 'coder', two);
    await eventually(async () => {
      await Promise.all(
        Array.from({ length: 4 }, (_, n) => chat(host, key, { user: `user-${n}`, messages: question(n) })),
      );
      expect(served(namespace).filter((count) => count > 0)).toHaveLength(2);
    });
    const streams = await Promise.all(
      Array.from({ length: 8 }, (_, n) => chat(host, key, { ...lasting(3), messages: question(n) })),
    );
    await world.apply(namespace, 'coder', { ...two, replicas: 1 });
    const ends = await Promise.all(streams.map((stream) => stream.text));
    expect(ends.filter((end) => !end.endsWith('data: [DONE]\n\n'))).toEqual([]);
    await eventually(async () => expect(served(namespace)).toHaveLength(1));
    expect((await chat(host, key)).status).toBe(200);
  });

  test('are still served while the operator is away, also by a gateway that begins then', async () => {
    const namespace = await world.namespace();
    const { key } = await serving(namespace);
    await world.operator.stop('SIGKILL');
    try {
      const [first] = await podsOf(namespace, 'gateway');
      await world.client.delete(Pods, { namespace, name: first!.metadata!.name! }, { gracePeriodSeconds: 0 });
      const hosts = await eventually(async () => {
        const found = await gateways(namespace);
        expect(found).toHaveLength(2);
        expect(found).not.toContain(first!.status!.podIP);
        return found;
      });
      for (const host of hosts) expect((await chat(host, key)).status).toBe(200);
    } finally {
      await world.restartOperator();
    }
  });
});

describe('the network', () => {
  test('is locked where a pod under the rules of engines cannot get out', async () => {
    const namespace = await world.namespace();
    await world.apply(namespace, 'coder', image);
    const { message } = await world.condition(namespace, 'coder', 'NetworkLocked', {
      status: 'True',
      reason: 'Locked',
    });
    expect(message).toMatch(/^The pod of Job coder-network-\w+, under the same rules as the engines, could not reach/);
    await world.apply(namespace, 'coder', { ...image, network: { isolation: 'Open' } });
    await world.condition(namespace, 'coder', 'NetworkLocked', { status: 'False', reason: 'Open' });
  });
});

describe('an HTTPRoute', () => {
  const routedAt = (host: string) => ({
    ...image,
    endpoint: { expose: { type: 'HTTPRoute' as const, host, parentRefs: [{ name: 'public' }] } },
  });

  test('is missed by name where nobody installed the Gateway API, and made once somebody has', async () => {
    const namespace = await world.namespace();
    await world.apply(namespace, 'coder', routedAt('a.local'));
    const missing = await world.condition(namespace, 'coder', 'Ready', { status: 'False', reason: 'KindNotInstalled' });
    expect(missing.message).toContain('does not know HTTPRoute of gateway.networking.k8s.io/v1');
    await world.condition(namespace, 'coder', 'EnginesReady', { status: 'True' });
    await installHttpRoutes(world.cluster);
    await world.apply(namespace, 'coder', routedAt('b.local'));
    await world.ready(namespace, 'coder');
  });
});

const question = (n: number): object[] => [
  { role: 'system', content: `You are assistant number ${n}. ${`Word ${n}. `.repeat(3000)}` },
  { role: 'user', content: 'hello' },
];
