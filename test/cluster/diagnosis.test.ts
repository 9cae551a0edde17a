import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ConditionType, type QwenCoderSpecInput, type Reason, condition } from '../../src/api/index.ts';
import { Events, Jobs, Nodes, Pods, Secrets } from '../../src/kube/index.ts';
import type { Pod } from '../../src/kube/wire.ts';
import { COMPONENT, RESOURCE } from '../../src/render/index.ts';
import { FAULT_ANNOTATION } from '../simulator/kubelet/pod-worker.ts';
import type { Fault } from '../simulator/vllm/faults.ts';
import { scaledClock } from '../support/scaled-clock.ts';
import { FailureLedger } from './failure-ledger.ts';
import { World, eventually } from './world.ts';

// Every row of the table in test/golden/diagnosis-matrix.md is a run: the fault is brought about, and what stands in the first status
// that names it is written down.

/** What engines take besides weights and KV cache, and nobody is told. */
const HIDDEN_GIB: Readonly<Record<string, number>> = { 'RTX-PRO-6000': 8, L40S: 24 };
const hidden = (product: string): number =>
  Object.entries(HIDDEN_GIB).find(([part]) => product.includes(part))?.[1] ?? 2.6;

/** A failure is named within so many seconds of the pod that shows it. */
const SECONDS = 10;

let world: World;
let ledger: FailureLedger;

beforeAll(async () => {
  world = await World.start({
    nodes: '8xH100-80GB*4,1xRTXPRO6000-96GB*4,4xL40S-48GB*2,1xH200-141GB,1xB200-180GB,4xA100-80GB',
    simulator: { clock: scaledClock(20), loadSeconds: 20, hiddenOverheadGiB: hidden },
  });
  await world.client.patch(
    Nodes,
    { name: 'a100-80gb-0' },
    {
      type: 'merge',
      body: {
        metadata: {
          labels: { 'nvidia.com/cuda.driver-version.major': '470', 'nvidia.com/cuda.driver.major': '470' },
        },
      },
    },
  );
  const { hub } = world.simulator;
  hub.addRepository('example/gated', 'FP8');
  hub.setAccess('example/gated', 'gated');
  hub.addRepository('example/away', 'FP8');
  hub.setOutage(503, 'example/away');
  hub.addRepository('example/other-model', 'FP8', 1, 'OtherForCausalLM');
  hub.expireToken(TOKENS.expired);
  hub.restrictToken(TOKENS.restricted);
  world.simulator.refuseImages(
    /^registry\.example\/private\//,
    'rpc error: code = Unknown desc = failed to resolve image: pulling from host registry.example failed with status code [manifests v0.33.0]: 401 Unauthorized',
  );
  world.simulator.refuseImages(
    /^registry\.example\/away\//,
    'rpc error: code = DeadlineExceeded desc = failed to do request: Head "https://registry.example/v2/": dial tcp 192.0.2.1:443: i/o timeout',
  );
  await deny(
    'pods-have-a-team',
    'pods',
    'has(object.metadata.labels) && "team" in object.metadata.labels',
    'set label team',
  );
  await deny('no-deployments', 'deployments', 'false', 'Deployments are made by the platform team alone');
  ledger = await FailureLedger.start(world.client);
});
afterAll(async () => {
  ledger?.stop();
  await world?.stop();
});

/** A policy of the cluster's administrator, for namespaces with its name as a label. */
async function deny(
  name: string,
  resource: 'pods' | 'deployments',
  expression: string,
  message: string,
): Promise<void> {
  const kind = (kind: string, spec: object) => ({
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind,
    metadata: { name },
    spec,
  });
  const rule = { apiGroups: ['*'], apiVersions: ['*'], operations: ['CREATE'], resources: [resource] };
  const items = [
    kind('ValidatingAdmissionPolicy', {
      matchConstraints: { resourceRules: [rule] },
      validations: [{ expression, message }],
    }),
    kind('ValidatingAdmissionPolicyBinding', {
      policyName: name,
      validationActions: ['Deny'],
      matchResources: { namespaceSelector: { matchLabels: { [name]: 'true' } } },
    }),
  ];
  const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
  await world.cluster.kubectl(['apply', '-f', '-'], { input: list });
}

/** Puts a namespace under a policy, and waits until the API server denies what it did not before. */
const under = (policy: string) => async (namespace: string) => {
  await world.cluster.kubectl(['label', 'namespace', namespace, `${policy}=true`]);
  await eventually(async () => {
    const kind = policy === 'no-deployments' ? ['create', 'deployment', 'x'] : ['run', 'x'];
    const asked = world.cluster.kubectl([...kind, '--image=x', '--dry-run=server', '--namespace', namespace]);
    await expect(asked).rejects.toThrow(policy);
  });
};

const TOKENS = { expired: 'hf_canaryThatHasRunOut0001', restricted: 'hf_canaryForSomethingElse0002' } as const;
const VARIABLE = 'canary-of-a-variable-0003';

interface Row {
  readonly fault: string;
  readonly spec: QwenCoderSpecInput;
  readonly type: ConditionType;
  readonly reason: Reason;
  /** Whether another try cannot go otherwise. */
  readonly isStalled: boolean;
  /** How the remedy begins; what stands before it is the evidence. */
  readonly remedy: string;
  /** What the log quotes and nobody may. */
  readonly secret?: string | ((namespace: string) => Promise<string>);
  /** Reason of the Event that tells it, where that is another one; `none` where it is so for a moment of every start. */
  readonly toldBy?: Reason | 'none';
  /** Before the resource is made. */
  readonly prepare?: (namespace: string) => Promise<unknown>;
  /** Once an engine runs. */
  readonly strike?: (namespace: string) => Promise<unknown>;
  /** How a pod shows it, where that is not the end of a container or its waiting for good. */
  readonly showsIn?: (pod: Pod) => boolean;
  /** How it goes on. */
  readonly afterwards?: (namespace: string) => Promise<unknown>;
}

const image = { quantization: 'FP8', source: { type: 'Image', reference: 'models/coder-fp8:1' } } as const;

/** An engine on two H100s that reads an image: nothing is fetched, and the plan is always the same. */
const engine = (over: QwenCoderSpecInput = {}, fault?: Fault): QwenCoderSpecInput => ({
  model: image,
  placement: { products: ['H100-80GB'] },
  parallelism: { tensorParallelSize: 2 },
  context: { maxModelLen: 131_072 },
  ...(fault && { podMetadata: { annotations: { [FAULT_ANNOTATION]: fault } } }),
  ...over,
});
const on = (
  product: 'RTXPRO6000-96GB' | 'L40S-48GB',
  context: QwenCoderSpecInput['context'],
  version?: string,
): QwenCoderSpecInput =>
  engine({
    placement: { products: [product] },
    parallelism: { tensorParallelSize: product === 'L40S-48GB' ? 4 : 1 },
    context: { minConcurrency: 1, ...context },
    ...(version !== undefined && { engine: { version } }),
  });

/** A download. */
const download = (model: QwenCoderSpecInput['model'], token?: string): QwenCoderSpecInput =>
  engine({
    model: {
      quantization: 'FP8',
      ...model,
      ...(token !== undefined && { source: { type: 'HuggingFace', secretRef: { name: 'hub', key: 'token' } } }),
    },
  });

const isOf = (namespace: string) => (pod: Pod) => pod.metadata?.namespace === namespace;

const isEngineOf = (namespace: string) => (pod: Pod) =>
  isOf(namespace)(pod) && pod.metadata?.labels?.[COMPONENT] === 'engine';

const secret = (token: string) => (namespace: string) =>
  world.client.create(Secrets, { metadata: { namespace, name: 'hub' }, stringData: { token } });

/** One that a plan may be made under, and pods are refused for. */
const quota = (hard: Readonly<Record<string, string>>) => (namespace: string) => {
  const object = { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'gpus', namespace }, spec: { hard } };
  return world.cluster.kubectl(['apply', '-f', '-'], { input: JSON.stringify(object) });
};

const enginePod = async (namespace: string): Promise<Pod> => {
  const { items } = await world.client.list(Pods, {
    namespace,
    labelSelector: `${RESOURCE}=coder,${COMPONENT}=engine`,
  });
  return items[0]!;
};

/** Fails once, and hangs when it is started again: what is seen of it does not pass by. */
const once = (fault: Fault) => (namespace: string) => {
  world.simulator.setFault(isEngineOf(namespace), 'never-ready');
  world.simulator.setFault(isEngineOf(namespace), fault, 1);
  return Promise.resolve();
};

/** The same, some time after it was ready. */
const crash = (fault: Fault) => async (namespace: string) => {
  await world.ready(namespace, 'coder');
  world.simulator.setFault(isOf(namespace), 'never-ready');
  world.simulator.crash(isOf(namespace), fault);
};

const evict = async (namespace: string) => {
  await eventually(async () => expect((await enginePod(namespace)).status?.phase).toBe('Running'));
  world.simulator.evict(
    isOf(namespace),
    'The node was low on resource: ephemeral-storage. Threshold quantity: 175Gi, available: 161Gi. ',
  );
};

const startedBefore =
  (seconds: number) =>
  ({ status }: Pod): boolean =>
    Date.parse(status?.containerStatuses?.[0]?.state?.running?.startedAt ?? '') < Date.now() - seconds * 1000;

/** As if its load had begun so long ago. */
const makeOlder = async (namespace: string, seconds: number) => {
  const { metadata, status } = await eventually(async () => {
    const pod = await enginePod(namespace);
    expect(pod.status?.containerStatuses?.[0]?.state?.running).toBeDefined();
    return pod;
  });
  const startedAt = Date.parse(status!.containerStatuses![0]!.state!.running!.startedAt!) - seconds * 1000;
  const path = '/status/containerStatuses/0/state/running/startedAt';
  const body = [{ op: 'replace', path, value: new Date(startedAt).toISOString().replace(/\.\d+/, '') }];
  await world.client.patch(Pods, { namespace, name: metadata!.name! }, { type: 'json', body, subresource: 'status' });
};

/** Its start takes ever longer: three minutes, in which the operator looks at its log, then an hour. */
const hang = async (namespace: string) => {
  await eventually(async () => {
    const { metadata } = await enginePod(namespace);
    const log = await world.client.podLogs({ namespace, name: metadata!.name! }, { container: 'engine' });
    expect(log).toContain('init engine');
  });
  await makeOlder(namespace, 180);
  await eventually(async () => {
    const starting = await world.condition(namespace, 'coder', 'EnginesReady', { status: 'False', reason: 'Starting' });
    expect(starting.message).toContain('warm-up');
  });
  await makeOlder(namespace, 3600);
};

const isUnplaced = ({ status }: Pod): boolean =>
  status?.conditions?.some(({ type, status: is }) => type === 'PodScheduled' && is === 'False') ?? false;

/** By its probe. */
const isReady = ({ status }: Pod): boolean =>
  status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false;

/** A run that answered goes on, and does not any more. */
const isSilent = ({ status }: Pod): boolean => {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  const startedAt = status?.containerStatuses?.[0]?.state?.running?.startedAt;
  return ready?.status === 'False' && Date.parse(ready.lastTransitionTime!) > Date.parse(startedAt ?? '');
};

/** The key that the operator derived for the engines of a namespace. */
const engineKey = async (namespace: string): Promise<string> => {
  const { items } = await world.client.list(Secrets, { namespace });
  const value = items.map(({ data }) => data?.['engine-key']).find((data) => data !== undefined);
  return Buffer.from(value!, 'base64').toString('utf8');
};

/** A pod of someone else's on the only node with this GPU. */
const squat = async (namespace: string) => {
  await world.client.create(Pods, {
    metadata: { namespace, name: 'squatter' },
    spec: {
      nodeSelector: { 'kubernetes.io/hostname': 'b200-180gb-0' },
      tolerations: [{ operator: 'Exists' }],
      containers: [{ name: 'main', image: 'busybox', resources: { limits: { 'nvidia.com/gpu': '1' } } }],
    },
  });
  await eventually(async () => {
    const pod = await world.client.get(Pods, { namespace, name: 'squatter' });
    expect(pod?.status?.phase).toBe('Running');
  });
};

/** The Job of the download has had all the time that it gets. */
const giveUp = async (namespace: string) => {
  const job = await eventually(async () => {
    const { items } = await world.client.list(Jobs, { namespace, labelSelector: `${COMPONENT}=weights` });
    expect(items[0]?.status?.failed).toBeGreaterThan(0);
    return items[0]!;
  });
  const key = { namespace, name: job.metadata!.name! };
  await world.client.patch(Jobs, key, { type: 'merge', body: { spec: { activeDeadlineSeconds: 1 } } });
};

/** An endpoint that reads a Secret which nobody made. */
const withoutKeys = engine({
  endpoint: { authentication: { type: 'APIKey', secretRef: { name: 'team-keys', key: 'keys' } } },
});
const madeKeys = async (namespace: string) => {
  const metadata = { namespace, name: 'team-keys' };
  await world.client.create(Secrets, { metadata, stringData: { keys: 'ann: a-key-of-ann-that-is-long' } });
  await world.ready(namespace, 'coder', 60_000);
};

const ENGINES: readonly Omit<Row, 'type'>[] = [
  {
    fault: 'an argument that vLLM does not have',
    spec: engine({}, 'bad-flag'),
    reason: 'ArgumentRefused',
    isStalled: true,
    remedy: 'Remove or correct --no-such-flag in spec.engine.args',
  },
  {
    fault: 'an argument made of a variable, which vLLM refuses and quotes',
    spec: engine({
      engine: { env: [{ name: 'BATCH_TOKENS', value: VARIABLE }], args: ['--max-num-batched-tokens=$(BATCH_TOKENS)'] },
    }),
    reason: 'ArgumentRefused',
    isStalled: true,
    remedy: 'Remove or correct --max-num-batched-tokens in spec.engine.args',
    secret: VARIABLE,
  },
  {
    fault: "an argument made of the engines' key, which vLLM refuses and quotes",
    spec: engine({ engine: { args: ['--max-num-batched-tokens=$(VLLM_API_KEY)'] } }),
    reason: 'ArgumentRefused',
    isStalled: true,
    remedy: 'Remove or correct --max-num-batched-tokens in spec.engine.args',
    secret: engineKey,
  },
  {
    fault: 'a checkpoint whose blocks do not divide by the parallelism',
    spec: engine({}, 'fp8-block'),
    reason: 'ParallelismRefused',
    isStalled: true,
    remedy: 'Set spec.parallelism.tensorParallelSize to',
  },
  {
    fault: 'a pinned length for which the KV cache is too small',
    spec: on('RTXPRO6000-96GB', { maxModelLen: 262_144 }),
    reason: 'KvCacheTooSmall',
    isStalled: true,
    remedy: 'One request of 262144 tokens needs',
  },
  {
    fault: 'no memory left for a KV cache, the length being pinned',
    spec: on('L40S-48GB', { maxModelLen: 65_536 }),
    reason: 'NoKvCacheMemory',
    isStalled: true,
    remedy: 'The model needs',
  },
  {
    fault: 'more sequences than state blocks',
    spec: on('RTXPRO6000-96GB', { maxModelLen: 32_768, maxNumSeqs: 600 }),
    reason: 'StateBlocksShort',
    isStalled: true,
    remedy: '600 sequences need',
  },
  {
    fault: 'CUDA out of memory as the weights are loaded, the length being pinned',
    spec: engine({}, 'out-of-gpu-memory'),
    reason: 'OutOfGpuMemory',
    isStalled: true,
    remedy: 'The model needs about',
  },
  {
    fault: 'CUDA out of memory as it serves',
    spec: engine(),
    strike: crash('out-of-gpu-memory-serving'),
    reason: 'OutOfGpuMemory',
    isStalled: false,
    remedy: 'A GPU was',
  },
  {
    fault: 'a GPU whose memory another process holds',
    spec: engine(),
    prepare: once('gpu-memory-taken'),
    reason: 'GpuMemoryTaken',
    isStalled: false,
    remedy: '13.65 of 79.65 GiB are free',
  },
  {
    fault: 'fewer GPUs in the container than it was given',
    spec: engine({}, 'gpu-not-visible'),
    reason: 'GpuNotVisible',
    isStalled: true,
    remedy: 'The engine wants 2 GPUs and sees 1',
  },
  {
    fault: 'a driver that is too old, on nodes without its label',
    spec: engine({}, 'driver-too-old'),
    reason: 'DriverTooOld',
    isStalled: true,
    remedy: 'The driver knows CUDA 12.8',
  },
  {
    fault: 'a CUDA error as it serves',
    spec: engine(),
    strike: crash('gpu-fault'),
    reason: 'GpuFault',
    isStalled: false,
    remedy: 'It is started again.',
  },
  {
    fault: 'NCCL fails',
    spec: engine({}, 'nccl-failure'),
    reason: 'GpuCommunicationFailed',
    isStalled: true,
    remedy: '2 GPUs talk through NCCL.',
  },
  {
    fault: '/dev/shm is full, by a line of the log',
    spec: engine({}, 'shm-full'),
    reason: 'SharedMemoryTooSmall',
    isStalled: true,
    remedy: '/dev/shm has 4Gi for 2 GPUs.',
  },
  {
    fault: '/dev/shm is full, by SIGBUS',
    spec: engine({}, 'bus-error'),
    reason: 'SharedMemoryTooSmall',
    isStalled: true,
    remedy: '/dev/shm has 4Gi for 2 GPUs.',
  },
  {
    fault: 'killed by the kernel for its memory',
    spec: engine({ engine: { resources: { limits: { memory: '32Gi' } } } }, 'oom-killed'),
    reason: 'OutOfHostMemory',
    isStalled: true,
    remedy: 'The limit is 32Gi',
  },
  {
    fault: 'a folder without a checkpoint',
    spec: engine({ model: { quantization: 'FP8', source: { type: 'Volume', claimName: 'mine', path: 'wrong' } } }),
    prepare: (namespace) => world.claimWithCheckpoint(namespace, 'mine'),
    reason: 'WrongCheckpoint',
    isStalled: true,
    remedy: 'Put the FP8 checkpoint of Qwen3-Coder-Next',
  },
  {
    fault: 'the checkpoint of another model',
    spec: download({ repository: 'example/other-model' }),
    reason: 'WrongCheckpoint',
    isStalled: true,
    remedy: 'It is OtherForCausalLM',
  },
  {
    fault: 'an image that serves its own model, whatever its arguments say',
    spec: engine({}, 'other-name'),
    showsIn: isReady,
    reason: 'WrongModelServed',
    isStalled: true,
    remedy: 'It was told to serve /models as qwen3-coder-next',
    afterwards: async (namespace) => {
      const status = (await world.resource(namespace, 'coder'))!.status!;
      expect(status.readyReplicas).toBe(0);
      expect(condition(status.conditions, 'Ready')).toMatchObject({ status: 'False', reason: 'EnginesNotReady' });
    },
  },
  {
    fault: 'an image that serves another checkpoint by the right name',
    spec: engine({}, 'other-checkpoint'),
    showsIn: isReady,
    reason: 'WrongModelServed',
    isStalled: true,
    remedy: 'It was told to serve /models as qwen3-coder-next',
    afterwards: async (namespace) => {
      await world.apply(namespace, 'coder', engine());
      await world.ready(namespace, 'coder');
    },
  },
  {
    fault: 'a disk that is full as kernels are compiled',
    spec: engine({}, 'disk-full'),
    reason: 'DiskFull',
    isStalled: true,
    remedy: 'Free the disk of the node',
  },
  {
    fault: 'an eviction for want of disk',
    spec: engine({}, 'never-ready'),
    strike: evict,
    reason: 'DiskFull',
    isStalled: false,
    remedy: 'Free the disk of the node',
  },
  {
    fault: 'a crash that leaves no cause, as it serves',
    spec: engine(),
    strike: crash('crash-after-ready'),
    reason: 'EngineCrashed',
    isStalled: false,
    remedy: 'It is started again.',
  },
  {
    fault: 'an engine that hangs as it serves',
    spec: engine(),
    strike: async (namespace) => {
      await world.ready(namespace, 'coder');
      world.simulator.crash(isOf(namespace), 'hang-serving');
    },
    showsIn: isSilent,
    reason: 'EngineHung',
    isStalled: false,
    remedy: 'Its kubelet ends and restarts it',
    // Its kubelet gives it the whole grace period to stop.
    afterwards: (namespace) => world.ready(namespace, 'coder', 90_000),
  },
  {
    fault: 'an end without a word',
    spec: engine(),
    prepare: once('segmentation-fault'),
    reason: 'NotReady',
    isStalled: false,
    remedy: 'Read kubectl logs --previous',
  },
  {
    fault: 'an end without a word, again and again',
    spec: engine({}, 'segmentation-fault'),
    showsIn: ({ status }) => (status?.containerStatuses?.[0]?.restartCount ?? 0) >= 2,
    reason: 'CrashLooping',
    isStalled: true,
    remedy: 'Read kubectl logs --previous',
  },
  {
    fault: 'a start that hangs',
    spec: engine({}, 'never-ready'),
    strike: hang,
    showsIn: startedBefore(1800),
    reason: 'StartBudgetExceeded',
    isStalled: true,
    remedy: 'Look at the log of the pod',
  },
  {
    fault: 'an image that is not there',
    spec: engine({ engine: { image: 'vllm/vllm-openai:v9.9.9' } }),
    reason: 'ImagePullFailed',
    isStalled: true,
    remedy: 'There is no vllm/vllm-openai:v9.9.9',
  },
  {
    fault: 'an image that the registry shows to nobody unknown',
    spec: engine({ engine: { image: 'registry.example/private/vllm-openai:v0.33.0' } }),
    reason: 'ImagePullFailed',
    isStalled: true,
    remedy: 'The registry wants credentials for registry.example/private/vllm-openai:v0.33.0',
  },
  {
    fault: 'a Secret that is not there',
    spec: engine({ engine: { env: [{ name: 'KEY', secretKeyRef: { name: 'keys', key: 'key' } }] } }),
    reason: 'ContainerNotCreated',
    isStalled: true,
    remedy: 'Create secret keys in the namespace',
  },
];

const DOWNLOADS: readonly Omit<Row, 'type'>[] = [
  {
    fault: 'a token that has run out: 401',
    spec: download({}, TOKENS.expired),
    prepare: secret(TOKENS.expired),
    reason: 'HubUnauthorized',
    isStalled: true,
    remedy: 'Put a valid token',
  },
  {
    fault: 'a token for something else, which the hub quotes: 403',
    spec: download({}, TOKENS.restricted),
    prepare: secret(TOKENS.restricted),
    secret: TOKENS.restricted,
    reason: 'HubUnauthorized',
    isStalled: true,
    remedy: 'Put a valid token',
  },
  {
    fault: 'a gated repository',
    spec: download({ repository: 'example/gated' }),
    reason: 'GatedRepository',
    isStalled: true,
    remedy: 'Ask for access to example/gated',
  },
  {
    fault: 'a repository that is not there',
    spec: download({ repository: 'example/nothing' }),
    reason: 'RepositoryNotFound',
    isStalled: true,
    remedy: 'Correct spec.model.repository example/nothing',
  },
  {
    fault: 'a revision that is not there: 404',
    spec: download({ revision: 'f'.repeat(40) }),
    reason: 'RevisionNotFound',
    isStalled: true,
    remedy: `Qwen/Qwen3-Coder-Next-FP8 has no ${'f'.repeat(40)}`,
  },
  {
    fault: 'a hub that is away: 503',
    spec: download({ repository: 'example/away' }),
    reason: 'HubUnreachable',
    isStalled: false,
    remedy: 'It is tried again.',
  },
  {
    fault: 'a registry that is away, for the download',
    spec: { ...download({}), engine: { image: 'registry.example/away/vllm-openai:v0.33.0' } },
    reason: 'ImagePullFailed',
    isStalled: true,
    remedy: 'Open the way of the nodes to the registry of registry.example/away/vllm-openai:v0.33.0',
  },
  {
    fault: 'a download that ends without a word until its Job gives up',
    spec: download({}),
    prepare: (namespace) => Promise.resolve(world.simulator.setFault(isOf(namespace), 'segmentation-fault')),
    strike: giveUp,
    reason: 'FetchFailed',
    isStalled: true,
    remedy: 'Read kubectl logs of the pods of the Job',
  },
  {
    fault: 'a storage class that is not there',
    spec: { ...download({}), storage: { className: 'nothing' } },
    showsIn: isUnplaced,
    toldBy: 'none',
    reason: 'VolumePending',
    isStalled: false,
    remedy: 'The volume of the weights is not there: correct spec.storage',
  },
  {
    fault: 'GPUs that someone else holds, as the download chooses the node of the volume',
    spec: {
      ...download({}),
      placement: { products: ['B200-180GB'] },
      parallelism: { tensorParallelSize: 1 },
    },
    prepare: squat,
    showsIn: isUnplaced,
    toldBy: 'none',
    reason: 'FetchUnschedulable',
    isStalled: false,
    remedy: 'nvidia.com/gpu is short on 1 of',
    afterwards: async (namespace) => {
      await world.client.delete(Pods, { namespace, name: 'squatter' }, { gracePeriodSeconds: 0 });
      await world.ready(namespace, 'coder', 60_000);
    },
  },
  {
    fault: 'a volume that is full',
    spec: download({}),
    prepare: (namespace) => Promise.resolve(world.simulator.setFault(isOf(namespace), 'disk-full')),
    reason: 'DiskFull',
    isStalled: true,
    remedy: 'The volume has',
  },
  {
    fault: 'a quota that refuses the download its pod',
    spec: download({}),
    prepare: quota({ pods: '0' }),
    reason: 'PodRejected',
    isStalled: true,
    remedy: 'Raise ResourceQuota gpus',
  },
];

const ROWS: readonly Row[] = [
  {
    fault: 'a driver that is too old, by the label of the nodes',
    spec: engine({ placement: { products: ['A100-80GB'] } }),
    type: 'Planned',
    reason: 'DriverTooOld',
    isStalled: true,
    remedy: 'Update',
  },
  {
    fault: 'a quota that no replica fits under',
    spec: engine({ parallelism: {} }),
    prepare: quota({ 'requests.nvidia.com/gpu': '1' }),
    type: 'Planned',
    reason: 'QuotaTooSmall',
    isStalled: true,
    remedy: 'Raise',
  },
  {
    fault: 'a policy that denies a Deployment',
    spec: engine(),
    prepare: under('no-deployments'),
    type: 'Ready',
    reason: 'ChildRejected',
    isStalled: true,
    remedy: 'Adapt ValidatingAdmissionPolicy no-deployments or its binding no-deployments.',
    afterwards: async (namespace) => {
      await world.cluster.kubectl(['label', 'namespace', namespace, 'no-deployments-']);
      await world.ready(namespace, 'coder', 60_000);
    },
  },
  ...DOWNLOADS.map((row) => ({ ...row, type: 'ModelAvailable' }) as const),
  {
    fault: 'a quota that lets fewer engines in than are wanted',
    spec: engine({ scaling: { mode: 'None' }, replicas: 2 }),
    prepare: quota({ 'requests.nvidia.com/gpu': '3' }),
    type: 'Placed',
    reason: 'PodRejected',
    isStalled: true,
    remedy: 'Raise ResourceQuota gpus',
  },
  {
    fault: 'a policy that denies the pods of engines',
    spec: engine(),
    prepare: under('pods-have-a-team'),
    type: 'Placed',
    reason: 'PodRejected',
    isStalled: true,
    remedy: 'Adapt ValidatingAdmissionPolicy pods-have-a-team or its binding pods-have-a-team, or add',
    afterwards: async (namespace) => {
      await world.apply(namespace, 'coder', engine({ podMetadata: { labels: { team: 'a' } } }));
      await world.condition(namespace, 'coder', 'EnginesReady', { status: 'True' }, 60_000);
    },
  },
  {
    fault: 'more replicas than nodes with room',
    spec: engine({
      placement: { products: ['H200-141GB'] },
      scaling: { minReplicas: 2, maxReplicas: 2 },
      parallelism: { tensorParallelSize: 1 },
    }),
    showsIn: isUnplaced,
    type: 'Placed',
    reason: 'Unschedulable',
    isStalled: false,
    remedy: 'nvidia.com/gpu is short on 1 of',
  },
  ...ENGINES.map((row) => ({ ...row, type: 'EnginesReady' }) as const),
  {
    fault: 'a Secret of API keys that is not there',
    spec: withoutKeys,
    type: 'EndpointReady',
    reason: 'GatewayNotReady',
    isStalled: false,
    remedy: 'Create key keys of Secret team-keys',
    afterwards: madeKeys,
  },
  {
    fault: 'the same, once engines answer',
    spec: withoutKeys,
    type: 'Ready',
    reason: 'EndpointNotReady',
    toldBy: 'GatewayNotReady',
    isStalled: false,
    remedy: 'Create key keys of Secret team-keys',
    afterwards: madeKeys,
  },
  {
    fault: 'a Secret with the certificate of the endpoint that is not there',
    spec: engine({ endpoint: { expose: { tlsSecretName: 'certificate' } } }),
    type: 'EndpointReady',
    reason: 'GatewayNotReady',
    isStalled: false,
    remedy: 'Create Secret certificate',
  },
  {
    fault: 'a length that nobody pinned, for which the KV cache is too small',
    spec: on('RTXPRO6000-96GB', {}, '0.29.0'),
    type: 'Tuned',
    reason: 'SteppingBack',
    isStalled: false,
    remedy: 'next are',
    afterwards: async (namespace) => {
      await world.condition(namespace, 'coder', 'Tuned', { status: 'True', reason: 'Tuned' });
      await world.ready(namespace, 'coder');
      expect((await world.resource(namespace, 'coder'))!.status!.plan!.maxModelLen).toBeLessThan(262_144);
    },
  },
  {
    fault: 'a length that nobody pinned, and no memory left for any',
    spec: on('L40S-48GB', {}, '0.29.0'),
    type: 'Tuned',
    reason: 'NoLengthFits',
    isStalled: true,
    remedy: 'Allow larger or more GPUs',
  },
];

const isGateway = ({ metadata }: Pod): boolean => metadata?.labels?.[COMPONENT] === 'gateway';

const ended = ({ status }: Pod): boolean =>
  status?.phase === 'Failed' ||
  (status?.containerStatuses ?? []).some(
    ({ state, lastState }) =>
      state?.terminated !== undefined ||
      lastState?.terminated !== undefined ||
      !['ContainerCreating', undefined].includes(state?.waiting?.reason),
  );

/** Names that differ from run to run. */
const normalised = (text: string, namespace: string): string =>
  text
    .replaceAll(world.simulator.hub.url, 'http://hub')
    .replaceAll(namespace, 'team-a')
    // Of two replicas, either may find the last node.
    .replaceAll(/coder-(engine-\d|gateway)-[a-z0-9]+-[a-z0-9]{5}\b/g, (_, what: string) =>
      what.startsWith('engine') ? 'coder-engine-0-x' : 'coder-gateway-x',
    );

interface Line {
  readonly fault: string;
  readonly condition: string;
  readonly reason: string;
  readonly evidence: string;
  readonly remedy: string;
}

const lines = new Map<string, Line>();
const took = new Map<string, number>();

describe('a failure', () => {
  test.concurrent.each(ROWS)(
    '$fault: $type says $reason, with evidence and remedy, and one Event tells it',
    async (row) => {
      const { fault, type, reason } = row;
      const isOfGateways = type === 'EndpointReady' || reason === 'EndpointNotReady';
      // Gateways that only start are told of by the same reason.
      const says = reason === 'EndpointNotReady' ? row.remedy : undefined;
      const { showsIn = (pod: Pod) => isGateway(pod) === isOfGateways && ended(pod) } = row;
      const namespace = await world.namespace();
      await row.prepare?.(namespace);
      const sight = ledger.await({ namespace, type, reason, showsIn, says });
      await world.apply(namespace, 'coder', row.spec);
      await row.strike?.(namespace);
      const { resource, condition, seconds } = await Promise.race([sight, failWith(namespace, row)]);
      took.set(fault, seconds);

      const message = normalised(condition.message, namespace);
      expect(message).toContain(row.remedy);
      const at = message.indexOf(row.remedy);
      lines.set(fault, {
        fault,
        condition: row.isStalled && type !== 'Planned' ? `${type}, Stalled` : type,
        reason,
        evidence: message.slice(0, at).trim(),
        remedy: message.slice(at),
      });
      const stalled = resource.status!.conditions!.find((one) => one.type === 'Stalled');
      expect(stalled?.status).toBe(row.isStalled ? 'True' : 'False');

      await row.afterwards?.(namespace);
      const told = await eventually(async () => {
        const { items } = await world.client.list(Events, { namespace });
        const ours = items.filter(({ regarding }) => regarding?.name === 'coder');
        const telling = ours.filter((event) => event.reason === (row.toldBy ?? reason));
        expect(telling).toMatchObject(row.toldBy === 'none' ? [] : [{ type: 'Warning' }]);
        expect(telling[0]?.series).toBeUndefined();
        return ours;
      });
      const secret = typeof row.secret === 'function' ? await row.secret(namespace) : row.secret;
      const isShown = secret !== undefined && JSON.stringify([resource.status, told]).includes(secret);
      const isRedacted = message.includes('***');
      expect({ isShown, isRedacted }).toEqual({ isShown: false, isRedacted: row.secret !== undefined });
      await world.remove(namespace, 'coder');
    },
  );

  test('is named within seconds', () => {
    const sorted = [...took].toSorted(([, a], [, b]) => a - b);
    const [slowest, most] = sorted.at(-1)!;
    const median = sorted[Math.floor(sorted.length / 2)]![1];
    console.info(
      `from failure to condition: median ${median.toFixed(2)} s, most ${most.toFixed(2)} s (${slowest}), of ${sorted.length}`,
    );
    expect(most).toBeLessThanOrEqual(SECONDS);
  });

  test('has the reason, the evidence and the remedy that were reviewed', async () => {
    const rows = ROWS.map(({ fault }) => lines.get(fault)).filter((line) => line !== undefined);
    expect(rows).toHaveLength(ROWS.length);
    await expect(table(rows)).toMatchFileSnapshot('../golden/diagnosis-matrix.md');
  });
});

async function failWith(namespace: string, { type, reason }: Row): Promise<never> {
  await world.condition(namespace, 'coder', type, { status: 'False', reason }, 45_000);
  // It is there, so the ledger has seen it or is about to: a log is waited for ten seconds.
  return eventually(() => Promise.reject(new Error('the ledger did not see it')), 15_000);
}

function table(rows: readonly Line[]): string {
  const cell = (text: string): string => text.replaceAll('|', String.raw`\|`);
  const row = (cells: readonly string[]): string => `| ${cells.map(cell).join(' | ')} |`;
  return `${[
    '# What is said of each failure',
    '',
    'Written by `test/cluster/diagnosis.test.ts`: each row is from a run on a real control plane.',
    '',
    row(['fault', 'condition', 'reason', 'evidence', 'remedy']),
    row(['---', '---', '---', '---', '---']),
    ...rows.map(({ fault, condition, reason, evidence, remedy }) => row([fault, condition, reason, evidence, remedy])),
  ].join('\n')}\n`;
}
