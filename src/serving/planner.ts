import type { QwenCoderSpec } from '../api/v1alpha1.ts';
import { type Demand, readDemand } from './demand.ts';
import { SAMPLED_VLLM_VERSIONS, vllmVersion } from './engines/vllm-versions.ts';
import { findGpus, type GpuGroup } from './gpu-groups.ts';
import { tensorParallelSizes } from './memory.ts';
import { CHECKPOINTS, VLLM_QUANTIZATIONS } from './model-profile.ts';
import {
  type Alternative,
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
import { type Choice, ranked } from './ranking.ts';
import { remediesFor } from './remedies.ts';
import { readiness } from './room.ts';
import { type Candidate, type Fit, judge, LEAST_PLANNED_TOKENS, type Misfit } from './verdict.ts';
import { compareNumbers, compareText, listOf, requests } from './words.ts';

/**
 * Chooses checkpoint, GPUs, tensor parallelism and context length for a resource, or says why nothing serves.
 *
 * Every quantization × GPU product × tensor parallel size is judged. What cannot hold the asked requests is rejected with the number that
 * breaks it. What can is ranked by, in this order:
 *
 * 1. a context, of which `context.minConcurrency` requests are held at once, within a tenth of the longest that any candidate has;
 * 2. the fewest GPUs a replica;
 * 3. a number format that the cards multiply natively, then FP8 before BF16: half the memory traffic a token;
 * 4. a quarter of KV memory to spare;
 * 5. how many of the wanted replicas can start on GPUs that are free, within the quota and, with a volume that one node mounts, on one
 *    node; then whether a declared node shape could bring them;
 * 6. how many of these one node takes, unless they are to be spread; one replica lies on one node in every plan;
 * 7. the smallest card, so that larger ones stay for who needs them; then the longer context; then the name of the product.
 *
 * So who holds which GPUs decides between plans of equal worth alone. What could start replicas sooner comes beside the plan.
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
  const { spec, nodes, quota } = request;
  const demand = readDemand(spec, quota);
  if ('fits' in demand) return demand;
  const able = nodes.filter((node) => !hasOldDriver(demand, node));
  const groups = findGpus(spec, able);
  const judged = judgeAll(demand, groups, request);
  if (judged.fits.length > 0) return chosen(judged, judged.fits, demand, request);

  const unlimited = { ...demand, quota: undefined };
  const beyondQuota = quota && judgeAll(unlimited, groups, request);
  const onOldDrivers = able.length < nodes.length ? judgeAll(unlimited, findGpus(spec, nodes), request) : undefined;
  // Where a quota or a driver is all that is in the way, there is a better remedy than a guess.
  for (const choicesOf of [({ fits }: Judged) => fits, ({ guesses }: Judged) => guesses()]) {
    const choices = choicesOf(judged);
    if (choices.length > 0) return chosen(judged, choices, demand, request);
    const [least] = (beyondQuota ? choicesOf(beyondQuota) : []).toSorted(fewestGpusFirst);
    if (least) return quotaTooSmall(spec, quota!, least, judged.failure());
    if (onOldDrivers && choicesOf(onOldDrivers).length > 0) return oldDrivers(demand, nodes);
  }
  return judged.failure();
}

/** What became of every candidate. */
interface Judged {
  /** Best first. */
  readonly fits: readonly Choice[];
  /** What would serve if the estimated overhead is too high. Best first. */
  readonly guesses: () => readonly Choice[];
  /** Nearest first. */
  readonly misfits: readonly Misfit[];
  /** Why nothing serves, where nothing does. */
  readonly failure: () => PlanFailure;
}

function judgeAll(
  demand: Demand,
  groups: ReturnType<typeof findGpus>,
  { overheadBytes }: Pick<PlanRequest, 'overheadBytes'>,
): Judged {
  if ('fits' in groups) return { fits: [], guesses: () => [], misfits: [], failure: () => groups };

  const fitting: Fit[] = [];
  const misfits: Misfit[] = [];
  for (const candidate of candidates(demand, groups)) {
    const verdict = judge(demand, candidate, overheadBytes);
    if ('reason' in verdict) misfits.push(verdict);
    else fitting.push(verdict);
  }
  misfits.sort(nearestFirst);
  return {
    fits: ranked(demand, fitting),
    guesses: () =>
      ranked(
        demand,
        misfits.flatMap(({ guess }) => guess?.() ?? []),
      ),
    misfits,
    failure: () => noFit(demand, groups, misfits),
  };
}

/** The best of choices as a plan, and what else there is. */
function chosen(
  { misfits }: Judged,
  choices: readonly Choice[],
  demand: Demand,
  { spec, kept }: PlanRequest,
): PlanOutcome {
  const best = choices[0]!;
  const run = kept === undefined ? best : choices.find(({ candidate }) => isOf(kept, candidate));
  const runnerUp = choices.find(({ candidate }) => candidate.group.product !== best.candidate.group.product);
  return {
    fits: true,
    plan: servingPlan(spec, demand, best),
    runnerUp: runnerUp && servingPlan(spec, demand, runnerUp),
    alternative: alternativeTo(run, choices, demand, spec),
    rejected: misfits.filter(({ candidate }) => candidate !== best.candidate).map(rejection),
  };
}

const isOf = (plan: ServingPlan, { quantization, tensorParallelSize, group }: Candidate): boolean =>
  plan.quantization === quantization &&
  plan.tensorParallelSize === tensorParallelSize &&
  plan.gpuProduct === group.product;

/** What could start replicas sooner than a choice, or than nothing: the best of the soonest, and the fields that lead there. */
function alternativeTo(
  choice: Choice | undefined,
  choices: readonly Choice[],
  demand: Demand,
  spec: QwenCoderSpec,
): Alternative | undefined {
  const most = Math.max(...choices.map(({ room }) => readiness(room)));
  if (most <= (choice ? readiness(choice.room) : 0)) return undefined;
  const { candidate } = choices.find(({ room }) => readiness(room) === most)!;
  for (const { set, admits } of waysTo(candidate, choices)) {
    // With less to choose from, another context may be the longest: what is said is what such a spec gets.
    const first = ranked(demand, choices.filter(admits))[0]!;
    if (readiness(first.room) < most) continue;
    return { plan: servingPlan(spec, demand, first), startable: first.room.startable, set };
  }
  return undefined;
}

interface Way {
  readonly set: Alternative['set'];
  /** Whether a spec that is set so has that choice still. */
  readonly admits: (choice: Choice) => boolean;
}

/** Fields that rule out other candidates, the fewest first. */
function waysTo({ group, quantization, tensorParallelSize }: Candidate, choices: readonly Choice[]): Way[] {
  const bySize: Way = {
    set: { parallelism: { tensorParallelSize } },
    admits: ({ candidate }) => candidate.tensorParallelSize === tensorParallelSize,
  };
  const byQuantization: Way = {
    set: { model: { quantization } },
    admits: ({ candidate }) => candidate.quantization === quantization,
  };
  const { product, name } = group;
  if (product === undefined) return [bySize];
  const isAmbiguous = choices.some(
    ({ candidate: { group: other } }) => other.name === name && other.product !== product,
  );
  const byProduct: Way = {
    set: { placement: { products: [isAmbiguous ? product : name] } },
    admits: ({ candidate }) => candidate.group.product === product,
  };
  const inProduct = bothOf(byProduct, bySize);
  return [byProduct, bySize, inProduct, bothOf(inProduct, byQuantization)];
}

const bothOf = (one: Way, other: Way): Way => ({
  set: { ...one.set, ...other.set },
  admits: (choice) => one.admits(choice) && other.admits(choice),
});

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

function oldDrivers(demand: Demand, nodes: readonly GpuNode[]): PlanFailure {
  const { version, leastDriver } = demand;
  const old = nodes.filter((node) => hasOldDriver(demand, node));
  const drivers = listOf(old.map(({ driver }) => String(driver)));
  const older = SAMPLED_VLLM_VERSIONS.findLast((name) =>
    old.every(({ driver }) => driver! >= vllmVersion(name).leastDriver),
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
  const isTried = (size: number): boolean => (pinned === undefined ? size <= group.mostGpus : size === pinned);
  return tensorParallelSizes(quantization).filter(isTried);
}

/** The one combination to try where memory is unknown: the likeliest to fit. */
function provisionalCandidate(
  { quantizations, tensorParallelSize: pinned, quota }: Demand,
  group: GpuGroup,
): Candidate {
  const loads = (name: VllmQuantization): boolean => pinned === undefined || tensorParallelSizes(name).includes(pinned);
  const quantization = quantizations.find(loads)!;
  const most = Math.max(1, Math.min(group.mostGpus, quota?.gpus ?? Infinity));
  const largest = tensorParallelSizes(quantization).findLast((size) => size <= most)!;
  return { quantization, group, tensorParallelSize: pinned ?? largest };
}

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
  reason: reason(),
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
    message: `No GPU can serve ${requests(demand.concurrency)} of ${length} tokens at once. The nearest, ${quantization} on ${tensorParallelSize}x ${group.name}, ${nearest.reason()}.`,
    remedy: remediesFor(demand, groups, nearest),
    rejected: misfits.map(rejection),
  };
}
