import { describe, expect, test } from 'vitest';
import { PLATFORM_LOG_PATTERNS } from '../../src/serving/engines/platform-log-patterns.ts';
import { VLLM_LOG_PATTERNS } from '../../src/serving/engines/vllm-log-patterns.ts';
import {
  type ContainerEvidence,
  MAX_EVIDENCE_LENGTH,
  type Situation,
  type StartPhase,
  type StartProgress,
  diagnoseEngine,
  diagnoseFetch,
  diagnoseRefusal,
  readLog,
  redact,
  unschedulableRemedy,
} from '../../src/serving/index.ts';
import { plan } from '../support/builders.ts';

/** What 0.15.1 and 0.33.0 say; undefined where a version does not say it. */
const WORDING: Readonly<Record<string, readonly [old: string | undefined, now: string]>> = {
  kv_too_small: [
    "ValueError: To serve at least one request with the models's max seq len (262144), (6.08 GiB KV cache is needed, which is larger than the available KV cache memory (1.99 GiB). Based on the available memory, the estimated maximum model length is 85000. Try increasing `gpu_memory_utilization` or decreasing `max_model_len`",
    "ValueError: To serve at least one request with the model's max seq len (262144), (6.08 GiB KV cache is needed, which is larger than the available KV cache memory (1.99 GiB). Based on the available memory, the estimated maximum model length is 84864. Try increasing `gpu_memory_utilization` (which also controls CPU memory on the CPU backend) or decreasing `max_model_len`",
  ],
  kv_none: [
    'ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing the engine.',
    'ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing the engine (this flag also controls CPU memory reservation on the CPU backend, despite its name).',
  ],
  auto_fit_failed: [
    'ValueError: Cannot auto-fit max_model_len: not enough GPU memory available to serve even a single token. Try increasing',
    'ValueError: Cannot auto-fit max_model_len: not enough GPU memory available to serve even a single token. Try increasing',
  ],
  auto_fit_reduced: [
    'Auto-fit max_model_len: reduced from 262144 to 65536 to fit in available GPU memory (1.99 GiB available for KV cache)',
    'Auto-fit max_model_len: reduced from 262144 to 65280 to fit in available KV cache memory (1.99 GiB GPU)',
  ],
  auto_fit_full: [
    'Auto-fit max_model_len: full model context length 262144 fits in available GPU memory',
    'Auto-fit max_model_len: full model context length 262144 fits in available KV cache memory (30.1 GiB GPU)',
  ],
  max_num_seqs_blocks: [
    undefined,
    'ValueError: max_num_seqs (1024) exceeds available Mamba cache blocks (614). Each decode sequence requires one Mamba cache block',
  ],
  free_memory: [
    'ValueError: Free memory on device cuda:0 (12.5/79.1 GiB) on startup is less than desired GPU memory utilization (0.9, 71.2 GiB).',
    'ValueError: Free memory on device cuda:0 (12.5/79.1 GiB) on startup is less than desired GPU memory utilization (0.92, 72.8 GiB).',
  ],
  len_over_model: [
    '  Value error, User-specified max_model_len (300000) is greater than the derived max_model_len (max_position_embeddings=262144',
    '  Value error, User-specified max_model_len (300000) is greater than the derived max_model_len (max_position_embeddings=262144',
  ],
  tp_heads: [
    '  Value error, Total number of attention heads (16) must be divisible by tensor parallel size (3).',
    '  Value error, Total number of attention heads (16) must be divisible by tensor parallel size (3).',
  ],
  fp8_moe_block: [
    "ValueError: The output_size of gate's and up's weight = 64 is not divisible by weight quantization block_n = 128.",
    "ValueError: The input_size of down's weight = 64 is not divisible by weight quantization block_k = 128.",
  ],
  fp8_linear_block: [
    'ValueError: Weight input_size_per_partition = 64 is not divisible by weight quantization block_k = 128.',
    'ValueError: Weight output_partition_size = 64 is not divisible by weight quantization block_n = 128.',
  ],
  world_size: [
    '  Value error, World size (4) is larger than the number of available GPUs (2) in this node. If this is intentional',
    '  Value error, World size (4) is larger than the number of available GPUs (2) in this node. If this is intentional',
  ],
  cuda_oom: [
    'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 512.00 MiB. GPU 0 has a total capacity of 79.19 GiB of which 118.25 MiB is free.',
    'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.19 GiB of which 118.25 MiB is free.',
  ],
  sampler_oom: [
    'RuntimeError: CUDA out of memory occurred when warming up sampler with 256 dummy requests. Please try lowering',
    'RuntimeError: CUDA out of memory occurred when warming up sampler with 256 dummy requests. Please try lowering',
  ],
  vllm_port_uri: [
    "ValueError: VLLM_PORT 'tcp://10.0.0.1:80' appears to be a URI. This may be caused by a Kubernetes service discovery issue",
    "ValueError: VLLM_PORT 'tcp://10.0.0.1:80' appears to be a URI. This may be caused by a Kubernetes service discovery issue",
  ],
  core_failed: [
    "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore_DP0': 1}",
    "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore': 1}",
  ],
  worker_failed: [
    'Exception: WorkerProc initialization failed due to an exception in a background process. See stack trace for root cause.',
    'Exception: WorkerProc initialization failed due to an exception in a background process. See stack trace for root cause.',
  ],
  worker_died: [
    'Worker proc VllmWorker-0 died unexpectedly, shutting down executor.',
    'Worker proc VllmWorker-0 died unexpectedly (exit code: -11), shutting down executor.',
  ],
  ready_timeout: [
    'TimeoutError: Timed out waiting for engine core processes to start. This is often caused by slow weight loading',
    'TimeoutError: Timed out waiting for engine core processes to start. This is often caused by slow weight loading',
  ],
  kv_memory: ['Available KV cache memory: 33.21 GiB', 'Available KV cache memory: -2.1 GiB'],
  kv_size_15: ['GPU KV cache size: 707,496 tokens', 'GPU KV cache size: 707,496 tokens'],
  concurrency: [
    'Maximum concurrency for 131,072 tokens per request: 21.59x',
    'GPU KV cache size: 2,829,987 tokens, Maximum concurrency for 131,072 tokens per request: 21.59x',
  ],
  block_size: [
    'Setting attention block size to 544 tokens to ensure that attention page size is >= mamba page size.',
    'Setting attention block size to 544 tokens to ensure that attention page size is >= mamba page size.',
  ],
  loading: ['Starting to load model /models/weights...', 'Starting to load model /models/weights...'],
  weights_progress: [
    'Loading safetensors checkpoint shards:  41% Completed | 9/22 [00:41<00:59,  4.56s/it]',
    'Loading safetensors checkpoint shards:  41% Completed | 9/22 [00:41<00:59,  4.56s/it]',
  ],
  model_loaded: [
    'Model loading took 37.47 GiB and 60.000000 seconds',
    'Model loading took 37.47 GiB memory and 60.000000 seconds',
  ],
  graphs: ['Graph capturing finished in 20 secs, took 0.68 GiB', 'Graph capturing finished in 20 secs, took -0.01 GiB'],
  engine_up: [
    'init engine (profile, create kv cache, warmup model) took 40.00 seconds',
    'init engine (profile, create kv cache, warmup model) took 40.00 s (compilation: 10.00 s)',
  ],
  serving: ['INFO:     Application startup complete.', 'INFO:     Application startup complete.'],
};

const situation = (over: Partial<Situation> = {}): Situation => ({
  plan: plan(),
  memoryLimit: undefined,
  volumeSize: '93Gi',
  plannedVolumeSize: '93Gi',
  image: 'vllm/vllm-openai:v0.33.0',
  hasHubToken: false,
  source: 'HuggingFace',
  secrets: [],
  ...over,
});

const ended = (log: string, over: Partial<ContainerEvidence> = {}, exitCode = 1): ContainerEvidence => ({
  waiting: undefined,
  end: { exitCode, reason: exitCode === 0 ? 'Completed' : 'Error', message: '' },
  log: readLog(log),
  podFailure: undefined,
  overdue: undefined,
  ...over,
});

const overdue = (phase: StartPhase): StartProgress => ({
  phase,
  text: `${phase}, more than its 14 min`,
  share: 1,
  isExceeded: true,
  nextMs: undefined,
});

describe('readLog', () => {
  test('there is a wording for every pattern of vLLM', () => {
    expect(Object.keys(WORDING)).toEqual(VLLM_LOG_PATTERNS.map(({ id }) => id));
  });

  const lines = Object.entries(WORDING).flatMap(([id, [old, now]]) =>
    [old, now].flatMap((line, index) =>
      line === undefined ? [] : [{ id, line, version: ['0.15.1', '0.33.0'][index] }],
    ),
  );
  test.each(lines)('finds $id in the words of $version', ({ id, line }) => {
    const { cause, facts } = readLog(`(EngineCore_DP0 pid=271) ERROR 02-03 10:00:00 [core.py:946] ${line}`);
    expect([cause?.id, ...Object.keys(facts)].filter(Boolean)).toEqual([id]);
  });

  test('a cause in a worker beats what follows from it, wherever it stands', () => {
    const consequences = [WORDING['core_failed']![1], WORDING['worker_failed']![1], WORDING['worker_died']![1]];
    const causes = [...VLLM_LOG_PATTERNS, ...PLATFORM_LOG_PATTERNS].filter(({ role }) => role.endsWith('cause'));
    expect(causes.length).toBeGreaterThan(20);
    for (const id of ['cuda_oom', 'kv_none', 'free_memory']) {
      const cause = WORDING[id]![1];
      expect(readLog([cause, ...consequences].join('\n')).cause?.id).toBe(id);
      expect(readLog([...consequences, cause].join('\n')).cause?.id).toBe(id);
    }
    expect(readLog(['DistBackendError: NCCL error in: x.cpp', ...consequences].join('\n')).cause?.id).toBe('nccl');
  });

  test('what two runs failed alike with is equal, whatever their processes and times', () => {
    const line = (pid: number, time: string) =>
      `(Worker_TP0 pid=${pid}) ERROR 02-03 ${time} [x.py:1] RuntimeError: process ${pid} has 0x${pid} CUDA error: illegal address`;
    expect(readLog(line(12, '10:00:00'))).toEqual(readLog(line(345, '11:11:11')));
  });

  test('what is quoted is one short line without secrets', () => {
    const log = `RuntimeError: CUDA error: key my-secret-value ${'x'.repeat(5000)}`;
    const { cause, lastLine } = readLog(log, ['my-secret-value']);
    for (const text of [cause!.line, lastLine!, cause!.values['error']!]) {
      expect(text.length).toBeLessThanOrEqual(MAX_EVIDENCE_LENGTH);
      expect(text).not.toContain('my-secret-value');
    }
  });
});

/** What huggingface_hub 0.36.2 and 2.4.0 print when a hub answers so, or does not answer. */
const HUB_WORDING: readonly (readonly [status: string, id: string, old: string, now: string])[] = [
  [
    '401 to a token',
    'hub_refused',
    'huggingface_hub.errors.HfHubHTTPError: 401 Client Error: Unauthorized for url: http://hub/api/models/a/b/revision/main?blobs=True (Request ID: Root=1-2)\n\nInvalid credentials in Authorization header',
    "huggingface_hub.errors.HfHubHTTPError: Client error '401 Unauthorized' for url 'http://hub/api/models/a/b/revision/main?blobs=true' (Request ID: Root=1-2)\nFor more information check: https://developer.mozilla.org/en-US/docs/Web/HTTP/Status/401\n\nInvalid credentials in Authorization header",
  ],
  [
    '403',
    'hub_refused',
    'huggingface_hub.errors.HfHubHTTPError: (Request ID: Root=1-2)\n\n403 Forbidden: This token may not read this.\nCannot access content at: http://hub/api/models/a/b/revision/main?blobs=True.',
    'huggingface_hub.errors.HfHubHTTPError: (Request ID: Root=1-2)\n\n403 Forbidden: This token may not read this.\nCannot access content at: http://hub/api/models/a/b/revision/main?blobs=true.',
  ],
  [
    '404 with the code of a repository',
    'hub_repository',
    'huggingface_hub.errors.RepositoryNotFoundError: 404 Client Error. (Request ID: Root=1-2)\n\nRepository Not Found for url: http://hub/api/models/a/b.',
    'huggingface_hub.errors.RepositoryNotFoundError: 404 Client Error. (Request ID: Root=1-2)\n\nRepository Not Found for url: http://hub/api/models/a/b.',
  ],
  [
    '403 with the code of a gate',
    'hub_gated',
    'huggingface_hub.errors.GatedRepoError: 403 Client Error. (Request ID: Root=1-2)\n\nCannot access gated repo for url http://hub/api/models/a/b.',
    'huggingface_hub.errors.GatedRepoError: 403 Client Error. (Request ID: Root=1-2)\n\nCannot access gated repo for url http://hub/api/models/a/b.',
  ],
  [
    '429',
    'hub_away',
    'huggingface_hub.errors.HfHubHTTPError: 429 Client Error: Too Many Requests for url: http://hub/api/models/a/b (Request ID: Root=1-2)\n\nrate limited',
    'huggingface_hub.errors.HfHubHTTPError: (Request ID: Root=1-2)\n\n429 Too Many Requests for url: http://hub/api/models/a/b.\nrate limited',
  ],
  [
    '503',
    'hub_away',
    'huggingface_hub.errors.HfHubHTTPError: 503 Server Error: Service Unavailable for url: http://hub/api/models/a/b (Request ID: Root=1-2)',
    "huggingface_hub.errors.HfHubHTTPError: Server error '503 Service Unavailable' for url 'http://hub/api/models/a/b' (Request ID: Root=1-2)",
  ],
  [
    'nothing',
    'hub_away',
    "requests.exceptions.ConnectionError: (MaxRetryError('HTTPConnectionPool(host=hub, port=9): Max retries exceeded with url: /api'), '(Request ID: f6a04de8)')",
    'httpx2.ConnectError: [Errno 111] Connection refused',
  ],
];

describe('readLog of a download', () => {
  test.each(HUB_WORDING)('a hub that answers %s is found in the words of both', (_status, id, old, now) => {
    for (const text of [old, now]) expect(readLog(`Traceback (most recent call last):\n${text}`).cause?.id).toBe(id);
  });
});

describe('redact', () => {
  test.each([
    ['token hf_abcdefgh1234 was refused', 'hf_abcdefgh1234'],
    ['authorization: Bearer abc.def-ghi', 'abc.def-ghi'],
    ['GET https://user:pass-word@hub.example/x', 'pass-word'],
    ["non-default args: {'api_key': ['quite-secret']}", 'quite-secret'],
    ['--api-key quite-secret --port 1', 'quite-secret'],
    [`value ${Buffer.from('canary-value').toString('base64')}`, Buffer.from('canary-value').toString('base64')],
    ['value canary-value', 'canary-value'],
  ])('%s', (text, secret) => {
    expect(redact(text, ['canary-value'])).not.toContain(secret);
  });

  test('numbers and words of ordinary logs stay', () => {
    const line = 'Maximum concurrency for 131,072 tokens per request: 21.59x, key value cache 33.21 GiB';
    expect(redact(line, ['1', 'abc'])).toBe(line);
  });
});

const CASES: readonly (readonly [name: string, evidence: ContainerEvidence, over?: Partial<Situation>])[] = [
  ...Object.entries(WORDING)
    .filter(([id]) => VLLM_LOG_PATTERNS.some((pattern) => pattern.id === id && pattern.role.endsWith('cause')))
    .map(([id, [, now]]) => [id.replaceAll('_', ' '), ended(now)] as const),
  ['out of GPU memory while serving', ended(`Application startup complete.\n${WORDING['cuda_oom']![1]}`)],
  ['an argument that the parser does not have', ended('vllm: error: unrecognized arguments: --no-such-flag', {}, 2)],
  [
    'killed for memory',
    ended('', { end: { exitCode: 137, reason: 'OOMKilled', message: '' } }),
    { memoryLimit: '32Gi' },
  ],
  ['a full disk', ended("OSError: [Errno 28] No space left on device: '/cache/torch'")],
  [
    'a full /dev/shm',
    ended('NCCL WARN Error while creating shared memory segment /dev/shm/nccl-UbzKZ9 (size 9637888)'),
  ],
  ['NCCL', ended('torch.distributed.DistBackendError: NCCL error in: NCCLUtils.cpp:94')],
  ['an old driver', ended('RuntimeError: The NVIDIA driver on your system is too old (found version 12080).')],
  ['another model', ended("ValueError: Model architectures ['LlamaForCausalLM'] are not supported for now. Supported")],
  ['no checkpoint', ended('OSError: /models does not appear to have a file named config.json.')],
  ['a crash after it was ready', ended(`Application startup complete.\n${WORDING['worker_died']![1]}`, {}, 0)],
  [
    'an eviction for want of disk',
    ended('', {
      end: { exitCode: 137, reason: 'Error', message: '' },
      podFailure: {
        reason: 'Evicted',
        message: 'The node was low on resource: ephemeral-storage. Threshold quantity: 10Gi, available: 3Gi. ',
      },
    }),
  ],
  ['ended by its kubelet after it was ready', ended('Application startup complete.', {}, 137)],
  [
    'silent after it was ready',
    ended('Application startup complete.\nINFO 10 requests', { end: undefined, isSilent: true }),
  ],
  ['something unknown', ended('Segmentation fault', {}, 139)],
  ['something unknown, and its log is late', ended('', { log: undefined, isLogLate: true }, 139)],
  [
    'an image that is not there',
    ended('', { waiting: { reason: 'ErrImagePull', message: 'failed to resolve: not found' }, end: undefined }),
  ],
  [
    'a Secret that is not there',
    ended('', {
      waiting: { reason: 'CreateContainerConfigError', message: 'secret "keys" not found' },
      end: undefined,
    }),
  ],
  ...(['Schedule', 'Image', 'Weights', 'WarmUp'] as const).map(
    (phase) =>
      [
        `a start that hangs: ${phase}`,
        ended(phase === 'Schedule' || phase === 'Image' ? '' : 'Starting to load model', {
          end: undefined,
          overdue: overdue(phase),
        }),
      ] as const,
  ),
];

const hubError = (text: string): ContainerEvidence =>
  ended(`Traceback\nhuggingface_hub.errors.${text} (Request ID: Root=1-2)\n\nfor url https://hub.example/x.`);
const FETCHES: readonly (readonly [name: string, evidence: ContainerEvidence, over?: Partial<Situation>])[] = [
  ['a gated repository', hubError('GatedRepoError: 403 Client Error.')],
  ['a revision that is not there', hubError('RevisionNotFoundError: 404 Client Error.')],
  ['a repository that is not there', hubError('RepositoryNotFoundError: 401 Client Error.')],
  ['a token that is refused', hubError('RepositoryNotFoundError: 401 Client Error.'), { hasHubToken: true }],
  ['a token that has run out', ended(HUB_WORDING[0]![3]), { hasHubToken: true }],
  ['a hub that forbids', ended(HUB_WORDING[1]![3])],
  ['a hub that is away', ended(HUB_WORDING[5]![3])],
  ['a volume that is full', ended('OSError: [Errno 28] No space left on device')],
];

describe('diagnosis', () => {
  test('every failure has reason, evidence and a remedy with its numbers, as reviewed', async () => {
    const row = (name: string, found: { reason: string; evidence: string; remedy: string; isFinal: boolean }) =>
      `${name}\n  ${found.reason}${found.isFinal ? '' : ' (tried again)'}\n  ${found.evidence}\n  ${found.remedy}\n`;
    const rows = [
      ...CASES.map(([name, evidence, over]) => row(name, diagnoseEngine(evidence, situation(over))!)),
      ...FETCHES.map(([name, evidence, over]) => row(`download: ${name}`, diagnoseFetch(evidence, situation(over))!)),
      row(
        'a quota',
        diagnoseRefusal(
          'pods "coder-engine-0-x" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=2, used: requests.nvidia.com/gpu=0, limited: requests.nvidia.com/gpu=1',
          [],
        ),
      ),
    ];
    await expect(rows.join('\n')).toMatchFileSnapshot('../golden/serving/diagnosis.txt');
  });

  test('an engine that loads within its budget has none', () => {
    const loading = { ...ended('Starting to load model'), end: undefined };
    expect(diagnoseEngine(loading, situation())).toBeUndefined();
    expect(diagnoseEngine({ ...loading, overdue: overdue('WarmUp') }, situation())?.reason).toBe('StartBudgetExceeded');
  });

  test('an engine whose pod the kubelet ended for reasons of its own has none', () => {
    const podFailure = { reason: 'Preempting', message: 'Preempted in order to admit critical pod' };
    expect(diagnoseEngine(ended('', { podFailure }, 137), situation())).toBeUndefined();
  });

  test('an engine that had served is tried again, whatever it ended of', () => {
    const oom = `Application startup complete.\n${WORDING['cuda_oom']![1]}`;
    expect(diagnoseEngine(ended(oom), situation())).toMatchObject({ reason: 'OutOfGpuMemory', isFinal: false });
  });

  test.each([
    { name: 'a crash', text: WORDING['worker_died']![1], exitCode: 0, found: 'EngineCrashed' },
    { name: 'an end by the kubelet', text: 'INFO 10 requests', exitCode: 137, found: 'EngineHung' },
    { name: 'an end by the kubelet, and its log could not be had', text: '', exitCode: 137, found: 'EngineHung' },
    { name: 'too little GPU memory', text: WORDING['cuda_oom']![1], exitCode: 1, found: 'OutOfGpuMemory' },
  ])('that an engine had served is known of $name though its log does not tell', ({ text, exitCode, found }) => {
    const evidence = ended(text, { hasServed: true }, exitCode);
    expect(diagnoseEngine(evidence, situation())).toMatchObject({ reason: found, isFinal: false });
    const remedy = diagnoseEngine(evidence, situation())!.remedy;
    expect(remedy.includes('while serving')).toBe(found === 'OutOfGpuMemory');
  });

  test('a pod without a node is told what is short on how many nodes', () => {
    const message = '0/6 nodes are available: 4 Insufficient nvidia.com/gpu, 2 node(s) had untolerated taint(s).';
    expect(unschedulableRemedy(message, plan(), 'nvidia.com/gpu', 4)).toBe(
      'nvidia.com/gpu is short on 4 of 6 nodes: a replica needs 2x H100-80GB free on one node, and 4 nodes have such GPUs. Free them, or add a node with 2x H100-80GB.',
    );
  });
});
