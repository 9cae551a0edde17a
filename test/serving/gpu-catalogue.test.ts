import { describe, expect, test } from 'vitest';
import {
  catalogueMemoryBytes,
  findGpu,
  GIB,
  GPU_MODELS,
  hasMemory,
  isProduct,
  isWholeGpu,
  MIB,
  shortName,
} from '../../src/serving/index.ts';

describe('GPU catalogue', () => {
  test.each([
    ['NVIDIA-H100-80GB-HBM3', 'H100-80GB'],
    ['NVIDIA-H100-PCIe', 'H100-80GB'],
    ['NVIDIA-H100-NVL', 'H100-94GB'],
    ['NVIDIA-A100-SXM4-80GB', 'A100-80GB'],
    ['NVIDIA-A100-80GB-PCIe', 'A100-80GB'],
    ['NVIDIA-A100-SXM4-40GB', 'A100-40GB'],
    ['NVIDIA-GeForce-RTX-4090', 'RTX4090-24GB'],
    ['NVIDIA-L40S', 'L40S-48GB'],
    ['NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition', 'RTXPRO6000-96GB'],
    ['NVIDIA-B300-SXM6-AC', 'B300-288GB'],
    ['AMD_Instinct_MI300X_OAM', 'MI300X-192GB'],
    ['nvidia-h200', 'H200-141GB'],
    ['NVIDIA-Rubin-CPX', 'Rubin-CPX'],
    [undefined, 'GPU'],
  ])('%s is called %s', (label, name) => {
    expect(shortName(label)).toBe(name);
  });

  test('a product is named by its label or its short name, in any case', () => {
    const label = 'NVIDIA-H100-80GB-HBM3';
    expect(
      ['NVIDIA-H100-80GB-HBM3', 'nvidia-h100-80gb-hbm3', 'H100-80GB', 'h100-80gb'].map((entry) =>
        isProduct(entry, label),
      ),
    ).toEqual([true, true, true, true]);
    expect(['H100', 'A100-80GB', 'NVIDIA-H100-PCIe'].map((entry) => isProduct(entry, label))).toEqual([
      false,
      false,
      false,
    ]);
  });

  test('parts of a GPU are not whole ones', () => {
    const labels = [
      'NVIDIA-A100-SXM4-80GB',
      'NVIDIA-A100-SXM4-80GB-SHARED',
      'NVIDIA-A100-SXM4-80GB-MIG-3g.40gb',
      'NVIDIA-H100-80GB-HBM3-MIG-1g.10gb-SHARED',
    ];
    expect(labels.map(isWholeGpu)).toEqual([true, false, false, false]);
  });

  test('memory is what the driver reports, not what the card is called', () => {
    expect(catalogueMemoryBytes('NVIDIA-H100-80GB-HBM3')).toBe(81_559 * MIB);
    expect(catalogueMemoryBytes('NVIDIA-Rubin-CPX')).toBeUndefined();
  });

  test('least memory is asked for by what a card is called', () => {
    const h100 = 'NVIDIA-H100-80GB-HBM3';
    expect(hasMemory(h100, catalogueMemoryBytes(h100)!, 80 * GIB)).toBe(true);
    expect(hasMemory(h100, catalogueMemoryBytes(h100)!, 81 * GIB)).toBe(false);
    expect(hasMemory(undefined, 79 * GIB, 80 * GIB)).toBe(false);
  });

  test('labels and names are unique', () => {
    const words = GPU_MODELS.flatMap(({ name, labels }) => [name, ...labels]).map((word) => word.toLowerCase());
    expect(new Set(words).size).toBe(words.length);
  });

  test('memory is less than the name says, and not by more than ECC takes', () => {
    for (const { nominalGib, memoryMib } of GPU_MODELS) {
      const ratio = memoryMib / 1024 / nominalGib;
      expect(ratio).toBeGreaterThan(0.93);
      expect(ratio).toBeLessThan(1.02);
    }
  });

  test('an unknown label is not found', () => {
    expect(findGpu('NVIDIA-Rubin-CPX')).toBeUndefined();
  });
});
