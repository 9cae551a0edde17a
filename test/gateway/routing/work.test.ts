import { describe, expect, test } from 'vitest';
import { estimatedWork, OutputEstimate } from '../../../src/gateway/routing/index.ts';

describe('estimatedWork', () => {
  test('is what is not in the cache, and the answer', () => {
    expect(estimatedWork({ promptTokens: 30_000, cachedTokens: 10_000, outputTokens: 500 })).toBeCloseTo(1 + 0.2);
  });

  test('is never less than the answer, however much is believed to be cached', () => {
    expect(estimatedWork({ promptTokens: 100, cachedTokens: 5000, outputTokens: 0 })).toBe(0);
  });
});

describe('OutputEstimate', () => {
  test('follows the answers that ended', () => {
    const outputs = new OutputEstimate();
    for (let answer = 0; answer < 300; answer += 1) outputs.observe(40);
    expect(outputs.expected()).toBeCloseTo(40, 0);
  });

  test('max_tokens is a bound and nothing more', () => {
    const outputs = new OutputEstimate();
    expect(outputs.expected(32_000)).toBe(outputs.expected());
    expect(outputs.expected(1)).toBe(1);
  });
});
