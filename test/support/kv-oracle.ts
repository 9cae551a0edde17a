import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { GIB, type KvVerdict, vllmVerdict } from '../../src/serving/index.ts';

/** One answer of vLLM's own `get_kv_cache_configs` for this model's shapes. */
export interface OracleRow {
  readonly tp: number;
  readonly kv_dtype: 'bf16' | 'fp8';
  readonly mamba_cache_mode: 'align' | 'none';
  readonly kv_gib_per_gpu: number;
  readonly max_model_len: number;
  /** Whether the length was left to vLLM, `--max-model-len auto`. */
  readonly auto: boolean;
  readonly ok: boolean;
  readonly block_size: number;
  readonly num_blocks?: number;
  readonly max_len?: number;
  /** Rounded to four digits behind the point. */
  readonly max_concurrency?: number;
}

/** The rows of a file, and the vLLM version that its name ends in: `…-0.33.0.jsonl`. */
export function readOracle(path: string): { readonly version: string; readonly rows: readonly OracleRow[] } {
  const version = /(\d+\.\d+\.\d+)\.jsonl$/.exec(basename(path))?.[1];
  if (version === undefined)
    throw new Error(`${path}: the name does not end in a vLLM version, as in kv-oracle-0.33.0.jsonl`);
  const lines = readFileSync(path, 'utf8').split('\n');
  return { version, rows: lines.filter((line) => line !== '').map((line) => JSON.parse(line) as OracleRow) };
}

/** What `vllmVerdict` says to the question of a row. */
export const verdictOn = (version: string, row: OracleRow): KvVerdict =>
  vllmVerdict(version, {
    tensorParallelSize: row.tp,
    kvCacheDtype: row.kv_dtype === 'fp8' ? 'FP8' : 'BF16',
    prefixCaching: row.mamba_cache_mode === 'align',
    kvBytes: row.kv_gib_per_gpu * GIB,
    maxModelLen: row.max_model_len,
    auto: row.auto,
  });

/** Whether a verdict says what vLLM said, in every number. */
export function agrees(row: OracleRow, verdict: KvVerdict): boolean {
  if (verdict.blockTokens !== row.block_size || verdict.starts !== row.ok) return false;
  return (
    !verdict.starts ||
    (verdict.blocks === row.num_blocks &&
      verdict.maxModelLen === row.max_len &&
      Math.abs(verdict.maxConcurrency - row.max_concurrency!) < 1e-4)
  );
}
