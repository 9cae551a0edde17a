import type { LogPattern } from './engines/log-pattern.ts';
import { PLATFORM_LOG_PATTERNS } from './engines/platform-log-patterns.ts';
import { VLLM_LOG_PATTERNS } from './engines/vllm-log-patterns.ts';
import { redact } from './redact.ts';

/** Longest quotation of a log: enough for every text that is known, too short to retell a log. */
export const MAX_EVIDENCE_LENGTH = 300;

export type PatternId = (typeof VLLM_LOG_PATTERNS | typeof PLATFORM_LOG_PATTERNS)[number]['id'];

/** A line that means something, with the values that its pattern names. */
export interface Finding {
  readonly id: PatternId;
  /** One line, redacted, without prefix. */
  readonly line: string;
  /** Redacted too. */
  readonly values: Readonly<Record<string, string | undefined>>;
}

/** What a log tells; small enough to keep, and without secrets. */
export interface LogFindings {
  /** The root cause, or the plainest consequence where no cause is known. */
  readonly cause: Finding | undefined;
  /** The last of each fact, or the least where that is what counts. */
  readonly facts: Readonly<Partial<Record<PatternId, Finding>>>;
  /** The last line that is not empty. */
  readonly lastLine: string | undefined;
}

const PATTERNS: readonly (LogPattern & { readonly id: PatternId })[] = [...VLLM_LOG_PATTERNS, ...PLATFORM_LOG_PATTERNS];

/** Which role explains which: a lower number is nearer to the root. */
const RANK = { cause: 0, 'general-cause': 1, consequence: 2, fact: 3 } as const satisfies Record<
  LogPattern['role'],
  number
>;

/**
 * Reads a log for its root cause.
 *
 * Guarantees: a cause beats a general one, and both beat a consequence, wherever they stand; among equals the earliest wins, since what
 * fails later fails because of it; within one line the longest match of the role that is nearest to the root. The same log gives the same findings, and those of two runs that
 * failed alike are equal: process numbers, times and request numbers are taken out.
 *
 * @param secrets Values that must not be quoted.
 */
export function readLog(log: string, secrets: readonly string[] = []): LogFindings {
  let cause: (Finding & { rank: number }) | undefined;
  const facts: Partial<Record<PatternId, Finding>> = {};
  let lastLine: string | undefined;
  const lines = log
    .split(/[\r\n]+/)
    .map(bare)
    .filter((line) => line !== '');
  for (const [index, text] of lines.entries()) {
    lastLine = text;
    const match = longestMatch(text);
    if (match === undefined) continue;
    const { pattern, groups } = match;
    const rank = RANK[pattern.role];
    const whole = [text, ...lines.slice(index + 1, index + 1 + (pattern.linesMore ?? 0))].join(' ');
    if (pattern.role === 'fact') {
      const before = facts[pattern.id];
      if (!isMore(pattern, groups, before?.values)) facts[pattern.id] = finding(pattern.id, whole, groups, secrets);
    } else if (cause === undefined || rank < cause.rank)
      cause = { ...finding(pattern.id, whole, groups, secrets), rank };
  }
  const { rank: _rank, ...found } = cause ?? { rank: 0 };
  return {
    cause: cause === undefined ? undefined : (found as Finding),
    facts,
    lastLine: lastLine === undefined ? undefined : quotable(lastLine, secrets),
  };
}

const isMore = ({ leastOf }: LogPattern, values: Finding['values'], before: Finding['values'] | undefined): boolean =>
  leastOf !== undefined && before !== undefined && Number(values[leastOf]) > Number(before[leastOf]);

function longestMatch(text: string) {
  let longest: { pattern: (typeof PATTERNS)[number]; length: number; groups: Finding['values'] } | undefined;
  for (const pattern of PATTERNS) {
    const match = pattern.regex.exec(text);
    if (match && (longest === undefined || outranks(pattern, match[0].length, longest)))
      longest = { pattern, length: match[0].length, groups: match.groups ?? {} };
  }
  return longest;
}

/** A line may say several things; it is quoted for the one nearest to the root, and of those for the longest. */
const outranks = (pattern: LogPattern, length: number, than: { pattern: LogPattern; length: number }): boolean =>
  RANK[pattern.role] < RANK[than.pattern.role] || (pattern.role === than.pattern.role && length > than.length);

const finding = (id: PatternId, text: string, groups: Finding['values'], secrets: readonly string[]): Finding => ({
  id,
  line: quotable(text, secrets),
  values: Object.fromEntries(
    Object.entries(groups).map(([name, value]) => [name, value === undefined ? undefined : quotable(value, secrets)]),
  ),
});

/** A text of others as a condition may quote it: one line, redacted, short, and the same for the same failure. */
export const quotable = (text: string, secrets: readonly string[] = []): string => {
  const clean = redact(text.replaceAll(/\s+/g, ' ').trim(), secrets)
    .replaceAll(/ ?\(Request ID: [^)]*\)/g, '')
    .replaceAll(/\b(process|pid[ =]?) ?\d+\b/g, '$1 N')
    .replaceAll(/\/dev\/shm\/nccl-\w+/g, '/dev/shm/nccl-N')
    .replaceAll(/\b0x[0-9a-f]+\b/g, '0xN');
  return clean.length <= MAX_EVIDENCE_LENGTH ? clean : `${clean.slice(0, MAX_EVIDENCE_LENGTH - 1)}…`;
};

/** Colours of a terminal. */
const ESCAPES = new RegExp(`${String.fromCodePoint(27)}\\[[0-9;]*m`, 'g');
/** `(EngineCore_DP0 pid=271) ERROR 02-03 10:00:00 [core.py:946] `, as vLLM begins its lines, and the same of its child processes. */
const PREFIX =
  /^(?:\([^()]*pid=\d+\)\s+)?(?:(?:DEBUG|INFO|WARNING|ERROR|CRITICAL)\s+\d\d-\d\d \d\d:\d\d:\d\d\s+\[[^\]]*\]\s?)?/;

const bare = (line: string): string => line.replaceAll(ESCAPES, '').replace(PREFIX, '').trimEnd();
