import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  EXPERT_LAYERS,
  GGUF_CHECKPOINTS,
  ggufFits,
  ggufMemory,
  KV_BLOCK_BYTES,
  leastExpertLayersOnHost,
  type GgufRequest,
} from '../../../src/serving/engines/gguf-memory.ts';
import { GIB, MIB } from '../../../src/serving/index.ts';
import { COMPONENTS } from '../../../src/serving/model-profile.ts';

const request = (over: Partial<GgufRequest> = {}): GgufRequest => ({
  quantization: 'Q4_K_M',
  contextTokens: 262_144,
  slots: 1,
  cacheType: 'f16',
  ...over,
});

/** Allocations that llama-server 0.7.0 printed on a CPU for a GGUF of this model's shapes without its weights, micro-batch 512. */
describe('what llama.cpp 0.7.0 allocated for these shapes', () => {
  test.each([
    { cacheType: 'f16', contextTokens: 32_768, mib: 768 },
    { cacheType: 'f16', contextTokens: 262_144, mib: 6144 },
    { cacheType: 'q8_0', contextTokens: 262_144, mib: 3264 },
    { cacheType: 'q4_0', contextTokens: 131_072, mib: 864 },
  ] as const)('$mib MiB of $cacheType for $contextTokens tokens', ({ cacheType, contextTokens, mib }) => {
    expect(ggufMemory(request({ cacheType, contextTokens }), 0).kvCache).toBe(mib * MIB);
  });

  test.each([
    ['f32', 49_152],
    ['f16', 24_576],
    ['bf16', 24_576],
    ['q8_0', 13_056],
    ['q5_1', 9216],
    ['q5_0', 8448],
    ['q4_1', 7680],
    ['q4_0', 6912],
    // As wide as q4_0 by ggml's block layout; not allocated.
    ['iq4_nl', 6912],
  ] as const)('%s keeps a token in %i bytes', (cacheType, bytes) => {
    expect(ggufMemory(request({ cacheType, contextTokens: 1 }), 0).kvCache).toBe(bytes);
  });

  test('a slot has 79,036,416 bytes of states: 75.38 MiB for one, 301.5 MiB for four, whatever the length', () => {
    expect(ggufMemory(request(), 0).states).toBe(79_036_416);
    expect(ggufMemory(request({ contextTokens: 4096 }), 0).states).toBe(79_036_416);
    for (const [slots, mib] of [
      [1, 75.38],
      [4, 301.5],
    ] as const)
      expect(Math.abs(ggufMemory(request({ slots }), 0).states / MIB - mib)).toBeLessThan(0.01);
  });

  test('slots share one pool: more of them hold no more tokens', () => {
    expect(ggufMemory(request({ slots: 8 }), 0).kvCache).toBe(ggufMemory(request(), 0).kvCache);
  });

  test.each([
    { contextTokens: 32_768, mib: 122 },
    { contextTokens: 131_072, mib: 218.3 },
    { contextTokens: 262_144, mib: 346 },
  ])('$mib MiB to compute with $contextTokens tokens', ({ contextTokens, mib }) => {
    expect(ggufMemory(request({ contextTokens }), 0).computePerGpu / MIB).toBeCloseTo(mib, 0);
  });
});

describe('weights', () => {
  test('of a mixed 4 bit file are divided as one that was measured: 1,403 of 42,875 MiB are not experts', () => {
    const { weights, hostExperts } = ggufMemory(request(), EXPERT_LAYERS);
    expect(weights / (weights + hostExperts)).toBeCloseTo(1403 / 42_875, 3);
  });

  test.each([
    ['Q8_0', 8.5],
    ['BF16', 16],
  ] as const)('of %s are 79.67 B parameters of %f bits, all alike', (quantization, bits) => {
    const { bytes } = GGUF_CHECKPOINTS[quantization];
    expect(Math.abs(bytes / ((79.67e9 * bits) / 8) - 1)).toBeLessThan(0.001);
    const experts = COMPONENTS.routedExperts.parameters / 79_674_391_296;
    expect(ggufMemory(request({ quantization }), EXPERT_LAYERS).hostExperts / bytes).toBeCloseTo(experts, 9);
  });

  test('each layer whose experts are in host RAM takes the same from the GPUs', () => {
    const [none, one, all] = [0, 1, EXPERT_LAYERS].map((layers) => ggufMemory(request(), layers));
    expect(none!.hostExperts).toBe(0);
    expect((none!.weights - one!.weights) * EXPERT_LAYERS).toBeCloseTo(all!.hostExperts, -1);
  });
});

describe('experts in host RAM', () => {
  const card = (gib: number): number => gib * GIB * 0.98;

  test.each([
    { name: 'two 24 GB cards', gpus: [card(24), card(24)], ram: 64, context: 131_072, layers: 6 },
    { name: 'two 24 GB cards, whole context of 8 bits', gpus: [card(24), card(24)], ram: 64, layers: 7, q8: true },
    { name: 'one 32 GB card', gpus: [card(32)], ram: 64, context: 131_072, layers: 20 },
    { name: 'one 16 GB card', gpus: [card(16)], ram: 64, context: 65_536, layers: 36 },
    { name: 'one 48 GB card', gpus: [card(48)], ram: 32, context: 32_768, layers: 1 },
    { name: 'one 80 GB card', gpus: [card(80)], ram: 8, layers: 0 },
    { name: 'one 8 GB card, whole context', gpus: [card(8)], ram: 64, layers: undefined },
    { name: 'one 32 GB card with little RAM', gpus: [card(32)], ram: 16, context: 131_072, layers: undefined },
    { name: 'no card', gpus: [], ram: 256, context: 32_768, layers: undefined },
  ])('$name: $layers of 48 layers', ({ gpus, ram, context, layers, q8 }) => {
    const asked = request({ contextTokens: context ?? 262_144, cacheType: q8 ? 'q8_0' : 'f16' });
    expect(leastExpertLayersOnHost(asked, { gpus, ram: ram * GIB })).toBe(layers);
  });

  const requests: fc.Arbitrary<GgufRequest> = fc.record({
    quantization: fc.constantFrom(...(Object.keys(GGUF_CHECKPOINTS) as GgufRequest['quantization'][])),
    contextTokens: fc.integer({ min: 4096, max: 262_144 }),
    slots: fc.integer({ min: 1, max: 8 }),
    cacheType: fc.constantFrom(...(Object.keys(KV_BLOCK_BYTES) as GgufRequest['cacheType'][])),
  });
  const gpus = fc.array(fc.integer({ min: 8, max: 96 }), { minLength: 1, maxLength: 4 });

  test('the fewest fit, one fewer does not, and with enough RAM every number above fits too', () => {
    fc.assert(
      fc.property(requests, gpus, (request, cards) => {
        const host = { gpus: cards.map(card), ram: 1024 * GIB };
        const least = leastExpertLayersOnHost(request, host);
        for (let layers = 0; layers <= EXPERT_LAYERS; layers += 1)
          expect(ggufFits(request, layers, host)).toBe(least !== undefined && layers >= least);
      }),
    );
  });

  test('nothing is lost on the way: both sides together are the checkpoint', () => {
    fc.assert(
      fc.property(requests, fc.integer({ min: 0, max: EXPERT_LAYERS }), (request, layers) => {
        const { weights, hostExperts } = ggufMemory(request, layers);
        expect((weights + hostExperts) / GGUF_CHECKPOINTS[request.quantization].bytes).toBeCloseTo(1, 9);
      }),
    );
  });
});
