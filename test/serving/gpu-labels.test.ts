import { expect, test } from 'vitest';
import { MIB, gpuFacts, productLabel } from '../../src/serving/index.ts';

test.each([
  {
    name: 'the memory that the driver reports, not what the card is called',
    labels: { 'nvidia.com/gpu.product': 'NVIDIA-H100-80GB-HBM3', 'nvidia.com/gpu.memory': '81000' },
    facts: { product: 'NVIDIA-H100-80GB-HBM3', memoryBytes: 81_000 * MIB, computeCapability: 90 },
  },
  {
    name: 'compute capability by its own labels',
    labels: {
      'nvidia.com/gpu.product': 'NVIDIA-X1',
      'nvidia.com/gpu.compute.major': '11',
      'nvidia.com/gpu.compute.minor': '0',
    },
    facts: { product: 'NVIDIA-X1', memoryBytes: undefined, computeCapability: 110 },
  },
  {
    name: 'an AMD card by the catalogue',
    labels: { 'amd.com/gpu.product-name': 'AMD_Instinct_MI300X_OAM', 'amd.com/gpu.vram': '192G' },
    facts: { product: 'AMD_Instinct_MI300X_OAM', memoryBytes: 196_592 * MIB, computeCapability: undefined },
  },
  {
    name: 'nothing of a node without labels',
    labels: { 'kubernetes.io/os': 'linux' },
    facts: { product: undefined, memoryBytes: undefined, computeCapability: undefined },
  },
])('labels tell $name', ({ labels, facts }) => {
  expect(gpuFacts(labels)).toEqual(facts);
});

test('each vendor has a label of its own for the product', () => {
  expect(productLabel('nvidia.com/gpu')).toBe('nvidia.com/gpu.product');
  expect(productLabel('amd.com/gpu')).toBe('amd.com/gpu.product-name');
});
