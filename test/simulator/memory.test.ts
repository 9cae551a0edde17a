import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { GIB, type LoadRequest, loadVerdict } from './vllm/memory.ts';

const MIB = 2 ** 20;
const H100 = { product: 'NVIDIA-H100-80GB-HBM3', memoryBytes: 81_559 * MIB };

/** FP8 over two H100s with everything else vLLM's default. */
const request = (over: Partial<LoadRequest> = {}): LoadRequest => ({
  version: '0.33.0',
  quantization: 'FP8',
  gpus: { count: 2, ...H100 },
  tensorParallelSize: 2,
  pipelineParallelSize: 1,
  gpuMemoryUtilization: 0.9,
  maxModelLen: 131_072,
  maxNumSeqs: 64,
  kvCacheDtype: 'auto',
  prefixCaching: null,
  kvCacheMemoryBytes: null,
  hiddenOverheadBytes: 2.6 * GIB,
  ...over,
});

const errorOf = (over: Partial<LoadRequest>): string => {
  const verdict = loadVerdict(request(over));
  return verdict.ok ? 'it loads' : verdict.failure.error;
};

/** A row of vLLM's own `get_kv_cache_configs`, run with this model's shapes. */
interface OracleCase {
  readonly tp: number;
  readonly kv_dtype: string;
  readonly mamba_cache_mode: string;
  readonly kv_gib_per_gpu: number;
  readonly max_model_len: number;
  readonly auto: boolean;
  readonly ok: boolean;
  readonly block_size: number;
  readonly num_blocks?: number;
  readonly max_len?: number;
  readonly error?: string;
}

const oracle = (path: string): OracleCase[] =>
  readFileSync(new URL(path, import.meta.url), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as OracleCase);

/** What differs between vLLM's answer and ours; undefined where nothing does. */
function disagreement(version: string, row: OracleCase): string | undefined {
  const verdict = loadVerdict(
    request({
      version,
      quantization: 'BF16',
      gpus: { count: 16, product: 'roomy', memoryBytes: 500 * GIB },
      tensorParallelSize: row.tp,
      maxModelLen: row.auto ? -1 : row.max_model_len,
      maxNumSeqs: 1,
      kvCacheDtype: row.kv_dtype,
      prefixCaching: row.mamba_cache_mode === 'align',
      kvCacheMemoryBytes: row.kv_gib_per_gpu * GIB,
      hiddenOverheadBytes: 0,
    }),
  );
  const theirs = row.ok ? `${row.block_size} ${row.num_blocks} ${row.max_len}` : row.error!;
  if (!verdict.ok) {
    const ours = verdict.failure.error.replace(/^ValueError: /, '');
    return ours.startsWith(theirs) ? undefined : `${JSON.stringify(row)}: ${ours}`;
  }
  const { blockTokens, blocks, maxModelLen } = verdict.layout;
  const ours = `${blockTokens} ${blocks} ${Math.min(maxModelLen, row.max_model_len)}`;
  return ours === theirs ? undefined : `${JSON.stringify(row)}: ${ours}`;
}

describe('loadVerdict', () => {
  test.each([
    { version: '0.15.0', path: 'oracle/vllm-kv-oracle-0.15.0.jsonl' },
    { version: '0.22.1', path: '../serving/fixtures/vllm-kv-oracle-0.22.1.jsonl' },
    { version: '0.33.0', path: '../serving/fixtures/vllm-kv-oracle-0.33.0.jsonl' },
  ])("plans the KV cache as vLLM $version's own planner, in its words where it refuses", ({ version, path }) => {
    expect(
      oracle(path)
        .map((row) => disagreement(version, row))
        .filter((text) => text !== undefined),
    ).toEqual([]);
  });

  test('what is left for the KV cache is what weights and the hidden overhead leave', () => {
    const verdict = loadVerdict(request());
    expect(verdict.ok && Math.round((verdict.layout.kvBytes / GIB) * 100) / 100).toBe(31.61);
  });

  test.each([
    {
      name: 'weights over the card',
      over: { gpus: { count: 1, ...H100 }, tensorParallelSize: 1, quantization: 'BF16' },
      error:
        'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 0.5 GiB. GPU 0 has a total capacity of 79.65 GiB',
    },
    {
      name: 'weights within the card and over the budget',
      over: { gpus: { count: 1, ...H100 }, tensorParallelSize: 1 },
      error: 'ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`',
    },
    {
      name: 'a context that is too long',
      over: { hiddenOverheadBytes: 33.4 * GIB },
      error:
        "ValueError: To serve at least one request with the model's max seq len (131072), (1.54 GiB KV cache is needed, which is larger than the available KV cache memory (0.81 GiB). Based on the available memory, the estimated maximum model length is 66912. Try",
    },
    {
      name: 'more sequences than blocks',
      over: { hiddenOverheadBytes: 30 * GIB, maxNumSeqs: 1024, maxModelLen: 8192 },
      error: 'ValueError: max_num_seqs (1024) exceeds available Mamba cache blocks (676).',
    },
    {
      name: 'a tensor parallel size that does not divide the heads',
      over: { tensorParallelSize: 3, gpus: { count: 3, ...H100 } },
      error: 'Total number of attention heads (16) must be divisible by tensor parallel size (3).',
    },
    {
      name: 'block FP8 cut too thin',
      over: { tensorParallelSize: 8, gpus: { count: 8, ...H100 } },
      error: 'ValueError: Weight input_size_per_partition = 64 is not divisible by weight quantization block_k = 128.',
    },
    {
      name: 'more GPUs than the container has',
      over: { tensorParallelSize: 4 },
      error: 'World size (4) is larger than the number of available GPUs (2) in this node.',
    },
    {
      name: 'a context beyond the model',
      over: { maxModelLen: 300_000 },
      error: 'User-specified max_model_len (300000) is greater than the derived max_model_len',
    },
  ] satisfies { name: string; over: Partial<LoadRequest>; error: string }[])(
    'refuses $name in vLLM’s words',
    ({ over, error }) => {
      expect(errorOf(over)).toContain(error);
    },
  );

  test('versions before 0.19 take a context that cannot fit, and say so only in the concurrency', () => {
    const verdict = loadVerdict(request({ version: '0.15.1', hiddenOverheadBytes: 33.4 * GIB, maxModelLen: 262_144 }));
    expect(verdict.ok && verdict.layout.concurrency).toBeLessThan(1);
  });

  test('versions before 0.20 do not look at the number of sequences', () => {
    const verdict = loadVerdict(
      request({ version: '0.19.1', hiddenOverheadBytes: 30 * GIB, maxNumSeqs: 1024, maxModelLen: 8192 }),
    );
    expect(verdict.ok).toBe(true);
  });
});
