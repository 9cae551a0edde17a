import { afterEach, describe, expect, test } from 'vitest';
import { type LoadedEngineOptions, loadedEngine } from '../support/loaded-engine.ts';
import { scaledClock } from '../support/scaled-clock.ts';

const clock = scaledClock(100);
const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

async function serve(over: Partial<LoadedEngineOptions> = {}) {
  const loaded = await loadedEngine({ clock, ...over });
  ends.push(() => loaded.server.close());
  return loaded;
}

const post = (url: string, body: unknown, headers: Record<string, string> = {}, signal?: AbortSignal) =>
  fetch(url, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...headers },
    ...(signal && { signal }),
  });

/** The data of server-sent events, decoded. */
async function eventsOf(response: Response): Promise<unknown[]> {
  const text = await response.text();
  return text
    .split('\n\n')
    .map((event) => /^data: (.*)$/m.exec(event)?.[1])
    .filter((data) => data !== undefined)
    .map((data) => (data === '[DONE]' ? data : JSON.parse(data)) as unknown);
}

const user = (content: string) => [{ role: 'user', content }];
const readFile = {
  type: 'object',
  properties: {
    path: { type: 'string' },
    line: { type: 'integer' },
    mode: { enum: ['all', 'head'] },
    hint: { type: 'string' },
  },
  required: ['path', 'line', 'mode'],
};
const openAiTools = [
  { type: 'function', function: { name: 'list_files', parameters: { type: 'object', properties: {} } } },
  { type: 'function', function: { name: 'read_file', parameters: readFile } },
];

describe('VllmServer', () => {
  test('names its models with the length they serve', async () => {
    const { url } = await serve();
    const { data } = (await (await fetch(`${url}/v1/models`)).json()) as {
      data: { id: string; root: string; max_model_len: number }[];
    };
    expect(data.map(({ id, root, max_model_len: length }) => ({ id, root, length }))).toEqual([
      { id: 'coder', root: 'Qwen/Qwen3-Coder-Next-FP8', length: 8192 },
      { id: 'gpt-4', root: 'Qwen/Qwen3-Coder-Next-FP8', length: 8192 },
    ]);
  });

  test('health turns 503 when the engine is dead', async () => {
    const { url, engine } = await serve();
    expect((await fetch(`${url}/health`)).status).toBe(200);
    engine.kill('dead');
    expect((await fetch(`${url}/health`)).status).toBe(503);
    expect((await post(`${url}/v1/chat/completions`, { model: 'coder', messages: user('hi') })).status).toBe(500);
  });

  test('the same conversation gets the same words, streamed or not', async () => {
    const { url } = await serve();
    const request = { model: 'coder', messages: user('Why is this slow?') };
    const whole = (await (await post(`${url}/v1/chat/completions`, request)).json()) as {
      choices: { message: { content: string }; finish_reason: string }[];
      usage: object;
    };
    const response = await post(`${url}/v1/chat/completions`, {
      ...request,
      stream: true,
      stream_options: { include_usage: true },
    });
    const events = (await eventsOf(response)) as {
      choices: { delta: { content?: string }; finish_reason: string | null }[];
      usage?: object;
    }[];
    expect(response.headers.get('content-type')).toContain('text/event-stream');
    expect(events.at(-1)).toBe('[DONE]');
    const chunks = events.slice(0, -1);
    expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).toBe(
      whole.choices[0]!.message.content,
    );
    expect(chunks.length).toBeGreaterThan(3);
    expect(chunks.at(-2)!.choices[0]!.finish_reason).toBe('stop');
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: whole.usage });
  });

  test('a tool that the user names is called with arguments that its schema accepts', async () => {
    const { url } = await serve();
    const request = { model: 'coder', messages: user('read_file "src/main.ts" to line 40'), tools: openAiTools };
    const whole = (await (await post(`${url}/v1/chat/completions`, request)).json()) as {
      choices: [
        {
          message: { content: unknown; tool_calls: { type: string; function: { name: string; arguments: string } }[] };
          finish_reason: string;
        },
      ];
    };
    const [{ message, finish_reason: reason }] = whole.choices;
    expect(reason).toBe('tool_calls');
    expect(message.content).toBeNull();
    expect(message.tool_calls[0]).toMatchObject({ type: 'function', function: { name: 'read_file' } });
    expect(JSON.parse(message.tool_calls[0]!.function.arguments)).toEqual({
      path: 'src/main.ts',
      line: 40,
      mode: 'all',
    });

    const events = (await eventsOf(await post(`${url}/v1/chat/completions`, { ...request, stream: true }))) as {
      choices: {
        delta: { tool_calls?: { function: { name?: string; arguments: string } }[] };
        finish_reason: string | null;
      }[];
    }[];
    const calls = events.slice(0, -1).flatMap(({ choices }) => choices[0]!.delta.tool_calls ?? []);
    expect(calls[0]!.function).toEqual({ name: 'read_file', arguments: '' });
    expect(JSON.parse(calls.map(({ function: fn }) => fn.arguments).join(''))).toEqual({
      path: 'src/main.ts',
      line: 40,
      mode: 'all',
    });
    expect(events.at(-2)!.choices[0]!.finish_reason).toBe('tool_calls');
  });

  test('after a tool’s result it answers in words', async () => {
    const { url } = await serve();
    const messages = [
      ...user('list'),
      { role: 'assistant', content: null, tool_calls: [] },
      { role: 'tool', tool_call_id: 'x', content: 'a.ts' },
    ];
    const body = (await (
      await post(`${url}/v1/chat/completions`, { model: 'coder', messages, tools: openAiTools })
    ).json()) as {
      choices: { message: { content: string }; finish_reason: string }[];
    };
    expect(body.choices[0]!.finish_reason).toBe('stop');
    expect(body.choices[0]!.message.content.length).toBeGreaterThan(10);
  });

  test('without a tool parser automatic tool choice is refused', async () => {
    const { url } = await serve({ toolsEnabled: false });
    const response = await post(`${url}/v1/chat/completions`, {
      model: 'coder',
      messages: user('hi'),
      tools: openAiTools,
    });
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({
      error: {
        message: '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
        type: 'BadRequestError',
        param: null,
        code: 400,
      },
    });
  });

  test('Anthropic’s messages: text, tool use, streams and counts', async () => {
    const { url } = await serve();
    const tools = [{ name: 'read_file', input_schema: readFile }];
    const base = { model: 'coder', max_tokens: 500 };
    const text = (await (await post(`${url}/v1/messages`, { ...base, messages: user('hello') })).json()) as Record<
      string,
      unknown
    >;
    expect(text).toMatchObject({
      type: 'message',
      role: 'assistant',
      stop_reason: 'end_turn',
      content: [{ type: 'text' }],
    });

    const call = (await (
      await post(`${url}/v1/messages`, { ...base, messages: user('read "a.ts"'), tools })
    ).json()) as Record<string, unknown>;
    expect(call).toMatchObject({
      stop_reason: 'tool_use',
      content: [{ type: 'tool_use', name: 'read_file', input: { path: 'a.ts' } }],
    });

    const streamed = await post(`${url}/v1/messages`, { ...base, messages: user('read "a.ts"'), tools, stream: true });
    const events = (await eventsOf(streamed)) as { type: string; delta?: { partial_json?: string } }[];
    expect(events.map(({ type }) => type)).toEqual([
      'message_start',
      'content_block_start',
      'content_block_delta',
      'content_block_stop',
      'message_delta',
      'message_stop',
    ]);
    expect(JSON.parse(events[2]!.delta!.partial_json!)).toMatchObject({ path: 'a.ts' });

    const count = await post(`${url}/v1/messages/count_tokens`, { model: 'coder', messages: user('hello') });
    expect(await count.json()).toEqual({ input_tokens: expect.any(Number) });
    const result = [{ type: 'tool_result', tool_use_id: 'x', content: 'ok' }];
    const after = await post(`${url}/v1/messages`, {
      ...base,
      messages: [...user('read'), { role: 'user', content: result }],
      tools,
    });
    expect(await after.json()).toMatchObject({ stop_reason: 'end_turn' });
  });

  test('counting tokens came with 0.17', async () => {
    const { url } = await serve({ version: '0.16.0' });
    expect((await post(`${url}/v1/messages/count_tokens`, { model: 'coder', messages: user('hi') })).status).toBe(404);
  });

  test('a model that is not served', async () => {
    const { url } = await serve();
    const response = await post(`${url}/v1/chat/completions`, { model: 'gpt-5', messages: user('hi') });
    expect(response.status).toBe(404);
    expect(await response.json()).toEqual({
      error: {
        message: 'The model `gpt-5` does not exist. Valid aliases: coder, gpt-4.',
        type: 'NotFoundError',
        param: 'model',
        code: 404,
      },
    });
  });

  test.each([
    {
      name: 'a prompt over the context',
      version: '0.33.0',
      body: { messages: user('x'.repeat(40_000)) },
      message:
        /^This model's maximum context length is 8192 tokens\. However, your prompt contains \d+ input tokens, which exceeds this limit even without any output tokens\./,
    },
    {
      name: 'more output than the context',
      version: '0.33.0',
      body: { messages: user('hi'), max_tokens: 9000 },
      message: /^max_tokens=9000 cannot be greater than max_model_len=8192\. Please request fewer output tokens\.$/,
    },
    {
      name: 'prompt and output over the context, before versions that clamp',
      version: '0.15.1',
      body: { messages: user('hi'), max_tokens: 8192 },
      message:
        /^'max_tokens' or 'max_completion_tokens' is too large: 8192\. This model's maximum context length is 8192 tokens and your request has \d+ input tokens/,
    },
  ])('$name is refused in the words of $version', async ({ version, body, message }) => {
    const { url } = await serve({ version });
    const response = await post(`${url}/v1/chat/completions`, { model: 'coder', ...body });
    expect(response.status).toBe(400);
    expect(((await response.json()) as { error: { message: string } }).error.message).toMatch(message);
  });

  test('the newest clamp an answer that would end beyond the context', async () => {
    const { url } = await serve();
    const response = await post(`${url}/v1/chat/completions`, {
      model: 'coder',
      messages: user('hi'),
      max_tokens: 8192,
    });
    expect(response.status).toBe(200);
  });

  test('an answer cut by max_tokens says so', async () => {
    const { url } = await serve();
    const body = (await (
      await post(`${url}/v1/completions`, { model: 'coder', prompt: 'fn main', max_tokens: 3 })
    ).json()) as {
      choices: { finish_reason: string }[];
      usage: { completion_tokens: number };
    };
    expect([body.choices[0]!.finish_reason, body.usage.completion_tokens]).toEqual(['length', 3]);
  });

  test('a key guards /v1 alone, by Bearer alone', async () => {
    const { url } = await serve({ apiKeys: ['secret'], version: '0.24.0' });
    const status = async (path: string, headers: Record<string, string> = {}) =>
      (await fetch(`${url}${path}`, { headers })).status;
    expect({
      none: await status('/v1/models'),
      wrong: await status('/v1/models', { authorization: 'Bearer other' }),
      apiKey: await status('/v1/models', { 'x-api-key': 'secret' }),
      right: await status('/v1/models', { authorization: 'Bearer secret' }),
      health: await status('/health'),
      metrics: await status('/metrics'),
      version: await status('/version'),
      later: await status('/inference/x'),
      notYet: await status('/cohere/x'),
    }).toEqual({
      none: 401,
      wrong: 401,
      apiKey: 401,
      right: 200,
      health: 200,
      metrics: 200,
      version: 200,
      later: 401,
      notYet: 404,
    });
  });

  test('metrics count what was served, with vLLM’s names and labels', async () => {
    const { url } = await serve();
    await (await post(`${url}/v1/chat/completions`, { model: 'gpt-4', messages: user('hi') })).json();
    const text = await (await fetch(`${url}/metrics`)).text();
    const labels = 'engine="0",model_name="coder"';
    expect(text).toContain(`vllm:num_requests_running{${labels}} 0.0`);
    expect(text).toContain(`vllm:num_requests_waiting_by_reason{${labels},reason="capacity"} 0.0`);
    expect(text).toContain(`vllm:time_to_first_token_seconds_count{${labels}} 1.0`);
    expect(text).toContain(`vllm:request_success_total{engine="0",finished_reason="stop",model_name="coder"} 1.0`);
    expect(text).toMatch(/vllm:cache_config_info\{num_gpu_blocks="1000",block_size="544",engine="0"\} 1\.0/);
    expect(text).toMatch(/# TYPE vllm:generation_tokens_total counter\nvllm:generation_tokens_total\{[^}]+\} [1-9]/);
  });

  test('a client that leaves cancels its request', async () => {
    const { url, engine } = await serve({ stepSeconds: 60 });
    const leaving = new AbortController();
    const answered = post(
      `${url}/v1/chat/completions`,
      { model: 'coder', messages: user('hi'), stream: true },
      {},
      leaving.signal,
    );
    const response = await answered;
    expect(engine.load.running).toBe(1);
    leaving.abort();
    await response.text().catch(() => undefined);
    await expect.poll(() => engine.load.running).toBe(0);
  });

  test('a draining server ends what runs, refuses more, and stays healthy', async () => {
    const { url, server, engine } = await serve({ stepSeconds: 1 });
    const running = post(`${url}/v1/chat/completions`, { model: 'coder', messages: user('hi') });
    await expect.poll(() => engine.load.running).toBe(1);
    const drained = server.drain();
    expect((await post(`${url}/v1/chat/completions`, { model: 'coder', messages: user('hi') })).status).toBe(503);
    expect((await fetch(`${url}/health`)).status).toBe(200);
    expect((await running).status).toBe(200);
    await drained;
  });

  test('a full queue answers 503', async () => {
    const { url, engine } = await serve({ stepSeconds: 60, maxQueued: 0 });
    expect(engine.load.waiting).toBe(0);
    const response = await post(`${url}/v1/chat/completions`, { model: 'coder', messages: user('hi') });
    expect(response.status).toBe(503);
  });
});
