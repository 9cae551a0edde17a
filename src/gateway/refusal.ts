import type { Dialect } from './operations.ts';

/** Why a request is not served. */
export type RefusalReason =
  | 'BadRequest'
  | 'Unauthorized'
  | 'NotFound'
  | 'MethodNotAllowed'
  | 'TooLarge'
  | 'TooManyRequests'
  | 'NoEngine'
  | 'EngineFailed'
  | 'EngineSilent'
  | 'Suspended';

interface Kind {
  readonly status: number;
  /** `error.type` of OpenAI's API. */
  readonly openAi: string;
  /** `error.type` of Anthropic's API. */
  readonly anthropic: string;
}

/** https://platform.openai.com/docs/guides/error-codes, https://docs.anthropic.com/en/api/errors. Clients try 429 and 5xx again. */
const KINDS: Readonly<Record<RefusalReason, Kind>> = {
  BadRequest: { status: 400, openAi: 'invalid_request_error', anthropic: 'invalid_request_error' },
  Unauthorized: { status: 401, openAi: 'invalid_request_error', anthropic: 'authentication_error' },
  NotFound: { status: 404, openAi: 'invalid_request_error', anthropic: 'not_found_error' },
  MethodNotAllowed: { status: 405, openAi: 'invalid_request_error', anthropic: 'invalid_request_error' },
  TooLarge: { status: 413, openAi: 'invalid_request_error', anthropic: 'request_too_large' },
  TooManyRequests: { status: 429, openAi: 'rate_limit_error', anthropic: 'rate_limit_error' },
  NoEngine: { status: 503, openAi: 'server_error', anthropic: 'overloaded_error' },
  EngineFailed: { status: 502, openAi: 'server_error', anthropic: 'api_error' },
  EngineSilent: { status: 504, openAi: 'server_error', anthropic: 'timeout_error' },
  Suspended: { status: 503, openAi: 'server_error', anthropic: 'overloaded_error' },
};

/** A request that is not served; `message` is for the caller and says what to do. */
export class Refusal extends Error {
  readonly reason: RefusalReason;
  readonly status: number;
  /** Whole seconds after which another try may go better. */
  readonly retryAfterSeconds: number | undefined;

  constructor(reason: RefusalReason, message: string, retryAfterSeconds?: number) {
    super(message);
    this.reason = reason;
    this.status = KINDS[reason].status;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** How a refusal by an engine is told after a stream has begun. */
export function reasonOf(status: number): RefusalReason {
  if (status === 404) return 'NotFound';
  if (status === 413) return 'TooLarge';
  if (status === 429) return 'TooManyRequests';
  return status >= 400 && status < 500 ? 'BadRequest' : 'EngineFailed';
}

/** The body of an error answer. */
export function errorBody(dialect: Dialect, { reason, message }: Refusal, requestId: string): string {
  const { openAi, anthropic } = KINDS[reason];
  if (dialect === 'Anthropic')
    return JSON.stringify({ type: 'error', error: { type: anthropic, message }, request_id: requestId });
  const code = reason === 'Unauthorized' ? 'invalid_api_key' : null;
  return JSON.stringify({ error: { message: `${message} (request ${requestId})`, type: openAi, param: null, code } });
}

/** The event that tells of an error after a stream has begun; the stream ends with it. */
export function errorEvent(dialect: Dialect, refusal: Refusal, requestId: string): string {
  switch (dialect) {
    case 'OpenAI':
      return `data: ${errorBody(dialect, refusal, requestId)}\n\n`;
    case 'Anthropic':
      return `event: error\ndata: ${errorBody(dialect, refusal, requestId)}\n\n`;
    case 'Responses': {
      const message = `${refusal.message} (request ${requestId})`;
      const code = responsesCode(refusal.status);
      return `event: error\ndata: ${JSON.stringify({ type: 'error', code, message, param: null })}\n\n`;
    }
  }
}

/** `code` of an error event of OpenAI's Responses API, which has one for each class of status. */
function responsesCode(status: number): string {
  if (status === 429) return 'rate_limit_exceeded';
  return status < 500 ? 'invalid_prompt' : 'server_error';
}
