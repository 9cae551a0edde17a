import type { Conversation } from './answer.ts';
import { badRequest, contentText } from './openai.ts';

export interface MessagesRequest {
  readonly model?: string;
  readonly system?: unknown;
  readonly messages?: readonly { readonly role?: string; readonly content?: unknown }[];
  readonly tools?: readonly { readonly name?: string; readonly input_schema?: unknown }[];
  readonly tool_choice?: { readonly type?: string; readonly name?: string };
  readonly max_tokens?: number;
  readonly stream?: boolean;
}

/** A request of Anthropic's Messages API as a conversation. */
export function messagesConversation(request: MessagesRequest, toolsEnabled: boolean): Conversation {
  const { messages, tool_choice: choice } = request;
  if (!Array.isArray(messages) || messages.length === 0) {
    throw badRequest("[{'type': 'missing', 'loc': ('body', 'messages'), 'msg': 'Field required'}]");
  }
  const offered = (request.tools ?? []).map(({ name, input_schema: schema }) => ({
    name: name ?? '',
    parameters: schema ?? {},
  }));
  if (offered.length > 0 && (choice?.type ?? 'auto') === 'auto' && !toolsEnabled) {
    throw badRequest('"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set');
  }
  const typed = messages as NonNullable<MessagesRequest['messages']>;
  const last = typed.at(-1)!.content;
  return {
    prompt: [
      JSON.stringify(offered),
      contentText(request.system),
      ...typed.map(({ role, content }) => `<|im_start|>${role}\n${contentText(content)}`),
    ].join('\n'),
    lastUserText: contentText(typed.findLast(({ role }) => role === 'user')?.content),
    endsWithToolResult:
      Array.isArray(last) && last.some((part: unknown) => (part as { type?: string } | null)?.type === 'tool_result'),
    tools: choice?.type === 'none' ? [] : offered.filter(({ name }) => choice?.type !== 'tool' || name === choice.name),
  };
}

const TYPES: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  404: 'not_found_error',
  429: 'rate_limit_error',
};

/** An error body of the Messages API. */
export const anthropicError = (status: number, message: string) => ({
  type: 'error',
  error: { type: TYPES[status] ?? 'internal_error', message },
});
