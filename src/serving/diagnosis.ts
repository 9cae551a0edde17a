import type { ReasonOf } from '../api/conditions.ts';
import type { Finding, LogFindings, PatternId } from './log-findings.ts';
import { quotable } from './log-findings.ts';
import type { StartProgress } from './start-budget.ts';
import {
  type Situation,
  containerRemedy,
  gpuMemoryRemedy,
  hostRemedy,
  hubRemedy,
  kvRemedy,
  startRemedy,
} from './failure-remedies.ts';

/** Reasons that a failing engine or a failing download may have. */
export type EngineReason = Exclude<
  ReasonOf<'EnginesReady'>,
  'Suspended' | 'NoReplicasWanted' | 'NotPlanned' | 'AllReady' | 'WaitingForWeights' | 'Starting' | 'CrashLooping'
>;
export type FetchReason = Extract<
  ReasonOf<'ModelAvailable'>,
  | EngineReason
  | 'PodRejected'
  | 'RepositoryNotFound'
  | 'RevisionNotFound'
  | 'GatedRepository'
  | 'HubUnauthorized'
  | 'HubUnreachable'
>;

/** Why something fails, how that is known, and what to do about it. */
export interface Diagnosis<R extends string = string> {
  readonly reason: R;
  /** What was seen: a line of a log or the words of kubelet, scheduler or API server; one line without secrets. */
  readonly evidence: string;
  /** What to do, with the numbers of the case; a sentence. */
  readonly remedy: string;
  /** Whether another try cannot go otherwise. */
  readonly isFinal: boolean;
}

/** How a container ended. */
export interface ContainerEnd {
  readonly exitCode: number;
  /** Of the kernel's or the kubelet's words: `OOMKilled`, `Error`, `StartError`. */
  readonly reason: string;
  readonly message: string;
}

/** What is known of a container that fails or hangs. */
export interface ContainerEvidence {
  /** Why the kubelet does not start it, where it does not. */
  readonly waiting: { readonly reason: string; readonly message: string } | undefined;
  /** How its last run ended; undefined while its first one lasts. */
  readonly end: ContainerEnd | undefined;
  /** What the log of that run tells, or that of the present run where none has ended; undefined where no log could be had. */
  readonly log: LogFindings | undefined;
  /** Whether that log still comes. */
  readonly isLogLate?: boolean | undefined;
  /** Why the kubelet ended the pod as a whole: an eviction, a device that is gone. */
  readonly podFailure: { readonly reason: string; readonly message: string } | undefined;
  /** How the start stands, where it takes longer than it may. */
  readonly overdue: StartProgress | undefined;
  /** Whether the run that this is about had answered: its log need not tell, of one that serves the beginning is soon far away. */
  readonly hasServed?: boolean | undefined;
  /** Whether the run that goes on answered, and does not any more. */
  readonly isSilent?: boolean | undefined;
}

/** What is told in place of a line of a log that still comes. */
export const LATE_LOG = '(its log has not come yet)';

/** Exit codes of containers that ended by a signal: 128 + its number. */
const SIGBUS = 135;
const SIGKILL = 137;
const SIGTERM = 143;

/**
 * Why an engine fails or hangs; undefined while nothing says that it does.
 *
 * Guarantees: the same evidence gives the same answer, and nothing in it moves by itself: no times, no counts of restarts. A cause of
 * the log beats the way in which the container ended, since vLLM ends with 1, or 0, whatever happened.
 *
 * @param situation Plan and limits, from which the remedy has its numbers.
 */
export function diagnoseEngine(evidence: ContainerEvidence, situation: Situation): Diagnosis<EngineReason> | undefined {
  const { end, log, overdue, podFailure } = evidence;
  const lastLine = log?.lastLine ?? (evidence.isLogLate ? LATE_LOG : undefined);
  const held = heldBack(evidence, situation);
  // A kubelet that ends a whole pod, to make room or to shut down, says nothing against the engine.
  if (held || podFailure) return held;
  const hasServed = evidence.hasServed === true || log?.facts.serving !== undefined;
  const known = log?.cause && engineCause(log.cause, log, hasServed, situation);
  if (evidence.isSilent === true) return hung(known, lastLine);
  if (end === undefined) return overdue && tooSlow(overdue, log, known, situation);
  if (known && log.cause && !isConsequence(log.cause)) return { ...known, isFinal: known.isFinal && !hasServed };
  if (end.reason === 'OOMKilled') return { ...outOfHostMemory(endText(end), situation), isFinal: !hasServed };
  if (known) return { ...known, isFinal: known.isFinal && !hasServed };
  const evidenceText = endText(end, lastLine);
  if (end.exitCode === SIGBUS) return { ...shmFull(evidenceText, situation), isFinal: !hasServed };
  // Nobody but the kubelet, who gets no answer, ends a container and leaves its pod.
  if (hasServed && (end.exitCode === SIGKILL || end.exitCode === SIGTERM)) return silent(evidenceText);
  if (hasServed) return crashed(evidenceText);
  return { reason: 'NotReady', evidence: evidenceText, remedy: startRemedy.unknown(), isFinal: false };
}

/** Why a download fails; undefined while nothing says that it does. `log` is what the pod's last words tell. */
export function diagnoseFetch(evidence: ContainerEvidence, situation: Situation): Diagnosis<FetchReason> | undefined {
  const { end, log } = evidence;
  const held = heldBack(evidence, situation);
  if (held) return held;
  if (end === undefined || end.exitCode === 0) return undefined;
  if (end.reason === 'OOMKilled') return outOfHostMemory(endText(end), situation);
  return log?.cause && fetchCause(log.cause, situation);
}

/** What keeps a container from running at all. */
function heldBack(
  { waiting, end, podFailure }: ContainerEvidence,
  situation: Situation,
): Diagnosis<Extract<EngineReason, FetchReason>> | undefined {
  if (
    waiting &&
    /^(ErrImage|ImagePull|ImageInspect|InvalidImageName|RegistryUnavailable|SignatureValidation)/.test(waiting.reason)
  ) {
    const evidence = quotable(waiting.message || waiting.reason, situation.secrets);
    return { reason: 'ImagePullFailed', evidence, remedy: containerRemedy.image(evidence, situation), isFinal: true };
  }
  // Its controller makes another pod, maybe on another node.
  if (podFailure && /ephemeral.storage|disk/i.test(podFailure.message)) {
    return { ...nodeDiskFull(quotable(podFailure.message, situation.secrets)), isFinal: false };
  }
  if (podFailure && /memory/i.test(podFailure.message)) {
    return { ...outOfHostMemory(quotable(podFailure.message, situation.secrets), situation), isFinal: false };
  }
  // A container that was never started has no log; its words are the runtime's.
  const refused =
    waiting ?? (end && /^(StartError|ContainerCannotRun|RunContainerError)$/.test(end.reason) ? end : undefined);
  if (refused === undefined) return undefined;
  const evidence = quotable(`${refused.reason}: ${refused.message}`, situation.secrets);
  return { reason: 'ContainerNotCreated', evidence, remedy: containerRemedy.create(evidence), isFinal: true };
}

/** What the last run left: the runtime's reason and the code, and the last line where there is one. */
function endText({ exitCode, reason }: ContainerEnd, lastLine?: string): string {
  const end = `${reason === '' || reason === 'Error' ? '' : `${reason}, `}exit code ${exitCode}`;
  return lastLine === undefined ? end : quotable(`${end}: ${lastLine}`);
}

const isConsequence = ({ id }: Finding): boolean =>
  (['core_failed', 'worker_failed', 'worker_died', 'ready_timeout'] as PatternId[]).includes(id);

const crashed = (evidence: string): Diagnosis<'EngineCrashed'> => ({
  reason: 'EngineCrashed',
  evidence,
  remedy: startRemedy.crashed(),
  isFinal: false,
});

const silent = (evidence: string): Diagnosis<'EngineHung'> => ({
  reason: 'EngineHung',
  evidence,
  remedy: startRemedy.hung(),
  isFinal: false,
});

/** What its log tells of an engine that runs and does not answer; without a cause its last line. */
function hung(known: Diagnosis<EngineReason> | undefined, lastLine: string | undefined): Diagnosis<EngineReason> {
  if (known) return { ...known, isFinal: false };
  const last = lastLine === undefined ? '' : `; its last line: ${lastLine}`;
  return silent(quotable(`it runs and does not answer /health any more${last}`));
}

function tooSlow(
  { phase, text }: StartProgress,
  log: LogFindings | undefined,
  known: Diagnosis<EngineReason> | undefined,
  situation: Situation,
) {
  // A log may hold the cause of a start that hangs: a worker that failed while the others wait for it.
  if (known && log?.cause && !isConsequence(log.cause)) return known;
  const evidence = quotable(log?.lastLine === undefined ? text : `${text}; its last line: ${log.lastLine}`);
  const remedy = startRemedy.overdue(situation, phase);
  // Of a missing node condition Placed tells, and one may come.
  return { reason: 'StartBudgetExceeded', evidence, remedy, isFinal: phase !== 'Schedule' } as const;
}

const outOfHostMemory = (evidence: string, situation: Situation): Diagnosis<'OutOfHostMemory'> => ({
  reason: 'OutOfHostMemory',
  evidence,
  remedy: hostRemedy.memory(situation),
  isFinal: true,
});

const shmFull = (evidence: string, situation: Situation): Diagnosis<'SharedMemoryTooSmall'> => ({
  reason: 'SharedMemoryTooSmall',
  evidence,
  remedy: hostRemedy.sharedMemory(situation),
  isFinal: true,
});

const diskFull = (evidence: string, path: string | undefined, situation: Situation): Diagnosis<'DiskFull'> => ({
  reason: 'DiskFull',
  evidence,
  remedy: hostRemedy.disk(path, situation),
  isFinal: true,
});

/** What a kubelet counts lies on its node, and never on the volume of the weights. */
const nodeDiskFull = (evidence: string): Omit<Diagnosis<'DiskFull'>, 'isFinal'> => ({
  reason: 'DiskFull',
  evidence,
  remedy: hostRemedy.nodeDisk(),
});

/** The reason that a line of an engine's log stands for. */
function engineCause(
  cause: Finding,
  log: LogFindings,
  hasServed: boolean,
  situation: Situation,
): Diagnosis<EngineReason> | undefined {
  const { id, line: evidence, values } = cause;
  const is = (reason: EngineReason, remedy: string, isFinal = true): Diagnosis<EngineReason> => ({
    reason,
    evidence,
    remedy,
    isFinal,
  });
  switch (id) {
    case 'kv_too_small':
      return is('KvCacheTooSmall', kvRemedy.tooSmall(values, situation));
    case 'kv_none':
    case 'auto_fit_failed':
      return is('NoKvCacheMemory', kvRemedy.none(log, situation));
    case 'max_num_seqs_blocks':
      return is('StateBlocksShort', kvRemedy.stateBlocks(values, situation));
    case 'free_memory':
      return is('GpuMemoryTaken', gpuMemoryRemedy.taken(values), false);
    case 'cuda_oom':
    case 'sampler_oom':
      return is('OutOfGpuMemory', gpuMemoryRemedy.outOfMemory(cause, log, hasServed, situation));
    case 'len_over_model':
    case 'bad_argument':
    case 'vllm_port_uri':
      return is('ArgumentRefused', startRemedy.argument(cause, situation));
    case 'tp_heads':
    case 'fp8_moe_block':
    case 'fp8_linear_block':
      return is('ParallelismRefused', startRemedy.parallelism(situation));
    case 'world_size':
    case 'no_gpu':
      return is('GpuNotVisible', startRemedy.gpus(values, situation));
    case 'driver_old':
      return is('DriverTooOld', startRemedy.driver(values));
    case 'cuda_error':
      return is('GpuFault', startRemedy.fault(), false);
    case 'shm_full':
      return shmFull(evidence, situation);
    case 'nccl':
      return is('GpuCommunicationFailed', startRemedy.communication(situation));
    case 'disk_full':
      return diskFull(evidence, values['path'], situation);
    case 'no_checkpoint':
    case 'other_model':
    case 'hub_gated':
    case 'hub_revision':
    case 'hub_repository':
    case 'hub_refused':
      return is('WrongCheckpoint', startRemedy.checkpoint(values, situation));
    case 'ready_timeout':
      return is('StartBudgetExceeded', startRemedy.overdue(situation, 'Weights'));
    case 'worker_died':
      // -9 is SIGKILL, which nobody but the kernel's memory killer sends; -7 is SIGBUS, a page of /dev/shm that could not be had.
      if (values['code'] === '-7') return shmFull(evidence, situation);
      if (values['code'] === '-9') return outOfHostMemory(evidence, situation);
      return hasServed ? crashed(evidence) : undefined;
    default:
      return undefined;
  }
}

/** The reason that a line of a download stands for. */
function fetchCause({ id, line: evidence, values }: Finding, situation: Situation): Diagnosis<FetchReason> | undefined {
  const is = (reason: FetchReason, remedy: string, isFinal = true): Diagnosis<FetchReason> => ({
    reason,
    evidence,
    remedy,
    isFinal,
  });
  switch (id) {
    case 'hub_gated':
      return is('GatedRepository', hubRemedy.gated(situation));
    case 'hub_revision':
      return is('RevisionNotFound', hubRemedy.revision(situation));
    case 'hub_repository':
      // Without a token the hub says 401 of what does not exist as of what is private.
      return values['status'] === '401' && situation.hasHubToken
        ? is('HubUnauthorized', hubRemedy.token(situation))
        : is('RepositoryNotFound', hubRemedy.repository(situation));
    case 'hub_refused':
      return is('HubUnauthorized', hubRemedy.token(situation));
    case 'hub_away':
      return is('HubUnreachable', hubRemedy.away(), false);
    case 'disk_full':
      return diskFull(evidence, values['path'], situation);
    default:
      return undefined;
  }
}
