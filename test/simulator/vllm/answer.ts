import { createHash } from 'node:crypto';

/** A function that the client offers. */
export interface Tool {
  readonly name: string;
  /** JSON schema of its arguments. */
  readonly parameters: unknown;
}

/** A request in either API's dress, as far as an answer depends on it. */
export interface Conversation {
  /** Everything that the model reads. */
  readonly prompt: string;
  readonly lastUserText: string;
  /** Whether the last message carries a tool's result. */
  readonly endsWithToolResult: boolean;
  /** Empty when none are offered or none may be called. */
  readonly tools: readonly Tool[];
}

export type Answer =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'tool'; readonly name: string; readonly arguments: Readonly<Record<string, unknown>> };

const WORDS =
  'the function returns early when input is empty so each caller keeps its own buffer and no lock is held while reading'.split(
    ' ',
  );

/**
 * The deterministic model: the same conversation always gets the same answer.
 *
 * Given tools it calls the one that the user names, or the first, with arguments that its schema accepts; after a tool's result it
 * answers in words.
 */
export function answer(conversation: Conversation): Answer {
  const { tools, lastUserText, endsWithToolResult } = conversation;
  if (tools.length > 0 && !endsWithToolResult) {
    const tool = tools.find(({ name }) => lastUserText.includes(name)) ?? tools[0]!;
    return {
      kind: 'tool',
      name: tool.name,
      arguments: sample(tool.parameters, lastUserText, '') as Record<string, unknown>,
    };
  }
  const seed = createHash('sha256').update(conversation.prompt).digest();
  const words = Array.from(
    { length: 24 + (seed[0]! % 24) },
    (_, index) => WORDS[seed[index % seed.length]! % WORDS.length]!,
  );
  return { kind: 'text', text: `${words.join(' ')}.` };
}

interface Schema {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, unknown>>;
  readonly required?: readonly string[];
  readonly items?: unknown;
  readonly minItems?: number;
  readonly minimum?: number;
  readonly anyOf?: readonly unknown[];
  readonly oneOf?: readonly unknown[];
}

/** What a coding model would put into a string of this name, when the user quoted nothing. */
const PLAUSIBLE: readonly (readonly [RegExp, string])[] = [
  [/glob|pattern/i, '**/*.ts'],
  [/path|file/i, 'README.md'],
  [/dir|folder/i, 'src'],
  [/command|cmd/i, 'ls'],
];

/** A value that a JSON schema accepts; strings and numbers are taken from the user's words where there are any. */
function sample(schema: unknown, userText: string, name: string): unknown {
  if (typeof schema !== 'object' || schema === null) return {};
  const { type, properties, required, ...rest } = schema as Schema;
  if (rest.const !== undefined) return rest.const;
  if (rest.enum?.length) return rest.enum[0];
  if (rest.default !== undefined) return rest.default;
  const alternative = rest.anyOf?.[0] ?? rest.oneOf?.[0];
  if (alternative !== undefined) return sample(alternative, userText, name);
  switch (typeof type === 'string' ? type : (type?.[0] ?? (properties ? 'object' : 'string'))) {
    case 'object': {
      const names = required ?? Object.keys(properties ?? {});
      return Object.fromEntries(
        names.map((key) => [key, sample(properties?.[key] ?? { type: 'string' }, userText, key)]),
      );
    }
    case 'array':
      return Array.from({ length: Math.max(1, rest.minItems ?? 1) }, () =>
        sample(rest.items ?? { type: 'string' }, userText, name),
      );
    case 'integer':
    case 'number':
      return Math.max(rest.minimum ?? 0, Number(/-?\d+/.exec(userText)?.[0] ?? 1));
    case 'boolean':
      return true;
    case 'null':
      return null;
    default:
      return (
        /["'`]([^"'`]+)["'`]/.exec(userText)?.[1] ?? PLAUSIBLE.find(([pattern]) => pattern.test(name))?.[1] ?? name
      );
  }
}

/** Words and what separates them: one token each. */
export const tokenize = (text: string): string[] => text.match(/\s*\S+|\s+$/g) ?? [];

/** About four characters a token, as of source code. */
export const countTokens = (text: string): number => Math.max(1, Math.ceil(text.length / 4));

/** Chained digests of a prompt's whole blocks: equal beginnings have equal keys. */
export function prefixKeys(prompt: string, blockTokens: number): string[] {
  const size = blockTokens * 4;
  const keys: string[] = [];
  let previous = '';
  for (let end = size; end <= prompt.length; end += size) {
    previous = createHash('sha1')
      .update(previous)
      .update(prompt.slice(end - size, end))
      .digest('base64');
    keys.push(previous);
  }
  return keys;
}
