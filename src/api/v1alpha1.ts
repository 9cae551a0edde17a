import * as z from 'zod';
import {
  annotations,
  extendedResource,
  labelKey,
  labels,
  labelValue,
  objectName,
  quantity,
  resourceList,
  SecretKey,
} from './fields.ts';
import { NOT_EFFECTIVE } from './not-effective.ts';
import { listMap, listSet, rule } from './rule.ts';
import type { QwenCoderStatus } from './status.ts';

/** The resource's own coordinates. */
export const GROUP = 'qwencoder.dev';
export const VERSION = 'v1alpha1';
export const KIND = 'QwenCoderDeployment';
export const PLURAL = 'qwencoderdeployments';

/** Names of children are longer by up to 23 characters, and a label value has 63. */
export const MAX_NAME_LENGTH = 40;

const RFC_1035_LABEL = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;

/** The rule for names of resources: the name becomes that of a Service, and the beginning of the names of children. */
export const RESOURCE_NAME = {
  cel: `self.metadata.name.size() <= ${MAX_NAME_LENGTH} && self.metadata.name.matches('${RFC_1035_LABEL.source}')`,
  isValid: (name: string): boolean => name.length <= MAX_NAME_LENGTH && RFC_1035_LABEL.test(name),
  message: `metadata.name becomes the name of a Service and part of longer names: at most ${MAX_NAME_LENGTH} lower case letters, digits and hyphens, a letter first and no hyphen last; rename the resource`,
} as const;

// model

const Source = z.discriminatedUnion('type', [
  z.strictObject({
    type: z
      .literal('HuggingFace')
      .describe('Where the weights come from: the hub, a volume that already holds them, or an OCI image.'),
    secretRef: SecretKey.optional().describe('Secret key that holds a hub token, for gated or private repositories.'),
    endpoint: z
      .string()
      .min(8)
      .max(253)
      .regex(/^https?:\/\/[A-Za-z0-9][A-Za-z0-9._:/-]*$/)
      .optional()
      .describe('Base URL of a hub mirror; the public hub when unset.'),
  }),
  z.strictObject({
    type: z.literal('Volume'),
    claimName: objectName.describe('PersistentVolumeClaim that already holds the checkpoint.'),
    path: z
      .string()
      .min(1)
      .max(512)
      .regex(/^[A-Za-z0-9_][A-Za-z0-9._-]*(\/[A-Za-z0-9_][A-Za-z0-9._-]*)*$/)
      .optional()
      .describe('Folder of the checkpoint on that volume, relative; its root when unset.'),
  }),
  z.strictObject({
    type: z.literal('Image'),
    reference: z
      .string()
      .min(1)
      .max(512)
      .regex(/^[A-Za-z0-9][A-Za-z0-9._:/@-]*$/)
      .describe('OCI image whose root is the checkpoint.'),
  }),
]);

/** Number formats of the weights that vLLM loads. */
export const QUANTIZATIONS = ['BF16', 'FP8'] as const;

const ModelFields = z.strictObject({
  quantization: z
    .string()
    .min(1)
    .max(63)
    .regex(/^[A-Za-z0-9][A-Za-z0-9._:-]*$/)
    .optional()
    .describe('Number format of the weights: BF16 or FP8 for vLLM. Planned from the GPUs when unset.'),
  repository: z
    .string()
    .min(3)
    .max(253)
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*\/[A-Za-z0-9][A-Za-z0-9._-]*$/)
    .optional()
    .describe('Hugging Face repository, owner/name; chosen by engine and quantization when unset.'),
  revision: z
    .string()
    .min(1)
    .max(253)
    .regex(/^[A-Za-z0-9][A-Za-z0-9._/-]*$/)
    .optional()
    .describe('Commit, tag or branch of the repository. Pin a commit to be reproducible.'),
  source: Source.prefault({ type: 'HuggingFace' }).describe('Where the weights come from.'),
  servedName: z
    .string()
    .min(1)
    .max(253)
    .regex(/^[A-Za-z0-9][A-Za-z0-9._:-]*$/)
    .default('qwen3-coder-next')
    .describe('Name of the model in the API; no slash, since some clients cannot send one.'),
  aliases: listSet(
    z
      .array(
        z
          .string()
          .min(1)
          .max(253)
          .regex(/^[A-Za-z0-9][A-Za-z0-9._:/-]*$/),
      )
      .max(16),
  )
    .optional()
    .describe('Further names that the API answers to.'),
});

const Model = rule(
  rule(
    ModelFields,
    {
      cel: '!has(self.aliases) || !self.aliases.exists(alias, alias == self.servedName)',
      message: 'spec.model.aliases repeats spec.model.servedName; remove it from the aliases',
      fieldPath: '.aliases',
    },
    (model) => !model.aliases?.includes(model.servedName),
  ),
  {
    cel: "self.source.type == 'HuggingFace' || (!has(self.repository) && !has(self.revision))",
    message:
      'spec.model.repository and revision name a checkpoint on the hub; remove them, or use spec.model.source.type HuggingFace',
    fieldPath: '.source',
  },
  (model) => model.source.type === 'HuggingFace' || (model.repository === undefined && model.revision === undefined),
);

// engine

const EnvVar = rule(
  z.strictObject({
    name: z
      .string()
      .min(1)
      .max(253)
      .regex(/^[-._a-zA-Z][-._a-zA-Z0-9]*$/)
      .describe('Name of the variable.'),
    value: z.string().max(4096).optional().describe('Its value.'),
    secretKeyRef: SecretKey.optional().describe('Secret key that holds the value.'),
  }),
  {
    cel: 'has(self.value) != has(self.secretKeyRef)',
    message: 'an entry of spec.engine.env has either value or secretKeyRef; give one of the two',
  },
  (entry) => (entry.value !== undefined) !== (entry.secretKeyRef !== undefined),
);

const Engine = z.strictObject({
  type: z.enum(['VLLM', 'LlamaCpp', 'Ollama']).default('VLLM').describe('What runs the model.'),
  version: z
    .string()
    .min(5)
    .max(32)
    .regex(/^[0-9]+\.[0-9]+\.[0-9]+$/)
    .optional()
    .describe("Engine version; flags are rendered for it. The operator's own choice when unset."),
  image: z
    .string()
    .min(1)
    .max(512)
    .regex(/^[A-Za-z0-9][A-Za-z0-9._:/@-]*$/)
    .optional()
    .describe('Container image; pin it by digest to be reproducible. By engine and version when unset.'),
  args: z
    .array(z.string().min(1).max(1024))
    .max(64)
    .optional()
    .describe('Further engine arguments. Flags that the operator sets are refused.'),
  env: listMap(z.array(EnvVar).max(64), 'name')
    .optional()
    .describe('Further environment variables, by value or from a Secret.'),
  resources: z
    .strictObject({
      requests: resourceList.optional().describe('What the scheduler sets aside, for example cpu and memory.'),
      limits: resourceList.optional().describe('What the engine may use at most.'),
    })
    .optional()
    .describe('CPU and memory of an engine pod. GPUs come from the plan.'),
});

// parallelism and context

const TENSOR_PARALLEL_SIZES = [1, 2, 4, 8, 16];

const Parallelism = z.strictObject({
  tensorParallelSize: rule(
    z.int32().min(1).max(16),
    {
      cel: 'self in [1, 2, 4, 8, 16]',
      message:
        'spec.parallelism.tensorParallelSize: 16 attention heads divide by 1, 2, 4, 8 or 16 only; use one of these or leave it out',
    },
    (size) => TENSOR_PARALLEL_SIZES.includes(size),
  )
    .optional()
    .describe('GPUs that share one replica: 1, 2, 4, 8 or 16; FP8 up to 4. Planned when unset.'),
  pipelineParallelSize: z.int32().min(1).max(16).default(1).describe('Pipeline stages, each on a node of its own.'),
  expertParallel: z.boolean().default(false).describe('Split experts whole over the GPUs instead of by width.'),
});

const Context = z.strictObject({
  maxModelLen: z
    .int32()
    .min(1024)
    .max(262144)
    .optional()
    .describe('Longest request, prompt and answer, in tokens. Planned when unset.'),
  minConcurrency: z
    .int32()
    .min(1)
    .max(1024)
    .default(4)
    .describe('How many requests of the full length must fit at once.'),
  kvCacheDtype: z.enum(['Auto', 'BF16', 'FP8']).default('Auto').describe('Number format of the KV cache.'),
  maxNumSeqs: z.int32().min(1).max(4096).optional().describe('Most requests decoded together. Planned when unset.'),
  gpuMemoryUtilizationPercent: z
    .int32()
    .min(50)
    .max(98)
    .optional()
    .describe('Part of GPU memory the engine may use; by engine version when unset.'),
});

// placement

const TolerationFields = z.strictObject({
  key: labelKey.optional().describe('Taint key; every key when unset, which needs operator Exists.'),
  operator: z.enum(['Exists', 'Equal']).optional().describe('Exists ignores the value of the taint; Equal when unset.'),
  value: labelValue.optional().describe('Value of the taint, for operator Equal.'),
  effect: z
    .enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute'])
    .optional()
    .describe('Taint effect; every effect when unset.'),
  tolerationSeconds: z
    .int()
    .min(0)
    .max(31_536_000)
    .optional()
    .describe('How long a NoExecute taint is tolerated; forever when unset.'),
});

const exists = (toleration: z.output<typeof TolerationFields>): boolean => toleration.operator === 'Exists';
const CEL_EXISTS = "(has(self.operator) && self.operator == 'Exists')";

const Toleration = rule(
  rule(
    rule(
      TolerationFields,
      {
        cel: `!${CEL_EXISTS} || !has(self.value) || self.value == ''`,
        message: 'a toleration with operator Exists has no value; remove the value, or use operator Equal',
        fieldPath: '.value',
      },
      (toleration) => !exists(toleration) || !toleration.value,
    ),
    {
      cel: `has(self.key) || ${CEL_EXISTS}`,
      message: 'a toleration without a key needs operator Exists; set it, or name the key',
      fieldPath: '.key',
    },
    (toleration) => toleration.key !== undefined || exists(toleration),
  ),
  {
    cel: "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
    message: 'tolerationSeconds needs effect NoExecute; set the effect, or remove tolerationSeconds',
    fieldPath: '.tolerationSeconds',
  },
  (toleration) => toleration.tolerationSeconds === undefined || toleration.effect === 'NoExecute',
);

const Placement = z.strictObject({
  resourceName: extendedResource.default('nvidia.com/gpu').describe('Extended resource that stands for one GPU.'),
  products: listSet(z.array(labelValue.min(1)).max(16))
    .optional()
    .describe(
      'GPU products that may be used, as in the node label nvidia.com/gpu.product or amd.com/gpu.product-name, or by short name (H100-80GB); all when unset.',
    ),
  minMemory: quantity.optional().describe('Least memory of one GPU, for example 80Gi.'),
  nodeShapes: z
    .array(
      z.strictObject({
        product: labelValue.min(1).describe('GPU product label that the nodes will carry.'),
        memory: quantity.describe('Memory of one GPU.'),
        gpus: z.int32().min(1).max(16).describe('GPUs of one node.'),
      }),
    )
    .max(16)
    .optional()
    .describe('Node pools that scale from zero: planned against though no node is there yet.'),
  nodeSelector: labels.optional().describe('Labels that a node must have.'),
  tolerations: z.array(Toleration).max(32).optional().describe('Taints that the engine pods tolerate.'),
  topologySpread: z
    .enum(['None', 'Host', 'Zone'])
    .default('None')
    .describe('Spread replicas over hosts or zones where possible.'),
  runtimeClassName: objectName.optional().describe('RuntimeClass of the engine pods.'),
  priorityClassName: objectName.optional().describe('PriorityClass of the engine pods.'),
});

// sampling, tools, scaling

const Sampling = z.strictObject({
  temperature: z.number().min(0).max(2).default(1).describe('Used where a request names none.'),
  topP: z.number().gt(0).lte(1).default(0.95).describe('Used where a request names none.'),
  topK: z.int32().min(-1).max(151_936).default(40).describe('Used where a request names none; -1 is off.'),
  minP: z
    .number()
    .min(0)
    .max(1)
    .optional()
    .describe("Used where a request names none; the engine's default when unset."),
  seed: z.int32().min(0).optional().describe('Seed of the engine.'),
});

const Tools = z.strictObject({
  enabled: z
    .boolean()
    .default(true)
    .describe('Let the model call tools, with the parser that belongs to model and engine version.'),
});

const Slo = z.strictObject({
  ttftBaseSeconds: z.int32().min(1).max(600).optional().describe('Time to the first token of an empty prompt.'),
  ttftPerKTokenMs: z.int32().min(0).max(60_000).optional().describe('Added for each 1000 tokens of prompt.'),
  attainmentPercent: z.int32().min(50).max(100).optional().describe('Part of the requests that must keep to it.'),
});

const ScaleToZero = z.strictObject({
  idleSeconds: z.int32().min(60).max(604_800).optional().describe('Sleep after this long without a request.'),
  wake: z.enum(['Hold', 'Reject']).optional().describe('What happens to requests that wake the engines.'),
  holdSeconds: z.int32().min(1).max(3600).optional().describe('Longest time that a waking request is held.'),
  prewarm: z.boolean().optional().describe('Wake ahead of the load that the profile expects.'),
});

const WarmWindow = z.strictObject({
  days: listSet(
    z
      .array(z.enum(['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun']))
      .min(1)
      .max(7),
  )
    .optional()
    .describe('Days of the week; every day when unset.'),
  from: z
    .string()
    .max(5)
    .regex(/^([01][0-9]|2[0-3]):[0-5][0-9]$/)
    .describe('Start, HH:MM.'),
  to: z
    .string()
    .max(5)
    .regex(/^([01][0-9]|2[0-3]):[0-5][0-9]$/)
    .describe('End, HH:MM.'),
  timeZone: z
    .string()
    .min(1)
    .max(64)
    .regex(/^[A-Za-z][A-Za-z0-9_+/-]*$/)
    .optional()
    .describe('IANA time zone; UTC when unset.'),
  replicas: z.int32().min(1).max(64).describe('Least replicas within the window.'),
});

const Profile = z.strictObject({
  learn: z.boolean().optional().describe('Learn the shape of the week from the work done.'),
  weeks: z.int32().min(1).max(8).optional().describe('How many weeks back count.'),
});

const Scaling = rule(
  z.strictObject({
    mode: z
      .enum(['Builtin', 'External', 'None'])
      .default('Builtin')
      .describe(
        'Who sets the number of replicas: the operator, the scale subresource (HPA, KEDA, kubectl scale), or nobody but the spec.',
      ),
    minReplicas: z.int32().min(0).max(64).default(1).describe('Least replicas in mode Builtin.'),
    maxReplicas: z.int32().min(0).max(64).default(1).describe('Most replicas in mode Builtin.'),
    maxGPUs: z.int32().min(1).max(1024).optional().describe('Most GPUs at any time, rollouts included.'),
    slo: Slo.optional().describe('How fast answers must start.'),
    scaleToZero: ScaleToZero.optional().describe('When to sleep and how to wake.'),
    warm: z.array(WarmWindow).max(16).optional().describe('Times of the week with a higher least number of replicas.'),
    profile: Profile.optional().describe('What is learned about the week.'),
    dryRun: z.boolean().optional().describe('Publish decisions and do not act on them.'),
  }),
  {
    cel: 'self.minReplicas <= self.maxReplicas',
    message: 'spec.scaling.minReplicas must not exceed spec.scaling.maxReplicas; lower the one or raise the other',
    fieldPath: '.minReplicas',
  },
  (scaling) => scaling.minReplicas <= scaling.maxReplicas,
);

// endpoint, storage, network, rollout

const Authentication = rule(
  z.strictObject({
    type: z
      .enum(['APIKey', 'None'])
      .default('APIKey')
      .describe('How clients prove who they are; None serves whoever reaches the endpoint.'),
    secretRef: SecretKey.optional().describe(
      'Secret key that holds the API keys, one a line, as "name: key"; a key is generated into Secret <name>-api-key when unset.',
    ),
  }),
  {
    cel: "!has(self.secretRef) || self.type == 'APIKey'",
    message:
      'spec.endpoint.authentication.secretRef names keys, which type None does not ask for; remove one of the two',
    fieldPath: '.secretRef',
  },
  ({ type, secretRef }) => secretRef === undefined || type === 'APIKey',
);

const ExposeFields = z.strictObject({
  type: z
    .enum(['ClusterIP', 'Ingress', 'HTTPRoute'])
    .default('ClusterIP')
    .describe('From inside the cluster alone, or also by an Ingress or an HTTPRoute of the Gateway API.'),
  className: objectName.optional().describe("IngressClass of the Ingress; the cluster's default when unset."),
  host: objectName.optional().describe('Host name of the endpoint, which an Ingress needs.'),
  tlsSecretName: objectName
    .optional()
    .describe(
      'Secret with a certificate (type kubernetes.io/tls): of the Ingress, or with ClusterIP of the gateways themselves.',
    ),
  parentRefs: z
    .array(
      z.strictObject({
        name: objectName.describe('Gateway.'),
        namespace: objectName.optional().describe('Its namespace; that of the resource when unset.'),
        sectionName: objectName.optional().describe('Its listener; all when unset.'),
      }),
    )
    .min(1)
    .max(8)
    .optional()
    .describe('Gateways that the HTTPRoute attaches to.'),
  annotations: annotations
    .optional()
    .describe('Annotations of the Ingress or HTTPRoute; they replace those that the operator sets itself.'),
});

type ExposeFields = z.output<typeof ExposeFields>;

/** Which fields are obeyed with which ways of exposing. */
const OBEYED_WITH: readonly (readonly [name: keyof ExposeFields, types: readonly ExposeFields['type'][]])[] = [
  ['className', ['Ingress']],
  ['host', ['Ingress', 'HTTPRoute']],
  ['tlsSecretName', ['ClusterIP', 'Ingress']],
  ['parentRefs', ['HTTPRoute']],
  ['annotations', ['Ingress', 'HTTPRoute']],
];

const Expose = OBEYED_WITH.reduce(
  (schema, [name, types]) =>
    rule(
      schema,
      {
        cel: `!has(self.${name}) || self.type in [${types.map((type) => `'${type}'`).join(', ')}]`,
        message: `spec.endpoint.expose.${name} is obeyed with type ${types.join(' or ')} only; remove it, or set spec.endpoint.expose.type`,
        fieldPath: `.${name}`,
      },
      (expose) => expose[name] === undefined || types.includes(expose.type),
    ),
  rule(
    rule(
      ExposeFields,
      {
        cel: "self.type != 'Ingress' || has(self.host)",
        message:
          'spec.endpoint.expose.host is what an Ingress tells endpoints apart by; name the host that clients will use',
        fieldPath: '.host',
      },
      ({ type, host }) => type !== 'Ingress' || host !== undefined,
    ),
    {
      cel: "self.type != 'HTTPRoute' || has(self.parentRefs)",
      message: 'spec.endpoint.expose.parentRefs names the Gateways that an HTTPRoute attaches to; name at least one',
      fieldPath: '.parentRefs',
    },
    ({ type, parentRefs }) => type !== 'HTTPRoute' || parentRefs !== undefined,
  ),
);

const Endpoint = z.strictObject({
  gateway: z
    .strictObject({ replicas: z.int32().min(1).max(10).default(2).describe('Gateway pods.') })
    .prefault({})
    .describe('The proxy in front of the engines.'),
  authentication: Authentication.prefault({}).describe('Who may use the endpoint.'),
  expose: Expose.prefault({}).describe('How the endpoint is reached.'),
});

const Storage = rule(
  z.strictObject({
    className: objectName.optional().describe("StorageClass; the cluster's default when unset."),
    accessMode: z
      .enum(['ReadWriteOnce', 'ReadWriteMany'])
      .default('ReadWriteOnce')
      .describe('ReadWriteOnce ties all replicas to one node; ReadWriteMany lifts that.'),
    size: quantity.optional().describe('Sized from the checkpoint when unset.'),
    claimName: objectName.optional().describe('An existing PersistentVolumeClaim to keep the weights on.'),
    retain: z.boolean().default(false).describe('Keep the weights when the resource is deleted.'),
  }),
  {
    cel: '!has(self.claimName) || (!has(self.className) && !has(self.size))',
    message:
      'spec.storage.claimName names a volume that exists, so className and size cannot be obeyed; remove them, or remove claimName',
    fieldPath: '.claimName',
  },
  (storage) => storage.claimName === undefined || (storage.className === undefined && storage.size === undefined),
);

const Network = z.strictObject({
  isolation: z
    .enum(['Locked', 'Open'])
    .default('Locked')
    .describe(
      'Locked: nothing leaves the engines, and only gateways and the operator reach them. Open: no NetworkPolicy is made.',
    ),
  metricsFrom: z
    .array(
      z.strictObject({
        namespaceLabels: labels.optional().describe('Labels of the namespace that scrapes.'),
        podLabels: labels.optional().describe('Labels of the pods that scrape.'),
      }),
    )
    .max(8)
    .optional()
    .describe('Pods that may read metrics at the gateways, those of engines included; none when unset.'),
});

const Rollout = z.strictObject({
  strategy: z
    .enum(['Auto', 'Surge', 'Replace'])
    .optional()
    .describe('Start the new engine before the old one goes, or after.'),
  rollback: z.boolean().optional().describe('Go back to the last revision that served when a new one fails.'),
});

// pods

const OWN_LABELS = ['name', 'instance', 'component', 'managed-by'].map((key) => `app.kubernetes.io/${key}`);
const isOwn = (key: string): boolean => key.startsWith('qwencoder.dev/');

const PodMetadata = z.strictObject({
  labels: rule(
    labels,
    {
      cel: `!self.exists(key, key.startsWith('qwencoder.dev/') || key in [${OWN_LABELS.map((key) => `'${key}'`).join(', ')}])`,
      message:
        'spec.podMetadata.labels: the operator sets qwencoder.dev/* and app.kubernetes.io/name, instance, component and managed-by itself; remove them',
    },
    (map) => !Object.keys(map).some((key) => isOwn(key) || OWN_LABELS.includes(key)),
  )
    .optional()
    .describe('Labels, for example for Kueue or a mesh.'),
  annotations: rule(
    annotations,
    {
      cel: "!self.exists(key, key.startsWith('qwencoder.dev/'))",
      message: 'spec.podMetadata.annotations: the operator sets qwencoder.dev/* itself; remove them',
    },
    (map) => !Object.keys(map).some(isOwn),
  )
    .optional()
    .describe('Annotations.'),
});

const Fields = z.strictObject({
  model: Model.prefault({}).describe('What is served.'),
  engine: Engine.prefault({}).describe('What runs the model.'),
  parallelism: Parallelism.prefault({}).describe('How one replica is split over GPUs.'),
  context: Context.prefault({}).describe('How long requests may be and how many fit at once.'),
  placement: Placement.prefault({}).describe('Which GPUs and nodes may be used.'),
  sampling: Sampling.prefault({}).describe('Defaults for requests that name no sampling of their own.'),
  tools: Tools.prefault({}).describe('Tool calling.'),
  replicas: z
    .int32()
    .min(0)
    .max(64)
    .optional()
    .describe('Obeyed in scaling mode External or None, 1 when unset; the scale subresource writes it.'),
  scaling: Scaling.prefault({}).describe('How many replicas there are.'),
  endpoint: Endpoint.prefault({}).describe('How the API is reached.'),
  storage: Storage.prefault({}).describe('Where weights and compile cache are kept.'),
  network: Network.prefault({}).describe('Who may talk to whom.'),
  rollout: Rollout.optional().describe('How engines are replaced.'),
  podMetadata: PodMetadata.optional().describe('Further labels and annotations of the engine pods.'),
  imagePullSecrets: listMap(
    z.array(z.strictObject({ name: objectName.describe('Secret in the same namespace.') })).max(8),
    'name',
  )
    .optional()
    .describe('Credentials for private image registries.'),
  suspend: z.boolean().default(false).describe('Take the engines away and keep everything else.'),
});

/** The spec before the rules that look at more than one of its fields. */
export type SpecFields = z.output<typeof Fields>;

const isListed = (list: readonly string[], value: string): boolean => list.includes(value);

const SpecRules = rule(
  rule(
    rule(
      Fields,
      {
        cel: "self.engine.type != 'VLLM' || !has(self.model.quantization) || self.model.quantization in ['BF16', 'FP8']",
        message:
          'spec.model.quantization: vLLM takes BF16 or FP8 only; use one of these, leave it out, or use another spec.engine.type',
        fieldPath: '.model.quantization',
      },
      ({ engine, model }) =>
        engine.type !== 'VLLM' || model.quantization === undefined || isListed(QUANTIZATIONS, model.quantization),
    ),
    {
      cel: "!has(self.model.quantization) || self.model.quantization != 'FP8' || !has(self.parallelism.tensorParallelSize) || self.parallelism.tensorParallelSize <= 4",
      message:
        'spec.parallelism.tensorParallelSize: FP8 weights split over at most 4 GPUs; use 4 or less and more replicas, or spec.model.quantization BF16',
      fieldPath: '.parallelism.tensorParallelSize',
    },
    ({ model, parallelism }) => model.quantization !== 'FP8' || (parallelism.tensorParallelSize ?? 1) <= 4,
  ),
  {
    cel: '!has(self.engine.resources) || ((!has(self.engine.resources.requests) || !(self.placement.resourceName in self.engine.resources.requests)) && (!has(self.engine.resources.limits) || !(self.placement.resourceName in self.engine.resources.limits)))',
    message:
      'spec.engine.resources: the number of GPUs comes from the plan; remove the GPU resource and set spec.parallelism.tensorParallelSize',
    fieldPath: '.engine.resources',
  },
  ({ engine, placement }) =>
    !Object.hasOwn(engine.resources?.requests ?? {}, placement.resourceName) &&
    !Object.hasOwn(engine.resources?.limits ?? {}, placement.resourceName),
);

/** Every field of the resource is declared here and nowhere else: the CRD, its defaults and CLI validation come from it. */
export const Spec = NOT_EFFECTIVE.reduce(
  (schema, { cel, isAskedFor, message, path }) =>
    rule(schema, { cel: `!(${cel})`, message, fieldPath: `.${path}` }, (spec) => !isAskedFor(spec)),
  SpecRules,
);

export type QwenCoderSpec = z.output<typeof Spec>;
export type QwenCoderSpecInput = z.input<typeof Spec>;

/** The part of `metadata` that the operator reads. */
export interface ResourceMeta {
  name: string;
  namespace: string;
  uid: string;
  generation: number;
  resourceVersion: string;
  creationTimestamp: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
}

/** The resource as the API server stores it, defaults filled in. */
export interface QwenCoderDeployment {
  apiVersion: `${typeof GROUP}/${typeof VERSION}`;
  kind: typeof KIND;
  metadata: ResourceMeta;
  spec: QwenCoderSpec;
  status?: QwenCoderStatus;
}
