import { describe, expect, test } from 'vitest';
import { parseSpec, type QwenCoderSpecInput, Spec } from '../../src/api/index.ts';

describe('Spec', () => {
  test('an empty spec has a default for everything that is not planned', () => {
    expect(Spec.parse({})).toMatchInlineSnapshot(`
      {
        "context": {
          "kvCacheDtype": "Auto",
          "minConcurrency": 4,
        },
        "endpoint": {
          "authentication": {
            "type": "APIKey",
          },
          "expose": {
            "type": "ClusterIP",
          },
          "gateway": {
            "replicas": 2,
          },
        },
        "engine": {
          "type": "VLLM",
        },
        "model": {
          "servedName": "qwen3-coder-next",
          "source": {
            "type": "HuggingFace",
          },
        },
        "network": {
          "isolation": "Locked",
        },
        "parallelism": {
          "expertParallel": false,
          "pipelineParallelSize": 1,
        },
        "placement": {
          "resourceName": "nvidia.com/gpu",
          "topologySpread": "None",
        },
        "sampling": {
          "temperature": 1,
          "topK": 40,
          "topP": 0.95,
        },
        "scaling": {
          "maxReplicas": 1,
          "minReplicas": 1,
          "mode": "Builtin",
        },
        "storage": {
          "accessMode": "ReadWriteOnce",
          "retain": false,
        },
        "suspend": false,
        "tools": {
          "enabled": true,
        },
      }
    `);
  });

  const env = { name: 'A' };
  test.each<[string, QwenCoderSpecInput]>([
    ['fewest replicas above most', { scaling: { minReplicas: 3, maxReplicas: 2 } }],
    ['a tensor parallel size that does not divide the heads', { parallelism: { tensorParallelSize: 3 } }],
    ['FP8 over eight GPUs', { model: { quantization: 'FP8' }, parallelism: { tensorParallelSize: 8 } }],
    ['a quantization of another engine', { model: { quantization: 'Q4_K_M' } }],
    ['a variable without a value', { engine: { env: [env] } }],
    [
      'a variable with a value and a secret',
      { engine: { env: [{ ...env, value: '', secretKeyRef: { name: 's', key: 'k' } }] } },
    ],
    [
      'a variable twice',
      {
        engine: {
          env: [
            { ...env, value: '1' },
            { ...env, value: '2' },
          ],
        },
      },
    ],
    ['GPUs among the resources', { engine: { resources: { limits: { 'nvidia.com/gpu': '2' } } } }],
    [
      'GPUs of another name among the resources',
      { engine: { resources: { requests: { 'amd.com/gpu': '2' } } }, placement: { resourceName: 'amd.com/gpu' } },
    ],
    ['an alias that is the name', { model: { servedName: 'a', aliases: ['b', 'a'] } }],
    ['an alias twice', { model: { aliases: ['a', 'a'] } }],
    ['a slash in the name', { model: { servedName: 'Qwen/Qwen3-Coder-Next' } }],
    ['a volume without its name', { model: { source: { type: 'Volume' } as never } }],
    ['a token for a volume', { model: { source: { type: 'Volume', claimName: 'c', secretRef: {} } as never } }],
    ['a path that leaves its volume', { model: { source: { type: 'Volume', claimName: 'c', path: 'a/../..' } } }],
    ['a commit for a volume', { model: { revision: 'main', source: { type: 'Volume', claimName: 'c' } } }],
    ['a repository that looks like a flag', { model: { repository: '--trust-remote-code/x' } }],
    ['an existing claim with a size', { storage: { claimName: 'c', size: '90Gi' } }],
    ['an existing claim with a class', { storage: { claimName: 'c', className: 'fast' } }],
    [
      'a toleration that exists and has a value',
      { placement: { tolerations: [{ key: 'a', operator: 'Exists', value: 'b' }] } },
    ],
    ['a toleration of nothing', { placement: { tolerations: [{ effect: 'NoSchedule' }] } }],
    [
      'a toleration for some seconds of an effect that has none',
      { placement: { tolerations: [{ key: 'a', effect: 'NoSchedule', tolerationSeconds: 3 }] } },
    ],
    ["a label of the operator's own", { podMetadata: { labels: { 'app.kubernetes.io/name': 'mine' } } }],
    ["an annotation of the operator's own", { podMetadata: { annotations: { 'qwencoder.dev/applied': '' } } }],
    ['a label key that is none', { podMetadata: { labels: { 'a b': '' } } }],
    ['an unknown field', { modle: {} } as QwenCoderSpecInput],
    ['an unknown field in a list', { engine: { env: [{ name: 'A', valueFrom: {} } as never] } }],
  ])('refuses %s', (_, spec) => {
    const parsed = parseSpec(spec);
    expect(parsed.ok ? [] : parsed.errors).toMatchSnapshot();
    expect(parsed.ok).toBe(false);
  });

  test.each<[string, QwenCoderSpecInput]>([
    ['FP8 over four GPUs', { model: { quantization: 'FP8' }, parallelism: { tensorParallelSize: 4 } }],
    ['BF16 over sixteen GPUs', { model: { quantization: 'BF16' }, parallelism: { tensorParallelSize: 16 } }],
    ['an alias with a slash', { model: { aliases: ['Qwen/Qwen3-Coder-Next'] } }],
    ['an empty value', { engine: { env: [{ name: 'A', value: '' }] } }],
    ['a toleration of everything', { placement: { tolerations: [{ operator: 'Exists' }] } }],
    ['no replicas at all', { scaling: { minReplicas: 0, maxReplicas: 0 } }],
    ['an existing claim', { storage: { claimName: 'weights', retain: true } }],
    ['a fault for the simulator', { podMetadata: { annotations: { 'simulator.qwencoder.dev/fault': 'never-ready' } } }],
  ])('takes %s', (_, spec) => {
    expect(parseSpec(spec)).toMatchObject({ ok: true });
  });
});
