import { promptsOf, type PromptKind } from './canonical-prompt.ts';

/**
 * How many sequences an engine works on for one request: each prompt of a completion, as many times as the client asks for answers (`n`).
 *
 * **Guarantees**: at least 1, whatever the body; an `n` that is no whole number above 0 counts as 1. The engine refuses such a one, and has a
 * limit of its own.
 */
export function sequencesOf(body: unknown, kind: PromptKind): number {
  switch (kind) {
    case 'chat':
      return answersOf(body);
    case 'completions':
      return Math.max(1, promptsOf(body).length) * answersOf(body);
    case 'messages':
    case 'responses':
      return 1;
  }
}

function answersOf(body: unknown): number {
  const n = (body as { readonly n?: unknown } | null | undefined)?.n;
  return Number.isSafeInteger(n) && (n as number) > 0 ? (n as number) : 1;
}
