import type { QwenCoderSpec } from '../../api/v1alpha1.ts';
import type { ServingPlan } from '../plan.ts';
import { availability, flagAt, flagEver, nearestSpelling, readWord, type Spelling, type Word } from './vllm-flags.ts';
import { vllmVersion } from './vllm-versions.ts';

/** Port that the engine listens on. */
export const ENGINE_PORT = 8000;

/** How long an engine that gets SIGTERM waits for its last requests; `preStop` has waited for idle before. */
const SHUTDOWN_SECONDS = 30;

/** How long the API server waits for the engine core: loading 160 GB from slow storage and compiling cold. vLLM's default is 600. */
const ENGINE_READY_SECONDS = 3600;

/**
 * The arguments of the engine container, which follow the image's entry point `vllm serve`: the model, what the plan and the spec
 * say, then the user's own.
 *
 * Guarantees: the same plan and spec give the same list; flags that the version does not have are left out.
 * Assumes: the container has the variable `POD_IP`; `checkEngineArgs` found nothing.
 */
export function vllmArgs(plan: ServingPlan, spec: QwenCoderSpec, modelPath: string): string[] {
  const version = plan.engineVersion;
  const { model, parallelism, sampling, tools, engine } = spec;
  const users = engine.args ?? [];
  const names = [model.servedName, ...(model.aliases ?? [])];
  const flags: readonly (readonly string[])[] = [
    model.source.type === 'HuggingFace' ? [`--revision=${plan.revision}`] : [],
    ['--served-model-name', ...names],
    ['--host=$(POD_IP)'],
    [`--port=${ENGINE_PORT}`],
    [`--tensor-parallel-size=${plan.tensorParallelSize}`],
    parallelism.expertParallel ? ['--enable-expert-parallel'] : [],
    [`--max-model-len=${plan.maxModelLen}`],
    [`--max-num-seqs=${plan.maxNumSeqs}`],
    [`--gpu-memory-utilization=${(plan.gpuMemoryUtilizationPercent / 100).toFixed(2)}`],
    [`--kv-cache-dtype=${plan.kvCacheDtype === 'FP8' ? 'fp8' : 'auto'}`],
    userPrefixCaching(users, version) === undefined
      ? [vllmVersion(version).prefixCachingByDefault ? '--enable-prefix-caching' : '--no-enable-prefix-caching']
      : [],
    tools.enabled ? ['--enable-auto-tool-choice'] : [],
    tools.enabled ? [`--tool-call-parser=${vllmVersion(version).toolParser}`] : [],
    [`--override-generation-config=${generationConfig(sampling)}`],
    sampling.seed === undefined ? [] : [`--seed=${sampling.seed}`],
    // Without it nobody learns how much of a prompt was in the cache.
    ['--enable-prompt-tokens-details'],
    // Off by default, and said all the same: prompts are source code, and would reach the log at debug level.
    ['--no-enable-log-requests'],
    [`--shutdown-timeout=${SHUTDOWN_SECONDS}`],
  ];
  const accepted = flags.filter(
    ([first]) => first !== undefined && flagAt(version, first.split('=')[0]!) !== undefined,
  );
  return [modelPath, ...accepted.flat(), ...users];
}

/** The server-side sampling defaults, all of them, so that they do not hang on a file of the checkpoint. */
function generationConfig({ temperature, topP, topK, minP }: QwenCoderSpec['sampling']): string {
  return JSON.stringify({ temperature, top_p: topP, top_k: topK, ...(minP !== undefined && { min_p: minP }) });
}

/** Whether the engine keeps prefixes: what the user's own flags say, else the version's default for hybrid models. */
export function hasPrefixCaching(spec: QwenCoderSpec, version: string): boolean {
  return userPrefixCaching(spec.engine.args ?? [], version) ?? vllmVersion(version).prefixCachingByDefault;
}

function userPrefixCaching(args: readonly string[], version: string): boolean | undefined {
  let last: boolean | undefined;
  for (const { word } of readArguments(version, args)) {
    if (word.kind === 'Flag' && word.spelling.flag.name === '--enable-prefix-caching') last = !word.spelling.negative;
  }
  return last;
}

/** Environment that the operator owns: offline, silent towards the outside, caches on the volume, logs without colour codes. */
const FIXED_ENV: Readonly<Record<string, string>> = {
  HF_HUB_OFFLINE: '1',
  VLLM_NO_USAGE_STATS: '1',
  DO_NOT_TRACK: '1',
  VLLM_CACHE_ROOT: '/cache',
};

/** Environment that a user may set otherwise. */
const DEFAULT_ENV: Readonly<Record<string, string>> = {
  VLLM_LOGGING_COLOR: '0',
  VLLM_ENGINE_READY_TIMEOUT_S: String(ENGINE_READY_SECONDS),
};

/**
 * The operator's part of the engine's environment.
 *
 * Guarantees: disjoint from `spec.engine.env`, when `checkEngineArgs` found nothing. `POD_IP` and `HF_HOME` are the renderer's.
 */
export function vllmEnv(_plan: ServingPlan, spec: QwenCoderSpec): Record<string, string> {
  const users = new Set((spec.engine.env ?? []).map(({ name }) => name));
  return Object.fromEntries(Object.entries({ ...FIXED_ENV, ...DEFAULT_ENV }).filter(([name]) => !users.has(name)));
}

/** Flags that the operator sets or that would take the engine away from what the operator expects, and what to use instead. */
const MANAGED_FLAGS: Readonly<Record<string, string>> = {
  '--model': 'Use spec.model.repository or spec.model.source.',
  '--revision': 'Use spec.model.revision.',
  '--served-model-name': 'Use spec.model.servedName and spec.model.aliases.',
  '--quantization': 'Use spec.model.quantization.',
  '--download-dir': 'Use spec.model.source and spec.storage.',
  '--tensor-parallel-size': 'Use spec.parallelism.tensorParallelSize.',
  '--pipeline-parallel-size': 'Use spec.parallelism.pipelineParallelSize.',
  '--enable-expert-parallel': 'Use spec.parallelism.expertParallel.',
  '--max-model-len': 'Use spec.context.maxModelLen.',
  '--max-num-seqs': 'Use spec.context.maxNumSeqs.',
  '--gpu-memory-utilization': 'Use spec.context.gpuMemoryUtilizationPercent.',
  '--kv-cache-memory-bytes': 'Use spec.context.gpuMemoryUtilizationPercent.',
  '--kv-cache-dtype': 'Use spec.context.kvCacheDtype.',
  '--enable-auto-tool-choice': 'Use spec.tools.enabled.',
  '--tool-call-parser': 'Use spec.tools.enabled; the parser follows from the version.',
  '--override-generation-config': 'Use spec.sampling.',
  '--generation-config': 'Use spec.sampling.',
  '--seed': 'Use spec.sampling.seed.',
  '--api-key': 'Use spec.endpoint.authentication: clients show their keys to the gateway, and it shows one of its own.',
  '--host': 'Leave it out: the engine listens on the IP of its pod.',
  '--port': `Leave it out: Service and probes expect ${ENGINE_PORT}.`,
  '--uds': 'Leave it out: Service and probes need a TCP port.',
  '--grpc': 'Leave it out: Service and probes speak HTTP.',
  '--ssl-keyfile': 'Leave it out: Service and probes speak plain HTTP.',
  '--ssl-certfile': 'Leave it out: Service and probes speak plain HTTP.',
  '--shutdown-timeout': 'Leave it out: the operator drains an engine before it stops it.',
  '--enable-log-requests': 'Leave it out: prompts stay out of logs.',
  '--enable-log-outputs': 'Leave it out: answers stay out of logs.',
  '--config': 'Write each flag as an entry of spec.engine.args: a file could set flags that the operator sets.',
  '--data-parallel-size': 'Use spec.scaling or spec.replicas for more replicas.',
  '--data-parallel-size-local': 'Use spec.scaling or spec.replicas for more replicas.',
  '--data-parallel-rank': 'Use spec.scaling or spec.replicas for more replicas.',
  '--data-parallel-start-rank': 'Use spec.scaling or spec.replicas for more replicas.',
  '--nnodes': 'Leave it out: a replica runs on one node.',
  '--node-rank': 'Leave it out: a replica runs on one node.',
  '--headless': 'Leave it out: a replica serves by itself.',
  '--help': 'Leave it out: the engine would print its help and stop.',
};

/** Variables that the operator sets, or that do what a managed flag does, and what to use instead. */
const MANAGED_ENV: Readonly<Record<string, string>> = {
  VLLM_API_KEY:
    'Use spec.endpoint.authentication: clients show their keys to the gateway, and it shows one of its own.',
  HF_HOME: 'Use spec.model.source.',
  HF_HUB_CACHE: 'Use spec.model.source.',
  HUGGINGFACE_HUB_CACHE: 'Use spec.model.source.',
  HF_HUB_OFFLINE: 'Leave it out: engines read weights that were fetched before they start.',
  TRANSFORMERS_OFFLINE: 'Leave it out: engines read weights that were fetched before they start.',
  VLLM_USE_MODELSCOPE: 'Use spec.model.source.',
  VLLM_MODEL_REDIRECT_PATH: 'Use spec.model.source.',
  VLLM_CACHE_ROOT: 'Leave it out: the cache is on the volume of the weights.',
  VLLM_CONFIG_ROOT: 'Leave it out: the operator says whether usage is reported.',
  VLLM_NO_USAGE_STATS: 'Leave it out: usage is never reported.',
  VLLM_DO_NOT_TRACK: 'Leave it out: usage is never reported.',
  DO_NOT_TRACK: 'Leave it out: usage is never reported.',
  VLLM_USAGE_STATS_SERVER: 'Leave it out: usage is never reported.',
  VLLM_HOST_IP: 'Leave it out: the engine listens on the IP of its pod.',
  VLLM_PORT: `Leave it out: Service and probes expect ${ENGINE_PORT}.`,
  VLLM_DEBUG_LOG_API_SERVER_RESPONSE: 'Leave it out: answers stay out of logs.',
  VLLM_REQUEST_BODY_LOG_LEVEL: 'Leave it out: prompts stay out of logs.',
  VLLM_SERVER_DEV_MODE: 'Leave it out: it opens paths that stop the engine or run code in it.',
  VLLM_KEEP_ALIVE_ON_ENGINE_DEATH: 'Leave it out: a dead engine must end so that it is started again.',
  VLLM_ALLOW_LONG_MAX_MODEL_LEN: 'Use spec.context.maxModelLen.',
  VLLM_DP_RANK: 'Use spec.scaling or spec.replicas for more replicas.',
  VLLM_DP_RANK_LOCAL: 'Use spec.scaling or spec.replicas for more replicas.',
  VLLM_DP_SIZE: 'Use spec.scaling or spec.replicas for more replicas.',
  VLLM_DP_MASTER_IP: 'Use spec.scaling or spec.replicas for more replicas.',
  VLLM_DP_MASTER_PORT: 'Use spec.scaling or spec.replicas for more replicas.',
  CUDA_VISIBLE_DEVICES: 'Leave it out: the device plugin chooses the GPUs.',
  NVIDIA_VISIBLE_DEVICES: 'Leave it out: the device plugin chooses the GPUs.',
  POD_IP: 'Leave it out: it is the IP of the pod.',
};

/** Why an entry of `spec.engine` is refused. */
export interface ArgumentProblem {
  readonly reason: 'ManagedArgument' | 'UnknownArgument';
  /** The entry, and what is wrong with it. */
  readonly message: string;
  /** What to do instead. */
  readonly remedy: string;
}

/** The first entry of `spec.engine.args` or `.env` that the operator sets itself, or that the version would refuse. */
export function checkEngineArgs(spec: QwenCoderSpec, version: string): ArgumentProblem | undefined {
  for (const argument of readArguments(version, spec.engine.args ?? [])) {
    const problem = argumentProblem(version, argument);
    if (problem) return problem;
  }
  for (const [index, { name }] of (spec.engine.env ?? []).entries()) {
    const remedy = MANAGED_ENV[name];
    if (remedy !== undefined) {
      return {
        reason: 'ManagedArgument',
        message: `spec.engine.env[${index}] sets ${name}, which is the operator's to set.`,
        remedy,
      };
    }
  }
  return undefined;
}

interface Argument {
  readonly index: number;
  readonly text: string;
  readonly word: Word;
  /** Entries after it that are its values. */
  readonly values: number;
}

/** Splits arguments into flags with their values, as the parser would. */
function* readArguments(version: string, args: readonly string[]): Generator<Argument> {
  for (let index = 0; index < args.length;) {
    const text = args[index]!;
    const word = readWord(version, text);
    const values = word.kind === 'Flag' ? countValues(version, word, args, index + 1) : 0;
    yield { index, text, word, values };
    index += 1 + values;
  }
}

function countValues(version: string, word: Word & { kind: 'Flag' }, args: readonly string[], from: number): number {
  const { values } = word.spelling.flag;
  if (word.value !== undefined || values === 'None') return 0;
  const most = values === 'Some' && word.path === undefined ? args.length : 1;
  let count = 0;
  while (count < most && from + count < args.length && readWord(version, args[from + count]!).kind === 'Value')
    count += 1;
  return count;
}

function argumentProblem(version: string, { index, text, word, values }: Argument): ArgumentProblem | undefined {
  const entry = `spec.engine.args[${index}]`;
  const unknown: Refuse = (message, remedy) => ({ reason: 'UnknownArgument', message: `${entry} ${message}`, remedy });
  if (word.kind === 'Value') {
    return unknown(
      `is ${JSON.stringify(text)}, which is neither a flag nor the value of one.`,
      text.startsWith('-')
        ? 'Make the flag and its value two entries, or write --flag=value.'
        : 'Remove it, or put it after the flag that it belongs to.',
    );
  }
  if (word.kind === 'Unknown') return unknownFlag(version, word.name, unknown);
  if (word.kind === 'Ambiguous') {
    if (word.spellings.every(isManaged)) return managedProblem(entry, text, word.spellings[0]!);
    const choices = word.spellings.slice(0, 4).map((spelling) => spelling.text);
    return unknown(
      `is ${word.name}, which begins more than one flag of vLLM ${version}.`,
      `Write one in full: ${choices.join(', ')}.`,
    );
  }
  const { spelling } = word;
  if (isManaged(spelling)) return managedProblem(entry, text, spelling);
  const takesValue = spelling.flag.values !== 'None';
  if (!takesValue && (word.value !== undefined || word.path !== undefined)) {
    return unknown(`gives ${spelling.text} a value, and it takes none.`, `Write ${spelling.text} alone.`);
  }
  if (takesValue && spelling.flag.values !== 'AtMostOne' && word.value === undefined && values === 0) {
    return unknown(`gives ${spelling.text} no value.`, `Write ${spelling.text}=<value>.`);
  }
  return undefined;
}

type Refuse = (message: string, remedy: string) => ArgumentProblem;

const isManaged = (spelling: Spelling): boolean => MANAGED_FLAGS[spelling.flag.name] !== undefined;

function managedProblem(entry: string, text: string, { flag }: Spelling): ArgumentProblem {
  const written = text.split('=')[0]!;
  const alias = written === flag.name ? '' : ` (${flag.name})`;
  return {
    reason: 'ManagedArgument',
    message: `${entry} sets ${written}${alias}, which is the operator's to set.`,
    remedy: MANAGED_FLAGS[flag.name]!,
  };
}

function unknownFlag(version: string, name: string, unknown: Refuse): ArgumentProblem {
  const other = flagEver(name);
  const message = `is ${name}, which vLLM ${version} does not have`;
  if (other)
    return unknown(
      `${message}; it is there ${availability(other)}.`,
      'Remove it, or set spec.engine.version to a version that has it.',
    );
  const nearest = nearestSpelling(version, name);
  return unknown(`${message}.`, nearest === undefined ? 'Remove it.' : `Did you mean ${nearest}?`);
}
