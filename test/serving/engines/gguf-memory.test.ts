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

const request = (over: Partial<GgufRequest> = {}): GgufRequest => ({
  quantization: 'Q4_K_M',
  contextTokens: 262_144,
  slots: 1,
  cacheType: 'f16',
  ...over,
});

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
    { slots: 1, mib: 75.38 },
    { slots: 4, mib: 301.5 },
  ])('$mib MiB of states for $slots slots', ({ slots, mib }) => {
    expect(ggufMemory(request({ slots }), 0).states / MIB).toBeCloseTo(mib, 1);
  });

  test.each([
    { contextTokens: 32_768, mib: 122 },
    { contextTokens: 131_072, mib: 218.3 },
    { contextTokens: 262_144, mib: 346 },
  ])('$mib MiB to compute with $contextTokens tokens', ({ contextTokens, mib }) => {
    expect(ggufMemory(request({ contextTokens }), 0).computePerGpu / MIB).toBeCloseTo(mib, 0);
  });

  test('at 4 bits, about 1.4 GiB are not experts, and about 40 to 44 GiB are', () => {
    const { weights, hostExperts } = ggufMemory(request(), EXPERT_LAYERS);
    expect(weights / GIB).toBeCloseTo(1.4, 0);
    expect(hostExperts / GIB).toBeCloseTo(43.7, 0);
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
