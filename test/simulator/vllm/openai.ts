import type { Conversation, Tool } from './answer.ts';

/** An error body as vLLM writes it. */
export interface ApiError {
  readonly status: number;
  readonly type: string;
  readonly message: string;
  readonly param?: string | null;
}

export class RequestError extends Error {
  readonly error: ApiError;
  constructor(error: ApiError) {
    super(error.message);
    this.error = error;
  }
}

export const badRequest = (message: string, param: string | null = null) =>
  new RequestError({ status: 400, type: 'BadRequestError', message, param });

export const openAiError = ({ status, type, message, param }: ApiError) => ({
  error: { message, type, param: param ?? null, code: status },
});

interface Message {
  readonly role?: string;
  readonly content?: unknown;
  readonly tool_calls?: unknown;
}

export interface ChatRequest {
  readonly model?: string;
  readonly messages?: readonly Message[];
  readonly prompt?: unknown;
  readonly tools?: readonly {
    readonly type?: string;
    readonly function?: { readonly name?: string; readonly parameters?: unknown };
  }[];
  readonly tool_choice?: 'none' | 'auto' | 'required' | { readonly function?: { readonly name?: string } };
  readonly stream?: boolean;
  readonly stream_options?: { readonly include_usage?: boolean; readonly continuous_usage_stats?: boolean } | null;
  readonly max_tokens?: number | null;
  readonly max_completion_tokens?: number | null;
  readonly min_tokens?: number;
  readonly ignore_eos?: boolean;
  readonly n?: number;
}

/** The text of a message's content, whatever its form. */
export function contentText(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content.map((part: unknown) => textOf(part)).join('');
}

function textOf(part: unknown): string {
  if (typeof part === 'string') return part;
  if (typeof part !== 'object' || part === null) return '';
  const { text, content, input } = part as { text?: unknown; content?: unknown; input?: unknown };
  if (typeof text === 'string') return text;
  return content === undefined ? JSON.stringify(input ?? '') : contentText(content);
}

/** A chat request as a conversation; refuses what vLLM refuses. */
export function chatConversation(request: ChatRequest, toolsEnabled: boolean): Conversation {
  const { messages, tool_choice: choice } = request;
  if (!Array.isArray(messages) || messages.length === 0) {
    throw badRequest("[{'type': 'missing', 'loc': ('body', 'messages'), 'msg': 'Field required'}]");
  }
  const offered: Tool[] = (request.tools ?? []).map(({ function: fn }) => ({
    name: fn?.name ?? '',
    parameters: fn?.parameters ?? {},
  }));
  if (choice !== undefined && choice !== 'none' && offered.length === 0) {
    throw badRequest('When using `tool_choice`, `tools` must be set.');
  }
  if (offered.length > 0 && (choice ?? 'auto') === 'auto' && !toolsEnabled) {
    throw badRequest('"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set');
  }
  const named = typeof choice === 'object' ? choice.function?.name : undefined;
  return {
    prompt: [JSON.stringify(offered), ...(messages as readonly Message[]).map((message) => templated(message))].join(
      '\n',
    ),
    lastUserText: contentText((messages as readonly Message[]).findLast(({ role }) => role === 'user')?.content),
    endsWithToolResult: (messages.at(-1) as Message).role === 'tool' && choice !== 'required' && named === undefined,
    tools: choice === 'none' ? [] : offered.filter(({ name }) => named === undefined || name === named),
  };
}

const templated = ({ role, content, tool_calls }: Message): string =>
  `<|im_start|>${role}\n${contentText(content)}${tool_calls ? JSON.stringify(tool_calls) : ''}<|im_end|>`;

/** A text completion as a conversation. */
export function completionConversation({ prompt }: ChatRequest): Conversation {
  if (prompt === undefined)
    throw badRequest("[{'type': 'missing', 'loc': ('body', 'prompt'), 'msg': 'Field required'}]");
  const text = typeof prompt === 'string' ? prompt : JSON.stringify(prompt);
  return { prompt: text, lastUserText: text, endsWithToolResult: false, tools: [] };
}
