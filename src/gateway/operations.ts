/** Whose API a request speaks: errors and streams look different in each. */
export type Dialect = 'OpenAI' | 'Responses' | 'Anthropic';

/** Something that the endpoint does. */
export interface Operation {
  /** Name in metrics and logs. */
  readonly name: string;
  readonly method: 'GET' | 'POST';
  /** Path at the engine. */
  readonly path: string;
  readonly dialect: Dialect;
  /** What it is answered by: an engine with tokens, an engine at once, or the gateway itself. */
  readonly kind: 'Generation' | 'Count' | 'Models' | 'Health';
}

const OPERATIONS: readonly Operation[] = [
  { name: 'chat', method: 'POST', path: '/v1/chat/completions', dialect: 'OpenAI', kind: 'Generation' },
  { name: 'completions', method: 'POST', path: '/v1/completions', dialect: 'OpenAI', kind: 'Generation' },
  { name: 'responses', method: 'POST', path: '/v1/responses', dialect: 'Responses', kind: 'Generation' },
  { name: 'messages', method: 'POST', path: '/v1/messages', dialect: 'Anthropic', kind: 'Generation' },
  { name: 'count_tokens', method: 'POST', path: '/v1/messages/count_tokens', dialect: 'Anthropic', kind: 'Count' },
  { name: 'models', method: 'GET', path: '/v1/models', dialect: 'OpenAI', kind: 'Models' },
  { name: 'health', method: 'GET', path: '/health', dialect: 'OpenAI', kind: 'Health' },
];

const BY_PATH = new Map(OPERATIONS.map((operation) => [operation.path, operation]));

/** Names of all operations: the values of a metric's label. */
export const OPERATION_NAMES: readonly string[] = OPERATIONS.map(({ name }) => name);

/**
 * The operation at a request target; undefined for everything else.
 *
 * Guarantees: targets are compared as they stand, so that `//`, `%2e`, `..`, a trailing slash or an absolute URI name nothing. A query is
 * taken off and never passed on: no operation has one that engines know.
 */
export function operationAt(target: string): Operation | undefined {
  const query = target.indexOf('?');
  return BY_PATH.get(query < 0 ? target : target.slice(0, query));
}

/** Whose words a refusal of an unknown target is told in: the SDK of Anthropic calls nothing else than `/v1/messages…`. */
export const dialectAt = (target: string): Dialect => (target.startsWith('/v1/messages') ? 'Anthropic' : 'OpenAI');
