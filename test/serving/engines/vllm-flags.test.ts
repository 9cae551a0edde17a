import { describe, expect, test } from 'vitest';
import { flagAt, readWord } from '../../../src/serving/index.ts';
import { availability, flagEver, nearestSpelling } from '../../../src/serving/engines/vllm-flags.ts';
import { VLLM_FLAGS } from '../../../src/serving/engines/vllm-flags.data.ts';
import { SAMPLED_VLLM_VERSIONS } from '../../../src/serving/engines/vllm-versions.ts';

const NEWEST = '0.33.0';

/** What a word is, on one line: the flag it names, `off` for a negative spelling, its key and its value. */
function read(word: string, version = NEWEST): string {
  const result = readWord(version, word);
  if (result.kind !== 'Flag') return result.kind;
  const { spelling, value, path } = result;
  return [
    spelling.flag.name,
    spelling.negative ? 'off' : '',
    path === undefined ? '' : `.${path}`,
    value === undefined ? '' : `=${value}`,
  ]
    .filter((part) => part !== '')
    .join(' ');
}

describe('flags of vLLM', () => {
  // Each was given to vLLM's own parser, of 0.33.0 and of 0.15.1.
  test.each([
    ['--tensor-parallel-size', '--tensor-parallel-size'],
    ['--tensor_parallel_size', '--tensor-parallel-size'],
    ['--tensor-parallel-size=2', '--tensor-parallel-size =2'],
    ['-tp', '--tensor-parallel-size'],
    ['-tp=2', '--tensor-parallel-size =2'],
    ['-t', '--tensor-parallel-size'],
    ['--tensor-par', '--tensor-parallel-size'],
    ['--tensor_par=2', '--tensor-parallel-size =2'],
    ['-q', '--quantization'],
    ['-qfp8', '--quantization =fp8'],
    ['-n2', '--nnodes =2'],
    ['--enable-prefix-caching', '--enable-prefix-caching'],
    ['--no-enable-prefix-caching', '--enable-prefix-caching off'],
    ['--disable-prefix-caching', '--enable-prefix-caching off'],
    ['--no-enable-prefix', '--enable-prefix-caching off'],
    ['--disable-log-requests', '--enable-log-requests off'],
    ['--device-memory-utilization=0.9', '--gpu-memory-utilization =0.9'],
    ['--gpu_memory_utilization=0.9', '--gpu-memory-utilization =0.9'],
    ['--compilation_config.cudagraph_mode=PIECEWISE', '--compilation-config .cudagraph_mode =PIECEWISE'],
    ['-cc.mode', '--compilation-config .mode'],
    ['--override-generation-config.temperature=0.3', '--override-generation-config .temperature =0.3'],
    ['-O3', '--optimization-level =3'],
    ['-O=3', '--optimization-level =3'],
    ['-O', '--optimization-level'],
    ['-tp2', 'Unknown'],
    ['-d', 'Ambiguous'],
    ['--max-num', 'Ambiguous'],
    ['--swap-space', 'Unknown'],
    ['--Tensor-Parallel-Size', 'Unknown'],
    ['--', 'Unknown'],
    ['-0.5', 'Unknown'],
    ['-1', 'Value'],
    ['-', 'Value'],
    ['fp8', 'Value'],
    ['', 'Value'],
    ['{"a":-1}', 'Value'],
    ['--foo bar', 'Value'],
  ])('%s is read as %s', (word, meaning) => {
    expect(read(word)).toBe(meaning);
  });

  test.each([
    ['0.15.1', '--disable-prefix-caching', 'Unknown'],
    ['0.15.1', '--device-memory-utilization=0.9', 'Unknown'],
    ['0.15.1', '--swap-space=4', '--swap-space =4'],
    ['0.15.1', '--shutdown-timeout=30', 'Unknown'],
    ['0.18.0', '--shutdown-timeout=30', 'Unknown'],
    ['0.18.1', '--shutdown-timeout=30', '--shutdown-timeout =30'],
    ['0.16.0', '--disable-log-requests', '--enable-log-requests off'],
    ['0.22.1', '--disable-log-requests', 'Unknown'],
    ['0.17.1', '--use-gpu-for-pooling-score', '--use-gpu-for-pooling-score'],
    ['0.18.1', '--use-gpu-for-pooling-score', 'Unknown'],
    ['0.14.0', '--port', 'Unknown'],
  ])('%s reads %s as %s', (version, word, meaning) => {
    expect(read(word, version)).toBe(meaning);
  });

  test.each([
    ['--port', 'in every supported version'],
    ['--swap-space', 'until 0.17.1'],
    ['--shutdown-timeout', 'since 0.18.1'],
    ['--enable-bf16x3-router-gemm', 'from 0.26.0 to 0.29.0'],
    ['--disable-log-requests', 'until 0.16.0 and since 0.33.0'],
  ])('%s is there %s', (spelling, versions) => {
    expect(availability(flagEver(spelling)!)).toBe(versions);
  });

  test.each([
    ['--tensor-paralel-size', '--tensor-parallel-size'],
    ['--max-model-length', '--max-model-len'],
    ['--enforce-eagr', '--enforce-eager'],
    ['--entirely-made-up-flag', undefined],
  ])('%s is near to %s', (name, nearest) => {
    expect(nearestSpelling(NEWEST, name)).toBe(nearest);
  });

  test('the table has one flag a line, under its own name first, and every version in it was sampled', () => {
    const lines = VLLM_FLAGS.trim().split('\n');
    expect(lines.length).toBeGreaterThan(300);
    for (const line of lines) {
      expect(line).toMatch(/^[01?+] --[a-z0-9-]+[^ !]*( !?--?[a-z0-9-]+[^ ]*)*$/);
      for (const [, since, until] of line.matchAll(/@([\d.]*?)(?:\.\.([\d.]+))?(?=[@ ]|$)/g)) {
        expect(SAMPLED_VLLM_VERSIONS).toEqual(expect.arrayContaining([since, until].filter(Boolean)));
      }
    }
  });

  test('a flag is found in the versions that the table names, and only there', () => {
    for (const version of SAMPLED_VLLM_VERSIONS) {
      expect(flagAt(version, '--model')).toBeDefined();
      expect(flagAt(version, '--shutdown-timeout') !== undefined).toBe(SAMPLED_VLLM_VERSIONS.indexOf(version) >= 3);
    }
  });
});
