import type { QwenCoderSpecInput } from '../../src/api/index.ts';

/** One edit of a live resource and what of it must show up. */
export type Edit = {
  /** Leaf of the spec. */
  readonly path: string;
  /** The resource before; the empty spec when absent. */
  readonly from?: QwenCoderSpecInput;
  readonly to: QwenCoderSpecInput;
  /** It cannot be undone: volumes do not shrink. */
  readonly stays?: true;
} & (
  | {
      /** Text that the children hold after the edit and not before. */
      readonly shows: string;
    }
  | {
      /** Text that the children hold before the edit and not after. */
      readonly hides: string;
    }
  | {
      /** What the API server or the condition Planned says. */
      readonly refused: RegExp;
    }
);

const image: QwenCoderSpecInput = {
  model: { quantization: 'FP8', source: { type: 'Image', reference: 'models/coder-fp8:1' } },
};
const volume: QwenCoderSpecInput = {
  model: { quantization: 'FP8', source: { type: 'Volume', claimName: 'checkpoints' } },
};
type Expose = NonNullable<NonNullable<QwenCoderSpecInput['endpoint']>['expose']>;
const exposedWith = (more: Expose): QwenCoderSpecInput => ({
  endpoint: { expose: { type: 'Ingress', host: 'a.local', ...more } },
});
const exposed = exposedWith({});
const routedBy = (parent: NonNullable<Expose['parentRefs']>[number]): QwenCoderSpecInput => ({
  endpoint: { expose: { type: 'HTTPRoute', host: 'a.local', parentRefs: [parent] } },
});
const routed = routedBy({ name: 'infra' });
const notEffective = /not effective in this version/;

/** Every leaf of the spec. The test that walks them demands that none is missing. */
export const EDITS: readonly Edit[] = [
  { path: 'model.quantization', to: { model: { quantization: 'BF16' } }, shows: 'Qwen/Qwen3-Coder-Next"' },
  { path: 'model.repository', to: { model: { quantization: 'FP8', repository: 'acme/coder' } }, shows: 'acme/coder' },
  { path: 'model.revision', to: { model: { revision: 'v2' } }, shows: '--revision=v2' },
  { path: 'model.source.type', from: image, to: {}, shows: 'fetch-weights' },
  {
    path: 'model.source.secretRef.name',
    to: { model: { source: { type: 'HuggingFace', secretRef: { name: 'hub-a', key: 'token' } } } },
    shows: '"hub-a"',
  },
  {
    path: 'model.source.secretRef.key',
    to: { model: { source: { type: 'HuggingFace', secretRef: { name: 'hub', key: 'token-b' } } } },
    shows: '"token-b"',
  },
  {
    path: 'model.source.endpoint',
    to: { model: { source: { type: 'HuggingFace', endpoint: 'http://mirror.local' } } },
    shows: 'http://mirror.local',
  },
  {
    path: 'model.source.claimName',
    from: volume,
    to: { model: { quantization: 'FP8', source: { type: 'Volume', claimName: 'other' } } },
    shows: '"claimName":"other"',
  },
  {
    path: 'model.source.path',
    from: volume,
    to: { model: { quantization: 'FP8', source: { type: 'Volume', claimName: 'checkpoints', path: 'fp8' } } },
    shows: '/models/fp8',
  },
  {
    path: 'model.source.reference',
    from: image,
    to: { model: { quantization: 'FP8', source: { type: 'Image', reference: 'models/coder-fp8:2' } } },
    shows: 'models/coder-fp8:2',
  },
  {
    path: 'model.servedName',
    from: image,
    to: { model: { ...image.model, servedName: 'coder' } },
    shows: '--served-model-name","coder"',
  },
  { path: 'model.aliases', from: image, to: { model: { ...image.model, aliases: ['fast'] } }, shows: '"fast"' },
  { path: 'engine.type', to: { engine: { type: 'Ollama' } }, refused: notEffective },
  {
    path: 'engine.version',
    from: image,
    to: { ...image, engine: { version: '0.29.0' } },
    shows: 'vllm/vllm-openai:v0.29.0',
  },
  {
    path: 'engine.image',
    from: image,
    to: { ...image, engine: { image: 'acme/vllm-openai:v0.33.0' } },
    shows: 'acme/vllm-openai:v0.33.0',
  },
  {
    path: 'engine.args',
    from: image,
    to: { ...image, engine: { args: ['--disable-log-stats'] } },
    shows: '--disable-log-stats',
  },
  {
    path: 'engine.env.name',
    from: image,
    to: { ...image, engine: { env: [{ name: 'NCCL_DEBUG', value: 'WARN' }] } },
    shows: 'NCCL_DEBUG',
  },
  {
    path: 'engine.env.value',
    from: image,
    to: { ...image, engine: { env: [{ name: 'A', value: 'first-value' }] } },
    shows: 'first-value',
  },
  {
    path: 'engine.env.secretKeyRef.name',
    from: image,
    to: { ...image, engine: { env: [{ name: 'A', secretKeyRef: { name: 'env-secret', key: 'a' } }] } },
    shows: '"env-secret"',
  },
  {
    path: 'engine.env.secretKeyRef.key',
    from: image,
    to: { ...image, engine: { env: [{ name: 'A', secretKeyRef: { name: 's', key: 'env-key' } }] } },
    shows: '"env-key"',
  },
  {
    path: 'engine.resources.requests',
    from: image,
    to: { ...image, engine: { resources: { requests: { cpu: '3' } } } },
    shows: '"cpu":"3"',
  },
  {
    path: 'engine.resources.limits',
    from: image,
    to: { ...image, engine: { resources: { limits: { memory: '77Gi' } } } },
    shows: '"memory":"77Gi"',
  },
  {
    path: 'parallelism.tensorParallelSize',
    from: image,
    to: { ...image, parallelism: { tensorParallelSize: 4 } },
    shows: '--tensor-parallel-size=4',
  },
  { path: 'parallelism.pipelineParallelSize', to: { parallelism: { pipelineParallelSize: 2 } }, refused: notEffective },
  {
    path: 'parallelism.expertParallel',
    from: image,
    to: { ...image, parallelism: { expertParallel: true } },
    shows: '--enable-expert-parallel',
  },
  {
    path: 'context.maxModelLen',
    from: image,
    to: { ...image, context: { maxModelLen: 65536 } },
    shows: '--max-model-len=65536',
  },
  {
    path: 'context.minConcurrency',
    from: image,
    to: { ...image, context: { minConcurrency: 11 } },
    hides: '--max-model-len=262144',
  },
  {
    path: 'context.kvCacheDtype',
    from: image,
    to: { ...image, context: { kvCacheDtype: 'FP8' } },
    shows: '--kv-cache-dtype=fp8',
  },
  {
    path: 'context.maxNumSeqs',
    from: image,
    to: { ...image, context: { maxNumSeqs: 17 } },
    shows: '--max-num-seqs=17',
  },
  {
    path: 'context.gpuMemoryUtilizationPercent',
    from: image,
    to: { ...image, context: { gpuMemoryUtilizationPercent: 88 } },
    shows: '--gpu-memory-utilization=0.88',
  },
  {
    path: 'placement.resourceName',
    from: image,
    to: { ...image, placement: { resourceName: 'acme.com/gpu' } },
    refused: /acme\.com\/gpu/,
  },
  {
    path: 'placement.products',
    from: image,
    to: { ...image, placement: { products: ['L40S-48GB'] } },
    shows: 'NVIDIA-L40S',
  },
  { path: 'placement.minMemory', from: image, to: { ...image, placement: { minMemory: '120Gi' } }, refused: /120/ },
  {
    path: 'placement.nodeShapes.product',
    from: image,
    to: {
      ...image,
      placement: { products: ['H200-141GB'], nodeShapes: [{ product: 'NVIDIA-H200', memory: '141Gi', gpus: 8 }] },
    },
    shows: 'NVIDIA-H200',
  },
  {
    path: 'placement.nodeShapes.memory',
    from: image,
    to: {
      ...image,
      placement: { products: ['Acme-X'], nodeShapes: [{ product: 'Acme-X', memory: '200Gi', gpus: 8 }] },
    },
    shows: 'Acme-X',
  },
  {
    path: 'placement.nodeShapes.gpus',
    from: image,
    to: { ...image, placement: { products: ['Acme-Y'], nodeShapes: [{ product: 'Acme-Y', memory: '48Gi', gpus: 4 }] } },
    shows: '--tensor-parallel-size=4',
  },
  {
    path: 'placement.nodeSelector',
    from: image,
    to: { ...image, placement: { nodeSelector: { 'kubernetes.io/arch': 'amd64' } } },
    shows: '"nodeSelector":{"kubernetes.io/arch":"amd64"}',
  },
  {
    path: 'placement.tolerations.key',
    from: image,
    to: { ...image, placement: { tolerations: [{ key: 'dedicated', operator: 'Exists' }] } },
    shows: '"key":"dedicated"',
  },
  {
    path: 'placement.tolerations.operator',
    from: image,
    to: { ...image, placement: { tolerations: [{ operator: 'Exists', effect: 'NoExecute' }] } },
    shows: '{"effect":"NoExecute","operator":"Exists"}',
  },
  {
    path: 'placement.tolerations.value',
    from: image,
    to: { ...image, placement: { tolerations: [{ key: 'dedicated', value: 'coder' }] } },
    shows: '"value":"coder"',
  },
  {
    path: 'placement.tolerations.effect',
    from: image,
    to: { ...image, placement: { tolerations: [{ key: 'a', operator: 'Exists', effect: 'NoExecute' }] } },
    shows: '"effect":"NoExecute"',
  },
  {
    path: 'placement.tolerations.tolerationSeconds',
    from: image,
    to: {
      ...image,
      placement: { tolerations: [{ key: 'a', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 77 }] },
    },
    shows: '"tolerationSeconds":77',
  },
  {
    path: 'placement.topologySpread',
    from: image,
    to: { ...image, placement: { topologySpread: 'Zone' } },
    shows: '"topologyKey":"topology.kubernetes.io/zone"',
  },
  {
    path: 'placement.runtimeClassName',
    from: image,
    to: { ...image, placement: { runtimeClassName: 'nvidia' } },
    shows: '"runtimeClassName":"nvidia"',
  },
  {
    path: 'placement.priorityClassName',
    from: image,
    to: { ...image, placement: { priorityClassName: 'high' } },
    shows: '"priorityClassName":"high"',
  },
  {
    path: 'sampling.temperature',
    from: image,
    to: { ...image, sampling: { temperature: 0.5 } },
    shows: '\\"temperature\\":0.5',
  },
  { path: 'sampling.topP', from: image, to: { ...image, sampling: { topP: 0.5 } }, shows: '\\"top_p\\":0.5' },
  { path: 'sampling.topK', from: image, to: { ...image, sampling: { topK: 7 } }, shows: '\\"top_k\\":7' },
  { path: 'sampling.minP', from: image, to: { ...image, sampling: { minP: 0.25 } }, shows: '\\"min_p\\":0.25' },
  { path: 'sampling.seed', from: image, to: { ...image, sampling: { seed: 7 } }, shows: '--seed=7' },
  {
    path: 'tools.enabled',
    from: image,
    to: { ...image, tools: { enabled: false } },
    hides: '--enable-auto-tool-choice',
  },
  {
    path: 'replicas',
    from: { ...image, scaling: { mode: 'External' } },
    to: { ...image, scaling: { mode: 'External' }, replicas: 2 },
    shows: 'coder-engine-1',
  },
  {
    path: 'scaling.mode',
    from: { ...image, replicas: 2 },
    to: { ...image, replicas: 2, scaling: { mode: 'None' } },
    shows: 'coder-engine-1',
  },
  {
    path: 'scaling.minReplicas',
    from: image,
    to: { ...image, scaling: { minReplicas: 2, maxReplicas: 2 } },
    shows: 'coder-engine-1',
  },
  { path: 'scaling.maxReplicas', to: { scaling: { maxReplicas: 2 } }, refused: notEffective },
  ...[
    'scaling.maxGPUs',
    'scaling.slo.ttftBaseSeconds',
    'scaling.slo.ttftPerKTokenMs',
    'scaling.slo.attainmentPercent',
  ].map((path): Edit => ({ path, to: nested(path, path.endsWith('Percent') ? 99 : 8), refused: notEffective })),
  {
    path: 'scaling.scaleToZero.idleSeconds',
    to: { scaling: { scaleToZero: { idleSeconds: 600 } } },
    refused: notEffective,
  },
  { path: 'scaling.scaleToZero.wake', to: { scaling: { scaleToZero: { wake: 'Hold' } } }, refused: notEffective },
  {
    path: 'scaling.scaleToZero.holdSeconds',
    to: { scaling: { scaleToZero: { holdSeconds: 60 } } },
    refused: notEffective,
  },
  { path: 'scaling.scaleToZero.prewarm', to: { scaling: { scaleToZero: { prewarm: true } } }, refused: notEffective },
  ...['days', 'from', 'to', 'timeZone', 'replicas'].map((leaf): Edit => ({
    path: `scaling.warm.${leaf}`,
    to: { scaling: { warm: [{ days: ['Mon'], from: '08:00', to: '18:00', timeZone: 'UTC', replicas: 1 }] } },
    refused: notEffective,
  })),
  { path: 'scaling.profile.learn', to: { scaling: { profile: { learn: true } } }, refused: notEffective },
  { path: 'scaling.profile.weeks', to: { scaling: { profile: { weeks: 2 } } }, refused: notEffective },
  { path: 'scaling.dryRun', to: { scaling: { dryRun: true } }, refused: notEffective },
  { path: 'endpoint.gateway.replicas', to: { endpoint: { gateway: { replicas: 1 } } }, shows: '--gateways=1' },
  {
    path: 'endpoint.authentication.type',
    to: { endpoint: { authentication: { type: 'None' } } },
    shows: '--anonymous=true',
  },
  {
    path: 'endpoint.authentication.secretRef.name',
    to: { endpoint: { authentication: { secretRef: { name: 'team-keys', key: 'api-key' } } } },
    shows: '"secretName":"team-keys"',
  },
  {
    path: 'endpoint.authentication.secretRef.key',
    to: { endpoint: { authentication: { secretRef: { name: 'coder-api-key', key: 'others' } } } },
    shows: '"key":"others"',
  },
  { path: 'endpoint.expose.type', from: exposed, to: {}, hides: '"kind":"Ingress"' },
  { path: 'endpoint.expose.className', from: exposed, to: exposedWith({ className: 'nginx' }), shows: '"nginx"' },
  { path: 'endpoint.expose.host', from: exposed, to: exposedWith({ host: 'b.local' }), shows: '"host":"b.local"' },
  {
    path: 'endpoint.expose.tlsSecretName',
    from: exposed,
    to: exposedWith({ tlsSecretName: 'coder-tls' }),
    shows: '"secretName":"coder-tls"',
  },
  {
    path: 'endpoint.expose.annotations',
    from: exposed,
    to: exposedWith({ annotations: { 'example.com/owner': 'team a' } }),
    shows: '"example.com/owner":"team a"',
  },
  { path: 'endpoint.expose.parentRefs.name', from: routed, to: routedBy({ name: 'other' }), shows: '"name":"other"' },
  {
    path: 'endpoint.expose.parentRefs.namespace',
    from: routed,
    to: routedBy({ name: 'infra', namespace: 'edge' }),
    shows: '"namespace":"edge"',
  },
  {
    path: 'endpoint.expose.parentRefs.sectionName',
    from: routed,
    to: routedBy({ name: 'infra', sectionName: 'https' }),
    shows: '"sectionName":"https"',
  },
  { path: 'network.isolation', to: { network: { isolation: 'Open' } }, hides: '"kind":"NetworkPolicy"' },
  {
    path: 'network.metricsFrom.namespaceLabels',
    to: { network: { metricsFrom: [{ namespaceLabels: { team: 'monitoring' } }] } },
    shows: '"team":"monitoring"',
  },
  {
    path: 'network.metricsFrom.podLabels',
    to: { network: { metricsFrom: [{ podLabels: { app: 'prometheus' } }] } },
    shows: '"app":"prometheus"',
  },
  { path: 'rollout.strategy', to: { rollout: { strategy: 'Surge' } }, refused: notEffective },
  { path: 'rollout.rollback', to: { rollout: { rollback: false } }, refused: notEffective },
  { path: 'storage.className', to: { storage: { className: 'fast' } }, shows: '"storageClassName":"fast"' },
  { path: 'storage.accessMode', to: { storage: { accessMode: 'ReadWriteMany' } }, shows: 'ReadWriteMany' },
  { path: 'storage.size', to: { storage: { size: '500Gi' } }, shows: '"storage":"500Gi"', stays: true },
  { path: 'storage.claimName', to: { storage: { claimName: 'mine' } }, shows: '"claimName":"mine"' },
  { path: 'storage.retain', to: { storage: { retain: true } }, shows: 'PersistentVolumeClaim, kept' },
  {
    path: 'podMetadata.labels',
    from: image,
    to: { ...image, podMetadata: { labels: { team: 'red' } } },
    shows: '"team":"red"',
  },
  {
    path: 'podMetadata.annotations',
    from: image,
    to: { ...image, podMetadata: { annotations: { note: 'hello' } } },
    shows: '"note":"hello"',
  },
  {
    path: 'imagePullSecrets.name',
    from: image,
    to: { ...image, imagePullSecrets: [{ name: 'pull' }] },
    shows: '"imagePullSecrets":[{"name":"pull"}]',
  },
  { path: 'suspend', from: image, to: { ...image, suspend: true }, shows: '"replicas":0' },
];

function nested(path: string, value: unknown): QwenCoderSpecInput {
  return path.split('.').reduceRight<unknown>((inner, key) => ({ [key]: inner }), value) as QwenCoderSpecInput;
}
