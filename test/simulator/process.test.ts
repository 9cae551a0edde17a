import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ManualClock, settle } from '../support/manual-clock.ts';
import { Hub } from './hub.ts';
import { fetchWeights } from './weights-job.ts';
import type { ProgramContext } from './kubelet/program.ts';
import { type Fault, FAULTS } from './vllm/faults.ts';
import { type Exit, VllmProcess, type VllmProcessOptions } from './vllm/process.ts';

const MIB = 2 ** 20;
/** An address of the loopback network that no simulator's pods have, and no other run of these tests. */
const ADDRESS = `127.251.${Math.floor(process.pid / 250) % 250}.${(process.pid % 250) + 1}`;
const FP8 = 'Qwen/Qwen3-Coder-Next-FP8';

let hub: Hub;
let volume: string;
beforeAll(async () => {
  hub = await Hub.start();
  volume = mkdtempSync(join(tmpdir(), 'qwen-coder-process-'));
  const { exit, log } = await fetched([
    `--repository=${FP8}`,
    '--revision=main',
    '--manifest=/models/qwen-coder/fp8.json',
  ]);
  if (exit.exitCode !== 0) throw new Error(log.join('\n'));
});
afterAll(async () => {
  await hub.stop();
  rmSync(volume, { recursive: true, force: true });
});

const running: VllmProcess[] = [];
afterEach(async () => {
  for (const process of running.splice(0)) {
    process.signal('SIGKILL');
    await process.exited;
  }
});

const hostPath = (path: string): string | undefined => (path.startsWith('/models') ? join(volume, path) : undefined);

async function fetched(
  args: readonly string[],
  env: Record<string, string> = {},
  over: Partial<ProgramContext> = {},
): Promise<{ exit: Exit; log: string[]; message: string }> {
  const log: string[] = [];
  let message = '';
  const context = {
    env: { HF_HOME: '/models/huggingface', ...env },
    hostPath,
    write: (_, line) => log.push(line),
    terminationMessage: (text) => (message = text),
    hubUrl: hub.url,
    image: 'vllm/vllm-openai:v0.33.0',
    ...over,
  } satisfies Partial<ProgramContext>;
  const exit = await fetchWeights(context as unknown as ProgramContext, args).exited;
  return { exit, log, message };
}

/** Starts `vllm serve` over two H100s with the FP8 checkpoint on a volume; it loads for 100 s. */
function start(args: readonly string[] = [], over: Partial<VllmProcessOptions> = {}) {
  const clock = new ManualClock();
  const log: string[] = [];
  const process = new VllmProcess({
    clock,
    version: '0.33.0',
    args: [FP8, '--port=8000', '--tensor-parallel-size=2', '--max-model-len=131072', '--max-num-seqs=64', ...args],
    env: { HF_HOME: '/models/huggingface', HF_HUB_OFFLINE: '1' },
    gpus: { count: 2, product: 'NVIDIA-H100-80GB-HBM3', memoryBytes: 81_559 * MIB },
    hostPath,
    podAddress: ADDRESS,
    write: (_, line) => log.push(line),
    loadSeconds: 100,
    hiddenOverheadGiB: () => 2.6,
    ...over,
  });
  running.push(process);
  const exitAfter = async (ms: number): Promise<Exit | 'running'> => {
    await clock.advance(ms);
    // The listening socket is real I/O, which the manual clock does not wait for.
    for (let turns = 0; turns < 50; turns += 1) await settle();
    return Promise.race([process.exited, settle().then(() => 'running' as const)]);
  };
  return {
    clock,
    log,
    process,
    exitAfter,
    served: () =>
      fetch(`http://${ADDRESS}:8000/health`).then(
        ({ status }) => status,
        () => 0,
      ),
  };
}

describe('VllmProcess', () => {
  test('nothing listens before the load is over', async () => {
    const { exitAfter, served } = start();
    expect(await exitAfter(99_000)).toBe('running');
    expect(await served()).toBe(0);
    await exitAfter(2_000);
    await expect.poll(served).toBe(200);
  });

  test('the log of a start says what an operator measures', async () => {
    const { log, exitAfter, served } = start();
    await exitAfter(101_000);
    await expect.poll(served).toBe(200);
    const lines = log.map((line) => line.replace(/\d\d-\d\d \d\d:\d\d:\d\d /, ''));
    expect(lines.filter((line) => !line.includes('Worker_TP1'))).toMatchInlineSnapshot(`
      [
        "(APIServer pid=1) INFO [utils.py:325] vLLM API server version 0.33.0",
        "(APIServer pid=1) INFO [utils.py:261] non-default args: {'port': 8000, 'tensor_parallel_size': 2, 'max_model_len': 131072, 'max_num_seqs': 64}",
        "(APIServer pid=1) INFO [model.py:541] Resolved architecture: Qwen3NextForCausalLM",
        "(EngineCore pid=271) INFO [core.py:97] Initializing a V1 LLM engine (v0.33.0) with config: model='Qwen/Qwen3-Coder-Next-FP8'",
        "(EngineCore pid=271) INFO [gpu_model_runner.py:3550] Starting to load model Qwen/Qwen3-Coder-Next-FP8...",
        "(EngineCore pid=271) INFO [config.py:455] Setting attention block size to 544 tokens to ensure that attention page size is >= mamba page size.",
        "(Worker_TP0 pid=300) INFO [gpu_model_runner.py:3659] Model loading took 37.47 GiB memory and 60.000000 seconds",
        "(Worker_TP0 pid=300) INFO [gpu_worker.py:375] Available KV cache memory: 33.21 GiB",
        "(EngineCore pid=271) INFO [kv_cache_planning.py:890] GPU KV cache size: 2,829,987 tokens, Maximum concurrency for 131,072 tokens per request: 21.59x",
        "(Worker_TP0 pid=300) INFO [gpu_model_runner.py:4626] Graph capturing finished in 20 secs, took 0.68 GiB",
        "(EngineCore pid=271) INFO [core.py:259] init engine (profile, create kv cache, warmup model) took 40.00 s (compilation: 10.00 s)",
        "(APIServer pid=1) INFO [api_server.py:1347] Starting vLLM server on http://0.0.0.0:8000",
        "(APIServer pid=1) INFO:     Started server process [1]",
        "(APIServer pid=1) INFO:     Waiting for application startup.",
        "(APIServer pid=1) INFO:     Application startup complete.",
      ]
    `);
  });

  test('versions before 0.29 report a quarter of the pool as its size', async () => {
    const { log, exitAfter } = start([], { version: '0.15.1' });
    await exitAfter(101_000);
    const about = log
      .filter((line) => /KV cache size|Maximum concurrency/.test(line))
      .map((line) => line.replace(/^.*\] /, ''));
    expect(about).toMatchInlineSnapshot(`
      [
        "GPU KV cache size: 690,336 tokens",
        "Maximum concurrency for 131,072 tokens per request: 20.81x",
      ]
    `);
  });

  test.each([
    {
      name: 'a flag that its version does not know',
      args: ['--swap-space=4'],
      afterMs: 0,
      exitCode: 2,
      cause: 'error: unrecognized arguments: --swap-space=4',
    },
    {
      name: 'an unknown tool parser',
      args: ['--enable-auto-tool-choice', '--tool-call-parser=nosuch'],
      afterMs: 0,
      exitCode: 1,
      cause: "KeyError: 'invalid tool call parser: nosuch (chose from { dots,",
    },
    {
      name: 'a model that is not on the volume',
      args: ['--revision=other'],
      afterMs: 0,
      exitCode: 1,
      cause: 'LocalEntryNotFoundError: Cannot find an appropriate cached snapshot folder',
    },
    {
      name: 'a KV cache type nobody knows',
      args: ['--kv-cache-dtype=int3'],
      afterMs: 0,
      exitCode: 1,
      cause: "Invalid kv_cache_dtype: 'int3'.",
    },
    {
      name: 'more GPUs than it has',
      args: ['--tensor-parallel-size=4'],
      afterMs: 0,
      exitCode: 1,
      cause: 'World size (4) is larger than the number of available GPUs (2) in this node.',
    },
    {
      name: 'a context that does not fit',
      args: ['--gpu-memory-utilization=0.51'],
      afterMs: 100_000,
      exitCode: 1,
      cause: 'ValueError: To serve at least one request',
    },
  ])('$name ends it with exit code $exitCode and the cause in the log', async ({ args, afterMs, exitCode, cause }) => {
    const { log, exitAfter } = start(args);
    expect(await exitAfter(afterMs)).toEqual({ exitCode });
    expect(log.join('\n')).toContain(cause);
  });

  test('a failed fit logs what was measured before it and names the engine process last', async () => {
    const { log, exitAfter } = start(['--gpu-memory-utilization=0.51']);
    await exitAfter(100_000);
    expect(log.some((line) => line.includes('Model loading took 37.47 GiB memory'))).toBe(true);
    expect(log.some((line) => line.includes('Available KV cache memory: 0.55 GiB'))).toBe(true);
    expect(log.at(-1)).toBe(
      "(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore': 1}",
    );
  });

  test('a Service’s variable in VLLM_PORT ends it', async () => {
    const { log, exitAfter } = start([], { env: { VLLM_PORT: 'tcp://10.0.0.1:8000' } });
    expect(await exitAfter(0)).toEqual({ exitCode: 1 });
    expect(log.at(-1)).toContain("VLLM_PORT 'tcp://10.0.0.1:8000' appears to be a URI.");
  });

  test('an address that is taken ends it', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(8000, ADDRESS, resolve));
    const { process, clock } = start();
    await clock.advance(101_000);
    expect(await process.exited).toEqual({ exitCode: 1 });
    other.close();
  });

  test('SIGTERM ends a serving process well and aborts what runs', async () => {
    const { process, exitAfter, served, clock } = start();
    await exitAfter(101_000);
    await expect.poll(served).toBe(200);
    const answer = fetch(`http://${ADDRESS}:8000/v1/chat/completions`, {
      method: 'POST',
      body: JSON.stringify({ messages: [{ role: 'user', content: 'hi' }] }),
    });
    const outcome = answer.then(
      () => 'answered',
      () => 'cut off',
    );
    await expect.poll(() => process.engine?.load.running).toBe(1);
    process.signal('SIGTERM');
    expect(await process.exited).toEqual({ exitCode: 0 });
    expect(await outcome).toBe('cut off');
    expect(clock.pending).toBe(0);
  });

  test('with --shutdown-timeout it ends what runs first', async () => {
    const { process, exitAfter, served, clock } = start(['--shutdown-timeout=60']);
    await exitAfter(101_000);
    await expect.poll(served).toBe(200);
    const answer = fetch(`http://${ADDRESS}:8000/v1/chat/completions`, {
      method: 'POST',
      body: JSON.stringify({ messages: [{ role: 'user', content: 'hi' }] }),
    });
    await expect.poll(() => process.engine?.load.running).toBe(1);
    process.signal('SIGTERM');
    await clock.advance(30_000);
    expect((await answer).status).toBe(200);
    expect(await process.exited).toEqual({ exitCode: 0 });
  });

  test('a start of a fault ends, or hangs, as vLLM does, and its log holds what the fault is known by', async () => {
    const known: Partial<Record<Fault, string>> = {};
    for (const fault of Object.keys(FAULTS) as Fault[]) {
      if (FAULTS[fault].at === 'serving' || FAULTS[fault].at === 'listening') continue;
      const { exitAfter, log } = start([], { fault });
      const exit = await exitAfter(101_000);
      const error = log.findLast(
        (line) => /(?:Error|error): /.test(line) && !/worker|Engine core init/i.test(line.slice(25)),
      );
      const end = exit === 'running' ? exit : `${exit.reason ?? ''} ${exit.exitCode}`.trim();
      known[fault] = `${end}, ${error?.replace(/^.*\] |^\(.*?\) /, '').slice(0, 90) ?? 'no word'}`;
    }
    expect(known).toMatchInlineSnapshot(`
      {
        "bad-flag": "2, vllm: error: unrecognized arguments: --no-such-flag",
        "bus-error": "135, no word",
        "disk-full": "1, No space left on device: '/cache/torch_compile_cache/0a1b'",
        "does-not-fit": "1, ValueError: To serve at least one request with the model's max seq len (131072), (1.54 GiB",
        "driver-too-old": "1, RuntimeError: The NVIDIA driver on your system is too old (found version 12080). Please up",
        "fp8-block": "1, ValueError: The output_size of gate's and up's weight = 64 is not divisible by weight quan",
        "gpu-memory-taken": "1, ValueError: Free memory on device cuda:0 (13.65/79.65 GiB) on startup is less than desired",
        "gpu-not-visible": "1, pydantic_core._pydantic_core.ValidationError: 1 validation error for ParallelConfig",
        "nccl-failure": "1, ncclSystemError: System call (e.g. socket, malloc) or external library call failed or devi",
        "never-ready": "running, no word",
        "oom-killed": "OOMKilled 137, no word",
        "out-of-gpu-memory": "1, torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 0.5 GiB. GPU 0 has a total c",
        "segmentation-fault": "139, no word",
        "shm-full": "1, ncclSystemError: System call (e.g. socket, malloc) or external library call failed or devi",
      }
    `);
  });

  test.each<{ fault: Fault; card: object }>([
    { fault: 'other-name', card: { id: 'Qwen2.5-Coder-7B-Instruct' } },
    { fault: 'other-checkpoint', card: { id: 'coder', root: '/opt/Qwen2.5-Coder-7B-Instruct' } },
  ])('$fault serves what its arguments do not say', async ({ fault, card }) => {
    const { exitAfter, served } = start(['--served-model-name', 'coder'], { fault });
    await exitAfter(101_000);
    await expect.poll(served).toBe(200);
    const models = await fetch(`http://${ADDRESS}:8000/v1/models`);
    expect(await models.json()).toMatchObject({ data: [card] });
  });

  test('an engine that hangs takes requests, answers none, and ends by SIGKILL alone', async () => {
    const { process, exitAfter, served } = start();
    await exitAfter(101_000);
    await expect.poll(served).toBe(200);
    await process.crash('hang-serving');
    const stop = new AbortController();
    const answer = fetch(`http://${ADDRESS}:8000/health`, { signal: stop.signal }).catch(() => 'no answer');
    process.signal('SIGTERM');
    expect(await exitAfter(600_000)).toBe('running');
    stop.abort();
    expect(await answer).toBe('no answer');
    process.signal('SIGKILL');
    expect(await process.exited).toEqual({ exitCode: 137, signal: 'SIGKILL' });
  });

  test.each([
    ['crash-after-ready', 'Worker proc VllmWorker-0 died unexpectedly (exit code: -11), shutting down executor.'],
    ['out-of-gpu-memory-serving', 'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.0 GiB.'],
  ] as const)('%s strikes a ready engine, and the watchdog ends the process well', async (fault, cause) => {
    const crashing = start([], { fault, crashAfterSeconds: 10 });
    await crashing.exitAfter(101_000);
    await expect.poll(crashing.served).toBe(200);
    await crashing.clock.advance(10_000);
    expect(await crashing.served()).toBe(503);
    await crashing.clock.advance(5_000);
    // The watchdog's way out is no failure by its exit code.
    expect(await crashing.process.exited).toEqual({ exitCode: 0 });
    expect(crashing.log.join('\n')).toContain(cause);
  });

  test('a checkpoint of another model is refused by its architecture', async () => {
    hub.addRepository('example/other', 'FP8', 1, 'OtherForCausalLM');
    await fetched(['--repository=example/other', '--revision=main', '--manifest=/models/qwen-coder/other.json']);
    const { log, exitAfter } = start([], { args: ['example/other', '--tensor-parallel-size=2'] });
    expect(await exitAfter(0)).toEqual({ exitCode: 1 });
    expect(log.at(-1)).toContain("Value error, Model architectures ['OtherForCausalLM'] are not supported for now.");
  });
});

describe('fetchWeights', () => {
  test('lays out the hub cache, the manifest, and says which commit', async () => {
    const { exit, log, message } = await fetched([
      '--repository=Qwen/Qwen3-Coder-Next',
      '--revision=main',
      '--manifest=/models/qwen-coder/bf16.json',
    ]);
    expect(exit).toEqual({ exitCode: 0 });
    expect(log.at(-1)).toMatch(/^verified (\d+) of \1 bytes$/);
    expect(JSON.parse(message)).toEqual({ commit: hub.commitOf('Qwen/Qwen3-Coder-Next'), bytes: expect.any(Number) });
  });

  test('asks the hub only for what is not on the volume', async () => {
    const before = hub.requestCount;
    await fetched([`--repository=${FP8}`, '--revision=main', '--manifest=/models/qwen-coder/again.json']);
    expect(hub.requestCount - before).toBe(1);
  });

  test.each([
    {
      name: 'a repository that is not there',
      repository: 'Qwen/Nothing',
      revision: 'main',
      token: undefined,
      error: 'RepositoryNotFoundError: 401 Client Error.',
    },
    {
      name: 'the same with a token',
      repository: 'Qwen/Nothing',
      revision: 'main',
      token: 'x',
      error: 'RepositoryNotFoundError: 404 Client Error.',
    },
    {
      name: 'a revision that is not there',
      repository: FP8,
      revision: 'v9',
      token: undefined,
      error: 'RevisionNotFoundError: 404 Client Error.',
    },
    {
      name: 'a token that has run out',
      repository: FP8,
      revision: 'main',
      token: 'expired',
      error: "HfHubHTTPError: Client error '401 Unauthorized' for url",
    },
    {
      name: 'a token for something else',
      repository: FP8,
      revision: 'main',
      token: 'restricted',
      error: 'HfHubHTTPError: (Request ID: Root=1-simulated)\n\n403 Forbidden: Token restricted has no permission',
    },
    {
      name: 'a gated repository',
      repository: 'Qwen/Gated',
      revision: 'main',
      token: 'x',
      error: 'GatedRepoError: 403 Client Error.',
    },
  ])('$name fails in huggingface_hub’s words', async ({ repository, revision, token, error }) => {
    hub.addRepository('Qwen/Gated', 'FP8');
    hub.setAccess('Qwen/Gated', 'gated');
    hub.expireToken('expired');
    hub.restrictToken('restricted');
    const { exit, log } = await fetched(
      [`--repository=${repository}`, `--revision=${revision}`],
      token ? { HF_TOKEN: token } : {},
    );
    expect(exit).toEqual({ exitCode: 1 });
    expect(log.at(-1)).toContain(error);
  });

  test('a file whose bytes are wrong is removed and refused', async () => {
    hub.addRepository('Qwen/Broken', 'FP8');
    hub.setCorrupt('model-00002-of-00003.safetensors');
    const args = ['--repository=Qwen/Broken', '--revision=main', '--manifest=/models/qwen-coder/broken.json'];
    const broken = await fetched(args);
    expect([broken.exit.exitCode, broken.log.at(-1)]).toEqual([
      1,
      "model-00002-of-00003.safetensors: SHA-256 differs from the hub's; the file was removed and is fetched again",
    ]);
    hub.setCorrupt(undefined);
    expect((await fetched(args)).exit).toEqual({ exitCode: 0 });
  });

  test('an allowed token opens a gated repository, and a hub that is away is tried by whoever restarts it', async () => {
    hub.addRepository('Qwen/Gated', 'FP8');
    hub.setAccess('Qwen/Gated', 'gated');
    hub.allowToken('good');
    expect((await fetched(['--repository=Qwen/Gated', '--revision=main'], { HF_TOKEN: 'good' })).exit).toEqual({
      exitCode: 0,
    });
    hub.setOutage(503, FP8);
    const away = await fetched([`--repository=${FP8}`, '--revision=main']);
    hub.setOutage(undefined, FP8);
    expect(away.exit).toEqual({ exitCode: 1 });
    const older = { image: 'vllm/vllm-openai:v0.15.1' };
    hub.setOutage(503);
    const awayBefore = await fetched([`--repository=${FP8}`, '--revision=main'], {}, older);
    hub.setOutage(undefined);
    expect(awayBefore.log.at(-1)).toContain('HfHubHTTPError: 503 Server Error: Service Unavailable for url');
    expect(away.log.at(-1)).toContain("HfHubHTTPError: Server error '503 Service Unavailable' for url");
  });
});
