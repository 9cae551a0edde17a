import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Calibration,
  calibrationFrom,
  calibrationKey,
  geometryOf,
  informed,
  isSameCalibration,
  measuredOverhead,
  planServing,
  readCalibrations,
  writeCalibration,
} from '../../src/serving/index.ts';
import { node, plainNode, planned, spec } from './builders.ts';

const input = { context: { minConcurrency: 16 } } as const;
const plan = planned(
  { ...input, model: { quantization: 'FP8' }, parallelism: { tensorParallelSize: 4 } },
  node('L40S', 4),
);

describe('calibrationKey', () => {
  test('is a key that a ConfigMap takes, different for each thing that it depends on', () => {
    const keys = [
      plan,
      { ...plan, gpuProduct: 'NVIDIA-L40' },
      { ...plan, engineVersion: '0.29.0' },
      { ...plan, tensorParallelSize: 2 },
      { ...plan, quantization: 'BF16' as const },
      { ...plan, kvCacheDtype: 'FP8' as const },
    ].map((footprint) => calibrationKey(footprint, ''));
    keys.push(calibrationKey(plan, 'abcdefghij'));
    expect(new Set(keys).size).toBe(keys.length);
    for (const key of keys) expect(key).toMatch(/^[-._a-zA-Z0-9]{1,253}$/);
  });

  test('GPUs without a product label have none: they may be any', () => {
    expect(calibrationKey({ ...plan, gpuProduct: undefined }, '')).toBeUndefined();
  });
});

describe('measuredOverhead', () => {
  test('a plan made with it has exactly the blocks that were measured, at the utilization of the measurement', () => {
    fc.assert(
      fc.property(fc.integer({ min: 600, max: 4000 }), (kvBlocks) => {
        const calibration = calibrationFrom({ kvBlocks }, plan, spec(input), 'now')!;
        const outcome = planServing({
          spec: spec({ ...input, model: { quantization: 'FP8' }, parallelism: { tensorParallelSize: 4 } }),
          nodes: [node('L40S', 4)],
          overheadBytes: (footprint) => measuredOverhead(calibration, footprint),
        });
        if (!outcome.fits) throw new Error(outcome.message);
        const { blockBytes } = geometryOf(plan, spec(input));
        expect(outcome.plan.memory!.kvPool / blockBytes).toBe(kvBlocks);
      }),
    );
  });

  test('is unknown where the memory of the GPU was', () => {
    const calibration = { gpuMemoryBytes: undefined, utilizationPercent: 92, kvBytes: 1e9, measuredAt: '' };
    expect(measuredOverhead(calibration, plan)).toBeUndefined();
  });
});

describe('a calibration without memory facts', () => {
  const provisional = planned({}, plainNode(4, { product: 'NVIDIA-Future' }));
  const measured = calibrationFrom({ kvBlocks: 5000 }, provisional, spec(), 'now')!;

  test('sizes the next plan of the kind all the same', () => {
    expect(provisional).toMatchObject({ maxModelLen: 32_768, concurrency: undefined, memory: undefined });
    expect(informed(provisional, spec(), [], measured)).toMatchObject({ maxModelLen: 262_144, concurrency: 5 });
  });

  test('says nothing of another utilization', () => {
    const other = { ...provisional, gpuMemoryUtilizationPercent: 80 };
    expect(informed(other, spec(), [], measured)).toBe(other);
  });
});

describe('readCalibrations', () => {
  const calibration: Calibration = {
    gpuMemoryBytes: 4e10,
    utilizationPercent: 92,
    kvBytes: 2e10,
    measuredAt: '2026-01-01T00:00:00Z',
  };

  test('reads what was written', () => {
    expect([...readCalibrations({ a: writeCalibration(calibration) })]).toEqual([['a', calibration]]);
  });

  test.each([
    '{',
    '1',
    'null',
    '{}',
    '{"kvBytes":-1,"utilizationPercent":92}',
    '{"kvBytes":"1","utilizationPercent":92}',
    '{"kvBytes":1,"utilizationPercent":920}',
    '{"kvBytes":2,"utilizationPercent":92,"gpuMemoryBytes":1}',
  ])('leaves %s out', (text) => {
    expect([...readCalibrations({ broken: text, a: writeCalibration(calibration) }).keys()]).toEqual(['a']);
  });

  test('no data are no calibrations', () => {
    expect(readCalibrations(undefined).size).toBe(0);
  });
});

describe('isSameCalibration', () => {
  const calibration: Calibration = { gpuMemoryBytes: 4e10, utilizationPercent: 92, kvBytes: 2e10, measuredAt: 'then' };
  test.each([
    { name: 'another time', over: { measuredAt: 'now' }, same: true },
    { name: 'half a hundredth more', over: { kvBytes: 2.01e10 }, same: true },
    { name: 'two hundredths less', over: { kvBytes: 1.96e10 }, same: false },
    { name: 'another utilization', over: { utilizationPercent: 90 }, same: false },
  ])('$name: $same', ({ over, same }) => {
    expect(isSameCalibration(calibration, { ...calibration, ...over })).toBe(same);
  });
});
