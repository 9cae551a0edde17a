import type { QwenCoderSpecInput } from '../../src/api/v1alpha1.ts';
import { GIB, type GpuNode, type GpuQuota } from '../../src/serving/index.ts';
import { LABELS, node, plainNode } from './builders.ts';

/** Clusters as they are found, and what is asked of them: their plans are golden files. */
export const CLUSTERS: readonly {
  readonly name: string;
  readonly spec?: QwenCoderSpecInput;
  readonly nodes: readonly GpuNode[];
  readonly quota?: GpuQuota;
}[] = [
  { name: 'one 24 GB card', nodes: [node('L4', 1)] },
  { name: 'two 24 GB cards', nodes: [node('RTX4090', 2)] },
  { name: 'eight 24 GB cards on one node', nodes: [node('RTX4090', 8)] },
  { name: 'four 32 GB cards', nodes: [node('RTX5090', 4)] },
  { name: 'two 48 GB cards', nodes: [node('L40S', 2)] },
  { name: 'four 48 GB cards', nodes: [node('L40S', 4)] },
  {
    name: 'four 48 GB cards, each on a node of its own',
    nodes: ['a', 'b', 'c', 'd'].map((name) => node('L40S', 1, { name })),
  },
  { name: 'one 80 GB card', nodes: [node('H100', 1)] },
  {
    name: 'one 80 GB card, FP8 KV, one short request',
    spec: { context: { kvCacheDtype: 'FP8', minConcurrency: 1, maxModelLen: 8192 } },
    nodes: [node('H100', 1)],
  },
  { name: 'two 80 GB cards of the older kind', nodes: [node('A100', 2)] },
  { name: 'two nodes of eight H100', nodes: [node('H100', 8, { name: 'a' }), node('H100', 8, { name: 'b' })] },
  {
    name: 'two nodes of eight H100, BF16',
    spec: { model: { quantization: 'BF16' } },
    nodes: [node('H100', 8, { name: 'a' }), node('H100', 8, { name: 'b' })],
  },
  {
    name: 'two nodes of eight H100, tensor parallelism over eight',
    spec: { parallelism: { tensorParallelSize: 8 } },
    nodes: [node('H100', 8, { name: 'a' }), node('H100', 8, { name: 'b' })],
  },
  { name: 'one 96 GB card', nodes: [node('RTXPRO6000', 1)] },
  {
    name: 'one 96 GB card, full context asked for',
    spec: { context: { maxModelLen: 262_144 } },
    nodes: [node('RTXPRO6000', 1)],
  },
  {
    name: 'one 96 GB card, full context for one request',
    spec: { context: { maxModelLen: 262_144, minConcurrency: 1 } },
    nodes: [node('RTXPRO6000', 1)],
  },
  { name: 'eight H200', nodes: [node('H200', 8)] },
  { name: 'one B200', nodes: [node('B200', 1)] },
  { name: 'L4, L40S and H100 side by side', nodes: [node('L4', 4), node('L40S', 8), node('H100', 8)] },
  { name: 'H100 and H200, H100 all taken', nodes: [node('H100', 8, { free: 1 }), node('H200', 8)] },
  { name: 'L40S free, H100 all taken, both long enough', nodes: [node('L40S', 8), node('H100', 8, { free: 0 })] },
  { name: 'everything taken', nodes: [node('L40S', 8, { free: 0 }), node('H100', 8, { free: 0 })] },
  { name: 'no labels at all', nodes: [plainNode(8)] },
  { name: 'no labels, two GPUs a node', nodes: [plainNode(2)] },
  { name: 'no labels beside cards that are too small', nodes: [node('L4', 2), plainNode(4)] },
  {
    name: 'a pool of H100 at zero, declared',
    spec: { placement: { nodeShapes: [{ product: LABELS.H100, memory: '80Gi', gpus: 4 }] } },
    nodes: [],
  },
  {
    name: 'a declared pool of H200 beside H100 that are taken',
    spec: { placement: { nodeShapes: [{ product: LABELS.H200, memory: '141Gi', gpus: 8 }] } },
    nodes: [node('H100', 8, { free: 0 })],
  },
  {
    name: 'time-sliced and MIG GPUs only',
    nodes: [
      node('A100', 16, { product: `${LABELS.A100}-SHARED` }),
      node('A100', 7, { product: `${LABELS.A100}-MIG-1g.10gb` }),
    ],
  },
  {
    name: 'GPUs that labels alone say are shared',
    nodes: [node('H100', 32, { part: 'time-slicing' }), plainNode(8, { part: '4 replicas of one GPU' })],
  },
  {
    name: 'shared H100 beside whole ones on a smaller node',
    nodes: [node('H100', 32, { part: 'mps' }), node('H100', 2, { name: 'whole' })],
  },
  { name: 'AMD cards with the official image', nodes: [node('MI300X', 8)] },
  {
    name: 'AMD cards with an image for them',
    spec: { engine: { image: 'vllm/vllm-openai-rocm:v0.33.0' } },
    nodes: [node('MI300X', 8)],
  },
  { name: 'the oldest engine on two H100', spec: { engine: { version: '0.15.1' } }, nodes: [node('H100', 2)] },
  { name: 'two H100 with an old driver', nodes: [node('H100', 2, { driver: 550 })] },
  {
    name: 'two H100 with an old driver, beside L40S with a new one',
    nodes: [node('H100', 2, { driver: 550 }), node('L40S', 4, { driver: 580 })],
  },
  { name: 'eight H100, and a quota of one', nodes: [node('H100', 8)], quota: { name: 'gpus', gpus: 1 } },
  { name: 'eight H100, and a quota of none', nodes: [node('H100', 8)], quota: { name: 'gpus', gpus: 0 } },
  {
    name: 'eight H100 of which four are pinned, and a quota of two',
    spec: { parallelism: { tensorParallelSize: 4 } },
    nodes: [node('H100', 8)],
    quota: { name: 'gpus', gpus: 2 },
  },
  { name: 'four 48 GB cards, and a quota of two', nodes: [node('L40S', 4)], quota: { name: 'gpus', gpus: 2 } },
  {
    name: 'four 48 GB cards beside H200, and a quota of three',
    nodes: [node('L40S', 4), node('H200', 8)],
    quota: { name: 'gpus', gpus: 3 },
  },
  { name: 'two 24 GB cards, and a quota of one', nodes: [node('RTX4090', 2)], quota: { name: 'gpus', gpus: 1 } },
  { name: 'no labels, and a quota of two', nodes: [plainNode(8)], quota: { name: 'gpus', gpus: 2 } },
  {
    name: 'H100 with an old driver, and a quota of one',
    nodes: [node('H100', 8, { driver: 550 })],
    quota: { name: 'gpus', gpus: 1 },
  },
  { name: 'one 32 GB card', nodes: [node('RTX5090', 1)] },
  { name: 'one 48 GB card', nodes: [node('L40S', 1)] },
  { name: 'eight 48 GB cards', nodes: [node('L40S', 8)] },
  { name: 'four 80 GB cards of the older kind', nodes: [node('A100', 4)] },
  { name: 'two 96 GB cards', nodes: [node('RTXPRO6000', 2)] },
  { name: 'one H200', nodes: [node('H200', 1)] },
  { name: 'two H200', nodes: [node('H200', 2)] },
  { name: 'eight B200, BF16', spec: { model: { quantization: 'BF16' } }, nodes: [node('B200', 8)] },
  {
    name: 'sixteen H100 in one node, BF16 over all of them',
    spec: { model: { quantization: 'BF16' }, parallelism: { tensorParallelSize: 16 } },
    nodes: [node('H100', 16)],
  },
  {
    name: 'a short context for one, L40S beside H200',
    spec: { context: { maxModelLen: 32_768, minConcurrency: 1 } },
    nodes: [node('L40S', 4), node('H200', 8)],
  },
  {
    name: 'the same, with the H200 taken',
    spec: { context: { maxModelLen: 32_768, minConcurrency: 1 } },
    nodes: [node('L40S', 4), node('H200', 8, { free: 0 })],
  },
  {
    name: 'a short context for one, one 96 GB card beside H200 and B200',
    spec: { context: { maxModelLen: 32_768, minConcurrency: 1 } },
    nodes: [node('RTXPRO6000', 1), node('H200', 8), node('B200', 8)],
  },
  {
    name: 'the same, with the 96 GB card taken',
    spec: { context: { maxModelLen: 32_768, minConcurrency: 1 } },
    nodes: [node('RTXPRO6000', 1, { free: 0 }), node('H200', 8), node('B200', 8)],
  },
  {
    name: 'three replicas, of which the H100 have room for two and the A100 for three',
    spec: { scaling: { mode: 'None' }, replicas: 3 },
    nodes: [node('H100', 4), node('A100', 8)],
  },
  {
    name: 'AMD cards with an image for them, beside H100',
    spec: { engine: { image: 'vllm/vllm-openai-rocm:v0.33.0' } },
    nodes: [node('MI300X', 8), node('H100', 8)],
  },
  {
    name: 'a pool of cards at zero that are too small',
    spec: { placement: { nodeShapes: [{ product: LABELS.L4, memory: '24Gi', gpus: 4 }] } },
    nodes: [],
  },
  {
    name: 'cards of a kind that only its memory label tells of',
    nodes: [node('H100', 4, { product: 'NVIDIA-X1', memoryBytes: 100 * GIB, computeCapability: 110 })],
  },
  {
    name: 'cards of one name with different memory',
    nodes: [
      node('A100', 4, { name: 'a', product: 'NVIDIA-A100', memoryBytes: 40 * GIB }),
      node('A100', 4, { name: 'b', product: 'NVIDIA-A100', memoryBytes: 80 * GIB }),
    ],
  },
];
