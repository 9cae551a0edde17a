import { expect, test } from 'vitest';
import { readUsage } from '../../src/gateway/usage.ts';

test.each([
  [
    "OpenAI's chat",
    '{"choices":[{"message":{"content":"\\"usage\\":{\\"prompt_tokens\\":9}"}}],"usage":{"prompt_tokens":12,"total_tokens":15,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":8}}}',
    '',
    { promptTokens: 12, cachedTokens: 8, generatedTokens: 3 },
  ],
  [
    "OpenAI's responses",
    'event: response.completed\ndata: {"response":{"usage":{"input_tokens":12,"input_tokens_details":{"cached_tokens":0},"output_tokens":3}}}\n\n',
    '',
    { promptTokens: 12, cachedTokens: 0, generatedTokens: 3 },
  ],
  [
    "Anthropic's messages",
    'event: message_delta\ndata: {"type":"message_delta","usage":{"output_tokens":3}}\n\nevent: message_stop\ndata: {}\n\n',
    'event: message_start\ndata: {"message":{"usage":{"input_tokens":12,"cache_read_input_tokens":4,"output_tokens":0}}}\n\n',
    { promptTokens: 12, cachedTokens: 4, generatedTokens: 3 },
  ],
  ['an error', '{"error":{"message":"no"}}', '', undefined],
])('the usage of %s', (_, tail, head, usage) => {
  expect(readUsage(Buffer.from(tail), Buffer.from(head))).toEqual(usage);
});
