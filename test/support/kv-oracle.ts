import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { GIB, type KvVerdict, vllmVerdict } from '../../src/serving/index.ts';

/** One answer of vLLM's own `get_kv_cache_configs` for this model's shapes. */
export interface OracleRow {
  /** Of vLLM; where there is none, the name of the file tells. */
  readonly version?: string;
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

/** Answers of one version of vLLM. */
export interface Oracle {
  readonly version: string;
  readonly rows: readonly OracleRow[];
}

/**
 * The answers in a file, one JSON object a line, by version: that of the row, else the last one in the name of the file.
 *
 * Fails when neither tells.
 */
export function readOracle(path: string): readonly Oracle[] {
  const named = basename(path)
    .match(/\d+\.\d+\.\d+/g)
    ?.at(-1);
  const rows = readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as OracleRow);
  const byVersion = Map.groupBy(rows, (row) => row.version ?? named);
  return [...byVersion].map(([version, some]) => {
    if (version === undefined) {
      throw new Error(
        `${path}: ${some.length} of ${rows.length} rows are of an unknown version of vLLM; add "version" to them, or name the file like kv-oracle-0.33.0.jsonl`,
      );
    }
    return { version, rows: some };
  });
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
