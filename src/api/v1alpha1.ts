import * as z from 'zod';

/** The resource's own coordinates. */
export const GROUP = 'qwencoder.dev';
export const VERSION = 'v1alpha1';
export const KIND = 'QwenCoderDeployment';

const label63 = z.string().min(1).max(63);
const name253 = z.string().min(1).max(253);
const stringMap = z.record(z.string().min(1).max(316), z.string().max(4096)).meta({ maxProperties: 64 });

/** A key of a Secret in the resource's own namespace. */
const SecretKey = z.strictObject({
  name: name253.describe('Secret in the same namespace.'),
  key: name253.describe('Key within the Secret.'),
});

const Source = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('HuggingFace').describe('Where the weights come from.'),
    secretRef: SecretKey.optional().describe('Secret key that holds a hub token, for gated or private repositories.'),
    endpoint: z.string().min(8).max(253).regex(/^https?:\/\/[^\s]+$/).optional().describe('Base URL of a hub mirror.'),
  }),
  z.strictObject({
    type: z.literal('Volume'),
    claimName: name253.describe('PersistentVolumeClaim that already holds the checkpoint.'),
    path: z.string().min(1).max(512).optional().describe('Folder of the checkpoint on that volume; its root when unset.'),
  }),
  z.strictObject({
    type: z.literal('Image'),
    reference: z.string().min(1).max(512).describe('OCI image whose root is the checkpoint.'),
  }),
]);

export const QUANTIZATIONS = ['BF16', 'FP8'] as const;

const Model = z.strictObject({
  quantization: z
    .string().min(1).max(63)
    .optional()
    .describe('BF16 or FP8 for vLLM. Planned from the GPUs when unset.'),
  repository: z.string().min(1).max(253).optional().describe('Hugging Face repository; by engine and quantization when unset.'),
  revision: z.string().min(1).max(253).optional().describe('Commit, tag or branch of the repository. Pin a commit to be reproducible.'),
  source: Source.prefault({ type: 'HuggingFace' }),
  servedName: z
    .string().min(1).max(253).regex(/^[^/\s]+$/)
    .default('qwen3-coder-next')
    .describe('Model name in the API; no slash.'),
  aliases: z.array(z.string().min(1).max(253)).max(16).optional().describe('Further names that the API answers to.'),
});

const EnvVar = z.strictObject({
  name: z.string().min(1).max(253),
  value: z.string().max(4096).optional(),
  secretKeyRef: SecretKey.optional(),
});

const quantity = z.string().min(1).max(32).regex(/^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi|E|Ei)?$/);
const resourceList = z.record(z.string().min(1).max(253), quantity).meta({ maxProperties: 16 });

const Engine = z.strictObject({
  type: z.enum(['VLLM', 'LlamaCpp', 'Ollama']).default('VLLM').describe('What runs the model.'),
  version: z.string().min(1).max(32).regex(/^[0-9]+\.[0-9]+\.[0-9]+$/).optional().describe('Engine version; flags are rendered for it. Pinned when unset.'),
  image: z.string().min(1).max(512).optional().describe('Container image; pin it by digest to be reproducible.'),
  args: z.array(z.string().min(1).max(1024)).max(64).optional().describe('Further engine arguments. Flags that the operator sets are refused.'),
  env: z
    .array(EnvVar).max(64)
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'] })
    .optional()
    .describe('Further environment variables, by value or from a Secret.'),
  resources: z
    .strictObject({ requests: resourceList.optional(), limits: resourceList.optional() })
    .optional()
    .describe('CPU and memory of an engine pod. GPUs come from the plan.'),
});

const Parallelism = z.strictObject({
  tensorParallelSize: z.int32().min(1).max(16).optional().describe('GPUs that share one replica: 1, 2, 4, 8 or 16; FP8 up to 4. Planned when unset.'),
  pipelineParallelSize: z.int32().min(1).max(16).default(1).describe('Pipeline stages over nodes.'),
  expertParallel: z.boolean().default(false).describe('Split experts whole over the GPUs instead of by width.'),
});

const Context = z.strictObject({
  maxModelLen: z.int32().min(1024).max(262144).optional().describe('Longest request, prompt and answer, in tokens. Planned when unset.'),
  minConcurrency: z.int32().min(1).max(1024).default(4).describe('How many requests of the full length must fit at once.'),
  kvCacheDtype: z.enum(['Auto', 'BF16', 'FP8']).default('Auto').describe('Number format of the KV cache.'),
  maxNumSeqs: z.int32().min(1).max(4096).optional().describe('Most requests decoded together. Planned when unset.'),
  gpuMemoryUtilizationPercent: z.int32().min(50).max(98).optional().describe('Part of GPU memory the engine may use; by engine version when unset.'),
});

const Toleration = z.strictObject({
  key: z.string().max(316).optional(),
  operator: z.enum(['Exists', 'Equal']).optional(),
  value: z.string().max(63).optional(),
  effect: z.enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute']).optional(),
  tolerationSeconds: z.int().min(0).max(31536000).optional(),
});

const Placement = z.strictObject({
  resourceName: name253.default('nvidia.com/gpu').describe('Extended resource that stands for one GPU.'),
  products: z.array(z.string().min(1).max(63)).max(16).optional().describe('GPU products that may be used, as in the node label nvidia.com/gpu.product or its short name (H100-80GB).'),
  minMemory: quantity.optional().describe('Least memory of one GPU, for example 80Gi.'),
  nodeShapes: z
    .array(z.strictObject({
      product: label63.describe('GPU product label that the nodes will carry.'),
      memory: quantity.describe('Memory of one GPU.'),
      gpus: z.int32().min(1).max(16).describe('GPUs of one node.'),
    }))
    .max(16)
    .optional()
    .describe('Node pools that scale from zero: planned against though no node is there yet.'),
  nodeSelector: stringMap.optional(),
  tolerations: z.array(Toleration).max(32).optional(),
  topologySpread: z.enum(['None', 'Host', 'Zone']).default('None').describe('Spread replicas over hosts or zones where possible.'),
  runtimeClassName: name253.optional(),
  priorityClassName: name253.optional(),
});

const Sampling = z.strictObject({
  temperature: z.number().min(0).max(2).default(1),
  topP: z.number().gt(0).lte(1).default(0.95),
  topK: z.int32().min(-1).max(151936).default(40),
  minP: z.number().min(0).max(1).optional(),
  seed: z.int32().min(0).optional().describe('Seed of the engine.'),
});

const Storage = z.strictObject({
  className: name253.optional(),
  accessMode: z.enum(['ReadWriteOnce', 'ReadWriteMany']).default('ReadWriteOnce'),
  size: quantity.optional().describe('Sized from the checkpoint when unset.'),
  claimName: name253.optional().describe('An existing PersistentVolumeClaim to keep the weights on.'),
  retain: z.boolean().default(false).describe('Keep the weights when the resource is deleted.'),
});

const Scaling = z.strictObject({
  mode: z.enum(['Builtin', 'External', 'Off']).default('Builtin').describe('Who sets the number of replicas: the operator, /scale (HPA, KEDA, kubectl), or nobody.'),
  minReplicas: z.int32().min(0).max(64).default(1),
  maxReplicas: z.int32().min(0).max(64).default(1),
});

/** Every field of the resource is declared here and nowhere else: the CRD, its defaults and CLI validation come from it. */
export const Spec = z.strictObject({
  model: Model.prefault({}),
  engine: Engine.prefault({}),
  parallelism: Parallelism.prefault({}),
  context: Context.prefault({}),
  placement: Placement.prefault({}),
  sampling: Sampling.prefault({}),
  tools: z.strictObject({ enabled: z.boolean().default(true) }).prefault({}),
  replicas: z.int32().min(0).max(64).optional().describe('Obeyed when scaling.mode is External or Off; kubectl scale and HPA write it.'),
  scaling: Scaling.prefault({}),
  storage: Storage.prefault({}),
  podMetadata: z.strictObject({ labels: stringMap.optional(), annotations: stringMap.optional() }).optional(),
  imagePullSecrets: z.array(z.strictObject({ name: name253 })).max(8).optional(),
  suspend: z.boolean().default(false).describe('Take the engines away and keep everything else.'),
});

export type QwenCoderSpec = z.output<typeof Spec>;
export type QwenCoderSpecInput = z.input<typeof Spec>;
