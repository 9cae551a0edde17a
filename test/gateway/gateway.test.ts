import { once } from 'node:events';
import { Agent, type IncomingMessage, type ServerResponse, createServer, request as httpRequest } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import Anthropic, { AuthenticationError as AnthropicKeyError } from '@anthropic-ai/sdk';
import OpenAI, { AuthenticationError as OpenAiKeyError } from 'openai';
import { afterEach, describe, expect, test } from 'vitest';
import { Balancer, type Endpoint, type GatewayOptions, parseApiKeys } from '../../src/gateway/index.ts';
import { GATEWAY_LIMITS, gatewayOnLoopback } from '../support/gateway-on-loopback.ts';
import { type LoadedEngineOptions, loadedEngine } from '../support/loaded-engine.ts';
import { scaledClock } from '../support/scaled-clock.ts';

const KEY = 'sk-alice-0123456789';
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

/** A gateway at a hundred times the speed of time. */
async function gatewayTo(endpoints: readonly Endpoint[], over: Partial<GatewayOptions> = {}) {
  const loopback = await gatewayOnLoopback({
    clock: scaledClock(100),
    keys: parseApiKeys(`alice: ${KEY}\nbob: sk-bob-0123456789ab\n`),
    models: ['coder', 'gpt-4'],
    ...over,
  });
  const { gateway } = loopback;
  ends.push(() => gateway.stop(0));
  gateway.tell({ endpoints: [...endpoints], maxModelLen: 8192 });
  return loopback;
}

const endpoint = (address: string, over: Partial<Endpoint> = {}): Endpoint => ({
  id: address,
  address,
  state: 'Ready',
  slots: 8,
  ...over,
});

async function engine(over: Partial<LoadedEngineOptions> = {}) {
  const loaded = await loadedEngine({ clock: scaledClock(100), ...over });
  ends.push(() => loaded.server.close());
  return loaded;
}

/** An engine that does what a test says. */
async function scripted(handle: (request: IncomingMessage, response: ServerResponse) => void) {
  const server = createServer(handle);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const chat = (over: object = {}) => ({ model: 'coder', messages: [{ role: 'user', content: 'hello' }], ...over });

const post = (url: string, path: string, body: unknown, headers: Record<string, string> = {}, signal?: AbortSignal) =>
  fetch(`${url}${path}`, {
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
    headers: { 'content-type': 'application/json', authorization: `Bearer ${KEY}`, ...headers },
    ...(signal && { signal }),
  });

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** What is left when nothing is kept for nobody. */
function heapBytes(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

const tools = [
  {
    type: 'function' as const,
    function: { name: 'read_file', parameters: { type: 'object', properties: { path: { type: 'string' } } } },
  },
];

describe('the official clients', () => {
  test("OpenAI's completes a streamed conversation with a tool", async () => {
    const { address } = await engine();
    const { url, metrics } = await gatewayTo([endpoint(address)]);
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: KEY, maxRetries: 0 });
    expect((await client.models.list()).data.map(({ id }) => id)).toEqual(['coder', 'gpt-4']);
    const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: 'user', content: 'read_file src/main.ts' }];
    const asked = await client.chat.completions.stream({ model: 'coder', messages, tools }).finalMessage();
    const [call] = asked.tool_calls ?? [];
    expect(call).toMatchObject({ type: 'function', function: { name: 'read_file' } });
    messages.push(asked, { role: 'tool', tool_call_id: call!.id, content: 'console.log(1)' });
    let said = '';
    let usages = 0;
    const stream = await client.chat.completions.create({ model: 'coder', messages, tools, stream: true });
    for await (const chunk of stream) {
      said += chunk.choices[0]!.delta.content ?? '';
      if (chunk.usage) usages += 1;
    }
    expect(said).not.toBe('');
    // It did not ask for the usage, which the gateway read all the same.
    expect(usages).toBe(0);
    const counted = await metrics.text();
    expect(counted).toContain(
      'qwen_coder_gateway_requests_total{key="alice",model="coder",operation="chat",code="200"} 2',
    );
    expect(counted).toMatch(/qwen_coder_gateway_tokens_total\{key="alice",model="coder",kind="generated"\} [1-9]/);
    expect(counted).toMatch(/qwen_coder_gateway_time_to_first_token_seconds_count\{key="alice",model="coder"\} 2/);
  });

  test("OpenAI's gets the usage where it asks for it", async () => {
    const { address } = await engine();
    const { url } = await gatewayTo([endpoint(address)]);
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: KEY, maxRetries: 0 });
    const messages = [{ role: 'user' as const, content: 'hello' }];
    const stream = await client.chat.completions.create({
      model: 'coder',
      messages,
      stream: true,
      stream_options: { include_usage: true },
    });
    let usage: OpenAI.CompletionUsage | null | undefined;
    for await (const chunk of stream) usage = chunk.usage ?? usage;
    expect(usage!.completion_tokens).toBeGreaterThan(0);
    const whole = await client.chat.completions.create({ model: 'coder', messages });
    expect(whole.usage!.prompt_tokens).toBeGreaterThan(0);
  });

  test("Anthropic's completes a streamed conversation with a tool", async () => {
    const { address } = await engine();
    const { url, metrics } = await gatewayTo([endpoint(address)]);
    const client = new Anthropic({ baseURL: url, apiKey: KEY, maxRetries: 0 });
    const offered = [{ name: 'read_file', input_schema: { type: 'object' as const, properties: { path: {} } } }];
    const messages: Anthropic.MessageParam[] = [{ role: 'user', content: 'read_file src/main.ts' }];
    const asking = { model: 'coder', max_tokens: 200, tools: offered };
    const asked = await client.messages.stream({ ...asking, messages }).finalMessage();
    const use = asked.content.find(({ type }) => type === 'tool_use') as Anthropic.ToolUseBlock;
    expect(use.name).toBe('read_file');
    messages.push(
      { role: 'assistant', content: asked.content },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: use.id, content: 'console.log(1)' }] },
    );
    const said = await client.messages.stream({ ...asking, messages }).finalText();
    expect(said).not.toBe('');
    expect((await client.messages.countTokens({ model: 'coder', messages })).input_tokens).toBeGreaterThan(0);
    const counted = await metrics.text();
    expect(counted).toMatch(/tokens_total\{key="alice",model="coder",kind="prompt"\} [1-9]/);
  });

  test("OpenAI's streams a response", async () => {
    const event = (type: string, over: object) => `event: ${type}\ndata: ${JSON.stringify({ type, ...over })}\n\n`;
    const usage = { input_tokens: 12, input_tokens_details: { cached_tokens: 8 }, output_tokens: 2, total_tokens: 14 };
    const address = await scripted((request, response) => {
      request.resume();
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(event('response.created', { response: { id: 'r', output: [], usage: null } }));
      response.write(event('response.output_text.delta', { delta: 'good morning' }));
      response.end(event('response.completed', { response: { id: 'r', output: [], usage } }));
    });
    const { url, metrics } = await gatewayTo([endpoint(address)]);
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: KEY, maxRetries: 0 });
    let said = '';
    for await (const one of await client.responses.create({ model: 'coder', input: 'hello', stream: true })) {
      if (one.type === 'response.output_text.delta') said += one.delta;
    }
    expect(said).toBe('good morning');
    expect(await metrics.text()).toContain('tokens_total{key="alice",model="coder",kind="cached"} 8');
  });

  test('are told of a wrong key and of a stream that breaks, in their own errors', async () => {
    const address = await scripted((request, response) => {
      request.resume();
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const isMessages = request.url === '/v1/messages';
      response.write(
        isMessages
          ? 'event: message_start\ndata: {"type":"message_start","message":{"content":[],"usage":{}}}\n\n'
          : 'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n',
      );
      setTimeout(() => response.destroy(), 20);
    });
    const { url } = await gatewayTo([endpoint(address)]);
    const messages = [{ role: 'user' as const, content: 'hello' }];
    const openai = (apiKey: string) => new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
    const anthropic = (apiKey: string) => new Anthropic({ baseURL: url, apiKey, maxRetries: 0 });
    await expect(openai('sk-wrong-0123456789').chat.completions.create({ model: 'coder', messages })).rejects.toThrow(
      OpenAiKeyError,
    );
    await expect(
      anthropic('sk-wrong-0123456789').messages.create({ model: 'coder', max_tokens: 5, messages }),
    ).rejects.toThrow(AnthropicKeyError);
    await expect(openai(KEY).chat.completions.stream({ model: 'coder', messages }).finalMessage()).rejects.toThrow(
      /ended in the middle of its answer/,
    );
    await expect(
      anthropic(KEY).messages.stream({ model: 'coder', max_tokens: 5, messages }).finalMessage(),
    ).rejects.toThrow(/ended in the middle of its answer/);
  });
});

describe('what is refused', () => {
  test.each([
    ['//v1/models'],
    ['/v1//models'],
    ['/v1/%6dodels'],
    ['/v1/models/'],
    ['/v1/models/../models'],
    ['/v1/%2e%2e/metrics'],
    ['/metrics'],
    ['/tokenize'],
    ['/v1/embeddings'],
    ['/V1/models'],
    ['http://127.0.0.1/v1/models'],
    ['/v1/models%00'],
    ['/v1/models;a=b'],
    ['*'],
  ])('%s is nowhere', async (path) => {
    const address = await scripted((_, response) => response.end('reached'));
    const { url } = await gatewayTo([endpoint(address)]);
    const { port } = new URL(url);
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const headers = { authorization: `Bearer ${KEY}` };
      httpRequest({ host: '127.0.0.1', port, path, headers }, resolve).once('error', reject).end();
    });
    expect([answer.statusCode, await text(answer)]).toEqual([404, expect.stringContaining('nothing at this path')]);
  });

  test('another method, with the one that is taken', async () => {
    const { url } = await gatewayTo([]);
    const answer = await fetch(`${url}/v1/chat/completions`);
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'POST']);
  });

  test.each([
    { name: 'no key', headers: { authorization: '' } },
    { name: 'a wrong key', headers: { authorization: 'Bearer sk-wrong-0123456789' } },
    { name: 'a key in another scheme', headers: { authorization: `Basic ${KEY}` } },
    { name: 'the beginning of a key', headers: { authorization: `Bearer ${KEY.slice(0, -1)}` } },
  ])('$name, before anything reaches an engine', async ({ headers }) => {
    let reached = 0;
    const address = await scripted((_, response) => {
      reached += 1;
      response.end();
    });
    const { url } = await gatewayTo([endpoint(address)]);
    const answer = await post(url, '/v1/chat/completions', chat(), headers);
    expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([401, 'Bearer']);
    expect(await answer.text()).not.toContain('sk-');
    expect(reached).toBe(0);
  });

  test.each([
    { name: 'a body that is no JSON', body: '{"model":', status: 400, dialect: '/v1/chat/completions' },
    { name: 'a body that is no object', body: '[1]', status: 400, dialect: '/v1/messages' },
    {
      name: 'a stream that is neither asked for nor not',
      body: '{"stream":"true"}',
      status: 400,
      dialect: '/v1/chat/completions',
    },
    { name: 'a body that is too large', body: 'x'.repeat(2 ** 20 + 1), status: 413, dialect: '/v1/messages' },
  ])('$name', async ({ body, status, dialect }) => {
    const { url } = await gatewayTo([]);
    const answer = await post(url, dialect, body);
    expect(answer.status).toBe(status);
    const { type, error } = (await answer.json()) as { type?: string; error: { message: string } };
    expect(type).toBe(dialect === '/v1/messages' ? 'error' : undefined);
    expect(error.message).toMatch(/Send/);
  });

  test.each([
    { name: 'a body that is too large', key: KEY, status: 413 },
    { name: 'a wrong key', key: 'sk-wrong', status: 401 },
  ])('$name, in words, also to who sends all before it reads', async ({ key, status }) => {
    const { url } = await gatewayTo([]);
    const socket = connect(Number(new URL(url).port), '127.0.0.1').pause();
    ends.push(() => socket.destroy());
    const size = 16 * 2 ** 20;
    const head = `POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${key}\r\nContent-Length: ${size}\r\n\r\n`;
    const broken = new Promise<never>((_, reject) => void socket.once('error', reject));
    const sent = new Promise<void>((resolve) => void socket.write(head + ' '.repeat(size), () => resolve()));
    await Promise.race([sent, broken]);
    const [answer] = (await Promise.race([once(socket.resume(), 'data'), broken])) as [Buffer];
    expect(answer.toString()).toMatch(new RegExp(`^HTTP/1.1 ${status} .*connection: keep-alive`, 'is'));
    // What comes after it is another request.
    socket.write('GET /health HTTP/1.1\r\nHost: a\r\n\r\n');
    const [next] = (await Promise.race([once(socket, 'data'), broken])) as [Buffer];
    expect(next.toString()).toMatch(/^HTTP\/1.1 503 .*no engine is ready/is);
  });

  test('options of a stream that are nested beyond any sense', async () => {
    const { url } = await gatewayTo([]);
    const deep = `{"stream":true,"stream_options":{"a":${'['.repeat(20_000)}${']'.repeat(20_000)}}}`;
    const answer = await post(url, '/v1/chat/completions', deep);
    expect([answer.status, await answer.text()]).toEqual([400, expect.stringContaining('nested too deeply')]);
  });

  test('bodies of a key beyond what the gateway can hold, as they come; others still find room', async () => {
    const { address } = await engine();
    const { url, metrics } = await gatewayTo([endpoint(address)], {
      limits: { ...GATEWAY_LIMITS, bodiesBytes: 2 ** 20 },
    });
    const head = `POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${KEY}\r\nContent-Length: 400000\r\n\r\n`;
    const upload = () => {
      const socket = connect(Number(new URL(url).port), '127.0.0.1').once('error', () => {});
      ends.push(() => socket.destroy());
      socket.write(head);
      socket.write(' '.repeat(300_000));
      return socket;
    };
    upload();
    await expect.poll(() => metrics.text()).toContain('qwen_coder_gateway_body_bytes 300000');
    const [refused] = (await once(upload(), 'data')) as [Buffer];
    expect(refused.toString()).toMatch(/^HTTP\/1.1 503 .*retry-after: 5\r\n.*has no room for more/is);
    const bob = await post(url, '/v1/chat/completions', chat(), { authorization: 'Bearer sk-bob-0123456789ab' });
    expect(bob.status).toBe(200);
    await expect.poll(() => metrics.text()).toContain('qwen_coder_gateway_body_bytes 300000');
  });

  test.each([
    ['two lengths', 'Content-Length: 2\r\nContent-Length: 30\r\n\r\n{}'],
    ['a length and chunks', 'Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['a header folded over lines', 'X-A: b\r\n c\r\nContent-Length: 2\r\n\r\n{}'],
    ['a space before the colon', 'Content-Length : 2\r\n\r\n{}'],
    ['an encoding that is none', 'Transfer-Encoding: xchunked\r\n\r\n{}'],
    ['a bare line feed', 'X-A: b\nContent-Length: 2\r\n\r\n{}'],
    ['a zero byte in a header', 'X-A: \0\r\nContent-Length: 2\r\n\r\n{}'],
    ['headers beyond 16 KiB', `X-A: ${'a'.repeat(17_000)}\r\nContent-Length: 2\r\n\r\n{}`],
  ])('a request with %s ends its connection, and no engine hears of it', async (_, rest) => {
    let reached = 0;
    const address = await scripted((_request, response) => {
      reached += 1;
      response.end('{}');
    });
    const { url } = await gatewayTo([endpoint(address)]);
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${KEY}\r\n${rest}POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n`,
    );
    const answer = await text(socket);
    expect(answer).toMatch(/^HTTP\/1\.1 4\d\d /);
    expect(answer.match(/HTTP\/1\.1/g)).toHaveLength(1);
    expect(reached).toBe(0);
  });
});

describe('an answer', () => {
  test('carries nothing of the client to the engine but the body and a request id', async () => {
    let seen: IncomingMessage['headers'] = {};
    const address = await scripted((request, response) => {
      seen = request.headers;
      request.resume();
      response.writeHead(200, { 'content-type': 'application/json', 'set-cookie': 'a=b', server: 'uvicorn' }).end('{}');
    });
    const { url } = await gatewayTo([endpoint(address)], { engineKey: 'internal' });
    const headers = { cookie: 'c=d', 'x-request-id': 'abc-1', 'x-forwarded-for': '1.2.3.4' };
    const answer = await post(url, '/v1/chat/completions', chat(), headers);
    expect(seen).toEqual({
      host: address,
      connection: 'keep-alive',
      'content-type': 'application/json',
      'content-length': expect.any(String) as string,
      'x-request-id': 'abc-1',
      authorization: 'Bearer internal',
    });
    expect(answer.headers.get('x-request-id')).toBe('abc-1');
    expect([answer.headers.get('set-cookie'), answer.headers.get('server')]).toEqual([null, null]);
  });

  test.each([
    ['in one piece', 1],
    ['in many', 300],
  ])('that comes %s reaches the client byte by byte', async (_, times) => {
    const every = Buffer.concat(
      Array.from({ length: times }, () => Buffer.from(Array.from({ length: 256 }, (_, n) => n))),
    );
    const address = await scripted((_request, response) =>
      response.writeHead(200, { 'content-length': every.length }).end(every),
    );
    const { url } = await gatewayTo([endpoint(address)]);
    const answer = await post(url, '/v1/chat/completions', chat());
    expect(answer.headers.get('content-length')).toBe(String(every.length));
    expect(Buffer.from(await answer.arrayBuffer()).equals(every)).toBe(true);
  });

  test("is asked for with the client's own bytes, besides the usage", async () => {
    let seen = '';
    const address = await scripted((request, response) => {
      void text(request).then((sent) => {
        seen = sent;
        response.writeHead(200, { 'content-type': 'text/event-stream' }).end('data: [DONE]\n\n');
      });
    });
    const { url } = await gatewayTo([endpoint(address)]);
    const body = '{"stream":true,"seed":12345678901234567890,"stream_options":{"continuous_usage_stats":true}}';
    await (await post(url, '/v1/chat/completions', body)).text();
    expect(seen.startsWith(body.slice(0, -1))).toBe(true);
    expect((JSON.parse(seen) as { stream_options: object }).stream_options).toEqual({
      continuous_usage_stats: true,
      include_usage: true,
    });
  });

  test('frees its engine at once when the client leaves', async () => {
    const { address, engine: loaded } = await engine({ stepSeconds: 1 });
    const { url } = await gatewayTo([endpoint(address)]);
    const leave = new AbortController();
    const body = chat({ stream: true, ignore_eos: true, max_tokens: 4000 });
    const answer = await post(url, '/v1/chat/completions', body, {}, leave.signal);
    const reader = answer.body!.getReader();
    await reader.read();
    expect(loaded.load.running).toBe(1);
    leave.abort();
    await expect.poll(() => loaded.load.running).toBe(0);
  });

  test('is read from the engine only as fast as the client reads', async () => {
    let sent = 0;
    const address = await scripted((request, response) => {
      request.resume();
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const event = `data: ${'x'.repeat(64 * 1024)}\n\n`;
      const more = (): void => {
        while (sent < 100 * 2 ** 20) {
          sent += event.length;
          if (!response.write(event)) {
            response.once('drain', more);
            return;
          }
        }
        response.end();
      };
      more();
    });
    const { url } = await gatewayTo([endpoint(address)]);
    const answer = await post(url, '/v1/chat/completions', chat({ stream: true }));
    const reader = answer.body!.getReader();
    await reader.read();
    let before = -1;
    await expect.poll(() => sent === before || ((before = sent), false), { interval: 100 }).toBe(true);
    expect(sent).toBeLessThan(40 * 2 ** 20);
    let read = 0;
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) read += chunk.value.length;
    expect(sent).toBeGreaterThan(99 * 2 ** 20);
    expect(read).toBeGreaterThan(60 * 2 ** 20);
  });

  test('that is silent is kept alive by comments, between events and never inside one', async () => {
    let go = (): void => {};
    const address = await scripted((request, response) => {
      request.resume();
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: {"n":1}\n\ndata: {"n"');
      go = () => {
        response.write(':2}\n\n');
        go = () => response.end('data: [DONE]\n\n');
      };
    });
    const { url } = await gatewayTo([endpoint(address)]);
    const answer = await post(url, '/v1/chat/completions', chat({ stream: true }));
    const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
    let said = '';
    const until = async (words: string): Promise<void> => {
      while (!said.includes(words)) said += (await reader.read()).value ?? '';
    };
    await until('{"n":1}');
    // Half a minute with half an event.
    await scaledClock(100).sleep(30_000);
    go();
    await until('{"n":2}');
    expect(said).toBe('data: {"n":1}\n\ndata: {"n":2}\n\n');
    await until(': working\n\n');
    go();
    await until('[DONE]');
    expect(said.replaceAll(': working\n\n', '')).toBe('data: {"n":1}\n\ndata: {"n":2}\n\ndata: [DONE]\n\n');
  });

  test.each([true, false])(
    'of a client that reads nothing for a minute is cut off, and the place is free (stream: %s)',
    async (stream) => {
      const address = await scripted((request, response) => {
        request.resume();
        response.writeHead(200, { 'content-type': stream ? 'text/event-stream' : 'application/json' });
        const event = `data: ${'x'.repeat(256 * 1024)}\n\n`;
        const more = (): void => {
          while (response.write(event) && !response.destroyed);
          response.once('drain', more);
        };
        more();
      });
      const { url, metrics } = await gatewayTo([endpoint(address)]);
      const body = JSON.stringify(chat({ stream }));
      const socket = connect(Number(new URL(url).port), '127.0.0.1').pause();
      socket.once('error', () => {});
      socket.write(
        `POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${KEY}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      );
      await expect
        .poll(async () => await metrics.text(), { timeout: 10_000 })
        .toContain('operation="chat",code="499"} 1');
    },
  );
});

describe('engines', () => {
  test('one that cannot be reached is passed over, and comes back with its health', async () => {
    const { address: good } = await engine();
    const gone = await engine();
    await gone.server.close();
    const { url, metrics } = await gatewayTo([endpoint(gone.address, { id: 'a' }), endpoint(good, { id: 'b' })]);
    const statuses: number[] = [];
    for (let i = 0; i < 3; i += 1) statuses.push((await post(url, '/v1/chat/completions', chat())).status);
    expect(statuses).toEqual([200, 200, 200]);
    const counted = await metrics.text();
    expect(counted).toContain('qwen_coder_gateway_replicas{state="Away"} 1');
    expect(counted).toContain('qwen_coder_gateway_retries_total 1');
    await engine({ port: Number(gone.address.split(':')[1]) });
    await expect.poll(async () => await metrics.text()).toContain('qwen_coder_gateway_replicas{state="Ready"} 2');
  });

  test('one that stops and answers 503 is passed over', async () => {
    const stopping = await engine();
    const { address } = await engine();
    await stopping.server.drain();
    const { url } = await gatewayTo([endpoint(stopping.address), endpoint(address)]);
    expect((await post(url, '/v1/chat/completions', chat())).status).toBe(200);
  });

  test('where two take nothing, the client may try again', async () => {
    const address = await scripted((request, response) => {
      request.resume();
      response.writeHead(503).end();
    });
    const { url } = await gatewayTo([endpoint(address, { id: 'a' }), endpoint(address, { id: 'b' })]);
    const answer = await post(url, '/v1/chat/completions', chat());
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '5']);
  });

  test('a draining one finishes what it has and gets nothing new', async () => {
    const old = await engine({ stepSeconds: 1 });
    const young = await engine();
    const { gateway, url } = await gatewayTo([endpoint(old.address)]);
    const long = await post(url, '/v1/chat/completions', chat({ stream: true, ignore_eos: true, max_tokens: 50 }));
    gateway.tell({ endpoints: [endpoint(old.address, { state: 'Draining' }), endpoint(young.address)] });
    expect((await post(url, '/v1/chat/completions', chat())).status).toBe(200);
    expect(old.engine.load.running).toBe(1);
    gateway.tell({ endpoints: [endpoint(young.address)] });
    expect(await long.text()).toMatch(/\[DONE\]\n\n$/);
  });

  test('the places of one that is draining are no places of the others', async () => {
    const old = await engine({ stepSeconds: 1 });
    const young = await engine();
    const { gateway, url } = await gatewayTo([endpoint(old.address, { slots: 2 })]);
    const long = chat({ stream: true, ignore_eos: true, max_tokens: 4000 });
    const leave = new AbortController();
    for (let i = 0; i < 2; i += 1) await post(url, '/v1/chat/completions', long, {}, leave.signal);
    gateway.tell({
      endpoints: [endpoint(old.address, { state: 'Draining', slots: 2 }), endpoint(young.address, { slots: 2 })],
    });
    expect((await post(url, '/v1/chat/completions', chat())).status).toBe(200);
    expect(gateway.load().replicas).toMatchObject({ [old.address]: { inFlight: 2 } });
    leave.abort();
  });

  test('none is given more than it works on at once while another has a place', async () => {
    const engines = await Promise.all([engine({ stepSeconds: 1 }), engine({ stepSeconds: 1 })]);
    const clock = scaledClock(100);
    const options = { clock, cacheBlockTokens: 16, cacheBlocks: 1000, gateways: 1 };
    const balancer = new Balancer({ ...options, policy: 'PrefixAffinity' });
    const { gateway, url } = await gatewayTo(
      engines.map(({ address }) => endpoint(address)),
      { clock, balancer },
    );
    const messages = [{ role: 'user', content: 'the same beginning. '.repeat(100) }];
    const long = chat({ messages, stream: true, ignore_eos: true, max_tokens: 4000 });
    const leave = new AbortController();
    for (let i = 0; i < 16; i += 1) await post(url, '/v1/chat/completions', long, {}, leave.signal);
    expect(Object.values(gateway.load().replicas).map(({ inFlight }) => inFlight)).toEqual([8, 8]);
    leave.abort();
  });

  test('where the only one dies, what it has not begun to answer waits for it, and is tried once more', async () => {
    const { address } = await engine();
    const { gateway, url, logged } = await gatewayTo([endpoint('127.0.0.1:1')]);
    const answer = post(url, '/v1/chat/completions', chat());
    const stream = await post(url, '/v1/chat/completions', chat({ stream: true }));
    gateway.tell({ endpoints: [endpoint(address)] });
    expect((await answer).status).toBe(200);
    expect(await stream.text()).toMatch(/\[DONE\]\n\n$/);
    await expect.poll(logged).toMatch(/"retries":1(.|\n)*"retries":1/);
  });

  test('one that refuses a stream that has begun is told as it would have been before', async () => {
    const address = await scripted((request, response) => {
      request.resume();
      response.writeHead(400, { 'content-type': 'application/json' });
      response.end('{"error":{"message":"the prompt is longer than 8192 tokens","type":"BadRequestError"}}');
    });
    const { gateway, url, logged } = await gatewayTo([]);
    const answers = [
      await post(url, '/v1/chat/completions', chat({ stream: true })),
      await post(url, '/v1/messages', chat({ stream: true, max_tokens: 5 })),
      await post(url, '/v1/responses', { model: 'coder', input: 'hello', stream: true }),
    ];
    gateway.tell({ endpoints: [endpoint(address)] });
    const [openAi, anthropic, responses] = await Promise.all(answers.map((answer) => answer.text()));
    expect(openAi).toMatch(/data: \{"error":\{"message":"the prompt is longer.*"type":"invalid_request_error"/);
    expect(anthropic).toMatch(/"type":"invalid_request_error","message":"the prompt is longer/);
    expect(responses).toMatch(/"code":"invalid_prompt","message":"the prompt is longer/);
    await expect.poll(logged).toMatch(/("status":400(.|\n)*){3}/);
  });

  test("an engine's own errors reach the client as they are", async () => {
    const { address } = await engine();
    const { url } = await gatewayTo([endpoint(address)]);
    const answer = await post(url, '/v1/chat/completions', chat({ model: 'nobody' }));
    expect(answer.status).toBe(404);
    expect(await answer.text()).toContain('The model `nobody` does not exist.');
  });
});

test("the engines' own metrics are told together, by replica", async () => {
  const [a, b] = [await engine(), await engine()];
  const { gateway, url } = await gatewayTo([
    endpoint(a.address, { id: 'a' }),
    endpoint(b.address, { id: 'b' }),
    endpoint('127.0.0.1:1', { id: 'gone' }),
  ]);
  await post(url, '/v1/chat/completions', chat());
  const told = await gateway.engineMetrics();
  for (const id of ['a', 'b'])
    expect(told).toMatch(new RegExp(`^vllm:num_requests_running\\{replica="${id}",engine="0"`, 'm'));
  expect(told.match(/^# TYPE vllm:num_requests_running /gm)).toHaveLength(1);
  expect(told).not.toContain('gone');
});

test('a conversation stays with the engine that has its beginning in its cache', async () => {
  const engines = await Promise.all([engine(), engine(), engine()]);
  const clock = scaledClock(100);
  const balancer = new Balancer({
    clock,
    policy: 'PrefixAffinity',
    cacheBlockTokens: 544,
    cacheBlocks: 1000,
    gateways: 1,
  });
  const endpoints = engines.map(({ address }) => endpoint(address));
  const { gateway, url } = await gatewayTo(endpoints, { clock, balancer });
  const messages = [{ role: 'user', content: 'a long beginning. '.repeat(600) }];
  for (let turn = 0; turn < 5; turn += 1) {
    const answer = await post(url, '/v1/chat/completions', chat({ messages: [...messages] }));
    const { choices } = (await answer.json()) as { choices: { message: { content: string } }[] };
    messages.push({ role: 'assistant', content: choices[0]!.message.content }, { role: 'user', content: 'go on' });
  }
  const told = await gateway.engineMetrics();
  const sum = (name: string): number =>
    [...told.matchAll(new RegExp(`^${name}\\{.*\\} (\\S+)$`, 'gm'))].reduce((all, [, value]) => all + Number(value), 0);
  const [hits, queries] = [sum('vllm:prefix_cache_hits_total'), sum('vllm:prefix_cache_queries_total')];
  expect(hits / queries).toBeGreaterThan(0.6);
});

describe('with no engine', () => {
  test('a stream is begun, told how things stand, and served when an engine is ready', async () => {
    const { address } = await engine();
    const { gateway, url } = await gatewayTo([]);
    gateway.tell({ endpoints: [], notice: 'weights 40 %, 9 of 14 min' });
    const answer = await post(url, '/v1/chat/completions', chat({ stream: true }));
    expect(answer.status).toBe(200);
    gateway.tell({ endpoints: [endpoint(address)] });
    const said = await answer.text();
    expect(said).toMatch(/^: weights 40 %, 9 of 14 min\n\n/);
    expect(said).toMatch(/data: \[DONE\]\n\n$/);
  });

  test('what waits takes the memory of its bytes, however it is parsed', async () => {
    const { gateway, url } = await gatewayTo([]);
    const leave = new AbortController();
    const body = `{"messages":[],"x":[${'{},'.repeat(300_000)}{}]}`;
    const wait = (): Promise<void> =>
      post(url, '/v1/chat/completions', body, {}, leave.signal).then(
        () => {},
        () => {},
      );
    void wait();
    await expect.poll(() => gateway.load().held).toBe(1);
    const before = heapBytes();
    for (let i = 0; i < 4; i += 1) void wait();
    await expect.poll(() => gateway.load().held, { timeout: 4000 }).toBe(5);
    // Parsed, each has 25 MB.
    expect(heapBytes() - before).toBeLessThan(10_000_000);
    leave.abort();
  });

  test('a request that is no stream waits without a word', async () => {
    const { address } = await engine();
    const { gateway, url, metrics } = await gatewayTo([]);
    const answer = post(url, '/v1/chat/completions', chat());
    await expect.poll(async () => await metrics.text()).toContain('qwen_coder_gateway_held{key="alice"} 1');
    gateway.tell({ endpoints: [endpoint(address)] });
    expect((await answer).status).toBe(200);
  });

  test('the wait ends with 503 and Retry-After, and with an event where the stream has begun', async () => {
    const { gateway, url } = await gatewayTo([], { limits: { ...GATEWAY_LIMITS, waitMs: 20_000 } });
    gateway.tell({ endpoints: [], notice: 'suspended' });
    const [whole, stream] = await Promise.all([
      post(url, '/v1/chat/completions', chat()),
      post(url, '/v1/messages', chat({ stream: true, max_tokens: 5 })),
    ]);
    expect([whole.status, whole.headers.get('retry-after')]).toEqual([503, '10']);
    expect(await whole.text()).toContain('No engine is ready: suspended, and the request has waited for 20 s.');
    expect([stream.status, await stream.text()]).toEqual([
      200,
      expect.stringMatching(/\n\nevent: error\ndata: \{"type":"error","error":\{"type":"overloaded_error"/),
    ]);
  });

  test('so many wait, and the next is refused at once', async () => {
    const { url } = await gatewayTo([], { limits: { ...GATEWAY_LIMITS, waiting: 4, waitMs: 50_000 } });
    const answers = Array.from({ length: 3 }, () => post(url, '/v1/chat/completions', chat()));
    const refused = await Promise.race(answers);
    expect(refused.status).toBe(503);
    expect(await refused.text()).toContain('2 requests wait already');
    await Promise.all(answers);
  });

  test('because it is suspended, those who wait are sent away and nobody is let wait', async () => {
    const { gateway, url, metrics } = await gatewayTo([]);
    const waiting = post(url, '/v1/chat/completions', chat());
    await expect.poll(async () => await metrics.text()).toContain('qwen_coder_gateway_held{key="alice"} 1');
    gateway.tell({ endpoints: [], isSuspended: true });
    for (const answer of [await waiting, await post(url, '/v1/messages', chat({ max_tokens: 5 }))]) {
      expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '60']);
      expect(await answer.text()).toContain('The endpoint is suspended');
    }
    await expect.poll(async () => await metrics.text()).not.toContain('qwen_coder_gateway_held{key="alice"} 1');
  });

  test('health says so, and models are told all the same', async () => {
    const { gateway, url } = await gatewayTo([]);
    expect((await fetch(`${url}/health`)).status).toBe(503);
    const models = await fetch(`${url}/v1/models`, { headers: { 'x-api-key': KEY } });
    expect(await models.json()).toMatchObject({ data: [{ id: 'coder', max_model_len: 8192 }, { id: 'gpt-4' }] });
    gateway.tell({ endpoints: [endpoint('127.0.0.1:1')] });
    expect((await fetch(`${url}/health`)).status).toBe(200);
  });
});

describe('keys', () => {
  test('that are rotated hold from then on, without a restart', async () => {
    const { address } = await engine();
    const { gateway, url } = await gatewayTo([endpoint(address)]);
    const status = async (key: string) =>
      (await post(url, '/v1/chat/completions', chat(), { authorization: `Bearer ${key}` })).status;
    gateway.useKeys(parseApiKeys('alice: sk-alice-new-0123456'));
    expect([await status(KEY), await status('sk-alice-new-0123456')]).toEqual([401, 200]);
  });

  test('that have too many requests are told to wait; others are served', async () => {
    const { address } = await engine({ stepSeconds: 1 });
    const { url } = await gatewayTo([endpoint(address)], { limits: { ...GATEWAY_LIMITS, perHolder: 1 } });
    const leave = new AbortController();
    const long = chat({ stream: true, ignore_eos: true, max_tokens: 4000 });
    await post(url, '/v1/chat/completions', long, {}, leave.signal);
    const second = await post(url, '/v1/chat/completions', chat());
    expect([second.status, second.headers.get('retry-after')]).toEqual([429, '5']);
    const bob = await post(url, '/v1/chat/completions', chat(), { authorization: 'Bearer sk-bob-0123456789ab' });
    expect(bob.status).toBe(200);
    leave.abort();
  });
});

describe('its own end', () => {
  /** Requests over one connection that is kept; the answers with all their headers. */
  const keptConnection = (url: string) => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    ends.push(() => agent.destroy());
    const { port } = new URL(url);
    const headers = { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' };
    return (body: object) =>
      new Promise<IncomingMessage>((resolve, reject) => {
        const options = { host: '127.0.0.1', port, path: '/v1/chat/completions', method: 'POST', headers, agent };
        httpRequest(options, resolve).once('error', reject).end(JSON.stringify(body));
      });
  };

  test('loses nothing: what is under way finishes, and nothing new is taken', async () => {
    const { address } = await engine({ stepSeconds: 0.5 });
    const { gateway, url } = await gatewayTo([endpoint(address)]);
    const body = chat({ stream: true, ignore_eos: true, max_tokens: 100 });
    const answers = await Promise.all(Array.from({ length: 8 }, () => post(url, '/v1/chat/completions', body)));
    const stopped = gateway.stop(540_000);
    for (const answer of answers) expect(await answer.text()).toMatch(/\[DONE\]\n\n$/);
    await stopped;
    await expect(post(url, '/v1/chat/completions', chat())).rejects.toThrow('fetch failed');
  });

  test('is told with each answer, so that no connection outlives its request', async () => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    let asked = 0;
    const address = await scripted((request, response) => {
      request.resume();
      asked += 1;
      const isSecond = asked === 2;
      void (isSecond ? released : Promise.resolve()).then(() => response.end('{}'));
    });
    const { gateway, url } = await gatewayTo([endpoint(address)]);
    const ask = keptConnection(url);
    const before = await ask(chat());
    expect(before.headers.connection).toBe('keep-alive');
    await text(before);
    const underWay = ask(chat());
    await expect.poll(() => asked).toBe(2);
    gateway.leave();
    release();
    for (const answer of [await underWay, await ask(chat())]) {
      expect(answer.headers.connection).toBe('close');
      await text(answer);
    }
  });

  test('is told to those that it cuts off, in their own errors', async () => {
    const { address } = await engine({ stepSeconds: 10 });
    const other = await engine({ stepSeconds: 10 });
    const { gateway, url } = await gatewayTo([endpoint(other.address)]);
    const long = { ignore_eos: true, max_tokens: 4000 };
    const leaving = await post(url, '/v1/chat/completions', chat({ ...long, stream: true }));
    gateway.tell({ endpoints: [endpoint(address, { slots: 2 })] });
    const stream = await post(url, '/v1/messages', chat({ ...long, stream: true }));
    const whole = post(url, '/v1/chat/completions', chat(long));
    await expect.poll(() => gateway.load().replicas[address]?.inFlight).toBe(2);
    const held = post(url, '/v1/chat/completions', chat());
    await expect.poll(() => gateway.load().held).toBe(1);
    await gateway.stop(1000);
    for (const answer of [await whole, await held]) {
      expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '1']);
      expect(await answer.text()).toContain('This gateway has ended.');
    }
    expect(await stream.text()).toMatch(/event: error\ndata: \{"type":"error","error":\{"type":"overloaded_error"/);
    expect(await leaving.text()).toMatch(/\ndata: \{"error":\{"message":"This gateway has ended/);
  });
});

test('a request leaves one line: who, what, how long and how much, and no word of what was said', async () => {
  const { address } = await engine();
  const { url, logged } = await gatewayTo([endpoint(address, { id: 'uid-0' })]);
  const body = chat({ stream: true, messages: [{ role: 'user', content: 'my secret plan' }] });
  const headers = { 'x-request-id': 'abc-1', 'user-agent': 'secret agent' };
  expect(await (await post(url, '/v1/chat/completions?secret=1', body, headers)).text()).toContain('data: ');
  await fetch(`${url}/health`);
  await expect.poll(logged).not.toBe('');
  expect(JSON.parse(logged())).toEqual({
    level: 'info',
    time: expect.any(String) as string,
    msg: 'a request has ended',
    requestId: 'abc-1',
    operation: 'chat',
    holder: 'alice',
    model: 'coder',
    status: 200,
    replica: 'uid-0',
    retries: 0,
    heldMs: expect.any(Number) as number,
    milliseconds: expect.any(Number) as number,
    firstMs: expect.any(Number) as number,
    streamMs: expect.any(Number) as number,
    usage: {
      promptTokens: expect.any(Number) as number,
      cachedTokens: 0,
      generatedTokens: expect.any(Number) as number,
    },
  });
  expect(logged()).not.toMatch(/secret|sk-/);
});
