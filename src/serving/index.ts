/** The model, the GPUs and the engines as pure functions. */
export * from './plan.ts';
export { CHECKPOINTS, GIB, MIB, MODEL, VLLM_QUANTIZATIONS, type Checkpoint } from './model-profile.ts';
export {
  catalogueMemoryBytes,
  findGpu,
  GPU_MODELS,
  hasMemory,
  isProduct,
  isWholeGpu,
  shortName,
  type GpuModel,
} from './gpu-catalogue.ts';
export { DRIVER_LABELS, gpuFacts, MEMORY_LABEL, productLabel } from './gpu-labels.ts';
export {
  concurrency,
  fits,
  kvGeometry,
  LEAST_OVERHEAD_BYTES,
  loggedConcurrency,
  maxTokens,
  needBlocks,
  overheadBytesPerGpu,
  poolBlocks,
  tensorParallelSizes,
  weightBytesPerGpu,
  type KvGeometry,
  type KvShape,
} from './memory.ts';
export {
  DEFAULT_VLLM_VERSION,
  findVllmVersion,
  SUPPORTED_VLLM,
  vllmVersion,
  type VllmVersion,
  type VllmVersionFacts,
} from './engines/vllm-versions.ts';
export { vllmVerdict, type KvRequest, type KvVerdict } from './engines/vllm-verdict.ts';
export { flagAt, readWord, type Spelling, type VllmFlag, type Word } from './engines/vllm-flags.ts';
export {
  ENGINE_PORT,
  checkEngineArgs,
  hasPrefixCaching,
  vllmArgs,
  vllmEnv,
  type ArgumentProblem,
} from './engines/vllm-args.ts';
export {
  calibrationKey,
  isSameCalibration,
  measuredOverhead,
  readCalibrations,
  writeCalibration,
  type Calibration,
  type Calibrations,
} from './calibration.ts';
export { readMetrics, readServedModels, type EngineMetrics, type ServedModel } from './engine-report.ts';
export { diagnoseIdentity, identityOf, isAsTold } from './identity.ts';
export { calibrationFrom, failed, loaded, loadedByLog } from './observation.ts';
export {
  attemptAt,
  begin,
  configurationOf,
  fittingText,
  geometryOf,
  informed,
  observed,
  tune,
  unmeasured,
  type Attempt,
  type Fitting,
  type Observation,
  type TuningVerdict,
} from './tuning.ts';
export {
  startBudget,
  startProgress,
  type Start,
  type StartBudget,
  type StartPhase,
  type StartProgress,
} from './start-budget.ts';
export { memoryFailure, startReport, type StartReport } from './start-report.ts';
export { engineVariant } from './variant.ts';
export { caveatOf, isGuess } from './guess.ts';
export { hasWholeGpus } from './gpu-groups.ts';
export { parseNodes, type NodeGroup } from './node-specification.ts';
export { planServing } from './planner.ts';
export { nodeSharing, roomOn, type NodeSharing } from './room.ts';
export { quantityBytes, quantityValue } from './quantity.ts';
export {
  diagnoseEngine,
  diagnoseFetch,
  type ContainerEnd,
  type ContainerEvidence,
  type Diagnosis,
  type EngineReason,
  type FetchReason,
} from './diagnosis.ts';
export type { Situation } from './failure-remedies.ts';
export { MAX_EVIDENCE_LENGTH, quotable, readLog, type LogFindings } from './log-findings.ts';
export { redact } from './redact.ts';
export { alternativeRemedy, diagnoseRefusal, rejectionRemedy, unschedulableRemedy } from './refusals.ts';
export { asSentence } from './words.ts';
