/** Whose request a body is: the last words of `/v1/…`. */
export type PromptKind = 'chat' | 'completions' | 'responses' | 'messages';

type Fields = Readonly<Record<string, unknown>>;
/** Takes a piece, and answers whether more is wanted. So does whatever adds pieces. */
type Add = (piece: string) => boolean;

/** Where one part ends and the next begins. No text that a client writes has it by accident, and none gains by writing it. */
const PART = '\u0000';
/** What is nested deeper is no schema and no answer of a tool: it is left out rather than walked, for the stack's sake. */
const MOST_DEPTH = 32;
/** No schema has more: sorting hundreds of thousands would hold up every other stream. */
const MOST_SORTED_KEYS = 1000;

/**
 * Tells the prompt of a request as text in pieces, in the order in which the model's chat template puts it: instructions, tools, messages.
 *
 * It is no copy of the engine's prompt. It has what that has, in the same order, so that requests whose prompts begin alike do so here. Of
 * several prompts it is the first.
 *
 * **Guarantees**: independent of the order of up to 1,000 keys, of ids of tool calls and of cache marks, which the model never sees; any JSON
 * is taken. What has no text gives nothing. What comes once no more is wanted is not walked.
 */
export function readPrompt(body: unknown, kind: PromptKind, add: Add): void {
  if (!isFields(body)) return;
  switch (kind) {
    case 'completions':
      rawPrompt(promptsOf(body)[0], add);
      return;
    case 'chat':
      conversation(body['tools'], list(body['messages']), undefined, add);
      return;
    case 'messages':
      conversation(body['tools'], list(body['messages']), body['system'], add);
      return;
    case 'responses': {
      const { input } = body;
      const items = typeof input === 'string' ? [{ role: 'user', content: input }] : list(input);
      conversation(body['tools'], items, body['instructions'], add);
    }
  }
}

/** The prompts of a completion, each a text or a list of tokens: one, or a list of them. A list that begins with a number is one prompt. */
export function promptsOf(body: unknown): readonly unknown[] {
  const prompt = isFields(body) ? body['prompt'] : undefined;
  return Array.isArray(prompt) && typeof prompt[0] !== 'number' ? prompt : [prompt];
}

/** Less than characters, so a block has more tokens than one of text, never fewer. */
const UNITS_PER_TOKEN = 2;

/** Units that one of these prompts has, told without reading it. */
export function unitsOf(prompt: unknown): number {
  if (typeof prompt === 'string') return prompt.length;
  return list(prompt).length * UNITS_PER_TOKEN;
}

function rawPrompt(prompt: unknown, add: Add): void {
  if (typeof prompt === 'string') add(prompt);
  else tokens(list(prompt), add);
}

/** Tokens told in one piece: one call for each takes ten times as long. */
const TOKENS_PER_PIECE = 1024;

function tokens(values: readonly unknown[], add: Add): void {
  for (let from = 0; from < values.length; from += TOKENS_PER_PIECE) {
    const units: number[] = [];
    for (const value of values.slice(from, from + TOKENS_PER_PIECE)) {
      // A number of a nested list would be sought as deep as it is nested.
      const token = typeof value === 'number' ? value : 0;
      units.push(token & 0xffff, token >>> 16);
    }
    if (!add(String.fromCharCode(...units))) return;
  }
}

/** Instructions come as a field of their own, or as the first messages. */
function conversation(tools: unknown, messages: readonly unknown[], instructions: unknown, add: Add): boolean {
  const first = messages.findIndex((message) => !isInstruction(message));
  const split = first < 0 ? messages.length : first;
  return (
    content(instructions, add) &&
    messages.slice(0, split).every((message) => content((message as Fields)['content'], add)) &&
    list(tools).every((tool) => describedTool(tool, add)) &&
    messages.slice(split).every((message) => turn(message, add))
  );
}

const isInstruction = (message: unknown): boolean =>
  isFields(message) && (message['role'] === 'system' || message['role'] === 'developer');

/** OpenAI's chat wraps what a tool is into `function`; Anthropic says `input_schema`. */
function describedTool(tool: unknown, add: Add): boolean {
  if (!isFields(tool)) return true;
  const described = isFields(tool['function']) ? tool['function'] : tool;
  return (
    part(`tool ${text(described['name'])}`, add) &&
    part(text(described['description']), add) &&
    json(described['parameters'] ?? described['input_schema'], MOST_DEPTH, add)
  );
}

/** A message, or an item of the Responses API: a call, or what came of it. */
function turn(message: unknown, add: Add): boolean {
  if (!isFields(message)) return true;
  const { role, type } = message;
  if (type === 'function_call') return call(message['name'], message['arguments'], add);
  if (type === 'function_call_output') return content(message['output'], add);
  return (
    part(text(role), add) &&
    content(message['content'], add) &&
    list(message['tool_calls']).every((one) => {
      const called = isFields(one) && one['function'];
      return !isFields(called) || call(called['name'], called['arguments'], add);
    })
  );
}

function call(name: unknown, given: unknown, add: Add): boolean {
  // OpenAI's arguments are a text of JSON, which comes back as the model wrote it; Anthropic's are JSON.
  return part(`call ${text(name)}`, add) && json(given, MOST_DEPTH, add);
}

/** A text, or parts: texts, calls of tools, and what came of them, which is a text or parts again. */
function content(value: unknown, add: Add, depth = MOST_DEPTH): boolean {
  if (typeof value === 'string') return part(value, add);
  return list(value).every((one) => {
    if (typeof one === 'string') return part(one, add);
    if (!isFields(one)) return true;
    if (typeof one['text'] === 'string') return part(one['text'], add);
    if (one['type'] === 'tool_use') return call(one['name'], one['input'], add);
    if (one['type'] === 'tool_result' && depth > 0) return content(one['content'], add, depth - 1);
    return part(text(one['type']), add);
  });
}

/** JSON with its keys in order. */
function json(value: unknown, depth: number, add: Add): boolean {
  if (value === undefined) return true;
  if (typeof value === 'string') return part(value, add);
  if (typeof value !== 'object' || value === null) return part(JSON.stringify(value), add);
  if (depth === 0) return true;
  if (Array.isArray(value)) {
    if (!add('[')) return false;
    for (const one of value) if (!json(one, depth - 1, add)) return false;
    return add(']');
  }
  if (!add('{')) return false;
  const keys = Object.keys(value);
  if (keys.length <= MOST_SORTED_KEYS) keys.sort();
  for (const key of keys) if (!part(key, add) || !json((value as Fields)[key], depth - 1, add)) return false;
  return add(']');
}

function part(value: string, add: Add): boolean {
  return value === '' || (add(value) && add(PART));
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
