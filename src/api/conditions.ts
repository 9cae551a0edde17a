/** What the conditions of a resource say; the key is the condition's type. */
export const CONDITIONS = {
  Ready: 'The endpoint serves the observed generation.',
  Reconciling: 'The operator is bringing the children to the observed generation.',
  Stalled: 'Nothing will get better until the resource or the cluster changes.',
  Planned: 'A checkpoint, a parallelism and a context length were chosen that fit the GPUs.',
  Placed: 'Every wanted engine pod has a node.',
  ModelAvailable: 'The weights are where the engines read them.',
  EnginesReady: 'Every wanted engine answers.',
  Tuned: 'The context is as long as the measured memory of the GPUs allows.',
  EndpointReady: 'A gateway answers, and an engine behind it.',
  ScalingActive: 'Something sets the number of replicas.',
  NetworkLocked: 'A probe under the network rules of the engines could not get out.',
  Reproducible:
    'Model and image are pinned, so that the same resource gives the same engine next year. Never part of Ready.',
} as const satisfies Record<string, string>;

export type ConditionType = keyof typeof CONDITIONS;

/** One reason: where it may stand, what it means and what a user can do about it. */
export interface ReasonEntry {
  readonly types: readonly ConditionType[];
  readonly meaning: string;
  readonly remedy: string;
}

const NOTHING = 'Nothing to do.';

/**
 * The closed list of reasons. A message adds the names and numbers of the case; meaning and remedy are what holds for
 * every case.
 *
 * Guarantees: a reason never changes its meaning; scripts may match on it.
 */
export const REASONS = {
  Serving: {
    types: ['Ready', 'EndpointReady'],
    meaning: 'The endpoint answers requests.',
    remedy: NOTHING,
  },
  Suspended: {
    types: ['Ready', 'Placed', 'EnginesReady', 'EndpointReady', 'ScalingActive'],
    meaning: 'spec.suspend took the engines away.',
    remedy: 'Set spec.suspend to false to serve again.',
  },
  NoReplicasWanted: {
    types: ['Ready', 'Placed', 'EnginesReady', 'EndpointReady'],
    meaning: 'The wanted number of replicas is 0.',
    remedy: 'Raise spec.scaling.minReplicas, or in mode External or None scale the resource up.',
  },
  NotPlanned: {
    types: ['Ready', 'Placed', 'ModelAvailable', 'EnginesReady', 'Tuned', 'EndpointReady'],
    meaning: 'There is no serving plan, so there is nothing to place, fetch or start.',
    remedy: 'See condition Planned.',
  },
  NotPlaced: {
    types: ['Ready'],
    meaning: 'Engine pods wait for a node.',
    remedy: 'See condition Placed.',
  },
  WeightsNotAvailable: {
    types: ['Ready'],
    meaning: 'The engines wait for the weights.',
    remedy: 'See condition ModelAvailable.',
  },
  EnginesNotReady: {
    types: ['Ready'],
    meaning: 'Engines are placed and have their weights, and not enough of them answer.',
    remedy: 'See condition EnginesReady.',
  },
  EndpointNotReady: {
    types: ['Ready'],
    meaning: 'Engines answer, and the endpoint in front of them does not.',
    remedy: 'See condition EndpointReady.',
  },
  InvalidSpec: {
    types: ['Ready', 'Stalled', 'Planned'],
    meaning: 'The stored resource breaks a rule of the CRD that this operator knows and the installed CRD does not.',
    remedy: 'Correct the field that the message names, and install the CRD of this version of the operator.',
  },
  NameTaken: {
    types: ['Ready', 'Stalled'],
    meaning: 'An object with the name of a child exists and belongs to someone else; it was left alone.',
    remedy: 'Delete or rename that object, or give the resource another name.',
  },
  ChildRejected: {
    types: ['Ready', 'Stalled'],
    meaning: 'The API server refuses an object that the resource needs, because of a quota, a policy or its content.',
    remedy: 'The message quotes the refusal: raise the quota, adapt the policy or correct the field it comes from.',
  },

  KindNotInstalled: {
    types: ['Ready', 'Stalled'],
    meaning: 'The cluster does not know the kind of an object that the resource asks for, as HTTPRoute.',
    remedy: 'Install the definitions of the Gateway API, or choose another spec.endpoint.expose.type.',
  },

  Planned: {
    types: ['Planned'],
    meaning: 'A serving plan was made; status.plan shows it.',
    remedy: NOTHING,
  },
  NoGpuNodes: {
    types: ['Planned', 'Stalled'],
    meaning: 'No node offers the GPU resource, and no node shape is declared.',
    remedy:
      'Install the device plugin of the GPUs, uncordon nodes, correct spec.placement.resourceName or nodeSelector, tolerate the taints of the nodes in spec.placement.tolerations, or declare spec.placement.nodeShapes for pools that scale from zero.',
  },
  NoFittingGpu: {
    types: ['Planned', 'Stalled'],
    meaning: 'The model does not fit the GPUs that may be used; status.plan and the message say by how much.',
    remedy:
      'Allow larger or more GPUs a node, FP8 instead of BF16, a smaller spec.context.maxModelLen or a smaller spec.context.minConcurrency.',
  },
  DriverTooOld: {
    types: ['Planned', 'Stalled', 'EnginesReady'],
    meaning:
      'The NVIDIA driver is older than the CUDA in the engine image needs: on all nodes that would do, or, where nodes are not labelled with it, where the engine started.',
    remedy:
      'Update the driver, choose an older spec.engine.version, or on data center GPUs set VLLM_ENABLE_CUDA_COMPATIBILITY to "1" in spec.engine.env.',
  },
  QuotaTooSmall: {
    types: ['Planned', 'Stalled'],
    meaning:
      'The model would fit the GPUs, but a ResourceQuota of the namespace allows fewer GPUs than one replica needs, so nothing is fetched or started.',
    remedy:
      'Raise the requests of GPUs in the quota that the message names, or make do with fewer GPUs a replica: larger ones, a shorter spec.context.maxModelLen or a smaller spec.context.minConcurrency.',
  },
  UnknownGpuProduct: {
    types: ['Planned', 'Stalled'],
    meaning: 'A GPU product is named that no node and no declared node shape has.',
    remedy: 'Use a value of the node label nvidia.com/gpu.product, or its short name, in spec.placement.products.',
  },
  InvalidParallelism: {
    types: ['Planned', 'Stalled'],
    meaning: 'The parallelism cannot split this model.',
    remedy: 'Use a tensorParallelSize of 1, 2, 4, 8 or 16, up to 4 with FP8, or leave it out.',
  },
  UnsupportedEngineVersion: {
    types: ['Planned', 'Stalled'],
    meaning: 'The operator does not know the flags of this engine version.',
    remedy: 'Use a version in the range that the message names, or leave spec.engine.version out.',
  },
  ManagedArgument: {
    types: ['Planned', 'Stalled'],
    meaning: 'spec.engine.args sets a flag that the operator sets.',
    remedy: 'Remove it from spec.engine.args and use the field that the message names.',
  },
  UnknownArgument: {
    types: ['Planned', 'Stalled'],
    meaning: 'spec.engine.args holds a flag that this engine version does not have.',
    remedy: 'Remove it, or choose an engine version that has it.',
  },
  InvalidQuantization: {
    types: ['Planned', 'Stalled'],
    meaning: 'The engine cannot load this quantization.',
    remedy: 'Use BF16 or FP8 with vLLM, or leave spec.model.quantization out.',
  },

  Placed: {
    types: ['Placed'],
    meaning: 'Every wanted engine pod has a node.',
    remedy: NOTHING,
  },
  Placing: {
    types: ['Placed'],
    meaning: 'Engine pods are being made, or wait for the scheduler or for the weights.',
    remedy: 'Wait; condition ModelAvailable says how the weights stand.',
  },
  Unschedulable: {
    types: ['Placed'],
    meaning: 'The scheduler finds no node for an engine pod; the message quotes it.',
    remedy:
      'Free or add GPUs of the planned product, set the fields that the message names where others could start sooner, or correct selectors and tolerations in spec.placement.',
  },

  WeightsVerified: {
    types: ['ModelAvailable'],
    meaning: 'The weights were fetched and every file has its right size and hash.',
    remedy: NOTHING,
  },
  Fetching: {
    types: ['ModelAvailable'],
    meaning: 'A Job is fetching the weights.',
    remedy: 'Wait; the log of the Job shows the progress.',
  },
  FetchFailed: {
    types: ['ModelAvailable', 'Stalled'],
    meaning: 'The Job that fetches the weights gave up after its retries; it is made anew ten minutes later.',
    remedy:
      'The message quotes the cause: check repository and revision, the token in spec.model.source.secretRef, the way to the hub, and the size of the volume.',
  },
  Volume: {
    types: ['ModelAvailable'],
    meaning: 'The weights are read from a volume that the user keeps; the operator does not check them.',
    remedy: NOTHING,
  },
  Image: {
    types: ['ModelAvailable'],
    meaning: 'The weights come as an OCI image that the kubelet mounts.',
    remedy: NOTHING,
  },
  VolumePending: {
    types: ['ModelAvailable'],
    meaning: 'The PersistentVolumeClaim for the weights is not bound, or the named one does not exist.',
    remedy:
      'Check spec.storage: a storage class that exists and can provision the size and access mode, or a claim that exists.',
  },

  FetchUnschedulable: {
    types: ['ModelAvailable'],
    meaning: 'The scheduler finds no node for the Job that fetches the weights; the message quotes it.',
    remedy:
      'Free or add GPUs of the planned product: the Job asks for those of an engine, so that a ReadWriteOnce volume is bound where an engine fits. Or set the fields that the message names where other GPUs could start sooner, or correct selectors and tolerations in spec.placement.',
  },

  AllReady: {
    types: ['EnginesReady'],
    meaning: 'Every wanted engine answers.',
    remedy: NOTHING,
  },
  WaitingForWeights: {
    types: ['EnginesReady'],
    meaning: 'Engines are made once the weights are there.',
    remedy: 'See condition ModelAvailable.',
  },
  Starting: {
    types: ['EnginesReady'],
    meaning: 'Engines are loading the model; the message says what they are at and how much of its time is spent.',
    remedy: 'Wait; loading takes minutes.',
  },
  StartBudgetExceeded: {
    types: ['Stalled', 'EnginesReady'],
    meaning:
      'An engine takes longer to start than earlier starts, or than its weights and storage account for; the message names the phase.',
    remedy:
      'Look at the phase that the message names: the scheduler, the registry, the storage, or the log of the pod.',
  },
  NotReady: {
    types: ['EnginesReady'],
    meaning: 'An engine ended in a way that no other reason of this list describes; the message quotes its last words.',
    remedy: 'Look at the events and the log of the pod that the message names.',
  },
  CrashLooping: {
    types: ['EnginesReady', 'Stalled'],
    meaning: 'An engine ends again and again; the message quotes its last words.',
    remedy: 'Correct what the message names, most often spec.engine.args, engine.image or the context.',
  },

  ImagePullFailed: {
    types: ['Stalled', 'EnginesReady', 'ModelAvailable'],
    meaning: 'The kubelet cannot pull the engine image; the weights Job uses the same image.',
    remedy:
      'Correct spec.engine.image or spec.engine.version, name the registry credentials in spec.imagePullSecrets, or open the way to the registry.',
  },
  ContainerNotCreated: {
    types: ['Stalled', 'EnginesReady', 'ModelAvailable'],
    meaning: 'The kubelet cannot create or start the container, for example because a Secret or its key is missing.',
    remedy:
      'Create what the message names, or correct spec.engine.env, spec.model.source.secretRef or spec.placement.runtimeClassName.',
  },
  PodRejected: {
    types: ['Stalled', 'Placed', 'ModelAvailable'],
    meaning: 'The API server refuses pods of the resource, because of a quota or a policy; the message quotes it.',
    remedy: 'Raise the quota or adapt the policy that the message names, or ask for less.',
  },
  ArgumentRefused: {
    types: ['Stalled', 'EnginesReady'],
    meaning: 'vLLM does not take an argument or a variable that it was given.',
    remedy: 'Correct spec.engine.args, spec.engine.env or spec.engine.version.',
  },
  ParallelismRefused: {
    types: ['Stalled', 'EnginesReady'],
    meaning: 'The engine cannot split the checkpoint over so many GPUs.',
    remedy: 'Set spec.parallelism.tensorParallelSize to a value that the message names, or leave it out.',
  },
  OutOfGpuMemory: {
    types: ['Stalled', 'EnginesReady'],
    meaning: 'CUDA ran out of GPU memory, while the model was loaded or while it served.',
    remedy:
      'While loading: more or larger GPUs, or FP8. While serving: a lower spec.context.gpuMemoryUtilizationPercent or spec.context.maxNumSeqs. The message has the numbers.',
  },
  NoKvCacheMemory: {
    types: ['Stalled', 'EnginesReady'],
    meaning: 'Weights and activations leave no GPU memory for the KV cache.',
    remedy:
      'More or larger GPUs, FP8, or a higher spec.context.gpuMemoryUtilizationPercent; a shorter context does not help. The message has the numbers.',
  },
  KvCacheTooSmall: {
    types: ['Stalled', 'EnginesReady'],
    meaning: 'The KV cache cannot hold one request of the full length.',
    remedy: 'Set spec.context.maxModelLen to the length in the message, or give the KV cache more memory.',
  },
  StateBlocksShort: {
    types: ['Stalled', 'EnginesReady'],
    meaning: 'More sequences are to be decoded together than the KV cache has state blocks.',
    remedy: 'Set spec.context.maxNumSeqs to the number in the message, or leave it out.',
  },
  GpuMemoryTaken: {
    types: ['Stalled', 'EnginesReady'],
    meaning: 'Another process holds memory of the GPU, most often an engine that is still ending.',
    remedy: 'Wait for one restart; if it stays, find who uses the GPUs of that node without asking Kubernetes.',
  },
  OutOfHostMemory: {
    types: ['Stalled', 'EnginesReady', 'ModelAvailable'],
    meaning: 'The kernel killed the container, or one of its processes, for its use of main memory.',
    remedy:
      'Raise or remove the memory limit in spec.engine.resources; /dev/shm counts as well. Without a limit: a node with more memory.',
  },
  SharedMemoryTooSmall: {
    types: ['Stalled', 'EnginesReady'],
    meaning: 'The shared memory /dev/shm is full; the processes of a replica and NCCL talk through it.',
    remedy: 'Set NCCL_SHM_DISABLE=1 in spec.engine.env, use fewer GPUs a replica, or raise the memory limit.',
  },
  GpuCommunicationFailed: {
    types: ['Stalled', 'EnginesReady'],
    meaning: 'NCCL, by which the GPUs of a replica talk, failed.',
    remedy:
      'Set NCCL_DEBUG=INFO in spec.engine.env and read the log; NCCL_P2P_DISABLE=1 avoids broken links, spec.parallelism.tensorParallelSize 1 avoids NCCL.',
  },
  GpuFault: {
    types: ['Stalled', 'EnginesReady'],
    meaning: 'CUDA reports an error of the GPU, of its driver or of a kernel.',
    remedy: 'If it comes back on one node only, cordon that node and look for Xid errors in its kernel log.',
  },
  GpuNotVisible: {
    types: ['Stalled', 'EnginesReady'],
    meaning: 'The engine sees fewer GPUs than its pod was given.',
    remedy: 'Check the device plugin of the node, spec.placement.resourceName and spec.placement.runtimeClassName.',
  },
  DiskFull: {
    types: ['Stalled', 'EnginesReady', 'ModelAvailable'],
    meaning: 'A volume, or the disk of the node, is full.',
    remedy: 'Raise spec.storage.size, or free the disk of the node.',
  },
  WrongCheckpoint: {
    types: ['Stalled', 'EnginesReady'],
    meaning: 'What the engine finds as its model is no checkpoint of Qwen3-Coder-Next, or nothing at all.',
    remedy: 'Correct spec.model.repository, or what spec.model.source leads to.',
  },
  WrongModelServed: {
    types: ['Stalled', 'EnginesReady'],
    meaning:
      'An engine answers, and /v1/models says that it serves another model than it was told to, or by another name; it gets no requests.',
    remedy: 'Correct spec.engine.image: its entry point must be vllm serve and take the arguments of the container.',
  },
  EngineHung: {
    types: ['Stalled', 'EnginesReady'],
    meaning: 'An engine that had answered does not any more though it runs, or was ended for that by its kubelet.',
    remedy:
      'It is started again; if it comes back, read the log of the previous container, and look for Xid errors on its node.',
  },
  EngineCrashed: {
    types: ['Stalled', 'EnginesReady'],
    meaning: 'An engine that had answered ended by itself; its log shows no cause that the operator knows.',
    remedy: 'It is started again; if it comes back, read the log of the previous container.',
  },

  RepositoryNotFound: {
    types: ['Stalled', 'ModelAvailable'],
    meaning: 'The hub has no such repository, or shows it only to those who may read it.',
    remedy: 'Correct spec.model.repository, or name a token that may read it in spec.model.source.secretRef.',
  },
  RevisionNotFound: {
    types: ['Stalled', 'ModelAvailable'],
    meaning: 'The repository has no such commit, tag or branch.',
    remedy: 'Correct spec.model.revision, or leave it out for main.',
  },
  GatedRepository: {
    types: ['Stalled', 'ModelAvailable'],
    meaning: 'The repository is gated, and the token has not been granted access, or there is none.',
    remedy: 'Ask for access on the page of the model, and name a token of that account in spec.model.source.secretRef.',
  },
  HubUnauthorized: {
    types: ['Stalled', 'ModelAvailable'],
    meaning: 'The hub refuses the token, or wants one.',
    remedy: 'Put a valid token with read rights into the Secret that spec.model.source.secretRef names.',
  },
  HubUnreachable: {
    types: ['Stalled', 'ModelAvailable'],
    meaning: 'The hub cannot be reached, or answers with an error of its own; the download is tried again.',
    remedy:
      'Open the way to the hub for the weights Job, set spec.model.source.endpoint to a mirror, or start the operator with --weights-proxy.',
  },

  Tuned: {
    types: ['Tuned'],
    meaning:
      'An engine measured its memory, and the context is what it holds for spec.context.minConcurrency requests.',
    remedy: NOTHING,
  },
  Trying: {
    types: ['Tuned'],
    meaning: 'No engine of this plan has loaded yet, so its context length is calculated and not measured.',
    remedy: 'Wait for the first engine; status.tuning lists what was tried.',
  },
  LongerContextFits: {
    types: ['Tuned'],
    meaning: 'The measured memory holds a longer context.',
    remedy:
      'Nothing to do: it is taken at the next restart of an engine, or after 30 minutes without a request (--tuning-idle-seconds). To have it at once, delete an engine pod.',
  },
  ShorterContextFits: {
    types: ['Tuned'],
    meaning: 'The measured memory holds fewer requests of this length than spec.context.minConcurrency asks for.',
    remedy:
      'Nothing to do: a shorter context is taken at the next restart of an engine, or after 30 minutes without a request (--tuning-idle-seconds).',
  },
  FewerRequestsFit: {
    types: ['Tuned'],
    meaning: 'Even the shortest context is held by fewer requests at once than spec.context.minConcurrency asks for.',
    remedy: 'Lower spec.context.minConcurrency, raise spec.parallelism.tensorParallelSize, or allow larger GPUs.',
  },
  LengthPinned: {
    types: ['Tuned'],
    meaning: 'spec.context.maxModelLen is obeyed as it stands; the message says what would fit.',
    remedy: 'Leave spec.context.maxModelLen out to have the longest context that fits.',
  },
  SteppingBack: {
    types: ['Tuned'],
    meaning: 'An engine ran out of memory, and a shorter context or a smaller part of the GPU is tried.',
    remedy: 'Wait; the message says what is tried next.',
  },
  NoLengthFits: {
    types: ['Tuned'],
    meaning: 'Engines ran out of memory, and no shorter context would help.',
    remedy:
      'Allow larger or more GPUs a replica, use FP8 instead of BF16, or change spec.context.gpuMemoryUtilizationPercent; status.tuning has what engines said.',
  },
  NotMeasured: {
    types: ['Tuned'],
    meaning: 'An engine answers, and neither its metrics nor its log could be read.',
    remedy: 'Let the operator reach port 8000 of engine pods, or let it read their logs.',
  },

  NoReadyEngine: {
    types: ['EndpointReady'],
    meaning: 'Gateways answer and no engine behind them does; requests are held until one does.',
    remedy: 'See condition EnginesReady.',
  },
  GatewayStarting: {
    types: ['EndpointReady'],
    meaning: 'No gateway answers yet, and nothing says that one will not.',
    remedy: 'Wait; a gateway is up within seconds of having its image.',
  },
  GatewayNotReady: {
    types: ['EndpointReady'],
    meaning: 'No gateway answers, so that clients reach no engine, and one cannot start.',
    remedy:
      'The message says why: an image of the operator that nodes cannot pull, a Secret that is missing or has no such key, or no node whose taints are tolerated.',
  },

  RouteNotAccepted: {
    types: ['EndpointReady'],
    meaning: 'Inside the cluster the endpoint answers; the Gateway of the HTTPRoute does not take the route.',
    remedy:
      'The message quotes the Gateway: correct spec.endpoint.expose.parentRefs or host, or let the listener take routes of this namespace.',
  },

  Locked: {
    types: ['NetworkLocked'],
    meaning: 'A pod under the network rules of the engines tried to reach the API server and could not.',
    remedy: NOTHING,
  },
  Open: {
    types: ['NetworkLocked'],
    meaning: 'spec.network.isolation is Open: no NetworkPolicy is made.',
    remedy: 'Set spec.network.isolation to Locked.',
  },
  Probing: {
    types: ['NetworkLocked'],
    meaning: 'The pod that tries to get out has not ended yet.',
    remedy: 'Wait; it takes half a minute once it runs.',
  },
  NotEnforced: {
    types: ['NetworkLocked'],
    meaning:
      'A pod under the network rules of the engines reached the API server: the network plugin of the cluster does not enforce NetworkPolicy.',
    remedy:
      'Use a network plugin that enforces it, as Calico or Cilium; then delete the Job that the message names, and it is tried again.',
  },
  ProbeFailed: {
    types: ['NetworkLocked'],
    meaning: 'The pod that tries to get out could not run, so nothing is known.',
    remedy: 'Look at the Job that the message names, and delete it: it is made anew.',
  },

  Fixed: {
    types: ['ScalingActive'],
    meaning: 'The operator keeps the number of replicas that the spec names.',
    remedy: NOTHING,
  },
  External: {
    types: ['ScalingActive'],
    meaning: 'spec.replicas is obeyed; whoever writes the scale subresource decides.',
    remedy: NOTHING,
  },
  NotScaled: {
    types: ['ScalingActive'],
    meaning: 'Nothing scales the resource; spec.replicas is obeyed as it stands.',
    remedy: NOTHING,
  },
  ReplicasIgnored: {
    types: ['ScalingActive'],
    meaning: 'spec.replicas is set, and scaling mode Builtin does not look at it.',
    remedy: 'Remove spec.replicas, or set spec.scaling.mode to External or None.',
  },

  Progressing: {
    types: ['Reconciling'],
    meaning: 'Changes are under way.',
    remedy: 'Wait; the message says for what.',
  },
  Stalled: {
    types: ['Reconciling'],
    meaning: 'Nothing is under way, because nothing can go on.',
    remedy: 'See condition Stalled.',
  },
  Settled: {
    types: ['Reconciling'],
    meaning: 'Everything is as the observed generation wants it.',
    remedy: NOTHING,
  },
  NotStalled: {
    types: ['Stalled'],
    meaning: 'Nothing blocks the resource for good.',
    remedy: NOTHING,
  },

  Pinned: {
    types: ['Reproducible'],
    meaning: 'The model is pinned to a commit and the image to a digest.',
    remedy: NOTHING,
  },
  RevisionNotPinned: {
    types: ['Reproducible'],
    meaning: 'spec.model.revision is not a commit, so the weights can change under the same name.',
    remedy: 'Set spec.model.revision to the 40-digit commit of the repository.',
  },
  ImageNotPinned: {
    types: ['Reproducible'],
    meaning: 'The engine image is named by tag, so it can change under the same name.',
    remedy: 'Set spec.engine.image to name@sha256:digest.',
  },
} as const satisfies Record<string, ReasonEntry>;

/** Any reason of the list. */
export type Reason = keyof typeof REASONS;

/** The reasons that may stand in a condition of type `T`: a stray literal does not compile. */
export type ReasonOf<T extends ConditionType> = {
  [R in Reason]: T extends (typeof REASONS)[R]['types'][number] ? R : never;
}[Reason];

export type ConditionStatus = 'True' | 'False' | 'Unknown';

/** `metav1.Condition` as it is stored. */
export interface Condition {
  type: string;
  status: ConditionStatus;
  reason: string;
  message: string;
  lastTransitionTime: string;
  observedGeneration?: number | undefined;
}

/** What `setCondition` is told: a condition without its time, its reason checked against its type. */
export type ConditionUpdate<T extends ConditionType = ConditionType> = {
  [K in T]: {
    readonly type: K;
    readonly status: ConditionStatus;
    readonly reason: ReasonOf<K>;
    readonly message: string;
    readonly observedGeneration: number;
  };
}[T];

/** Longest message of a condition, as the CRD declares it. */
export const MAX_MESSAGE_LENGTH = 4096;

/** The condition of that type, if there is one. */
export function condition(conditions: readonly Condition[] | undefined, type: ConditionType): Condition | undefined {
  return conditions?.find((candidate) => candidate.type === type);
}

/**
 * The conditions with one of them set.
 *
 * Guarantees: `lastTransitionTime` moves only when the status flips; the very same array comes back when nothing
 * changed, so `===` tells whether there is something to write; order is kept, new types go last; a message too long for
 * the CRD is cut, since a status that cannot be written helps nobody.
 *
 * @param now RFC 3339, as `metav1.Time` is written.
 */
export function setCondition(
  conditions: readonly Condition[],
  update: ConditionUpdate,
  now: string,
): readonly Condition[] {
  const index = conditions.findIndex((candidate) => candidate.type === update.type);
  const before = conditions[index];
  const message = clip(update.message);
  if (
    before !== undefined &&
    before.status === update.status &&
    before.reason === update.reason &&
    before.message === message &&
    before.observedGeneration === update.observedGeneration
  ) {
    return conditions;
  }
  const after: Condition = {
    type: update.type,
    status: update.status,
    reason: update.reason,
    message,
    lastTransitionTime: before?.status === update.status ? before.lastTransitionTime : now,
    observedGeneration: update.observedGeneration,
  };
  return before === undefined ? [...conditions, after] : conditions.with(index, after);
}

const clip = (message: string): string =>
  message.length <= MAX_MESSAGE_LENGTH ? message : `${message.slice(0, MAX_MESSAGE_LENGTH - 1)}…`;
