import { describe, expect, test } from 'vitest';
import { findGpu, GPU_MODELS, parseNodes } from '../../src/serving/index.ts';

const gpu = findGpu;

describe('parseNodes', () => {
  test.each([
    { text: '8xH100-80GB*3', groups: [{ nodes: 3, gpusPerNode: 8, gpu: gpu('H100-80GB'), isLabelled: true }] },
    {
      text: '8xH100-80GB*3, 2xRTX4090-24GB',
      groups: [
        { nodes: 3, gpusPerNode: 8, gpu: gpu('H100-80GB'), isLabelled: true },
        { nodes: 1, gpusPerNode: 2, gpu: gpu('RTX4090-24GB'), isLabelled: true },
      ],
    },
    { text: '2xNVIDIA-L40S', groups: [{ nodes: 1, gpusPerNode: 2, gpu: gpu('L40S-48GB'), isLabelled: true }] },
    { text: '2xl40s-48gb', groups: [{ nodes: 1, gpusPerNode: 2, gpu: gpu('L40S-48GB'), isLabelled: true }] },
    { text: '8xUNLABELLED', groups: [{ nodes: 1, gpusPerNode: 8, gpu: undefined, isLabelled: false }] },
    {
      text: '4xUNLABELLED-L40S-48GB*2',
      groups: [{ nodes: 2, gpusPerNode: 4, gpu: gpu('L40S-48GB'), isLabelled: false }],
    },
    { text: 'CPU*2', groups: [{ nodes: 2, gpusPerNode: 0, gpu: undefined, isLabelled: true }] },
    { text: '', groups: [] },
  ])('reads "$text"', ({ text, groups }) => {
    expect(parseNodes(text)).toEqual(groups);
  });

  test.each(GPU_MODELS)('reads $name by its short name and by each of its labels', (model) => {
    for (const name of [model.name, ...model.labels]) expect(parseNodes(`1x${name}`)[0]!.gpu).toBe(model);
  });

  test.each([
    '8xH100',
    '8x',
    'H100-80GB',
    '8xH100-80GB*',
    '8xH100-80GB*0',
    '0xH100-80GB',
    '8xT9000-1GB',
    '8xUNLABELLED-T9000-1GB',
    'CPU-4',
    '8xtoString-1GB',
  ])('refuses "%s" and says what can be written', (text) => {
    expect(() => parseNodes(text)).toThrow(`"${text}" is not a node specification: write 8xH100-80GB*3`);
  });
});
