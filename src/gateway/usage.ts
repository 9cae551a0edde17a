/** Tokens of one request, as the engine counted them. */
export interface Usage {
  readonly promptTokens: number;
  /** Of these, those that the engine had in its cache. */
  readonly cachedTokens: number;
  readonly generatedTokens: number;
}

/** As OpenAI's two APIs, Anthropic's, and vLLM's answers in each of them spell it. */
const PROMPT = /"(?:prompt_tokens|input_tokens)":\s*(\d+)/;
const CACHED = /"(?:cached_tokens|cache_read_input_tokens)":\s*(\d+)/;
const GENERATED = /"(?:completion_tokens|output_tokens)":\s*(\d+)/;

/**
 * Reads the usage out of an answer, or out of the end of one; undefined where it has none.
 *
 * @param tail The last events of a stream or the end of a body. Only what follows the last `"usage"` is looked at: generated text that
 *   looks like one stands before it, and its quotes are escaped.
 * @param head The first event of a stream: Anthropic's has the prompt.
 */
export function readUsage(tail: Buffer, head?: Buffer): Usage | undefined {
  const end = usageIn(tail);
  if (end === undefined) return undefined;
  const begin = (head && usageIn(head)) ?? '';
  const number = (pattern: RegExp): number => Number(pattern.exec(end)?.[1] ?? pattern.exec(begin)?.[1] ?? 0);
  return { promptTokens: number(PROMPT), cachedTokens: number(CACHED), generatedTokens: number(GENERATED) };
}

const MOST_USAGE_BYTES = 1024;

/** All that is looked for is ASCII, so the rest of an answer is not made text of. */
function usageIn(bytes: Buffer): string | undefined {
  const start = bytes.lastIndexOf('"usage":');
  return start < 0 ? undefined : bytes.toString('latin1', start, start + MOST_USAGE_BYTES);
}
