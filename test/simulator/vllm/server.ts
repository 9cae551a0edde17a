import { randomUUID, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Clock } from '../../../src/runtime/clock.ts';
import {
  type Answer,
  answer as deterministicAnswer,
  type Conversation,
  countTokens,
  prefixKeys,
  tokenize,
} from './answer.ts';
import { anthropicError, messagesConversation, type MessagesRequest } from './anthropic.ts';
import type { Engine, GenerationEnd } from './engine.ts';
import type { KvLayout } from './memory.ts';
import {
  badRequest,
  type ChatRequest,
  chatConversation,
  completionConversation,
  openAiError,
  RequestError,
} from './openai.ts';
import { isAtLeast, isNewWording } from './version.ts';

export interface ServerOptions {
  readonly clock: Clock;
  readonly engine: Engine;
  readonly version: string;
  readonly layout: KvLayout;
  /** What `/v1/models` calls the root of every name. */
  readonly model: string;
  readonly servedNames: readonly string[];
  readonly toolsEnabled: boolean;
  /** Empty when requests need no key. */
  readonly apiKeys: readonly string[];
  readonly loadTracking: boolean;
  /** Null for no bound. */
  readonly maxQueued: number | null;
  readonly answer?: ((conversation: Conversation) => Answer) | undefined;
  /** Called for each answered inference request. */
  readonly onServed?: (() => void) | undefined;
  readonly log?: ((line: string) => void) | undefined;
}

/** What one generation turns into, in one API's dress. */
interface Dialect {
  readonly stream: boolean;
  begin(usage: Usage): void;
  text(delta: string, usage: Usage): void;
  finish(answer: Answer, text: string, finishReason: 'stop' | 'length', usage: Usage): void;
  fail(status: number, message: string): void;
}

interface Usage {
  readonly prompt: number;
  readonly completion: number;
}

/** Tokens of the markup around a call. */
const CALL_TOKENS = 12;

/** The HTTP side of a loaded vLLM: OpenAI's and Anthropic's APIs, health, metrics. */
export class VllmServer {
  readonly #options: ServerOptions;
  readonly #http: Server;
  readonly #startedSeconds: number;
  #inFlight = 0;
  #draining = false;
  #isHung = false;
  #onIdle: (() => void) | undefined;

  constructor(options: ServerOptions) {
    this.#options = options;
    this.#startedSeconds = Math.floor(options.clock.now() / 1000);
    this.#http = createServer((request, response) => {
      this.#handle(request, response).catch((error: unknown) => this.#fail(request, response, error));
    });
  }

  /** Fails when the address is taken. Answers with the port, which matters when 0 was asked for. */
  async listen(host: string, port: number): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#http.once('error', reject);
      this.#http.listen(port, host, resolve);
    });
    const address = this.#http.address();
    return typeof address === 'object' && address ? address.port : port;
  }

  /** Refuses further inference; resolves when what is in flight has ended. Health and metrics go on. */
  async drain(): Promise<void> {
    this.#draining = true;
    if (this.#inFlight > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));
  }

  /** Takes requests from now on and answers none. */
  hang(): void {
    this.#isHung = true;
  }

  /** Closes everything at once. */
  async close(): Promise<void> {
    this.#draining = true;
    const closed = new Promise<void>((resolve) => this.#http.close(() => resolve()));
    this.#http.closeAllConnections();
    await closed;
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.#isHung) return;
    const { engine, version, clock } = this.#options;
    const path = new URL(request.url ?? '/', 'http://engine').pathname;
    if (!this.#isAuthorized(request, path)) return json(response, 401, { error: 'Unauthorized' });
    switch (`${request.method} ${path}`) {
      case 'GET /health':
      case 'GET /ping':
      case 'POST /ping':
        response.writeHead(engine.dead ? 503 : 200).end();
        return;
      case 'GET /version':
        return json(response, 200, { version });
      case 'GET /metrics':
        response
          .writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' })
          .end(engine.metrics.render(engine.load));
        return;
      case 'GET /load':
        if (!this.#options.loadTracking) break;
        return json(response, 200, { server_load: this.#inFlight });
      case 'GET /v1/models':
        return json(response, 200, {
          object: 'list',
          data: this.#options.servedNames.map((name) => this.#modelCard(name)),
        });
      case 'POST /tokenize': {
        const { prompt, messages } = (await readJson(request)) as { prompt?: string; messages?: unknown };
        const count = countTokens(prompt ?? JSON.stringify(messages ?? ''));
        return json(response, 200, {
          count,
          max_model_len: this.#options.layout.maxModelLen,
          tokens: Array.from({ length: count }, (_, i) => i),
        });
      }
      case 'POST /v1/chat/completions': {
        const body = (await readJson(request)) as ChatRequest;
        this.#checkModel(body.model);
        const conversation = chatConversation(body, this.#options.toolsEnabled);
        return this.#generate(request, response, conversation, body, chatDialect(response, body, clock));
      }
      case 'POST /v1/completions': {
        const body = (await readJson(request)) as ChatRequest;
        this.#checkModel(body.model);
        const conversation = completionConversation(body);
        return this.#generate(
          request,
          response,
          conversation,
          { ...body, max_tokens: body.max_tokens ?? 16 },
          completionDialect(response, body, clock),
        );
      }
      case 'POST /v1/messages': {
        const body = (await readJson(request)) as MessagesRequest;
        this.#checkModel(body.model);
        const conversation = messagesConversation(body, this.#options.toolsEnabled);
        return this.#generate(
          request,
          response,
          conversation,
          { max_tokens: body.max_tokens ?? null },
          messagesDialect(response, body, version),
        );
      }
      case 'POST /v1/messages/count_tokens': {
        if (!isAtLeast(version, '0.17.0')) break;
        const body = (await readJson(request)) as MessagesRequest;
        this.#checkModel(body.model);
        return json(response, 200, { input_tokens: countTokens(messagesConversation(body, true).prompt) });
      }
    }
    json(response, 404, { detail: 'Not Found' });
  }

  #fail(request: IncomingMessage, response: ServerResponse, error: unknown): void {
    const anthropic = request.url?.startsWith('/v1/messages') === true;
    const known =
      error instanceof RequestError
        ? error.error
        : { status: 500, type: 'InternalServerError', message: String(error) };
    if (response.headersSent) {
      response.destroy();
      return;
    }
    json(response, known.status, anthropic ? anthropicError(known.status, known.message) : openAiError(known));
  }

  #isAuthorized(request: IncomingMessage, path: string): boolean {
    const { apiKeys, version } = this.#options;
    if (apiKeys.length === 0 || request.method === 'OPTIONS') return true;
    const guarded = [
      '/v1',
      ...(isAtLeast(version, '0.24.0') ? ['/v2', '/inference'] : []),
      ...(isAtLeast(version, '0.29.0') ? ['/cohere'] : []),
    ];
    if (!guarded.some((prefix) => path.startsWith(prefix))) return true;
    const [scheme, token] = (request.headers.authorization ?? '').split(' ', 2);
    if (scheme?.toLowerCase() !== 'bearer' || token === undefined) return false;
    const given = Buffer.from(token);
    return apiKeys.some((key) => Buffer.byteLength(key) === given.length && timingSafeEqual(Buffer.from(key), given));
  }

  #checkModel(model: string | undefined): void {
    if (model === undefined || this.#options.servedNames.includes(model)) return;
    const aliases = isNewWording(this.#options.version)
      ? ` Valid aliases: ${this.#options.servedNames.join(', ')}.`
      : '';
    throw new RequestError({
      status: 404,
      type: 'NotFoundError',
      message: `The model \`${model}\` does not exist.${aliases}`,
      param: 'model',
    });
  }

  #modelCard(id: string) {
    const { model, layout } = this.#options;
    return {
      id,
      object: 'model',
      created: this.#startedSeconds,
      owned_by: 'vllm',
      root: model,
      parent: null,
      max_model_len: layout.maxModelLen,
      permission: [],
    };
  }

  #generate(
    request: IncomingMessage,
    response: ServerResponse,
    conversation: Conversation,
    limits: Pick<ChatRequest, 'max_tokens' | 'max_completion_tokens' | 'ignore_eos' | 'min_tokens'>,
    dialect: Dialect,
  ): void {
    const { engine, layout, maxQueued } = this.#options;
    if (this.#draining)
      throw new RequestError({ status: 503, type: 'Service Unavailable', message: 'The server is shutting down.' });
    const promptTokens = countTokens(conversation.prompt);
    const asked = limits.max_completion_tokens ?? limits.max_tokens ?? undefined;
    this.#checkLength(promptTokens, asked);
    if (maxQueued !== null && engine.load.waiting >= maxQueued) {
      throw new RequestError({
        status: 503,
        type: 'Service Unavailable',
        message:
          'The engine is currently busy and cannot accept new requests. Please try again later or on a different instance.',
      });
    }
    const maxTokens = Math.min(asked ?? Number.POSITIVE_INFINITY, layout.maxModelLen - promptTokens);
    const answer = (this.#options.answer ?? deterministicAnswer)(conversation);
    let pieces = answer.kind === 'text' ? tokenize(answer.text) : tokenize(JSON.stringify(answer.arguments));
    const wanted = Math.max(limits.min_tokens ?? 0, limits.ignore_eos ? maxTokens : 0);
    if (answer.kind === 'text' && pieces.length < wanted) {
      pieces = Array.from({ length: wanted }, (_, index) =>
        index === 0 ? pieces[0]! : ` ${pieces[index % pieces.length]!.trim()}`,
      );
    }
    const natural = answer.kind === 'text' ? pieces.length : pieces.length + CALL_TOKENS;
    const outputTokens = Math.max(1, Math.min(natural, maxTokens));
    const finishReason = natural > maxTokens ? 'length' : 'stop';

    let sent = 0;
    this.#inFlight += 1;
    const usage = (completion: number): Usage => ({ prompt: promptTokens, completion });
    dialect.begin(usage(0));
    const cancel = engine.submit({
      promptTokens,
      outputTokens,
      maxTokens,
      finishReason,
      prefixKeys: layout.prefixCaching ? prefixKeys(conversation.prompt, layout.blockTokens) : [],
      onTokens: (generated) => {
        if (answer.kind !== 'text' || !dialect.stream) return;
        dialect.text(pieces.slice(sent, generated).join(''), usage(generated));
        sent = generated;
      },
      onEnd: (end: GenerationEnd) => {
        this.#inFlight -= 1;
        if (this.#inFlight === 0) this.#onIdle?.();
        if (end === 'finished') {
          dialect.finish(answer, pieces.slice(0, outputTokens).join(''), finishReason, usage(outputTokens));
          this.#options.onServed?.();
          this.#options.log?.(
            `INFO:     ${request.socket.remoteAddress}:${request.socket.remotePort} - "POST ${request.url} HTTP/1.1" 200 OK`,
          );
        } else if (end === 'dead') {
          const isNew = isNewWording(this.#options.version);
          dialect.fail(
            500,
            isNew
              ? 'The server had an error while processing your request.'
              : 'EngineCore encountered an issue. See stack trace (above) for the root cause.',
          );
        } else {
          response.destroy();
        }
      },
    });
    response.on('close', () => {
      if (!response.writableEnded) cancel();
    });
  }

  #checkLength(promptTokens: number, maxTokens: number | undefined): void {
    const { version, layout } = this.#options;
    const limit = layout.maxModelLen;
    const head = `This model's maximum context length is ${limit} tokens.`;
    if (maxTokens !== undefined && maxTokens < 1)
      throw badRequest(`max_tokens must be at least 1, got ${maxTokens}.`, 'max_tokens');
    // The newest only clamp what is asked beyond the limit together with the prompt.
    if (isNewWording(version)) {
      if (maxTokens !== undefined && maxTokens > limit) {
        throw badRequest(
          `max_tokens=${maxTokens} cannot be greater than max_model_len=${limit}. Please request fewer output tokens.`,
          'max_tokens',
        );
      }
      if (promptTokens < limit) return;
      const count = promptTokens === limit ? `at least ${promptTokens}` : `${promptTokens}`;
      throw badRequest(
        `${head} However, your prompt contains ${count} input tokens, which exceeds this limit even without any output tokens. ` +
          'Please reduce the length of the input prompt.',
        'input_tokens',
      );
    }
    if (promptTokens >= limit) {
      throw badRequest(
        `${head} However, your request has ${promptTokens} input tokens. Please reduce the length of the input messages.`,
        'input_tokens',
      );
    }
    if (maxTokens !== undefined && promptTokens + maxTokens > limit) {
      throw badRequest(
        `'max_tokens' or 'max_completion_tokens' is too large: ${maxTokens}. ${head.slice(0, -1)} and your request has ${promptTokens} ` +
          `input tokens (${maxTokens} > ${limit} - ${promptTokens}).`,
        'max_tokens',
      );
    }
  }
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  try {
    const body = JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown;
    if (typeof body === 'object' && body !== null) return body;
  } catch {
    // Answered below like any other body that is no object.
  }
  throw badRequest("[{'type': 'json_invalid', 'loc': ('body', 0), 'msg': 'JSON decode error'}]");
}

const openAiUsage = ({ prompt, completion }: Usage) => ({
  prompt_tokens: prompt,
  total_tokens: prompt + completion,
  completion_tokens: completion,
});

/** Server-sent events; headers go out with the first, so that a refusal before it keeps its status. */
function events(response: ServerResponse) {
  return (data: unknown, event?: string): void => {
    if (!response.headersSent) response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    response.write(
      `${event === undefined ? '' : `event: ${event}\n`}data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`,
    );
  };
}

function openAiFailure(response: ServerResponse, send: ReturnType<typeof events>) {
  return (status: number, message: string): void => {
    const body = openAiError({ status, type: 'InternalServerError', message });
    if (!response.headersSent) return json(response, status, body);
    send(body);
    send('[DONE]');
    response.end();
  };
}

function chatDialect(response: ServerResponse, request: ChatRequest, clock: Clock): Dialect {
  const send = events(response);
  const head = {
    id: `chatcmpl-${randomUUID().replaceAll('-', '')}`,
    created: Math.floor(clock.now() / 1000),
    model: request.model,
  };
  const { include_usage: includeUsage, continuous_usage_stats: continuous } = request.stream_options ?? {};
  const chunk = (delta: unknown, finishReason: string | null, usage: Usage) =>
    send({
      ...head,
      object: 'chat.completion.chunk',
      choices: [{ index: 0, delta, logprobs: null, finish_reason: finishReason }],
      ...(continuous && includeUsage && { usage: openAiUsage(usage) }),
    });
  const toolCall = (answer: Answer & { kind: 'tool' }) => ({
    id: `chatcmpl-tool-${randomUUID().replaceAll('-', '').slice(0, 16)}`,
    type: 'function',
    function: { name: answer.name, arguments: JSON.stringify(answer.arguments) },
  });
  return {
    stream: request.stream === true,
    begin(usage) {
      if (request.stream) chunk({ role: 'assistant', content: '' }, null, usage);
    },
    text: (delta, usage) => chunk({ content: delta }, null, usage),
    finish(answer, text, reason, usage) {
      const calls = answer.kind === 'tool' && reason === 'stop' ? [toolCall(answer)] : [];
      const finishReason = calls.length > 0 ? 'tool_calls' : reason;
      if (!request.stream) {
        const message = {
          role: 'assistant',
          content: answer.kind === 'text' ? text : null,
          refusal: null,
          tool_calls: calls,
          reasoning: null,
        };
        return json(response, 200, {
          ...head,
          object: 'chat.completion',
          choices: [{ index: 0, message, logprobs: null, finish_reason: finishReason, stop_reason: null }],
          usage: openAiUsage(usage),
        });
      }
      for (const { id, type, function: fn } of calls) {
        chunk({ tool_calls: [{ index: 0, id, type, function: { name: fn.name, arguments: '' } }] }, null, usage);
        for (let at = 0; at < fn.arguments.length; at += 16) {
          chunk({ tool_calls: [{ index: 0, function: { arguments: fn.arguments.slice(at, at + 16) } }] }, null, usage);
        }
      }
      chunk({}, finishReason, usage);
      if (includeUsage) send({ ...head, object: 'chat.completion.chunk', choices: [], usage: openAiUsage(usage) });
      send('[DONE]');
      response.end();
    },
    fail: openAiFailure(response, send),
  };
}

function completionDialect(response: ServerResponse, request: ChatRequest, clock: Clock): Dialect {
  const send = events(response);
  const head = {
    id: `cmpl-${randomUUID().replaceAll('-', '')}`,
    object: 'text_completion',
    created: Math.floor(clock.now() / 1000),
    model: request.model,
  };
  const choice = (text: string, finishReason: string | null) => ({
    index: 0,
    text,
    logprobs: null,
    finish_reason: finishReason,
    stop_reason: null,
  });
  return {
    stream: request.stream === true,
    begin() {},
    text: (delta) => send({ ...head, choices: [choice(delta, null)] }),
    finish(_, text, reason, usage) {
      if (!request.stream)
        return json(response, 200, { ...head, choices: [choice(text, reason)], usage: openAiUsage(usage) });
      send({ ...head, choices: [choice('', reason)] });
      if (request.stream_options?.include_usage) send({ ...head, choices: [], usage: openAiUsage(usage) });
      send('[DONE]');
      response.end();
    },
    fail: openAiFailure(response, send),
  };
}

function messagesDialect(response: ServerResponse, request: MessagesRequest, version: string): Dialect {
  const send = events(response);
  const emit = (type: string, data: object) => send({ type, ...data }, type);
  const head = {
    id: `chatcmpl-${randomUUID().replaceAll('-', '')}`,
    type: 'message',
    role: 'assistant',
    model: request.model,
  };
  const block = (answer: Answer, text: string) =>
    answer.kind === 'text'
      ? { type: 'text', text }
      : {
          type: 'tool_use',
          id: `chatcmpl-tool-${randomUUID().replaceAll('-', '').slice(0, 16)}`,
          name: answer.name,
          input: answer.arguments,
        };
  const stopReason = (answer: Answer, reason: 'stop' | 'length') =>
    reason === 'length' ? 'max_tokens' : answer.kind === 'tool' ? 'tool_use' : 'end_turn';
  let open = false;
  return {
    stream: request.stream === true,
    begin(usage) {
      if (!request.stream) return;
      emit('message_start', {
        message: {
          ...head,
          content: [],
          stop_reason: null,
          stop_sequence: null,
          usage: { input_tokens: usage.prompt, output_tokens: 0 },
        },
      });
    },
    text(delta) {
      if (!open) emit('content_block_start', { index: 0, content_block: { type: 'text', text: '' } });
      open = true;
      emit('content_block_delta', { index: 0, delta: { type: 'text_delta', text: delta } });
    },
    finish(answer, text, reason, usage) {
      const content = block(answer, text);
      if (!request.stream) {
        return json(response, 200, {
          ...head,
          content: [content],
          stop_reason: stopReason(answer, reason),
          stop_sequence: null,
          usage: { input_tokens: usage.prompt, output_tokens: usage.completion },
        });
      }
      if (content.type === 'tool_use') {
        emit('content_block_start', { index: 0, content_block: { ...content, input: {} } });
        emit('content_block_delta', {
          index: 0,
          delta: { type: 'input_json_delta', partial_json: JSON.stringify(content.input) },
        });
      }
      emit('content_block_stop', { index: 0 });
      emit('message_delta', {
        delta: { stop_reason: stopReason(answer, reason), stop_sequence: null },
        usage: { input_tokens: usage.prompt, output_tokens: usage.completion },
      });
      emit('message_stop', {});
      // The earlier ones end an Anthropic stream with OpenAI's mark too.
      if (!isNewWording(version)) send('[DONE]');
      response.end();
    },
    fail(status, message) {
      if (!response.headersSent) return json(response, status, anthropicError(status, message));
      send(anthropicError(status, message), 'error');
      response.end();
    },
  };
}
