import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  concurrency,
  fits,
  GIB,
  kvGeometry,
  maxTokens,
  MODEL,
  needBlocks,
  poolBlocks,
  tensorParallelSizes,
  weightBytesPerGpu,
  type KvShape,
} from '../../src/serving/index.ts';
import { COMPONENTS } from '../../src/serving/model-profile.ts';

describe('weights', () => {
  test('the components add up to the 79.67 B parameters that llama.cpp counts', () => {
    const total = Object.values(COMPONENTS).reduce((sum, { parameters }) => sum + parameters, 0);
    expect(total).toBe(79_674_391_296);
  });

  // GiB a GPU, from vLLM's sharding of these shapes.
  test.each([
    { quantization: 'BF16', table: { 1: 148.41, 2: 74.25, 4: 37.18, 8: 18.65, 16: 9.38 } },
    { quantization: 'FP8', table: { 1: 74.85, 2: 37.47, 4: 18.79, 8: 9.45, 16: 4.78 } },
  ] as const)('$quantization weights a GPU are those of the table', ({ quantization, table }) => {
    const computed = Object.keys(table).map((size) => [
      size,
      (weightBytesPerGpu(quantization, Number(size)) / GIB).toFixed(2),
    ]);
    expect(Object.fromEntries(computed)).toEqual(
      Object.fromEntries(Object.entries(table).map(([size, gib]) => [size, gib.toFixed(2)])),
    );
  });

  test('FP8 stops at 4 GPUs, where the shared expert is one block wide', () => {
    expect(tensorParallelSizes('BF16')).toEqual([1, 2, 4, 8, 16]);
    expect(tensorParallelSizes('FP8')).toEqual([1, 2, 4]);
  });
});

describe('KV arithmetic', () => {
  const shape: fc.Arbitrary<KvShape> = fc.record({
    tensorParallelSize: fc.constantFrom(1, 2, 4, 8, 16),
    kvCacheDtype: fc.constantFrom('BF16', 'FP8'),
    prefixCaching: fc.boolean(),
    reservedBlocks: fc.constantFrom(0, 1),
  });
  const blocks = fc.integer({ min: 0, max: 20_000 });
  const tokens = fc.integer({ min: 1, max: MODEL.contextTokens });
  const requests = fc.integer({ min: 1, max: 64 });

  test('a length fits exactly when its blocks are at most those that requests can have', () => {
    fc.assert(
      fc.property(shape, blocks, tokens, (shape, blocks, tokens) => {
        const geometry = kvGeometry(shape);
        expect(fits(geometry, blocks, tokens)).toBe(needBlocks(geometry, tokens) <= blocks - shape.reservedBlocks);
      }),
    );
  });

  test('the longest length fits as often as asked, and one token more does not', () => {
    fc.assert(
      fc.property(shape, blocks, requests, (shape, blocks, requests) => {
        const geometry = kvGeometry(shape);
        const longest = maxTokens(geometry, blocks, requests);
        expect(longest === 0 || fits(geometry, blocks, longest, requests)).toBe(true);
        expect(longest < MODEL.contextTokens && fits(geometry, blocks, longest + 1, requests)).toBe(false);
      }),
    );
  });

  test('concurrency is the most requests of a length that fit at once', () => {
    fc.assert(
      fc.property(shape, blocks, tokens, (shape, blocks, tokens) => {
        const geometry = kvGeometry(shape);
        const most = concurrency(geometry, blocks, tokens);
        expect(most === 0 || fits(geometry, blocks, tokens, most)).toBe(true);
        expect(fits(geometry, blocks, tokens, most + 1)).toBe(false);
      }),
    );
  });

  test('more memory never shortens the longest length, and more requests never lengthen it', () => {
    fc.assert(
      fc.property(shape, blocks, fc.integer({ min: 0, max: 500 }), requests, (shape, blocks, more, requests) => {
        const geometry = kvGeometry(shape);
        expect(maxTokens(geometry, blocks + more, requests)).toBeGreaterThanOrEqual(
          maxTokens(geometry, blocks, requests),
        );
        expect(maxTokens(geometry, blocks, requests + 1)).toBeLessThanOrEqual(maxTokens(geometry, blocks, requests));
      }),
    );
  });

  test('a pool is as many whole blocks as memory holds', () => {
    fc.assert(
      fc.property(shape, fc.integer({ min: -(2 ** 36), max: 2 ** 38 }), (shape, bytes) => {
        const geometry = kvGeometry(shape);
        const blocks = poolBlocks(geometry, bytes);
        expect(blocks * geometry.blockBytes).toBeLessThanOrEqual(Math.max(0, bytes));
        expect((blocks + 1) * geometry.blockBytes).toBeGreaterThan(bytes);
      }),
    );
  });

  // Bytes a token, tokens a block and KiB of state a request, as vLLM computes them.
  test.each([
    { tensorParallelSize: 1, kvCacheDtype: 'BF16', blockTokens: 544, blockBytes: 13_369_344 },
    { tensorParallelSize: 1, kvCacheDtype: 'FP8', blockTokens: 1072, blockBytes: 13_172_736 },
    { tensorParallelSize: 2, kvCacheDtype: 'BF16', blockTokens: 544, blockBytes: 6_684_672 },
    { tensorParallelSize: 4, kvCacheDtype: 'BF16', blockTokens: 272, blockBytes: 3_342_336 },
    { tensorParallelSize: 8, kvCacheDtype: 'BF16', blockTokens: 144, blockBytes: 1_769_472 },
    { tensorParallelSize: 16, kvCacheDtype: 'FP8', blockTokens: 144, blockBytes: 884_736 },
  ] as const)('$kvCacheDtype KV on $tensorParallelSize GPUs has blocks of $blockTokens tokens', (row) => {
    const { blockTokens, blockBytes } = kvGeometry({ ...row, prefixCaching: true, reservedBlocks: 1 });
    expect({ blockTokens, blockBytes }).toEqual({ blockTokens: row.blockTokens, blockBytes: row.blockBytes });
  });
});
