import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import type { QwenCoderSpecInput } from '../../src/api/index.ts';
import { children, newRevision, weightsJob } from '../../src/render/index.ts';
import { installation, owner, plan, spec } from '../support/builders.ts';

const KEYS = 'coder-keys-0123456789';

/** Everything a resource of one replica owns, as the API server would be sent it. */
function rendered(input: QwenCoderSpecInput): string {
  const parsed = spec(input);
  const leastDriver = parsed.engine.image === undefined ? 580 : undefined;
  const revision = newRevision('coder', parsed, plan({ leastDriver }), KEYS, 1);
  const objects = children({
    owner: owner(),
    spec: parsed,
    target: revision,
    revisions: [revision],
    slots: [{ index: 0, revision, replicas: 1 }],
    installation,
  });
  return objects.map((object) => stringify(object, { lineWidth: 140, aliasDuplicateObjects: false })).join('---\n');
}

const cases: { name: string; input: QwenCoderSpecInput }[] = [
  { name: 'empty-spec', input: {} },
  {
    name: 'weights-from-volume',
    input: { model: { quantization: 'FP8', source: { type: 'Volume', claimName: 'checkpoints', path: 'qwen/fp8' } } },
  },
  {
    name: 'weights-from-image',
    input: {
      model: { quantization: 'FP8', source: { type: 'Image', reference: 'registry.local/qwen3-coder-next:fp8' } },
    },
  },
  {
    name: 'everything-set',
    input: {
      model: {
        repository: 'acme/coder-fp8',
        revision: '0123456789abcdef0123456789abcdef01234567',
        source: { type: 'HuggingFace', endpoint: 'https://hub.corp.local', secretRef: { name: 'hub', key: 'token' } },
        servedName: 'coder',
        aliases: ['qwen', 'default'],
      },
      engine: {
        image: 'registry.local/vllm-openai:v0.33.0',
        args: ['--disable-log-stats'],
        env: [
          { name: 'NCCL_DEBUG', value: 'WARN' },
          { name: 'VLLM_API_KEY', secretKeyRef: { name: 'keys', key: 'engine' } },
        ],
        resources: { requests: { cpu: '8', memory: '64Gi' }, limits: { memory: '128Gi' } },
      },
      parallelism: { tensorParallelSize: 2, expertParallel: true },
      placement: {
        nodeSelector: { pool: 'gpu' },
        tolerations: [{ key: 'dedicated', operator: 'Equal', value: 'coder', effect: 'NoSchedule' }],
        topologySpread: 'Zone',
        runtimeClassName: 'nvidia',
        priorityClassName: 'high',
      },
      sampling: { temperature: 0.7, topP: 0.8, topK: 20, seed: 7 },
      tools: { enabled: false },
      storage: { className: 'fast', accessMode: 'ReadWriteMany', size: '300Gi', retain: true },
      podMetadata: {
        labels: { 'kueue.x-k8s.io/queue-name': 'gpu' },
        annotations: { 'sidecar.istio.io/inject': 'false' },
      },
      imagePullSecrets: [{ name: 'pull' }],
    },
  },
];

describe('children', () => {
  test.each(cases)('$name renders as reviewed', async ({ name, input }) => {
    await expect(rendered(input)).toMatchFileSnapshot(`../golden/children/${name}.yaml`);
  });

  test('the same resource always renders the same bytes', () => {
    expect(rendered({})).toBe(rendered({}));
  });

  test('of a plan that was made before plans named a driver are what they were: nothing restarts, nothing is fetched again', () => {
    const old = plan({ leastDriver: undefined });
    expect(newRevision('coder', spec(), old, KEYS, 1).hash).toBe('vm2khvv3s2');
    expect(weightsJob(owner(), spec(), old)!.metadata!.name).toBe('coder-weights-94p0ed5bt8');
  });

  test.each<{ name: string; edit: QwenCoderSpecInput }>([
    { name: 'replicas', edit: { replicas: 3 } },
    { name: 'suspend', edit: { suspend: true } },
    { name: 'scaling', edit: { scaling: { mode: 'External' } } },
    { name: 'endpoint', edit: { endpoint: { authentication: { type: 'None' }, gateway: { replicas: 1 } } } },
    { name: 'network', edit: { network: { isolation: 'Open' } } },
    { name: 'storage.retain', edit: { storage: { retain: true } } },
  ])('$name changes no engine template', ({ edit }) => {
    expect(newRevision('coder', spec(edit), plan(), KEYS, 1).hash).toBe(
      newRevision('coder', spec(), plan(), KEYS, 1).hash,
    );
  });
});
