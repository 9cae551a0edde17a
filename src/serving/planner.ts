import type { QwenCoderSpec } from '../api/v1alpha1.ts';
import { type Demand, readDemand } from './demand.ts';
import { SAMPLED_VLLM_VERSIONS, vllmVersion } from './engines/vllm-versions.ts';
import { findGpus, type GpuGroup, largestNode, multipliesFp8 } from './gpu-groups.ts';
import { tensorParallelSizes } from './memory.ts';
import { CHECKPOINTS, VLLM_QUANTIZATIONS } from './model-profile.ts';
import {
  type GpuNode,
  type GpuQuota,
  hasOldDriver,
  type PlanFailure,
  type PlanOutcome,
  type PlanRequest,
  refuse,
  type RejectedCandidate,
  type ServingPlan,
  type VllmQuantization,
} from './plan.ts';
import { remediesFor } from './remedies.ts';
import { type Candidate, type Fit, judge, LEAST_PLANNED_TOKENS, type Misfit } from './verdict.ts';
import { compareNumbers, compareText, listOf, requests } from './words.ts';

/** Contexts from this part of the longest on count as equally long: nobody doubles the GPUs for two per cent. */
const LONG_ENOUGH = 0.9;

/**
 * Chooses checkpoint, GPUs, tensor parallelism and context length for a resource, or says why nothing serves.
 *
 * Every quantization × GPU product × tensor parallel size is judged. What cannot hold the asked requests is rejected with the number that
 * breaks it. What can is ranked by, in this order:
 *
 * 1. a context, of which `context.minConcurrency` requests are held at once, within a tenth of the longest that any candidate has;
 * 2. how many of the wanted replicas can start on GPUs that are free, within the quota; then whether a declared node shape could bring
 *    them;
 * 3. the fewest GPUs a replica;
 * 4. a number format that the cards multiply natively, then FP8 before BF16: half the memory traffic a token;
 * 5. a quarter of KV memory to spare;
 * 6. the smallest card, so that larger ones stay for who needs them; then the longer context; then the name of the product.
 *
 * Where nothing serves but for the overhead that is only estimated, the plan is a guess: what would serve with less, at the shortest
 * length, with the room that it has. Guesses are ranked in the same way, with the one that has most room in place of the smallest card. None
 * is made where a larger quota or a newer driver would bring a plan that holds, nor against a measurement.
 *
 * Without memory facts for any allowed GPU that could serve, the plan is provisional: 32,768 tokens on as many GPUs as a node has, up to
 * 4 with FP8, or the pinned numbers; its concurrency is undefined.
 *
 * Nodes whose driver is too old for the engine's CUDA are left out, and replicas of more GPUs than a quota allows are rejected; where only
 * these would do, the plan is refused for it.
 *
 * Guarantees: a plan with memory facts holds `min(context.minConcurrency, context.maxNumSeqs)` requests of its length, a guess as long as
 * its engine takes no more overhead than it has room for; the same request
 * gives the same answer, whatever the order of its nodes.
 * Assumes: `spec` passed its schema; `nodes` exist and are allowed by the node selector; declared shapes are added here.
 */
export function planServing(request: PlanRequest): PlanOutcome {
  const demand = readDemand(request.spec, request.quota);
  if ('fits' in demand) return demand;
  const outcome = planFrom('fits', demand, request);
  // Where a quota or a driver is all that is in the way, there is a better remedy than a guess.
  if (outcome.fits || outcome.reason === 'QuotaTooSmall' || outcome.reason === 'DriverTooOld') return outcome;
  return planFrom('guesses', demand, request);
}

/** Which of the judged candidates a plan is chosen from. */
type Source = 'fits' | 'guesses';

function planFrom(source: Source, demand: Demand, request: PlanRequest): PlanOutcome {
  const { spec, nodes, quota } = request;
  const able = { ...request, nodes: nodes.filter((node) => !hasOldDriver(demand, node)) };
  const outcome = planOn(source, demand, able);
  if (outcome.fits) return outcome;
  const unlimited = { ...demand, quota: undefined };
  if (quota !== undefined) {
    const [least] = choicesOn(source, unlimited, able).toSorted(fewestGpusFirst);
    if (least) return quotaTooSmall(spec, quota, least, outcome);
  }
  if (able.nodes.length === nodes.length || choicesOn(source, unlimited, request).length === 0) return outcome;
  return oldDrivers(
    demand,
    nodes.filter((node) => hasOldDriver(demand, node)),
  );
}

function planOn(source: Source, demand: Demand, request: PlanRequest): PlanOutcome {
  const judged = judgeAll(demand, request);
  if ('reason' in judged) return judged;
  const { groups, misfits, [source]: choices } = judged;
  const [best] = choices;
  if (best === undefined) return noFit(demand, groups, misfits);
  const others = choices.filter(({ candidate }) => candidate.group.product !== best.candidate.group.product);
  const runnerUp = others.find(({ candidate }) => startable(demand, candidate) > 0) ?? others[0];
  return {
    fits: true,
    plan: servingPlan(request.spec, demand, best),
    runnerUp: runnerUp && servingPlan(request.spec, demand, runnerUp),
    rejected: misfits.filter(({ candidate }) => candidate !== best.candidate).map(rejection),
  };
}

/** Best first; none where no GPUs are allowed. */
function choicesOn(source: Source, demand: Demand, request: PlanRequest): readonly Fit[] {
  const judged = judgeAll(demand, request);
  return 'reason' in judged ? [] : judged[source];
}

interface Judged {
  readonly groups: readonly GpuGroup[];
  /** Best first. */
  readonly fits: readonly Fit[];
  /** What would serve if the estimated overhead is too high. Best first. */
  readonly guesses: readonly Fit[];
  /** Nearest first. */
  readonly misfits: readonly Misfit[];
}

function judgeAll(demand: Demand, { spec, nodes, overheadBytes }: PlanRequest): Judged | PlanFailure {
  const groups = findGpus(spec, nodes);
  if ('fits' in groups) return groups;

  const fitting: Fit[] = [];
  const misfits: Misfit[] = [];
  for (const candidate of candidates(demand, groups)) {
    const verdict = judge(demand, candidate, overheadBytes);
    if ('reason' in verdict) misfits.push(verdict);
    else fitting.push(verdict);
  }
  const guesses = misfits.flatMap(({ guess }) => guess ?? []);
  return {
    groups,
    fits: ranked(demand, fitting),
    guesses: ranked(demand, guesses),
    misfits: misfits.toSorted(nearestFirst),
  };
}

const fewestGpusFirst = (left: Fit, right: Fit): number =>
  left.candidate.tensorParallelSize - right.candidate.tensorParallelSize;

/** @param least What would serve with the fewest GPUs. */
function quotaTooSmall(
  { placement: { resourceName } }: QwenCoderSpec,
  { name, gpus }: GpuQuota,
  { candidate, maxModelLen, sized }: Fit,
  { remedy, rejected }: PlanFailure,
): PlanFailure {
  const { quantization, tensorParallelSize: needed, group } = candidate;
  const serves = sized?.estimatedOverheadBytes === undefined ? 'serves' : 'may serve';
  return {
    fits: false,
    reason: 'QuotaTooSmall',
    message: `ResourceQuota ${name} allows the namespace ${gpus} of ${resourceName}, and a replica needs ${needed} or more: ${quantization} on ${needed}x ${group.name} ${serves} ${maxModelLen} tokens.`,
    remedy:
      `Raise requests.${resourceName} in spec.hard of ResourceQuota ${name} to ${needed} or more. ${remedy}`.trim(),
    rejected,
  };
}

function oldDrivers({ version, leastDriver }: Demand, nodes: readonly GpuNode[]): PlanFailure {
  const drivers = listOf(nodes.map(({ driver }) => String(driver)));
  const older = SAMPLED_VLLM_VERSIONS.findLast((name) =>
    nodes.every(({ driver }) => driver! >= vllmVersion(name).leastDriver),
  );
  return refuse(
    'DriverTooOld',
    `vLLM ${version.version} needs an NVIDIA driver of ${leastDriver} or newer; the GPU nodes that it would fit on have ${drivers}.`,
    [
      `Update the driver of these nodes to ${leastDriver} or newer`,
      ...(older === undefined ? [] : [`set spec.engine.version to ${older}`]),
      'on data center GPUs set VLLM_ENABLE_CUDA_COMPATIBILITY to "1" in spec.engine.env, or name an image with an older CUDA in spec.engine.image.',
    ].join(', or '),
  );
}

function candidates(demand: Demand, groups: readonly GpuGroup[]): Candidate[] {
  return groups.flatMap((group) => {
    if (group.memoryBytes === undefined) return [provisionalCandidate(demand, group)];
    return demand.quantizations.flatMap((quantization) =>
      parallelSizes(demand, quantization, group).map((tensorParallelSize) => ({
        quantization,
        group,
        tensorParallelSize,
      })),
    );
  });
}

/** Sizes to try: the pinned one even where no node has as many GPUs, so that its rejection says so. */
function parallelSizes(demand: Demand, quantization: VllmQuantization, group: GpuGroup): readonly number[] {
  const pinned = demand.tensorParallelSize;
  const isTried = (size: number): boolean => (pinned === undefined ? size <= largestNode(group) : size === pinned);
  return tensorParallelSizes(quantization).filter(isTried);
}

/** The one combination to try where memory is unknown: the likeliest to fit. */
function provisionalCandidate(
  { quantizations, tensorParallelSize: pinned, quota }: Demand,
  group: GpuGroup,
): Candidate {
  const loads = (name: VllmQuantization): boolean => pinned === undefined || tensorParallelSizes(name).includes(pinned);
  const quantization = quantizations.find(loads)!;
  const most = Math.max(1, Math.min(largestNode(group), quota?.gpus ?? Infinity));
  const largest = tensorParallelSizes(quantization).findLast((size) => size <= most)!;
  return { quantization, group, tensorParallelSize: pinned ?? largest };
}

/** Best first, by the order that `planServing` documents. Plans with memory facts rule out provisional ones. */
function ranked(demand: Demand, fitting: readonly Fit[]): readonly Fit[] {
  const sized = fitting.filter((fit) => fit.sized !== undefined);
  const rivals = sized.length > 0 ? sized : fitting;
  const longest = Math.max(...rivals.map((fit) => fit.maxModelLen));
  const isLongEnough = (fit: Fit): boolean => fit.maxModelLen >= longest * LONG_ENOUGH;
  const length = (fit: Fit): number => (isLongEnough(fit) ? longest : fit.maxModelLen);
  return rivals.toSorted((left, right) => length(right) - length(left) || compareFits(demand, left, right));
}

function compareFits(demand: Demand, left: Fit, right: Fit): number {
  const [a, b] = [left.candidate, right.candidate];
  const fewerGpus = a.tensorParallelSize - b.tensorParallelSize;
  return (
    startable(demand, b) - startable(demand, a) ||
    Number(hasShape(b)) - Number(hasShape(a)) ||
    // Where memory is unknown, more GPUs are likelier to be enough.
    (left.sized ? fewerGpus : -fewerGpus) ||
    Number(isNative(b)) - Number(isNative(a)) ||
    VLLM_QUANTIZATIONS.indexOf(a.quantization) - VLLM_QUANTIZATIONS.indexOf(b.quantization) ||
    Number(right.sized?.hasHeadroom ?? false) - Number(left.sized?.hasHeadroom ?? false) ||
    roominess(left) - roominess(right) ||
    right.maxModelLen - left.maxModelLen ||
    compareText(a.group.product ?? '', b.group.product ?? '')
  );
}

/** Smallest card first; of guesses the likeliest to load first. */
const roominess = ({ candidate, sized }: Fit): number =>
  sized?.estimatedOverheadBytes === undefined ? (candidate.group.memoryBytes ?? 0) : -sized.memory.overhead;

/** Replicas of the wanted ones that free GPUs and the quota take. */
function startable({ replicas, quota }: Demand, { group, tensorParallelSize }: Candidate): number {
  const places = group.nodes.map((node) => Math.floor(Math.max(0, node.free) / tensorParallelSize));
  return Math.min(
    replicas,
    Math.floor((quota?.gpus ?? Infinity) / tensorParallelSize),
    places.reduce((sum, count) => sum + count, 0),
  );
}

const hasShape = ({ group, tensorParallelSize }: Candidate): boolean =>
  group.nodes.some((node) => !node.exists && node.gpus >= tensorParallelSize);

const isNative = ({ quantization, group }: Candidate): boolean => quantization === 'BF16' || multipliesFp8(group);

function servingPlan(
  spec: QwenCoderSpec,
  demand: Demand,
  { candidate, maxModelLen, maxNumSeqs, sized }: Fit,
): ServingPlan {
  const { quantization, group, tensorParallelSize } = candidate;
  const checkpoint = CHECKPOINTS[quantization];
  return {
    engine: 'VLLM',
    engineVersion: demand.version.version,
    quantization,
    repository: spec.model.repository ?? checkpoint.repository,
    revision: spec.model.revision ?? 'main',
    gpuProduct: group.product,
    gpuName: group.name,
    gpuMemoryBytes: group.memoryBytes,
    gpusPerReplica: tensorParallelSize,
    tensorParallelSize,
    maxModelLen,
    maxNumSeqs,
    kvCacheDtype: demand.kvCacheDtype,
    gpuMemoryUtilizationPercent: demand.utilizationPercent,
    concurrency: sized?.concurrency,
    memory: sized?.memory,
    ...(sized?.estimatedOverheadBytes !== undefined && { estimatedOverheadBytes: sized.estimatedOverheadBytes }),
    weightBytes: checkpoint.bytes,
    leastDriver: demand.leastDriver,
  };
}

const rejection = ({ candidate, reason }: Misfit): RejectedCandidate => ({
  quantization: candidate.quantization,
  gpuName: candidate.group.name,
  tensorParallelSize: candidate.tensorParallelSize,
  reason,
});

/** What misses least memory first; what misses something else than memory last. */
const nearestFirst = (left: Misfit, right: Misfit): number =>
  compareNumbers(left.shortfallBytes ?? Infinity, right.shortfallBytes ?? Infinity) ||
  left.candidate.tensorParallelSize - right.candidate.tensorParallelSize ||
  VLLM_QUANTIZATIONS.indexOf(left.candidate.quantization) - VLLM_QUANTIZATIONS.indexOf(right.candidate.quantization) ||
  compareText(left.candidate.group.product ?? '', right.candidate.group.product ?? '') ||
  (left.candidate.group.memoryBytes ?? 0) - (right.candidate.group.memoryBytes ?? 0);

function noFit(demand: Demand, groups: readonly GpuGroup[], misfits: readonly Misfit[]): PlanFailure {
  const nearest = misfits[0]!;
  const { quantization, group, tensorParallelSize } = nearest.candidate;
  const length = demand.maxModelLen ?? `at least ${LEAST_PLANNED_TOKENS}`;
  return {
    fits: false,
    reason: 'NoFittingGpu',
    message: `No GPU can serve ${requests(demand.concurrency)} of ${length} tokens at once. The nearest, ${quantization} on ${tensorParallelSize}x ${group.name}, ${nearest.reason}.`,
    remedy: remediesFor(demand, groups, nearest),
    rejected: misfits.map(rejection),
  };
}
