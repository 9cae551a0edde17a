import { alternativeRemedy, caveatOf, GIB, isGuess, overheadBytesPerGpu, type ServingPlan } from '../serving/index.ts';
import { barCells, type Part, PARTS } from './memory-bar.ts';
import type { Change, FittingReport, MemoryReport, MisfitReport, Report, WeightsOutlook } from './report.ts';
import { type Look, WIDTH, wrapped } from './terminal.ts';

/** Rejected candidates that are shown; JSON has them all. */
const MOST_REJECTED = 5;

/** A report for people. */
export const textOf = (report: Report, look: Look): string =>
  (report.fits ? fittingText(report, look) : misfitText(report, look)).join('\n');

function fittingText(report: FittingReport, look: Look): string[] {
  const { plan, memory, alternative } = report;
  const caveat = caveatOf(plan);
  return [
    look.bold(`${titleOf(report)}: ${briefly(plan)}`),
    ...wrapped(placesText(report)),
    ...(alternative === undefined ? [] : wrapped(alternativeRemedy(alternative, report.replicas))),
    ...(caveat === undefined ? [] : wrapped(caveat)),
    '',
    ...planRows(report),
    '',
    ...(memory
      ? [...memoryText(memory, plan, look), '', ...requestsText(report, look)]
      : wrapped(
          `The memory of these GPUs is unknown: ${plan.maxModelLen} tokens are a careful start. Label the nodes with nvidia.com/gpu.product and nvidia.com/gpu.memory to plan with what they have.`,
        )),
    ...rejectedText(report, look),
    ...changeText(report, look),
  ];
}

function misfitText(report: MisfitReport, look: Look): string[] {
  const { reason, message, remedy } = report;
  return [
    look.bold(`${titleOf(report)}: does not fit (${reason})`),
    '',
    ...wrapped(message),
    '',
    ...wrapped(remedy),
    ...rejectedText(report, look),
    ...changeText(report, look),
  ];
}

const titleOf = ({ name, namespace }: Report): string => (namespace === undefined ? name : `${namespace}/${name}`);

const briefly = ({ quantization, gpusPerReplica, gpuName, maxModelLen }: ServingPlan): string =>
  `${quantization} on ${gpusPerReplica}x ${gpuName}, ${maxModelLen} tokens`;

const gib = (bytes: number): string => `${(bytes / GIB).toFixed(1)} GiB`;

const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`;

function placesText({ plan, replicas, isSuspended, nodes }: FittingReport): string {
  if (isSuspended) return 'Suspended: no engine runs.';
  if (replicas === 0) return 'No replica is asked for: no engine runs.';
  if (nodes.gpus === 0) {
    return `No node has ${plan.gpuName} yet: engines wait until the pool of spec.placement.nodeShapes brings one.`;
  }
  const free = `${nodes.free} of ${nodes.gpus} ${plan.gpuProduct === undefined ? 'GPUs' : plan.gpuName} are free`;
  const { quota } = nodes;
  if (quota) {
    return `${free}; ResourceQuota ${quota.name} allows ${count(quota.gpus, 'GPU')}: ${nodes.startable} of ${count(replicas, 'replica')} can run.`;
  }
  if (nodes.startable >= replicas) return `${free}: ${count(replicas, 'replica')} can run.`;
  if (nodes.startable === 0)
    return `${free}: ${count(replicas, 'replica')} ${replicas === 1 ? 'waits' : 'wait'} for GPUs.`;
  const can = `${free}: ${nodes.startable} of ${count(replicas, 'replica')} can run`;
  return nodes.isTied
    ? `${can} on the one node that mounts the volume; spec.storage.accessMode ReadWriteMany lifts that.`
    : `${can}, the others wait for GPUs.`;
}

function planRows({ plan, runnerUp, checkpoint, replicas, gpus, isKept }: FittingReport): string[] {
  const atOnce = plan.concurrency === undefined ? '' : `, ${count(plan.concurrency, 'request')} of that length at once`;
  const rows: readonly (readonly [string, string])[] = [
    ['checkpoint', checkpoint],
    ['quantization', `${plan.quantization}, ${gib(plan.weightBytes)}; KV cache ${plan.kvCacheDtype}`],
    ['GPUs', `${plan.gpusPerReplica}x ${plan.gpuName} a replica, tensor parallel size ${plan.tensorParallelSize}`],
    ['GPUs in all', `${gpus}: ${count(replicas, 'replica')} of ${plan.gpusPerReplica}`],
    ['context', `${plan.maxModelLen} tokens${atOnce}`],
    ['engine', `vLLM ${plan.engineVersion}, max-num-seqs ${plan.maxNumSeqs}`],
    ...(runnerUp ? [['on other GPUs', briefly(runnerUp)] as const] : []),
    ...(isKept ? [['made', 'earlier; it is kept as long as it works'] as const] : []),
  ];
  return rows.flatMap(([name, value]) => wrapped(value, { first: `  ${name.padEnd(14)}`, rest: ' '.repeat(2 + 14) }));
}

const PART_NAMES: Readonly<Record<Part, string>> = {
  weights: 'weights',
  overhead: 'overhead',
  recurrentState: 'recurrent state',
  kvCache: 'KV cache',
  free: 'free',
};

function memoryText(memory: MemoryReport, plan: ServingPlan, look: Look): string[] {
  const cells = barCells(memory, WIDTH - 4);
  const isEstimated = memory.overhead === overheadBytesPerGpu(plan.tensorParallelSize);
  const meanings: Readonly<Record<Part, string>> = {
    weights: '',
    overhead: isGuess(plan)
      ? 'at most: a guess'
      : `activations, CUDA graphs, NCCL: ${isEstimated ? 'an estimate' : 'as measured'}`,
    recurrentState: `of ${count(plan.concurrency ?? 0, 'request')} of full length`,
    kvCache: 'of attention',
    free: `vLLM takes ${plan.gpuMemoryUtilizationPercent} % of the memory`,
  };
  return [
    look.bold(`Memory of each GPU: ${gib(memory.total)}`),
    `  [${PARTS.map((part) => look.cell(part).repeat(cells[part])).join('')}]`,
    ...PARTS.map((part) =>
      `  ${look.cell(part)} ${PART_NAMES[part].padEnd(15)} ${gib(memory[part]).padStart(10)}  ${meanings[part]}`.trimEnd(),
    ),
  ];
}

function requestsText({ requests, plan }: FittingReport, look: Look): string[] {
  const row = (name: string, values: readonly string[]): string =>
    `  ${name.padEnd(15)} ${values.map((value) => value.padStart(7)).join('')}`;
  const columns =
    requests.at(-1)?.tokens === plan.maxModelLen || plan.concurrency === undefined
      ? requests
      : [...requests, { tokens: plan.maxModelLen, atOnce: plan.concurrency }];
  return [
    look.bold('Requests that one replica holds at once, by their length'),
    row(
      'tokens',
      columns.map(({ tokens }) => (tokens % 1024 === 0 && tokens / 1024 >= 8 ? `${tokens / 1024}K` : `${tokens}`)),
    ),
    row(
      'requests',
      columns.map(({ atOnce }) => `${atOnce}`),
    ),
  ];
}

function rejectedText({ rejected }: Report, look: Look): string[] {
  if (rejected.length === 0) return [];
  const more = rejected.length - MOST_REJECTED;
  return [
    '',
    look.bold('Rejected'),
    ...rejected
      .slice(0, MOST_REJECTED)
      .flatMap(({ quantization, tensorParallelSize, gpuName, reason }) =>
        wrapped(`${quantization} on ${tensorParallelSize}x ${gpuName} ${reason}`, { first: '  ', rest: '    ' }),
      ),
    ...(more > 0 ? [`  and ${more} more: --output json`] : []),
  ];
}

function changeText({ change, ...report }: Report, look: Look): string[] {
  if (change === undefined) return [];
  const subject = report.fits || change.exists ? enginesText(change) : [];
  const writes = change.writes.map(({ do: verb, kind, name }) => `${verb.padEnd(6)} ${kind} ${name}`);
  return [
    '',
    look.bold(change.exists ? 'What applying it changes' : 'What applying it makes'),
    ...[...subject, ...weightsText(change.weights)].flatMap((text) => wrapped(text, { first: '  ', rest: '    ' })),
    ...writes.flatMap((text) => wrapped(text, { first: '    ', rest: '      ' })),
  ];
}

function enginesText({ exists, restarts, starts, stops }: Change): string[] {
  const list = (names: readonly string[]): string => names.join(', ');
  const all = restarts.flat();
  const isInTurn = restarts.every((step) => step.length === 1);
  const order = all.length === 1 ? '' : isInTurn ? ', one after another' : ', those that do not answer at once';
  return [
    ...(all.length === 0 && exists ? ['nothing restarts'] : []),
    ...(all.length > 0 ? [`${count(all.length, 'engine')} ${verb(all, 'restart')}${order}: ${list(all)}`] : []),
    ...(starts.length > 0 ? [`${count(starts.length, 'engine')} ${verb(starts, 'start')}: ${list(starts)}`] : []),
    ...(stops.length > 0 ? [`${count(stops.length, 'engine')} ${verb(stops, 'stop')}: ${list(stops)}`] : []),
  ];
}

const verb = (subjects: readonly unknown[], word: string): string => (subjects.length === 1 ? `${word}s` : word);

function weightsText(weights: WeightsOutlook | undefined): string[] {
  switch (weights?.state) {
    case undefined:
    case 'NotFetched':
    case 'Verified':
      return [];
    case 'Fetching':
      return ['weights are being fetched; engines start when they are verified'];
    case 'Failed':
      return ['weights could not be fetched; it is tried again every 10 minutes'];
    case 'ToVerify':
      return [`weights on ${weights.claim} are verified once more, and fetched where something is missing`];
    case 'ToFetch':
      return [`weights are fetched${weights.isAnew ? ' anew' : ''} (${gib(weights.bytes)}) onto ${weights.claim}`];
  }
}
