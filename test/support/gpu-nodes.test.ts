import { describe, expect, test } from 'vitest';
import { gpuNodes, gpus } from '../cluster/gpu-nodes.ts';

describe('gpuNodes', () => {
  test('a node has its GPUs, the labels of its vendor, and the taint that keeps other pods away', () => {
    const [node] = gpuNodes('8xH100-80GB');
    expect(node!.metadata.name).toBe('h100-80gb-0');
    expect(node!.metadata.labels).toMatchObject({
      'kubernetes.io/hostname': 'h100-80gb-0',
      'nvidia.com/gpu.product': 'NVIDIA-H100-80GB-HBM3',
      'nvidia.com/gpu.memory': '81559',
      'nvidia.com/gpu.count': '8',
      'nvidia.com/gpu.replicas': '1',
      'nvidia.com/gpu.compute.major': '9',
    });
    expect(node!.spec.taints).toEqual([{ key: 'nvidia.com/gpu', value: 'present', effect: 'NoSchedule' }]);
    expect(node!.status.capacity['nvidia.com/gpu']).toBe('8');
    expect(node!.status.allocatable['nvidia.com/gpu']).toBe('8');
  });

  test('an AMD node has amd.com resources and labels', () => {
    const [node] = gpuNodes('8xMI300X-192GB');
    expect(node!.metadata.labels).toMatchObject({
      'amd.com/gpu.product-name': 'AMD_Instinct_MI300X_OAM',
      'amd.com/gpu.vram': '192G',
    });
    expect(node!.status.capacity).toMatchObject({ 'amd.com/gpu': '8' });
    expect(node!.spec.taints[0]!.key).toBe('amd.com/gpu');
  });

  test('an unlabelled node tells nobody but the simulator what is in it', () => {
    const [node] = gpuNodes('8xUNLABELLED-H100-80GB');
    expect(Object.keys(node!.metadata.labels).filter((key) => key.includes('gpu'))).toEqual([]);
    expect(node!.metadata.annotations['simulator.qwencoder.dev/gpu']).toBe('H100-80GB');
    expect(node!.status.capacity['nvidia.com/gpu']).toBe('8');
  });

  test('a card that is not simulated is named, with those that are', () => {
    expect(() => gpuNodes('8xT4-16GB')).toThrow('T4-16GB is not simulated: use one of L4-24GB, ');
  });

  test('names are unique, and taken ones are passed over', () => {
    const nodes = gpuNodes('8xH100-80GB*2,4xH100-80GB,CPU', new Set(['h100-80gb-1']));
    expect(nodes.map((node) => node.metadata.name)).toEqual(['h100-80gb-0', 'h100-80gb-2', 'h100-80gb-3', 'cpu-0']);
  });

  test('every label value is one that Kubernetes accepts', () => {
    const labels = Object.keys(gpus).flatMap((name) => Object.entries(gpuNodes(`8x${name}`)[0]!.metadata.labels));
    for (const [, value] of labels) expect(value).toMatch(/^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/);
  });
});
