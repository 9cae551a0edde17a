import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { QwenCoderSpecInput } from '../../../src/api/v1alpha1.ts';
import { checkEngineArgs, hasPrefixCaching, vllmArgs, vllmEnv } from '../../../src/serving/index.ts';
import { VLLM_FLAGS } from '../../../src/serving/engines/vllm-flags.data.ts';
import { node, planned, spec } from '../builders.ts';

/** Arguments of an engine on two H100, as one reads them in a pod. */
function args(input: QwenCoderSpecInput = {}): string[] {
  const plan = planned(input, node('H100', 8));
  return vllmArgs(plan, spec(input), plan.repository);
}

const version = (version: string): QwenCoderSpecInput => ({ engine: { version } });

/** The refusal of an engine's arguments or environment; undefined when there is none. */
function refused(engine: NonNullable<QwenCoderSpecInput['engine']>, version = '0.33.0'): string | undefined {
  const problem = checkEngineArgs(spec({ engine }), version);
  return problem && `${problem.reason}: ${problem.message} ${problem.remedy}`;
}

describe('arguments of vLLM', () => {
  test('an empty spec gives them all', () => {
    expect(args()).toMatchInlineSnapshot(`
      [
        "Qwen/Qwen3-Coder-Next-FP8",
        "--revision=main",
        "--served-model-name",
        "qwen3-coder-next",
        "--host=$(POD_IP)",
        "--port=8000",
        "--tensor-parallel-size=2",
        "--max-model-len=262144",
        "--max-num-seqs=256",
        "--gpu-memory-utilization=0.92",
        "--kv-cache-dtype=auto",
        "--enable-prefix-caching",
        "--enable-auto-tool-choice",
        "--tool-call-parser=qwen3_coder",
        "--override-generation-config={"temperature":1,"top_p":0.95,"top_k":40}",
        "--enable-prompt-tokens-details",
        "--no-enable-log-requests",
        "--shutdown-timeout=30",
      ]
    `);
  });

  test('every field that has a flag sets it', () => {
    const input: QwenCoderSpecInput = {
      model: { quantization: 'BF16', revision: 'v1.0', servedName: 'coder', aliases: ['gpt-4', 'qwen/coder'] },
      engine: { args: ['--enforce-eager', '--cpu-offload-gb=4'] },
      parallelism: { tensorParallelSize: 4, expertParallel: true },
      context: {
        maxModelLen: 65_536,
        minConcurrency: 1,
        kvCacheDtype: 'FP8',
        maxNumSeqs: 32,
        gpuMemoryUtilizationPercent: 85,
      },
      sampling: { temperature: 0.2, topP: 0.9, topK: -1, minP: 0.05, seed: 7 },
      tools: { enabled: false },
    };
    expect(args(input)).toMatchInlineSnapshot(`
      [
        "Qwen/Qwen3-Coder-Next",
        "--revision=v1.0",
        "--served-model-name",
        "coder",
        "gpt-4",
        "qwen/coder",
        "--host=$(POD_IP)",
        "--port=8000",
        "--tensor-parallel-size=4",
        "--enable-expert-parallel",
        "--max-model-len=65536",
        "--max-num-seqs=32",
        "--gpu-memory-utilization=0.85",
        "--kv-cache-dtype=fp8",
        "--enable-prefix-caching",
        "--override-generation-config={"temperature":0.2,"top_p":0.9,"top_k":-1,"min_p":0.05}",
        "--seed=7",
        "--enable-prompt-tokens-details",
        "--no-enable-log-requests",
        "--shutdown-timeout=30",
        "--enforce-eager",
        "--cpu-offload-gb=4",
      ]
    `);
  });

  test('the oldest supported version gets what it knows', () => {
    expect(args(version('0.15.1'))).toMatchInlineSnapshot(`
      [
        "Qwen/Qwen3-Coder-Next-FP8",
        "--revision=main",
        "--served-model-name",
        "qwen3-coder-next",
        "--host=$(POD_IP)",
        "--port=8000",
        "--tensor-parallel-size=2",
        "--max-model-len=262144",
        "--max-num-seqs=256",
        "--gpu-memory-utilization=0.90",
        "--kv-cache-dtype=auto",
        "--no-enable-prefix-caching",
        "--enable-auto-tool-choice",
        "--tool-call-parser=qwen3_coder",
        "--override-generation-config={"temperature":1,"top_p":0.95,"top_k":40}",
        "--enable-prompt-tokens-details",
        "--no-enable-log-requests",
      ]
    `);
  });

  test('a drain on SIGTERM is asked for where the version has one', () => {
    expect(args(version('0.18.0'))).not.toContain('--shutdown-timeout=30');
    expect(args(version('0.18.1'))).toContain('--shutdown-timeout=30');
  });

  test('a mounted checkpoint is named by its path and has no revision', () => {
    const input: QwenCoderSpecInput = {
      model: { quantization: 'FP8', source: { type: 'Volume', claimName: 'weights' } },
    };
    const plan = planned(input, node('H100', 8));
    expect(vllmArgs(plan, spec(input), '/models/coder').slice(0, 2)).toEqual(['/models/coder', '--served-model-name']);
  });

  test.each([
    { version: '0.33.0', args: [], caching: true },
    { version: '0.24.0', args: [], caching: false },
    { version: '0.24.0', args: ['--enable-prefix-caching'], caching: true },
    { version: '0.33.0', args: ['--no-enable-prefix-caching'], caching: false },
    { version: '0.33.0', args: ['--disable_prefix_caching', '--enable-prefix'], caching: true },
  ])('prefix caching of $version with $args is $caching', ({ version, args, caching }) => {
    const input = { engine: { version, args } };
    const plan = planned(input, node('H100', 8));
    const rendered = vllmArgs(plan, spec(input), plan.repository);
    expect(hasPrefixCaching(spec(input), version)).toBe(caching);
    expect(rendered.filter((arg) => /prefix/.test(arg))).toEqual(
      args.length > 0 ? args : [caching ? '--enable-prefix-caching' : '--no-enable-prefix-caching'],
    );
  });

  test('the environment keeps the engine offline and silent, and leaves the user what is not fixed', () => {
    const plan = planned({}, node('H100', 8));
    expect(vllmEnv(plan, spec())).toMatchInlineSnapshot(`
      {
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "VLLM_CACHE_ROOT": "/cache",
        "VLLM_ENGINE_READY_TIMEOUT_S": "3600",
        "VLLM_LOGGING_COLOR": "0",
        "VLLM_NO_USAGE_STATS": "1",
      }
    `);
    const input: QwenCoderSpecInput = { engine: { env: [{ name: 'VLLM_ENGINE_READY_TIMEOUT_S', value: '60' }] } };
    expect(vllmEnv(plan, spec(input))).not.toHaveProperty('VLLM_ENGINE_READY_TIMEOUT_S');
  });
});

describe('arguments of the user', () => {
  test.each([
    [['--max-model-len=1000']],
    [['--max_model_len', '1000']],
    [['--enforce-eager', '-tp', '4']],
    [['-tp=4']],
    [['-t', '4']],
    [['--tensor-par=4']],
    [['--no-enable-expert-parallel']],
    [['--disable-expert-parallel']],
    [['--gpu-mem=0.5']],
    [['--device-memory-utilization', '0.5']],
    [['--kv-cache-memory-bytes=1G']],
    [['--override_generation_config.temperature=0']],
    [['--gpu-memory-u', '0.5']],
    [['--enable-log-requests']],
    [['--api-key', 'secret']],
    [['--config=/tmp/more.yaml']],
    [['--port', '80']],
    [['-qfp8']],
    [['-n2']],
    [['-h']],
  ])('%j are the operator’s', (args) => {
    expect(refused({ args })).toMatch(/^ManagedArgument: spec\.engine\.args\[\d\] sets -/);
  });

  test('a refusal names the entry, the flag and the field to use', () => {
    expect(
      [
        refused({ args: ['--enforce-eager', '--gpu-mem', '0.5'] }),
        refused({ args: ['--tool-call-parser=hermes'] }),
        refused({ args: ['--swap-space=4'] }),
        refused({ args: ['--shutdown-timeout=4'] }, '0.15.1'),
        refused({ args: ['--enforce-eagr'] }),
        refused({ args: ['--made-up-entirely'] }),
        refused({ args: ['--stream'] }),
        refused({ args: ['--max-num=3'] }),
        refused({ args: ['--enforce-eager true'] }),
        refused({ args: ['--enforce-eager', 'true'] }),
        refused({ args: ['--enforce-eager=true'] }),
        refused({ args: ['--enforce-eager.x=true'] }),
        refused({ args: ['--cpu-offload-gb'] }),
        refused({ args: ['--cpu-offload-gb', '--enforce-eager'] }),
        refused({ env: [{ name: 'HF_HUB_OFFLINE', value: '0' }] }),
        refused({
          env: [
            { name: 'VLLM_LOGGING_LEVEL', value: 'DEBUG' },
            { name: 'VLLM_PORT', value: '1' },
          ],
        }),
      ].join('\n'),
    ).toMatchInlineSnapshot(`
      "ManagedArgument: spec.engine.args[1] sets --gpu-mem (--gpu-memory-utilization), which is the operator's to set. Use spec.context.gpuMemoryUtilizationPercent.
      ManagedArgument: spec.engine.args[0] sets --tool-call-parser, which is the operator's to set. Use spec.tools.enabled; the parser follows from the version.
      UnknownArgument: spec.engine.args[0] is --swap-space, which vLLM 0.33.0 does not have; it is there until 0.17.1. Remove it, or set spec.engine.version to a version that has it.
      UnknownArgument: spec.engine.args[0] is --shutdown-timeout, which vLLM 0.15.1 does not have; it is there since 0.18.1. Remove it, or set spec.engine.version to a version that has it.
      UnknownArgument: spec.engine.args[0] is --enforce-eagr, which vLLM 0.33.0 does not have. Did you mean --enforce-eager?
      UnknownArgument: spec.engine.args[0] is --made-up-entirely, which vLLM 0.33.0 does not have. Remove it.
      UnknownArgument: spec.engine.args[0] gives --stream-interval no value. Write --stream-interval=<value>.
      UnknownArgument: spec.engine.args[0] is --max-num, which begins more than one flag of vLLM 0.33.0. Write one in full: --max-num-active-seqs, --max-num-batched-tokens, --max-num-queued-reqs, --max-num-queued-tokens.
      UnknownArgument: spec.engine.args[0] is "--enforce-eager true", which is neither a flag nor the value of one. Make the flag and its value two entries, or write --flag=value.
      UnknownArgument: spec.engine.args[1] is "true", which is neither a flag nor the value of one. Remove it, or put it after the flag that it belongs to.
      UnknownArgument: spec.engine.args[0] gives --enforce-eager a value, and it takes none. Write --enforce-eager alone.
      UnknownArgument: spec.engine.args[0] gives --enforce-eager a value, and it takes none. Write --enforce-eager alone.
      UnknownArgument: spec.engine.args[0] gives --cpu-offload-gb no value. Write --cpu-offload-gb=<value>.
      UnknownArgument: spec.engine.args[0] gives --cpu-offload-gb no value. Write --cpu-offload-gb=<value>.
      ManagedArgument: spec.engine.env[0] sets HF_HUB_OFFLINE, which is the operator's to set. Leave it out: engines read weights that were fetched before they start.
      ManagedArgument: spec.engine.env[1] sets VLLM_PORT, which is the operator's to set. Leave it out: Service and probes expect 8000."
    `);
  });

  test.each([
    [['--enforce-eager', '--cpu-offload-gb=4', '--attention-backend', 'FLASHINFER']],
    [['--compilation_config.cudagraph_mode=PIECEWISE']],
    [['--compilation-config.cudagraph_mode', 'PIECEWISE', '-O', '2']],
    [['-cc', '{"mode": 3}']],
    [['--hf-token', '--enforce-eager']],
    [['--lora-modules', 'a=b', 'c=d', '--enable-lora']],
    [['--max-num-batched-tokens=8192', '--long-prefill-token-threshold', '-1']],
    [['--no-enable-prefix-caching']],
    [[]],
  ])('%j pass', (args) => {
    expect(refused({ args })).toBeUndefined();
  });

  test("the engine's key is the operator's; clients show theirs to the gateway", () => {
    const env = [{ name: 'VLLM_API_KEY', secretKeyRef: { name: 'keys', key: 'vllm' } }];
    expect(refused({ env })).toMatch(/^ManagedArgument: .* Use spec\.endpoint\.authentication/);
  });

  test('no spelling of a flag that the operator renders passes', () => {
    const rendered = args({ parallelism: { expertParallel: true }, sampling: { seed: 1 } })
      .filter((arg) => arg.startsWith('--') && !arg.includes('prefix-caching'))
      .map((arg) => arg.split('=')[0]!);
    for (const line of VLLM_FLAGS.trim().split('\n')) {
      const spellings = line
        .split(' ')
        .slice(1)
        .map((word) => word.replace(/^!/, '').split('@')[0]!);
      if (!rendered.includes(spellings[0]!)) continue;
      for (const spelling of spellings) {
        expect(refused({ args: [spelling, 'x'] })).toMatch(/^(ManagedArgument|UnknownArgument)/);
        expect(refused({ args: [`${spelling}=x`] })).toMatch(/^(ManagedArgument|UnknownArgument)/);
        expect(refused({ args: [spelling.replace(/(?<=--.*)-/g, '_'), 'x'] })).toMatch(
          /^(ManagedArgument|UnknownArgument)/,
        );
      }
    }
  });

  test('no beginning of a flag that the operator renders passes, unless it is another flag', () => {
    const flag = fc.constantFrom(
      ...args()
        .filter((arg) => arg.startsWith('--') && !arg.includes('prefix'))
        .map((arg) => arg.split('=')[0]!),
    );
    fc.assert(
      fc.property(flag, fc.nat({ max: 40 }), (flag, cut) => {
        const begun = flag.slice(0, Math.max(3, flag.length - cut));
        fc.pre(
          !['--seed', '--help'].includes(begun) &&
            !VLLM_FLAGS.includes(` ${begun}\n`) &&
            !VLLM_FLAGS.includes(` ${begun} `),
        );
        expect(refused({ args: [`${begun}=1`] })).toBeDefined();
      }),
    );
  });
});
