import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../../src/runtime/clock.ts';
import type { Answer, Conversation } from './answer.ts';
import { parseArguments, type VllmArguments } from './arguments.ts';
import { Engine, type EngineSpeed } from './engine.ts';
import { type Fault, FAULTS, type FaultScene, type FaultScript } from './faults.ts';
import {
  defaultBatchedTokens,
  gib,
  GIB,
  type Gpus,
  type KvLayout,
  type LoadFailure,
  loadVerdict,
  type Quantization,
} from './memory.ts';
import { EngineMetrics } from './metrics.ts';
import { VllmServer } from './server.ts';
import toolParsers from './data/tool-parsers.json' with { type: 'json' };
import { isAtLeast, isNewWording } from './version.ts';

export interface VllmProcessOptions {
  readonly clock: Clock;
  readonly version: string;
  /** What follows `vllm serve`. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Undefined in a container without GPUs. */
  readonly gpus: Gpus | undefined;
  /** The place on this machine of a path in the container; undefined where nothing is mounted. */
  readonly hostPath: (containerPath: string) => string | undefined;
  /** The address that `0.0.0.0` stands for in the container's network. */
  readonly podAddress: string;
  readonly write: (stream: 'stdout' | 'stderr', line: string) => void;
  readonly loadSeconds: number;
  /** What the operator is not told, by GPU product. */
  readonly hiddenOverheadGiB: (product: string) => number;
  readonly speed?: EngineSpeed | undefined;
  readonly fault?: Fault | undefined;
  /** How long after readiness faults of engines that serve strike. */
  readonly crashAfterSeconds?: number | undefined;
  readonly answer?: ((conversation: Conversation) => Answer) | undefined;
}

export interface Exit {
  readonly exitCode: number;
  readonly signal?: 'SIGKILL' | undefined;
  /** Where the kernel ended it for its memory. */
  readonly reason?: 'OOMKilled' | undefined;
}

const API = '(APIServer pid=1)';

/** Newer parsers let any word through, so it is refused with the configuration. */
const KV_CACHE_DTYPES =
  /^(auto|bfloat16|float16|fp8\w*|int[48]_per_token_head|nvfp4\w*|octave_\w+|turboquant_\w+|ultraquant_4bit)$/;

/** How the load time splits: reading the checkpoint, profiling and compiling, capturing graphs. */
const STAGES = { weights: 0.6, profile: 0.2, graphs: 0.2 } as const;

/** The only one of which there is a memory model. */
const ARCHITECTURE = 'Qwen3NextForCausalLM';

const AUTO_FIT = 'kv_cache_utils.py:1530';

class StartFailure extends Error {
  readonly exitCode: number;
  constructor(message: string, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/**
 * One run of `vllm serve` on simulated GPUs: parses its arguments, loads on the clock, serves, and ends as vLLM ends.
 *
 * Guarantees: `exited` resolves exactly once, after the port is free again.
 */
export class VllmProcess {
  readonly exited: Promise<Exit>;
  readonly version: string;
  readonly args: readonly string[];
  readonly #options: VllmProcessOptions;
  readonly #fault: FaultScript | undefined;
  /** What it sees of those it was given. */
  readonly #gpus: Gpus | undefined;
  readonly #stop = new AbortController();
  /** The engine process, as it names itself. */
  readonly #coreName: string;
  #resolve!: (exit: Exit) => void;
  #arguments: VllmArguments | undefined;
  #layout: KvLayout | undefined;
  #engine: Engine | undefined;
  #server: VllmServer | undefined;
  #address: { host: string; port: number } | undefined;
  #served = 0;
  #isHung = false;
  #ended = false;

  constructor(options: VllmProcessOptions) {
    this.#options = options;
    this.#fault = options.fault && FAULTS[options.fault];
    this.#gpus = options.fault === 'gpu-not-visible' ? fewer(options.gpus) : options.gpus;
    this.version = options.version;
    this.args = options.args;
    this.#coreName = isNewWording(options.version) ? 'EngineCore' : 'EngineCore_DP0';
    this.exited = new Promise((resolve) => (this.#resolve = resolve));
    this.#run().catch((error: unknown) => {
      if (this.#ended || this.#stop.signal.aborted) return;
      const exitCode = error instanceof StartFailure ? error.exitCode : 1;
      if (!(error instanceof StartFailure)) options.write('stderr', `${API} ${String(error)}`);
      void this.#end({ exitCode });
    });
  }

  get #core(): string {
    return `(${this.#coreName} pid=271)`;
  }

  /** Undefined until the arguments were accepted. */
  get arguments(): VllmArguments | undefined {
    return this.#arguments;
  }

  /** Undefined until the model is loaded. */
  get layout(): KvLayout | undefined {
    return this.#layout;
  }

  /** Undefined until it listens. */
  get engine(): Engine | undefined {
    return this.#server && this.#engine;
  }

  /** Where it listens; undefined until it does. */
  get address(): { readonly host: string; readonly port: number } | undefined {
    return this.#address;
  }

  /** Whether a client within the container reaches it at this address. */
  isReachableAt(host: string, port: number): boolean {
    if (!this.#server || port !== Number(this.#arguments!.values['port'])) return false;
    const asked = (this.#arguments!.values['host'] as string | null) ?? '0.0.0.0';
    const isAny = asked === '0.0.0.0' || asked === '::';
    const isLocal = host === '127.0.0.1' || host === 'localhost';
    return (
      host === asked || (isAny && (isLocal || host === this.#options.podAddress)) || (isLocal && asked === 'localhost')
    );
  }

  /** Inference requests answered. */
  get served(): number {
    return this.#served;
  }

  /** SIGTERM: drains for `--shutdown-timeout` seconds where that version has it, then aborts what runs. SIGKILL: ends at once. */
  signal(name: 'SIGTERM' | 'SIGKILL'): void {
    if (this.#ended) return;
    if (name === 'SIGKILL') {
      void this.#end({ exitCode: 137, signal: 'SIGKILL' });
      return;
    }
    if (this.#stop.signal.aborted || this.#isHung) return;
    this.#stop.abort(new Error('SIGTERM'));
    void this.#shutDown();
  }

  /**
   * The engine dies under the server, and the watchdog ends the process some seconds later, with exit code 0; or all of it hangs.
   *
   * @param fault one of an engine that serves.
   */
  async crash(fault: Fault = 'crash-after-ready'): Promise<void> {
    const { clock } = this.#options;
    if (!this.#engine || this.#engine.dead) return;
    const script: FaultScript = FAULTS[fault];
    if (script.at === 'serving' && 'hangs' in script) {
      this.#isHung = true;
      this.#server?.hang();
      return;
    }
    if (script.at === 'serving' && script.error) this.#workerException(script.error(this.#scene()));
    else {
      // A segmentation fault: whatever did it left no word.
      const code = isNewWording(this.#options.version) ? ' (exit code: -11)' : '';
      const died = `Worker proc VllmWorker-0 died unexpectedly${code}, shutting down executor.`;
      this.#error(this.#core, died, 'multiproc_executor.py:230');
    }
    this.#error(API, 'AsyncLLM output_handler failed.', 'async_llm.py:694');
    this.#error(
      API,
      'vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. See stack trace (above) for the root cause.',
      'async_llm.py:694',
    );
    this.#engine.kill('dead');
    await clock.sleep(5000, this.#stop.signal);
    this.#info(API, 'Shutting down');
    await this.#end({ exitCode: 0 });
  }

  /** A worker goes on after an exception; the process above it does not. */
  #workerException(error: string): void {
    const [worker, at] = ['(Worker_TP0 pid=300)', 'multiproc_executor.py:824'];
    for (const line of ['WorkerProc hit an exception.', 'Traceback (most recent call last):', ...error.split('\n')])
      this.#error(worker, line, at);
    const summary = error.slice(error.indexOf(': ') + 2);
    for (const line of [
      'EngineCore encountered a fatal error.',
      'Traceback (most recent call last):',
      `RuntimeError: Worker failed with error '${summary}', please check the stack trace above for the root cause`,
    ])
      this.#error(this.#core, line, 'core.py:1003');
  }

  async #shutDown(): Promise<void> {
    const { clock } = this.#options;
    const timeout = Number(this.#arguments?.values['shutdown_timeout'] ?? 0);
    if (this.#server && timeout > 0) {
      await Promise.race([this.#server.drain(), clock.sleep(timeout * 1000)]);
    }
    this.#info(API, 'Shutting down');
    // A server interrupted while it loads is no success.
    await this.#end({ exitCode: this.#server ? 0 : 143 });
  }

  async #end(exit: Exit): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    this.#stop.abort(new Error('exit'));
    this.#engine?.kill('aborted');
    await this.#server?.close();
    this.#resolve(exit);
  }

  async #run(): Promise<void> {
    const { version, fault, env, write, loadSeconds, clock } = this.#options;
    const { signal } = this.#stop;
    // One turn, so that the caller holds the process before it can end.
    await Promise.resolve();
    const args = fault === 'bad-flag' ? [...this.args, '--no-such-flag'] : this.args;
    if (/^[a-z]+:\/\//.test(env['VLLM_PORT'] ?? '')) {
      this.#fatal(
        API,
        `ValueError: VLLM_PORT '${env['VLLM_PORT']}' appears to be a URI. This may be caused by a Kubernetes service discovery issue,check the warning in: https://docs.vllm.ai/en/stable/serving/env_vars.html`,
      );
    }
    const parsed = parseArguments(version, args);
    if (!parsed.ok) {
      for (const line of parsed.refusal.stderr) write('stderr', line);
      throw new StartFailure('refused', parsed.refusal.exitCode);
    }
    this.#arguments = parsed.arguments;
    const { values, model } = parsed.arguments;
    this.#info(API, `vLLM API server version ${version}`, 'utils.py:325');
    this.#info(
      API,
      `non-default args: {${[...parsed.arguments.given].map((dest) => `'${dest}': ${python(values[dest])}`).join(', ')}}`,
      'utils.py:261',
    );
    const parser = values['tool_call_parser'] as string | null;
    const parsers = toolParsers[isNewWording(version) ? '0.33.0' : '0.15.1'];
    if (values['enable_auto_tool_choice'] === true && !parsers.includes(parser ?? '')) {
      this.#fatal(API, `KeyError: 'invalid tool call parser: ${parser} (chose from { ${parsers.join(',')} })'`);
    }
    const cacheDtype = values['kv_cache_dtype'] as string;
    if (!KV_CACHE_DTYPES.test(cacheDtype)) {
      this.#fatal(
        API,
        `pydantic_core._pydantic_core.ValidationError: 1 validation error for CacheConfig\ncache_dtype\n  Value error, Invalid kv_cache_dtype: '${cacheDtype}'.`,
      );
    }
    const quantization = this.#checkpoint(model, (values['revision'] as string | null) ?? 'main');
    this.#info(API, `Resolved architecture: ${ARCHITECTURE}`, 'model.py:541');

    const verdict = this.#verdict(quantization);
    if (!verdict.ok && verdict.failure.where === 'config') this.#fatal(API, verdict.failure.error);
    this.#info(this.#core, `Initializing a V1 LLM engine (v${version}) with config: model='${model}'`, 'core.py:97');
    this.#info(this.#core, `Starting to load model ${model}...`, 'gpu_model_runner.py:3550');
    this.#meet('device');
    await clock.sleep(loadSeconds * STAGES.weights * 500, signal);
    if (!verdict.ok && verdict.failure.where === 'worker') this.#coreFailure(verdict.failure);
    this.#meet('weights');
    if (this.#fault?.at === 'kernel') {
      const { exitCode, reason } = this.#fault;
      await this.#end({ exitCode, ...(reason && { reason }) });
      return;
    }
    await clock.sleep(loadSeconds * STAGES.weights * 500, signal);
    await this.#serve(verdict, model);
  }

  async #serve(verdict: ReturnType<typeof loadVerdict>, model: string): Promise<void> {
    const { clock, loadSeconds } = this.#options;
    const { signal } = this.#stop;
    const { values } = this.#arguments!;
    const tp = Number(values['tensor_parallel_size']);
    const worker = tp > 1 ? (rank: number) => `(Worker_TP${rank} pid=${300 + rank})` : () => this.#core;
    const ranks = Array.from({ length: tp }, (_, rank) => rank);
    const measured = verdict.ok ? verdict.layout : verdict.failure.measured!;
    const weights = gib(measured.weightsBytes);
    const kvGiB = gib(measured.kvBytes);
    const loadTime = (loadSeconds * STAGES.weights).toFixed(6);
    this.#info(
      this.#core,
      `Setting attention block size to ${measured.blockTokens} tokens to ensure that attention page size is >= mamba page size.`,
      'config.py:455',
    );
    for (const rank of ranks) {
      this.#info(
        worker(rank),
        `Model loading took ${weights} GiB memory and ${loadTime} seconds`,
        'gpu_model_runner.py:3659',
      );
    }
    this.#meet('warm-up');
    await clock.sleep(loadSeconds * STAGES.profile * 1000, signal);
    for (const rank of ranks) this.#info(worker(rank), `Available KV cache memory: ${kvGiB} GiB`, 'gpu_worker.py:375');
    if (!verdict.ok) {
      this.#coreFailure(verdict.failure);
      return;
    }
    const { layout } = verdict;
    if (layout.autoFitFrom !== undefined) this.#logAutoFit(layout, layout.autoFitFrom);
    this.#logCapacity(layout);
    await clock.sleep(loadSeconds * STAGES.graphs * 1000, signal);
    const graphs = Math.round(loadSeconds * STAGES.graphs);
    for (const rank of ranks)
      this.#info(worker(rank), `Graph capturing finished in ${graphs} secs, took 0.68 GiB`, 'gpu_model_runner.py:4626');
    const took = (loadSeconds * (1 - STAGES.weights)).toFixed(2);
    const unit = isNewWording(this.#options.version)
      ? `s (compilation: ${(loadSeconds * STAGES.profile * 0.5).toFixed(2)} s)`
      : 'seconds';
    this.#info(this.#core, `init engine (profile, create kv cache, warmup model) took ${took} ${unit}`, 'core.py:259');
    if (this.#options.fault === 'never-ready') {
      await new Promise<never>((_, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }),
      );
    }
    await this.#listen(layout, model);
  }

  #logAutoFit({ maxModelLen, kvBytes }: KvLayout, from: number): void {
    const isNew = isNewWording(this.#options.version);
    const gpu = isNew ? ` (${gib(kvBytes)} GiB GPU)` : '';
    const memory = isNew ? 'KV cache memory' : 'GPU memory';
    if (maxModelLen === from) {
      this.#info(
        this.#core,
        `Auto-fit max_model_len: full model context length ${from} fits in available ${memory}${gpu}`,
        AUTO_FIT,
      );
      return;
    }
    const available = isNew ? gpu : ` (${gib(kvBytes)} GiB available for KV cache)`;
    this.#info(
      this.#core,
      `Auto-fit max_model_len: reduced from ${from} to ${maxModelLen} to fit in available ${memory}${available}`,
      AUTO_FIT,
    );
  }

  #logCapacity(layout: KvLayout): void {
    const { version } = this.#options;
    const length = layout.maxModelLen.toLocaleString('en-US');
    const concurrency = `Maximum concurrency for ${length} tokens per request: ${layout.concurrency.toFixed(2)}x`;
    if (isAtLeast(version, '0.29.0')) {
      const tokens = Math.floor(layout.concurrency * layout.maxModelLen).toLocaleString('en-US');
      this.#info(this.#core, `GPU KV cache size: ${tokens} tokens, ${concurrency}`, 'kv_cache_planning.py:890');
      return;
    }
    // A quarter of the pool: these versions count one of four groups.
    const tokens = (Math.floor(layout.blocks / 4) * layout.blockTokens).toLocaleString('en-US');
    this.#info(this.#core, `GPU KV cache size: ${tokens} tokens`, 'kv_cache_utils.py:1305');
    this.#info(this.#core, concurrency, 'kv_cache_utils.py:1310');
  }

  async #listen(layout: KvLayout, model: string): Promise<void> {
    const { clock, version, env, podAddress, write } = this.#options;
    const { values } = this.#arguments!;
    const told = (values['served_model_name'] as string[] | null) ?? [model];
    const other = this.#fault?.at === 'listening' ? this.#fault : undefined;
    const servedNames = other?.name === undefined ? told : [other.name];
    const utilization = Number(values['gpu_memory_utilization']);
    const metrics = new EngineMetrics({
      modelName: servedNames[0]!,
      maxModelLen: layout.maxModelLen,
      waitingByReason: isAtLeast(version, '0.20.0'),
      cacheConfig: cacheConfigLabels(version, layout, utilization, values['kv_cache_dtype'] as string),
    });
    const batchedTokens = Number(values['max_num_batched_tokens'] ?? defaultBatchedTokens(version, this.#gpus!));
    const engine = new Engine({ clock, layout, batchedTokens, speed: this.#options.speed, metrics });
    const apiKeys = (values['api_key'] as string[] | null) ?? (env['VLLM_API_KEY'] ? [env['VLLM_API_KEY']] : []);
    const server = new VllmServer({
      clock,
      engine,
      version,
      layout,
      model: other?.checkpoint ?? model,
      servedNames,
      toolsEnabled: values['enable_auto_tool_choice'] === true,
      apiKeys,
      loadTracking: values['enable_server_load_tracking'] === true,
      maxQueued: (values['max_num_queued_reqs'] as number | null | undefined) ?? null,
      answer: this.#options.answer,
      onServed: () => (this.#served += 1),
      log: (line) => write('stdout', `${API} ${line}`),
    });
    const asked = (values['host'] as string | null) ?? '0.0.0.0';
    const host = asked === '0.0.0.0' || asked === '::' ? podAddress : asked;
    const port = Number(values['port']);
    // The container's own loopback is nobody else's: any free port stands for it.
    const isPrivate = host === '127.0.0.1' || host === 'localhost';
    try {
      this.#address = {
        host: isPrivate ? '127.0.0.1' : host,
        port: await server.listen(isPrivate ? '127.0.0.1' : host, isPrivate ? 0 : port),
      };
    } catch (error) {
      const { code } = error as { code?: string };
      this.#fatal(
        API,
        `OSError: ${code === 'EADDRINUSE' ? '[Errno 98] Address already in use' : `[Errno 99] ${String(error)}`}`,
      );
    }
    if (this.#ended || this.#stop.signal.aborted) {
      await server.close();
      return;
    }
    this.#layout = layout;
    this.#engine = engine;
    this.#server = server;
    const what = isNewWording(version) ? 'server' : 'API server 0';
    this.#info(API, `Starting vLLM ${what} on http://${asked}:${port}`, 'api_server.py:1347');
    for (const line of [
      'Started server process [1]',
      'Waiting for application startup.',
      'Application startup complete.',
    ]) {
      write('stderr', `${API} INFO:     ${line}`);
    }
    if (this.#fault?.at === 'serving') {
      await clock.sleep((this.#options.crashAfterSeconds ?? 5) * 1000, this.#stop.signal);
      await this.crash(this.#options.fault);
    }
  }

  /** Fails here where the fault says so. */
  #meet(stage: 'device' | 'weights' | 'warm-up'): void {
    const fault = this.#fault;
    if (fault?.at !== stage) return;
    if (fault.before !== undefined) this.#options.write('stdout', fault.before);
    this.#coreFailure({ where: 'worker', error: fault.error(this.#scene()) });
  }

  #scene(): FaultScene {
    return { gpus: this.#gpus!, utilization: Number(this.#arguments!.values['gpu_memory_utilization']) };
  }

  #verdict(quantization: Quantization): ReturnType<typeof loadVerdict> {
    const { version, hiddenOverheadGiB, fault } = this.#options;
    const gpus = this.#gpus;
    const { values } = this.#arguments!;
    if (!gpus)
      this.#fatal(
        API,
        'RuntimeError: Failed to infer device type, please set the environment variable `VLLM_LOGGING_LEVEL=DEBUG` to turn on verbose logging to help debug the issue.',
      );
    const number = (dest: string) =>
      values[dest] === null || values[dest] === undefined ? null : Number(values[dest]);
    const request = {
      version,
      quantization,
      gpus,
      tensorParallelSize: number('tensor_parallel_size') ?? 1,
      pipelineParallelSize: number('pipeline_parallel_size') ?? 1,
      gpuMemoryUtilization: number('gpu_memory_utilization')!,
      maxModelLen: number('max_model_len'),
      maxNumSeqs: number('max_num_seqs'),
      kvCacheDtype: values['kv_cache_dtype'] as string,
      prefixCaching: values['enable_prefix_caching'] as boolean | null,
      kvCacheMemoryBytes: number('kv_cache_memory_bytes'),
      hiddenOverheadBytes: hiddenOverheadGiB(gpus.product) * GIB,
    };
    if (fault !== 'does-not-fit') return loadVerdict(request);
    // As if something unforeseen took all but one GiB of what the KV cache would have had.
    const free = gpus.memoryBytes * request.gpuMemoryUtilization - request.hiddenOverheadBytes;
    const roomy = loadVerdict({ ...request, maxNumSeqs: 1, maxModelLen: 1024, hiddenOverheadBytes: 0 });
    const weights = roomy.ok ? roomy.layout.weightsBytes : free;
    return loadVerdict({
      ...request,
      hiddenOverheadBytes: request.hiddenOverheadBytes + Math.max(0, free - weights - 0.25 * GIB),
    });
  }

  /** Finds the checkpoint on the container's volumes; what it is quantized to stands in its config.json. */
  #checkpoint(model: string, revision: string): Quantization {
    const { env, hostPath } = this.#options;
    const folder = model.startsWith('/') ? hostPath(model) : this.#snapshot(model, revision);
    if (folder === undefined || !existsSync(join(folder, 'config.json'))) {
      if (model.startsWith('/')) {
        this.#fatal(API, `OSError: ${model} does not appear to have a file named config.json.`);
      }
      const offline = env['HF_HUB_OFFLINE'] === '1';
      this.#fatal(
        API,
        offline
          ? `huggingface_hub.errors.LocalEntryNotFoundError: Cannot find an appropriate cached snapshot folder for the specified revision on the local disk and outgoing traffic has been disabled. To enable repo look-ups and downloads online, pass 'local_files_only=False' as input.`
          : `huggingface_hub.errors.LocalEntryNotFoundError: An error happened while trying to locate the files on the Hub and we cannot find the appropriate snapshot folder for the specified revision on the local disk. Please check your internet connection and try again.`,
      );
    }
    const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as {
      architectures: string[];
      quantization_config?: { quant_method?: string };
    };
    if (!config.architectures.includes(ARCHITECTURE)) {
      const known = ['Qwen2ForCausalLM', 'Qwen3ForCausalLM', 'Qwen3MoeForCausalLM', ARCHITECTURE];
      this.#fatal(
        API,
        'pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig\n' +
          `  Value error, Model architectures ${python(config.architectures)} are not supported for now. Supported architectures: dict_keys(${python(known)})`,
      );
    }
    return config.quantization_config?.quant_method === 'fp8' || this.#arguments!.values['quantization'] === 'fp8'
      ? 'FP8'
      : 'BF16';
  }

  #snapshot(repository: string, revision: string): string | undefined {
    const { env, hostPath } = this.#options;
    const cache = env['HF_HUB_CACHE'] ?? `${env['HF_HOME'] ?? '/root/.cache/huggingface'}/hub`;
    const root = hostPath(`${cache}/models--${repository.replaceAll('/', '--')}`);
    if (root === undefined) return undefined;
    const ref = join(root, 'refs', revision);
    const commit = existsSync(ref) ? readFileSync(ref, 'utf8').trim() : revision;
    return join(root, 'snapshots', commit);
  }

  #coreFailure(failure: LoadFailure): never {
    const { write } = this.#options;
    const tp = Number(this.#arguments!.values['tensor_parallel_size']);
    const inWorker = failure.where === 'worker' && tp > 1;
    const at = (prefix: string, file: string, text: string) => {
      for (const line of text.split('\n')) this.#error(prefix, line, file);
    };
    if (inWorker) {
      at('(Worker_TP0 pid=300)', 'multiproc_executor.py:772', 'WorkerProc failed to start.');
      at('(Worker_TP0 pid=300)', 'multiproc_executor.py:772', `Traceback (most recent call last):\n${failure.error}`);
    }
    at(this.#core, 'core.py:946', 'EngineCore failed to start.');
    at(
      this.#core,
      'core.py:946',
      `Traceback (most recent call last):\n${
        inWorker
          ? 'Exception: WorkerProc initialization failed due to an exception in a background process. See stack trace for root cause.'
          : failure.error
      }`,
    );
    for (const line of [
      'Traceback (most recent call last):',
      '  File "/usr/local/bin/vllm", line 10, in <module>',
      '    sys.exit(main())',
      `RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {'${this.#coreName}': 1}`,
    ]) {
      write('stderr', `${API} ${line}`);
    }
    throw new StartFailure(failure.error);
  }

  #fatal(prefix: string, error: string): never {
    const { write } = this.#options;
    write('stderr', `${prefix} Traceback (most recent call last):`);
    write('stderr', `${prefix}   File "/usr/local/bin/vllm", line 10, in <module>`);
    write('stderr', `${prefix}     sys.exit(main())`);
    for (const line of error.split('\n')) write('stderr', `${prefix} ${line}`);
    throw new StartFailure(error);
  }

  #info(prefix: string, text: string, at = 'launcher.py:38'): void {
    this.#options.write('stderr', `${prefix} INFO ${logTime(this.#options.clock)} [${at}] ${text}`);
  }

  #error(prefix: string, text: string, at: string): void {
    this.#options.write('stderr', `${prefix} ERROR ${logTime(this.#options.clock)} [${at}] ${text}`);
  }
}

/** `11-23 20:15:01`, as vLLM stamps its lines. */
const logTime = (clock: Clock): string =>
  new Date(clock.now()).toISOString().replace(/^\d+-(\d+-\d+)T(.{8}).*$/, '$1 $2');

function python(value: unknown): string {
  if (value === null || value === undefined) return 'None';
  if (value === true) return 'True';
  if (value === false) return 'False';
  if (typeof value === 'string') return `'${value}'`;
  if (Array.isArray(value)) return `[${value.map(python).join(', ')}]`;
  return JSON.stringify(value);
}

/** All but one. */
const fewer = (gpus: Gpus | undefined): Gpus | undefined =>
  gpus === undefined || gpus.count === 1 ? undefined : { ...gpus, count: gpus.count - 1 };

/** The labels of `vllm:cache_config_info` that scaling and people read; the rest of CacheConfig is left out. */
function cacheConfigLabels(
  version: string,
  layout: KvLayout,
  utilization: number,
  cacheDtype: string,
): Record<string, string> {
  return {
    block_size: `${layout.blockTokens}`,
    gpu_memory_utilization: `${utilization}`,
    cache_dtype: cacheDtype,
    enable_prefix_caching: layout.prefixCaching ? 'True' : 'False',
    mamba_cache_mode: layout.prefixCaching ? 'align' : 'none',
    num_gpu_blocks: `${layout.blocks}`,
    ...(isAtLeast(version, '0.24.0') && {
      kv_cache_size_tokens: `${Math.floor(layout.concurrency * layout.maxModelLen)}`,
      kv_cache_max_concurrency: `${layout.concurrency}`,
    }),
  };
}
