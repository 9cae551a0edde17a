import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { calibrationKey, GIB, writeCalibration } from '../../src/serving/index.ts';
import { ScriptedApiServer } from '../support/scripted-api-server.ts';
import { run } from './surroundings.ts';

const H100_PAIR = {
  metadata: { name: 'node-1', labels: { 'nvidia.com/gpu.product': 'NVIDIA-H100-80GB-HBM3' } },
  spec: {},
  status: { allocatable: { 'nvidia.com/gpu': '2' } },
};

/** What an engine on two H100 measured: far less KV memory than is estimated. */
const data = {
  [calibrationKey(
    {
      gpuProduct: 'NVIDIA-H100-80GB-HBM3',
      engineVersion: '0.33.0',
      tensorParallelSize: 2,
      quantization: 'FP8',
      kvCacheDtype: 'BF16',
    },
    '',
  )!]: writeCalibration({
    gpuMemoryBytes: 81_559 * 2 ** 20,
    utilizationPercent: 92,
    kvBytes: 7 * GIB,
    measuredAt: '2026-11-01T00:00:00Z',
  }),
};

describe('plan on a cluster', () => {
  let server: ScriptedApiServer;
  let directory: string;
  let kubeconfig: string;
  /** How the server answers who asks for a ConfigMap. */
  let answer: 'Found' | 'Empty' | 'Broken' | 'Missing' | 'Forbidden';

  beforeAll(async () => {
    server = await ScriptedApiServer.start();
    directory = mkdtempSync(join(tmpdir(), 'qwen-coder-plan-'));
    kubeconfig = join(directory, 'kubeconfig');
    writeFileSync(kubeconfig, server.config().exportConfig());
    server.always((request) => {
      if (request.path === '/api/v1/nodes') return request.list('1', [H100_PAIR]);
      if (!request.path.includes('/configmaps/')) return request.list('1', []);
      if (answer === 'Forbidden') return request.fail(403, 'Forbidden');
      if (answer === 'Missing') return request.fail(404, 'NotFound');
      const held = { Found: { data }, Empty: {}, Broken: { data: { [Object.keys(data)[0]!]: '{' } } }[answer];
      return request.json(200, { kind: 'ConfigMap', apiVersion: 'v1', metadata: {}, ...held });
    });
  });
  beforeEach(() => {
    server.log.length = 0;
  });
  afterAll(async () => {
    await server.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  const plan = (...flags: string[]) => run(['plan', '--kubeconfig', kubeconfig, ...flags]);

  test('goes by what engines measured, as the operator does', async () => {
    answer = 'Found';
    const { out, complaints } = await plan();
    expect(out).toContain('FP8 on 2x H100-80GB, 149056 tokens');
    expect(out).toMatch(/overhead .* as measured/);
    expect(complaints).toBe('');
    expect(server.log).toContain(
      'GET /api/v1/namespaces/qwen-coder-system/configmaps/qwen-coder-operator-calibrations',
    );
  });

  test('asks the operator that flags name', async () => {
    answer = 'Found';
    await plan('--lease-namespace', 'ai', '--lease-name', 'coders');
    expect(server.log).toContain('GET /api/v1/namespaces/ai/configmaps/coders-calibrations');
  });

  test('goes by estimates without a word where the operator has measured nothing either', async () => {
    answer = 'Empty';
    const { out, complaints } = await plan();
    expect(out).toContain('FP8 on 2x H100-80GB, 262144 tokens');
    expect(out).toMatch(/overhead .* an estimate/);
    expect(complaints).toBe('');
  });

  test('goes by estimates where no measurements are found, and says in a line where it looked', async () => {
    answer = 'Missing';
    const { out, complaints, code } = await plan('--lease-namespace', 'ai', '--lease-name', 'coders');
    expect(code).toBe(0);
    expect(out).toMatch(/overhead .* an estimate/);
    expect(complaints).toBe(
      'No measurements of engines were found: there is no ConfigMap ai/coders-calibrations, so the plan goes by estimates; where the operator is elsewhere, say so with --lease-namespace and --lease-name.\n',
    );
  });

  test('goes by estimates where measurements may not be read, and says so in a line', async () => {
    answer = 'Forbidden';
    const { out, complaints } = await plan();
    expect(out).toContain('FP8 on 2x H100-80GB, 262144 tokens');
    expect(complaints).toBe(
      'ConfigMap qwen-coder-system/qwen-coder-operator-calibrations may not be read: planned by estimates where the operator may know what engines measured; ask for that right to have the same plan.\n',
    );
  });

  test('what is no measurement is none, as it is to the operator', async () => {
    answer = 'Broken';
    const { out, complaints } = await plan();
    expect(out).toMatch(/overhead .* an estimate/);
    expect(complaints).toBe('');
  });
});
