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
    name: 'sharing by time or by MPS, whatever the product is called',
    labels: {
      'nvidia.com/gpu.product': 'NVIDIA-L40S',
      'nvidia.com/gpu.replicas': '4',
      'nvidia.com/gpu.sharing-strategy': 'mps',
    },
    facts: { product: 'NVIDIA-L40S', part: 'mps', memoryBytes: 46_068 * MIB, computeCapability: 89 },
  },
  {
    name: 'sharing by the number of replicas alone, as older releases do',
    labels: { 'nvidia.com/gpu.replicas': '4' },
    facts: { product: undefined, part: '4 replicas of one GPU', memoryBytes: undefined, computeCapability: undefined },
  },
  {
    name: 'whole GPUs where sharing is off',
    labels: { 'nvidia.com/gpu.replicas': '1', 'nvidia.com/gpu.sharing-strategy': 'none' },
    facts: { product: undefined, memoryBytes: undefined, computeCapability: undefined },
  },
  {
    name: 'slices of MIG that are offered as GPUs',
    labels: { 'nvidia.com/mig.strategy': 'single', 'nvidia.com/gpu.slices.gi': '1' },
    facts: { product: undefined, part: 'MIG', memoryBytes: undefined, computeCapability: undefined },
  },
  {
    name: 'whole GPUs where no GPU is cut, and where slices have names of their own',
    labels: { 'nvidia.com/mig.strategy': 'single' },
    facts: { product: undefined, memoryBytes: undefined, computeCapability: undefined },
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
