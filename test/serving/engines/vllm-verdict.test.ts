import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { GIB, kvGeometry, maxTokens, poolBlocks, vllmVerdict, type KvRequest } from '../../../src/serving/index.ts';
import { agrees, readOracle, verdictOn } from '../../support/kv-oracle.ts';

const SAMPLES = ['0.15.0', '0.22.1', '0.33.0'].map(
  (version) => new URL(`../fixtures/vllm-kv-oracle-${version}.jsonl`, import.meta.url).pathname,
);

/** More answers, as files named like the fixtures: `KV_ORACLE_FILES=/a/vllm-kv-oracle-0.33.0.jsonl:/b/…`. */
const FILES = [...SAMPLES, ...(process.env['KV_ORACLE_FILES'] ?? '').split(':').filter((path) => path !== '')];

describe("vLLM's own KV planner", () => {
  test.each(FILES)('is answered for on every row of %s', (path) => {
    const oracles = readOracle(path);
    for (const { version, rows } of oracles) {
      expect(rows.filter((row) => !agrees(row, verdictOn(version, row)))).toEqual([]);
    }
    expect(oracles.flatMap(({ rows }) => rows).length).toBeGreaterThan(50);
  });

  test('is read by the version of each row, else by that in the name of the file; without either it says what to do', () => {
    const directory = mkdtempSync(join(tmpdir(), 'qwen-coder-oracle-'));
    const read = (name: string, ...rows: object[]) => {
      const path = join(directory, name);
      writeFileSync(path, rows.map((row) => JSON.stringify(row)).join('\n'));
      return readOracle(path);
    };
    try {
      expect(read('held-back-0.19.1-more.jsonl', { tp: 1 }, { tp: 2, version: '0.33.0' })).toEqual([
        { version: '0.19.1', rows: [{ tp: 1 }] },
        { version: '0.33.0', rows: [{ tp: 2, version: '0.33.0' }] },
      ]);
      expect(() => read('rows.jsonl', { tp: 1 }, { tp: 2, version: '0.33.0' })).toThrow(
        'rows.jsonl: 1 of 2 rows are of an unknown version of vLLM; add "version" to them, or name the file like',
      );
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
});

describe('versions whose check is wrong for this model', () => {
  const request: KvRequest = {
    tensorParallelSize: 2,
    kvCacheDtype: 'BF16',
    prefixCaching: false,
    kvBytes: 1 * GIB,
    maxModelLen: 262_144,
    auto: true,
  };
  const geometry = kvGeometry({ ...request, reservedBlocks: 0 });
  const held = maxTokens(geometry, poolBlocks(geometry, request.kvBytes));

  test.each(['0.15.1', '0.16.0', '0.17.1', '0.18.1'])('%s starts with a length that no request can have', (version) => {
    expect(held).toBeLessThan(request.maxModelLen);
    expect(vllmVerdict(version, request)).toMatchObject({ starts: true, maxModelLen: 262_144 });
    expect(vllmVerdict(version, { ...request, auto: false })).toMatchObject({ starts: true, maxModelLen: 262_144 });
  });

  test.each(['0.19.1', '0.22.1', '0.26.0'])('%s finds the longest length, and refuses a longer one', (version) => {
    expect(vllmVerdict(version, request)).toMatchObject({ starts: true, maxModelLen: held });
    expect(vllmVerdict(version, { ...request, auto: false })).toMatchObject({ starts: false });
  });

  test('0.29.0 keeps a block back', () => {
    expect(vllmVerdict('0.29.0', request)).toMatchObject({ starts: true, maxModelLen: held - geometry.blockTokens });
  });

  test('no version starts without memory for one state', () => {
    for (const version of ['0.15.1', '0.33.0'])
      expect(vllmVerdict(version, { ...request, kvBytes: geometry.blockBytes - 1 })).toMatchObject({ starts: false });
  });
});
