import { parseArgs } from 'node:util';
import {
  ASSUMED_RATES,
  estimatedWork,
  OutputEstimate,
  POLICIES,
  Router,
  scramble,
  type Policy,
} from '../../src/gateway/routing/index.ts';
import { BoundedHashing } from './bounded-hashing.ts';
import { PrefixCache } from './prefix-cache.ts';
import { readTrace, teamsTrace, TRACE_BLOCK_TOKENS, type Trace } from './routing-trace.ts';

const usage = `Which replica requests go to: how much of the caches is used, and how evenly work is spread.

  npm run bench -- routing [options]

  --trace <file>        requests, one JSON object a line: timestamp (ms), input_length, output_length, hash_ids of blocks of 512 tokens;
                        may be given several times; beside it teams of agents are simulated
  --replicas <n,n>      (4,8,16)
  --cache-blocks <n>    blocks of 512 tokens in the cache of one replica (5000: 2 H100-80GB with FP8 hold 2.6 million tokens)
  --seeds <n>           runs with other names of replicas, whose mean is told (3)
  --output-weight <n>   prompt tokens that a generated token is as dear as (8)
`;

const GATEWAYS = 2;
const WINDOW_SECONDS = 60;
/** A window begins every so many seconds. */
const STEP_SECONDS = 10;
/** A token of an answer comes after about so long: 8 ms and 0.15 ms for each of a dozen requests. */
const SECONDS_BETWEEN_TOKENS = 0.01;

type Chosen = Policy | 'BoundedHashing';
const CHOSEN: readonly Chosen[] = [...POLICIES, 'BoundedHashing'];

interface Setting {
  readonly replicas: number;
  readonly cacheBlocks: number;
  readonly rates: typeof ASSUMED_RATES;
}

interface Outcome {
  readonly hits: number;
  readonly maxOverMeanP95: number;
}

interface Result {
  readonly trace: string;
  readonly policy: Chosen;
  readonly replicas: number;
  readonly hitRatio: number;
  readonly maxOverMeanP95: number;
  readonly utilization: number;
}

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      trace: { type: 'string', multiple: true, default: [] },
      replicas: { type: 'string', default: '4,8,16' },
      'cache-blocks': { type: 'string', default: '5000' },
      seeds: { type: 'string', default: '3' },
      'output-weight': { type: 'string', default: '8' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return;
  }
  const seeds = Number(values.seeds);
  const rates = {
    ...ASSUMED_RATES,
    secondsPerOutputToken: Number(values['output-weight']) / ASSUMED_RATES.promptTokensPerSecond,
  };
  const traces = [
    ...values.trace.map(readTrace),
    teamsTrace({ seed: 1, requests: 12_000, teams: 24, zipf: 1.1, turns: 12, burst: 1 }),
    teamsTrace({ seed: 2, requests: 12_000, teams: 100, zipf: 0.7, turns: 12, burst: 10 }),
    teamsTrace({ seed: 3, requests: 12_000, teams: 12, zipf: 1.5, turns: 1.5, burst: 1 }),
  ];

  const results: Result[] = [];
  const asRecorded: Result[] = [];
  for (const trace of traces) {
    for (const replicas of values.replicas.split(',').map(Number)) {
      const setting: Setting = { replicas, cacheBlocks: Number(values['cache-blocks']), rates };
      const pooled = pooledCache(trace, setting);
      const sized = staffedWork(replicas) / pooled.workPerSecond;
      for (const [speed, list] of [
        [sized, results],
        [1, asRecorded],
      ] as const) {
        for (const policy of CHOSEN) {
          const outcomes = Array.from({ length: seeds }, (_, seed) => replay(trace, speed, policy, setting, seed + 1));
          const mean = (of: keyof Outcome): number =>
            outcomes.reduce((sum, outcome) => sum + outcome[of], 0) / outcomes.length;
          list.push({
            trace: trace.name,
            policy,
            replicas,
            hitRatio: round(mean('hits') / pooled.hits),
            maxOverMeanP95: round(mean('maxOverMeanP95')),
            utilization: round((pooled.workPerSecond * speed) / replicas),
          });
        }
      }
    }
  }
  print('Sized: each trace at the speed that so many replicas are for', results);
  print('As recorded: the speed of the trace, however few requests a replica gets', asRecorded);
  process.stdout.write(`${JSON.stringify({ cacheBlocks: Number(values['cache-blocks']), results, asRecorded })}\n`);
}

/** What one cache of the summed size finds, and the work that is left then. */
function pooledCache(trace: Trace, { replicas, cacheBlocks, rates }: Setting): { hits: number; workPerSecond: number } {
  const cache = new PrefixCache(replicas * cacheBlocks);
  let hits = 0;
  let work = 0;
  for (const request of trace.requests) {
    const found = cache.use(request.blocks);
    hits += found;
    work += estimatedWork({ ...request, cachedTokens: found * TRACE_BLOCK_TOKENS }, rates);
  }
  return { hits, workPerSecond: work / Math.max(1, trace.requests.at(-1)?.seconds ?? 1) };
}

/** Work that asks for so many replicas by square-root staffing: n = R / 0.8 + √R. */
function staffedWork(replicas: number): number {
  const root = (-1 + Math.sqrt(1 + (4 * replicas) / 0.8)) / (2 / 0.8);
  return root * root;
}

/** A request on its way, as the gateway that sent it knows it. */
interface InFlight {
  readonly endsAt: number;
  readonly replica: number;
  readonly work: number;
  readonly outputTokens: number;
}

/**
 * Plays a trace at a speed to gateways that get every other request and tell each other nothing.
 *
 * A replica does one second of work in a second, in the order of arrival, and its cache takes a prompt in at once. A gateway knows what it has sent
 * itself, by estimates, and learns how long an answer was when it ends.
 */
function replay(trace: Trace, speed: number, policy: Chosen, setting: Setting, seed: number): Outcome {
  const { replicas, cacheBlocks, rates } = setting;
  const ids = Array.from({ length: replicas }, (_, index) => `${seed}-${index}`);
  const indexOf = new Map(ids.map((id, index) => [id, index]));
  const caches = ids.map(() => new PrefixCache(cacheBlocks));
  const freeAt = ids.map(() => 0);
  const steps: number[][] = [];
  const gateways = Array.from({ length: GATEWAYS }, () => ({
    router: new Router({
      policy: policy === 'BoundedHashing' ? 'RoundRobin' : policy,
      blockTokens: TRACE_BLOCK_TOKENS,
      cacheBlocks,
      gateways: GATEWAYS,
      rates,
    }),
    bounded: new BoundedHashing(replicas, seed),
    outputs: new OutputEstimate(),
    inFlight: [] as InFlight[],
  }));

  let hits = 0;
  trace.requests.forEach((request, index) => {
    const now = request.seconds / speed;
    const gateway = gateways[(index + seed) % GATEWAYS]!;
    gateway.inFlight = gateway.inFlight.filter((sent) => {
      if (sent.endsAt <= now) gateway.outputs.observe(sent.outputTokens);
      return sent.endsAt > now;
    });
    const work = ids.map(() => 0);
    const count = ids.map(() => 0);
    for (const sent of gateway.inFlight) {
      work[sent.replica]! += sent.work;
      count[sent.replica]! += 1;
    }

    const blocks = request.blocks.map(blockHash);
    const { promptTokens } = request;
    const choice =
      policy === 'BoundedHashing'
        ? { id: ids[gateway.bounded.choose(blocks[0] ?? 0, count)]!, work: 0 }
        : gateway.router.choose(
            { blocks, promptTokens, outputTokens: gateway.outputs.expected() },
            ids.map((id, at) => ({ id, work: work[at]! })),
            now * 1000,
          )!;

    const replica = indexOf.get(choice.id)!;
    const found = caches[replica]!.use(request.blocks);
    hits += found;
    const done = estimatedWork({ ...request, cachedTokens: found * TRACE_BLOCK_TOKENS }, rates);
    freeAt[replica] = Math.max(freeAt[replica]!, now) + done;
    gateway.inFlight.push({
      endsAt: freeAt[replica] + request.outputTokens * SECONDS_BETWEEN_TOKENS,
      replica,
      work: choice.work,
      outputTokens: request.outputTokens,
    });
    const step = Math.floor(now / STEP_SECONDS);
    while (steps.length <= step) steps.push(ids.map(() => 0));
    steps[step]![replica]! += done;
  });
  return { hits, maxOverMeanP95: percentile(maxOverMean(steps), 0.95) };
}

/** For each window the most work that a replica was given, over the mean of all. */
function maxOverMean(steps: readonly (readonly number[])[]): number[] {
  const length = WINDOW_SECONDS / STEP_SECONDS;
  const ratios: number[] = [];
  // A trace that is shorter than a window is one.
  for (let from = 0; from === 0 || from + length <= steps.length; from += 1) {
    const sums = steps[from]!.map((_, replica) =>
      steps.slice(from, from + length).reduce((sum, step) => sum + step[replica]!, 0),
    );
    const mean = sums.reduce((sum, work) => sum + work, 0) / sums.length;
    if (mean > 0) ratios.push(Math.max(...sums) / mean);
  }
  return ratios;
}

const percentile = (values: readonly number[], part: number): number =>
  [...values].sort((one, other) => one - other)[Math.min(values.length - 1, Math.floor(part * values.length))] ?? 1;

/** The number of a block in a trace as a hash of 53 bits. */
const blockHash = (block: number): number => scramble(block) * 2 ** 21 + (scramble(~block) >>> 11);

const round = (value: number): number => Math.round(value * 1000) / 1000;

function print(title: string, results: readonly Result[]): void {
  const header = ['trace', 'replicas', 'utilization', ...CHOSEN];
  const rows: string[][] = [];
  for (const { trace, replicas, utilization } of results.filter(({ policy }) => policy === CHOSEN[0])) {
    const cells = CHOSEN.map((chosen) => {
      const of = results.find((one) => one.trace === trace && one.replicas === replicas && one.policy === chosen)!;
      return `${of.hitRatio.toFixed(3)}  ${of.maxOverMeanP95.toFixed(2)}`;
    });
    rows.push([trace, String(replicas), utilization.toFixed(2), ...cells]);
  }
  const lines = [header, ...rows].map((row) =>
    row.map((cell, column) => cell.padEnd(column === 0 ? 38 : 15)).join(' '),
  );
  process.stdout.write(`${title}: hits of a pooled cache, max/mean of work (p95)\n\n${lines.join('\n')}\n\n`);
}
