import { describe, expect, test } from 'vitest';
import { GIB, memoryFailure, readLog, startReport } from '../../src/serving/index.ts';

// Lines as vLLM 0.15.1 and 0.33.0 write them.
const LOADED = [
  '(EngineCore pid=271) INFO 11-23 20:15:01 [gpu_model_runner.py:3550] Starting to load model Qwen/Qwen3-Coder-Next-FP8...',
  'Loading safetensors checkpoint shards:  41% Completed | 9/22 [00:41<00:59,  4.56s/it]',
  '(Worker_TP0 pid=300) INFO 11-23 20:15:01 [gpu_model_runner.py:3659] Model loading took 37.47 GiB memory and 60.000000 seconds',
  '(Worker_TP0 pid=300) INFO 11-23 20:15:01 [gpu_worker.py:375] Available KV cache memory: 31.5 GiB',
  '(Worker_TP1 pid=301) INFO 11-23 20:15:01 [gpu_worker.py:375] Available KV cache memory: 31.2 GiB',
  '(Worker_TP0 pid=300) INFO 11-23 20:15:01 [gpu_model_runner.py:4626] Graph capturing finished in 20 secs, took 0.68 GiB',
];
const TOO_SMALL =
  "(EngineCore pid=271) ERROR 11-23 20:15:01 [core.py:946] ValueError: To serve at least one request with the model's max seq len (262144), (6.43 GiB KV cache is needed, which is larger than the available KV cache memory (5.09 GiB). Based on the available memory, the estimated maximum model length is 206176. Try increasing `gpu_memory_utilization`";

describe('a log', () => {
  test('a start that went well has its times and the KV memory of the GPU that has least, rounded down', () => {
    const findings = readLog(LOADED.join('\n'));
    expect(startReport(findings)).toEqual({
      weightsPercent: 41,
      weightsSeconds: 60,
      kvBytes: 31.2 * GIB - 0.005 * GIB,
    });
    expect(memoryFailure(findings)).toBeUndefined();
  });

  test.each([
    {
      name: 'a context that does not fit',
      text: TOO_SMALL,
      failure: { outcome: 'DoesNotFit', kvBytes: 5.085 * GIB },
      words: /^(?:ValueError: )?To serve at least one request .* estimated maximum model length is 206176/,
    },
    {
      name: 'the same with the memory logged before',
      text: `Available KV cache memory: 5.1 GiB\n${TOO_SMALL}`,
      failure: { outcome: 'DoesNotFit', kvBytes: 5.095 * GIB },
      words: /^(?:ValueError: )?To serve/,
    },
    {
      name: 'the wording of 0.15',
      text: "To serve at least one request with the models's max seq len (8192), (1.2 GiB KV cache is needed, which is larger than the available KV cache memory (0.5 GiB). Try",
      failure: { outcome: 'DoesNotFit', kvBytes: 0.495 * GIB },
      words: /^(?:ValueError: )?To serve/,
    },
    {
      name: 'nothing left for the cache',
      text: 'Available KV cache memory: -1.5 GiB\nValueError: No available memory for the cache blocks. Try',
      failure: { outcome: 'DoesNotFit', kvBytes: -1.505 * GIB },
      words: /^ValueError: No available memory for the cache blocks/,
    },
    {
      name: 'more sequences than blocks',
      text: 'Available KV cache memory: 1.0 GiB\nValueError: max_num_seqs (256) exceeds available Mamba cache blocks (76).',
      failure: { outcome: 'DoesNotFit', kvBytes: 0.995 * GIB },
      words: /^ValueError: max_num_seqs/,
    },
    {
      name: 'weights that do not fit',
      text: 'Starting to load model x...\ntorch.OutOfMemoryError: CUDA out of memory. Tried to allocate 0.5 GiB. GPU 0',
      failure: { outcome: 'OutOfMemory', kvBytes: 0 },
      words: /^torch.OutOfMemoryError: CUDA out of memory\. Tried to allocate 0\.5 GiB/,
    },
    {
      name: 'out of memory in the end of a log',
      text: 'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB.',
      failure: { outcome: 'OutOfMemory', kvBytes: undefined },
      words: /^torch.OutOfMemoryError: CUDA out of memory/,
    },
  ])('$name is a failure of memory', ({ text, failure, words }) => {
    const found = memoryFailure(readLog(text))!;
    expect(found.outcome).toBe(failure.outcome);
    expect(found.kvBytes && Math.round(found.kvBytes)).toBe(failure.kvBytes && Math.round(failure.kvBytes));
    expect(found.message).toMatch(words);
  });

  test.each([
    'Free memory on device cuda:0 (3.1/79.6 GiB) on startup is less than desired GPU memory utilization (0.92, 73.3 GiB)',
    'api_server.py: error: unrecognized arguments: --no-such-flag',
    '',
  ])('%s is none', (text) => {
    expect(memoryFailure(readLog(text))).toBeUndefined();
  });
});
