import { describe, expect, test } from 'vitest';
import { gpuNodes, gpus, parseNodes } from '../cluster/gpu-nodes.ts';

describe('parseNodes', () => {
  test.each([
    { text: '8xH100-80GB*3', groups: [{ nodes: 3, gpusPerNode: 8, gpu: 'H100-80GB', isLabelled: true }] },
    {
      text: '8xH100-80GB*3, 2xRTX4090-24GB',
      groups: [
        { nodes: 3, gpusPerNode: 8, gpu: 'H100-80GB', isLabelled: true },
        { nodes: 1, gpusPerNode: 2, gpu: 'RTX4090-24GB', isLabelled: true },
      ],
    },
    { text: '8xUNLABELLED', groups: [{ nodes: 1, gpusPerNode: 8, gpu: undefined, isLabelled: false }] },
    { text: '4xUNLABELLED-L40S-48GB*2', groups: [{ nodes: 2, gpusPerNode: 4, gpu: 'L40S-48GB', isLabelled: false }] },
    { text: 'CPU*2', groups: [{ nodes: 2, gpusPerNode: 0, gpu: undefined, isLabelled: true }] },
    { text: '', groups: [] },
  ])('reads "$text"', ({ text, groups }) => {
    expect(parseNodes(text)).toEqual(groups);
  });

  test.each(['8xH100', '8x', 'H100-80GB', '8xH100-80GB*', '8xT9000-1GB', 'CPU-4', '8xtoString-1GB'])(
    'refuses "%s"',
    (text) => {
      expect(() => parseNodes(text)).toThrow('is not a node specification');
    },
  );
});

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

  test('names are unique, and taken ones are passed over', () => {
    const nodes = gpuNodes('8xH100-80GB*2,4xH100-80GB,CPU', new Set(['h100-80gb-1']));
    expect(nodes.map((node) => node.metadata.name)).toEqual(['h100-80gb-0', 'h100-80gb-2', 'h100-80gb-3', 'cpu-0']);
  });

  test('every label value is one that Kubernetes accepts', () => {
    const labels = Object.keys(gpus).flatMap((name) => Object.entries(gpuNodes(`8x${name}`)[0]!.metadata.labels));
    for (const [, value] of labels) expect(value).toMatch(/^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/);
  });
});
