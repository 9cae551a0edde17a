import { parseArgs } from 'node:util';
import { Spec, type QwenCoderSpec, type QwenCoderSpecInput } from '../../src/api/index.ts';
import { catalogueMemoryBytes, findGpu, type GpuNode, planServing } from '../../src/serving/index.ts';
import { agrees, readOracle, verdictOn } from '../support/kv-oracle.ts';

const usage = `What a plan costs, and whether the memory model answers as vLLM's own KV planner does.

  npm run bench -- planner [options]

  --oracle <file>   answers of vLLM's planner, one JSON object a line; its version is the field "version" of each, or stands in the name
                    of the file, as in kv-oracle-0.33.0.jsonl; may be given several times (those of the tests when absent)
  --milliseconds <n>  how long each size of cluster is planned for (1000)
`;

const FIXTURES = ['0.15.0', '0.22.1', '0.33.0'].map(
  (version) => new URL(`../serving/fixtures/vllm-kv-oracle-${version}.jsonl`, import.meta.url).pathname,
);

/** What a plan for 1,000 nodes may take: printed beside what it takes, and no test, since machines differ. */
const MOST_MILLISECONDS = 1;

const NODES = [1, 10, 100, 1000, 10_000];

/** Cards of a cluster that grew over years, the label and how many a node has. */
const CARDS = [
  ['NVIDIA-H100-80GB-HBM3', 8],
  ['NVIDIA-A100-SXM4-80GB', 8],
  ['NVIDIA-L40S', 4],
  ['NVIDIA-L4', 4],
  ['NVIDIA-H200', 8],
  ['Tesla-T4', 1],
] as const;

const SPECS: Readonly<Record<string, QwenCoderSpecInput>> = {
  'empty spec': {},
  'one product, 128K pinned': {
    placement: { products: ['L40S-48GB'] },
    context: { maxModelLen: 131_072 },
  },
  'nothing fits': { context: { minConcurrency: 512, maxModelLen: 262_144 } },
};

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      oracle: { type: 'string', multiple: true },
      milliseconds: { type: 'string', default: '1000' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return;
  }

  const rows: string[][] = [['microseconds a plan, median (p99)', ...Object.keys(SPECS)]];
  const micros: Record<string, number> = {};
  let taken = 0;
  for (const count of NODES) {
    const nodes = cluster(count);
    const cells = Object.entries(SPECS).map(([name, input]) => {
      const { median, p99 } = time(Spec.parse(input), nodes, Number(values.milliseconds));
      if (name === 'empty spec') micros[`nodes${count}`] = round(median);
      if (count === 1000) taken = Math.max(taken, median / 1000);
      return `${round(median)} (${round(p99)})`;
    });
    rows.push([`${count} nodes`, ...cells]);
  }
  print(rows);

  process.stdout.write(
    `1000 nodes: ${taken.toFixed(2)} ms for the slowest of these, of the ${MOST_MILLISECONDS} ms that a plan may take\n\n`,
  );

  const answers = (values.oracle ?? FIXTURES).flatMap(readOracle).map(({ version, rows }) => {
    const matched = rows.filter((row) => agrees(row, verdictOn(version, row))).length;
    return { version, matched, total: rows.length };
  });
  print([
    ["vLLM's KV planner", 'matched', 'rows'],
    ...answers.map(({ version, matched, total }) => [version, String(matched), String(total)]),
  ]);
  const sum = (of: 'matched' | 'total') => answers.reduce((total, answer) => total + answer[of], 0);
  const [matched, total] = [sum('matched'), sum('total')];
  process.stdout.write(`${JSON.stringify({ planMicros: micros, matched, total })}\n`);
  if (matched !== total) process.exitCode = 1;
}

/** Nodes of mixed cards; every third is busy. */
function cluster(count: number): GpuNode[] {
  return Array.from({ length: count }, (_, index) => {
    const [product, gpus] = CARDS[index % CARDS.length]!;
    return {
      name: `node-${index}`,
      product,
      memoryBytes: catalogueMemoryBytes(product),
      computeCapability: findGpu(product)?.computeCapability,
      gpus,
      free: index % 3 === 0 ? 0 : gpus,
      exists: true,
    };
  });
}

function time(spec: QwenCoderSpec, nodes: readonly GpuNode[], milliseconds: number): { median: number; p99: number } {
  for (let warmUp = 0; warmUp < 20; warmUp += 1) planServing({ spec, nodes });
  const samples: number[] = [];
  const end = performance.now() + milliseconds / Object.keys(SPECS).length;
  while (performance.now() < end) {
    const startedAt = performance.now();
    planServing({ spec, nodes });
    samples.push((performance.now() - startedAt) * 1000);
  }
  samples.sort((a, b) => a - b);
  const at = (part: number): number => samples[Math.floor(part * (samples.length - 1))]!;
  return { median: at(0.5), p99: at(0.99) };
}

const round = (value: number): number => Math.round(value * 10) / 10;

function print(rows: readonly (readonly string[])[]): void {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
  process.stdout.write(`${lines.join('\n')}\n\n`);
}
