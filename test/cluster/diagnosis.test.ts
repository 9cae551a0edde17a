import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ConditionType, QwenCoderSpecInput } from '../../src/api/index.ts';
import { Events } from '../../src/kube/index.ts';
import { scaledClock } from '../support/scaled-clock.ts';
import { World, eventually } from './world.ts';

let world: World;

beforeAll(async () => {
  world = await World.start({
    nodes: '8xH100-80GB*2',
    simulator: { clock: scaledClock(20), loadSeconds: 5 },
  });
});
afterAll(() => world?.stop());

const image: QwenCoderSpecInput = {
  model: { quantization: 'FP8', source: { type: 'Image', reference: 'models/coder-fp8:1' } },
};
const faulty = (fault: string): QwenCoderSpecInput => ({
  ...image,
  podMetadata: { annotations: { 'simulator.qwencoder.dev/fault': fault } },
});

interface Row {
  readonly name: string;
  readonly spec: QwenCoderSpecInput;
  readonly type: ConditionType;
  readonly reason: string;
  readonly says: RegExp;
  /** A quota of the namespace, `gpus`. */
  readonly hard?: Readonly<Record<string, string>>;
}

const ROWS: readonly Row[] = [
  {
    name: 'an argument that vLLM does not take',
    spec: faulty('bad-flag'),
    type: 'EnginesReady',
    reason: 'ArgumentRefused',
    says: /unrecognized arguments: --no-such-flag\. Remove or correct --no-such-flag in spec\.engine\.args/,
  },
  {
    name: 'a KV cache that is too small for a length that is pinned',
    spec: { ...faulty('does-not-fit'), context: { maxModelLen: 131_072 } },
    type: 'EnginesReady',
    reason: 'KvCacheTooSmall',
    says: /GiB short\. Set spec\.context\.maxModelLen to \d+ or less/,
  },
  {
    name: 'an image that is not there',
    spec: { ...image, engine: { image: 'vllm/vllm-openai:v9.9.9' } },
    type: 'EnginesReady',
    reason: 'ImagePullFailed',
    says: /There is no vllm\/vllm-openai:v9\.9\.9/,
  },
  {
    name: 'a quota that lets fewer replicas in than are wanted',
    spec: { ...image, scaling: { mode: 'None' }, replicas: 2 },
    type: 'Placed',
    reason: 'PodRejected',
    says: /exceeded quota: gpus.*Raise ResourceQuota gpus above requests\.nvidia\.com\/gpu=3/,
    hard: { 'requests.nvidia.com/gpu': '3' },
  },
  {
    name: 'a download that a quota refuses',
    spec: {},
    type: 'ModelAvailable',
    reason: 'PodRejected',
    says: /exceeded quota: gpus/,
    hard: { pods: '0' },
  },
  {
    name: 'a revision that the hub does not have',
    spec: { model: { quantization: 'FP8', revision: 'f'.repeat(40) } },
    type: 'ModelAvailable',
    reason: 'RevisionNotFound',
    says: /has no f{40}: correct spec\.model\.revision/,
  },
];

test.each(ROWS)('$name: reason, evidence and remedy stand in $type, and one Event says it', async (row) => {
  const { spec, type, reason, says, hard } = row;
  const namespace = await world.namespace();
  if (hard !== undefined) {
    const quota = { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'gpus', namespace }, spec: { hard } };
    await world.cluster.kubectl(['apply', '-f', '-'], { input: JSON.stringify(quota) });
  }
  await world.apply(namespace, 'coder', spec);
  const found = await world.condition(namespace, 'coder', type, { status: 'False', reason }, 20_000);
  expect(found.message).toMatch(says);
  await world.condition(namespace, 'coder', 'Stalled', { status: 'True', reason });
  await eventually(async () => {
    const { items } = await world.client.list(Events, { namespace });
    const told = items.filter((event) => event.regarding?.name === 'coder' && event.reason === reason);
    expect(told).toHaveLength(1);
  });
  await world.remove(namespace, 'coder');
});
