import { describe, expect, test } from 'vitest';
import { readMetrics, readServedModels } from '../../src/serving/index.ts';

describe('readMetrics', () => {
  test('finds the KV blocks, the requests of all engines and the tokens done', () => {
    const text = [
      '# HELP vllm:num_requests_running Number of requests in model execution batches.',
      'vllm:num_requests_running{engine="0",model_name="a}b"} 2.0',
      'vllm:num_requests_running{engine="1",model_name="a}b"} 1.0',
      'vllm:num_requests_waiting{engine="0",model_name="a}b"} 4.0',
      'vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 9.0',
      'vllm:prompt_tokens_total{engine="0"} 1000.0',
      'vllm:generation_tokens_total{engine="0"} 1.5e+03',
      'vllm:cache_config_info{block_size="544",num_gpu_blocks="2448",num_gpu_blocks_override="None"} 1.0',
    ].join('\n');
    expect(readMetrics(text)).toEqual({ kvBlocks: 2448, blockTokens: 544, requests: 7, tokens: 2500 });
  });

  test('a text without them has no blocks and no work', () => {
    expect(readMetrics('<html>')).toEqual({ kvBlocks: undefined, blockTokens: undefined, requests: 0, tokens: 0 });
    expect(readMetrics('vllm:cache_config_info{num_gpu_blocks="None"} 1.0').kvBlocks).toBeUndefined();
  });
});

describe('readServedModels', () => {
  test('is every name with what is behind it', () => {
    const cards = [
      { id: 'qwen3-coder-next', object: 'model', root: '/models', max_model_len: 32_768 },
      { id: 'coder', root: null, max_model_len: null },
    ];
    expect(readServedModels(JSON.stringify({ object: 'list', data: cards }))).toEqual([
      { id: 'qwen3-coder-next', root: '/models', maxModelLen: 32_768 },
      { id: 'coder', root: undefined, maxModelLen: undefined },
    ]);
  });

  test.each(['{"error":"Unauthorized"}', '{"data":{}}', '{"data":[null,"a",{"id":1}]}', '<html>', '', 'null'])(
    'an answer of another form lists nothing: %s',
    (text) => expect(readServedModels(text)).toEqual([]),
  );
});
