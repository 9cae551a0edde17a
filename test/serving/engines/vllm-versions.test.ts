import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DEFAULT_VLLM_VERSION, findVllmVersion, SUPPORTED_VLLM, vllmVersion } from '../../../src/serving/index.ts';
import { compareVersions, SAMPLED_VLLM_VERSIONS } from '../../../src/serving/engines/vllm-versions.ts';

describe('vLLM versions', () => {
  test('the default is the newest', () => {
    expect(DEFAULT_VLLM_VERSION).toBe(SUPPORTED_VLLM.newest);
    expect(vllmVersion(DEFAULT_VLLM_VERSION)).toMatchInlineSnapshot(`
      {
        "image": "vllm/vllm-openai:v0.33.0",
        "kvVerdictTrusted": true,
        "leastDriver": 580,
        "nonRoot": {
          "gid": 0,
          "uid": 2000,
        },
        "prefixCachingByDefault": true,
        "reservedBlocks": 1,
        "seqsBoundByPool": true,
        "since": "0.33.0",
        "toolParser": "qwen3_coder",
        "utilizationPercent": 92,
        "version": "0.33.0",
      }
    `);
  });

  test.each([
    ['0.15.1', '0.15.1', 90, false],
    ['0.18.0', '0.17.1', 90, false],
    ['0.19.1', '0.19.1', 90, true],
    ['0.20.1', '0.19.1', 90, true],
    ['0.20.2', '0.20.2', 92, true],
    ['0.32.4', '0.31.0', 92, true],
  ])('%s has the facts of %s', (version, since, utilizationPercent, kvVerdictTrusted) => {
    expect(vllmVersion(version)).toMatchObject({
      version,
      since,
      utilizationPercent,
      kvVerdictTrusted,
      image: `vllm/vllm-openai:v${version}`,
    });
  });

  test.each(['0.14.1', '0.15.0', '0.33.1', '1.0.0', 'latest', '0.33', 'v0.33.0'])('%s is not supported', (version) => {
    expect(findVllmVersion(version)).toBeUndefined();
    expect(() => vllmVersion(version)).toThrow(`vLLM ${version} is not supported (0.15.1 to 0.33.0)`);
  });

  test('sampled versions ascend from the oldest supported to the newest', () => {
    expect(SAMPLED_VLLM_VERSIONS).toEqual([...SAMPLED_VLLM_VERSIONS].sort(compareVersions));
    expect([SAMPLED_VLLM_VERSIONS.at(0), SAMPLED_VLLM_VERSIONS.at(-1)]).toEqual([
      SUPPORTED_VLLM.oldest,
      SUPPORTED_VLLM.newest,
    ]);
  });

  test('versions are ordered by number, not by text', () => {
    const part = fc.nat({ max: 40 });
    const version = fc.tuple(part, part, part);
    fc.assert(
      fc.property(version, version, (left, right) => {
        const [a, b] = [left.join('.'), right.join('.')];
        const numbers = left.map((number, index) => number - right[index]!).find((difference) => difference !== 0) ?? 0;
        expect(Math.sign(compareVersions(a, b))).toBe(Math.sign(numbers));
        expect(Math.sign(compareVersions(a, b)) + Math.sign(compareVersions(b, a))).toBe(0);
      }),
    );
  });
});
