import { VLLM_FLAGS } from './vllm-flags.data.ts';
import { SAMPLED_VLLM_VERSIONS, sampledIndex } from './vllm-versions.ts';

/** A flag of `vllm serve`, under its own name. */
export interface VllmFlag {
  readonly name: string;
  /** How many values it takes. */
  readonly values: 'None' | 'One' | 'AtMostOne' | 'Some';
}

/** One way to write a flag. */
export interface Spelling {
  readonly text: string;
  readonly flag: VllmFlag;
  /** Whether this spelling switches the flag off. */
  readonly negative: boolean;
  /** Where it is accepted: first and last index into the sampled versions, both included. */
  readonly ranges: readonly (readonly [first: number, last: number])[];
}

/** What one command-line word is to vLLM's parser. */
export type Word =
  | {
      readonly kind: 'Flag';
      readonly spelling: Spelling;
      /** The value after `=`. */
      readonly value: string | undefined;
      /** The path after the first dot in `--compilation-config.cudagraph_mode`, which sets one key of a JSON value. */
      readonly path: string | undefined;
    }
  | { readonly kind: 'Ambiguous'; readonly name: string; readonly spellings: readonly Spelling[] }
  | { readonly kind: 'Unknown'; readonly name: string }
  | { readonly kind: 'Value' };

const VALUES = { '0': 'None', '1': 'One', '?': 'AtMostOne', '+': 'Some' } as const;

const SPELLINGS: ReadonlyMap<string, Spelling> = new Map(
  VLLM_FLAGS.trim()
    .split('\n')
    .flatMap(parseLine)
    .map((spelling) => [spelling.text, spelling]),
);

function parseLine(line: string): Spelling[] {
  const [values, ...words] = line.split(' ');
  const flag: VllmFlag = { name: words[0]!.split('@')[0]!, values: VALUES[values as keyof typeof VALUES] };
  return words.map((word) => {
    const [text, ...ranges] = word.replace(/^!/, '').split('@');
    return {
      text: text!,
      flag,
      negative: word.startsWith('!'),
      ranges: ranges.length === 0 ? [parseRange('')] : ranges.map(parseRange),
    };
  });
}

function parseRange(range: string): readonly [number, number] {
  const [since, until] = range.split('..');
  const last = SAMPLED_VLLM_VERSIONS.length - 1;
  return [since ? SAMPLED_VLLM_VERSIONS.indexOf(since) : 0, until ? SAMPLED_VLLM_VERSIONS.indexOf(until) : last];
}

const isAccepted = (spelling: Spelling, index: number | undefined): boolean =>
  index !== undefined && spelling.ranges.some(([first, last]) => first <= index && index <= last);

/** The flag that an exact spelling names in a version; undefined where that version does not accept it. */
export function flagAt(version: string, spelling: string): Spelling | undefined {
  const found = SPELLINGS.get(spelling);
  return found && isAccepted(found, sampledIndex(version)) ? found : undefined;
}

/** The spelling in any version; for messages about flags that came or went. */
export const flagEver = (spelling: string): Spelling | undefined => SPELLINGS.get(spelling);

/** Versions that accept a spelling, for people: "since 0.18.1", "until 0.17.1", "from 0.17.1 to 0.26.0". */
export function availability(spelling: Spelling): string {
  const last = SAMPLED_VLLM_VERSIONS.length - 1;
  return spelling.ranges
    .map(([from, to]) => {
      if (from === 0 && to === last) return 'in every supported version';
      if (from === 0) return `until ${SAMPLED_VLLM_VERSIONS[to]}`;
      if (to === last) return `since ${SAMPLED_VLLM_VERSIONS[from]}`;
      return `from ${SAMPLED_VLLM_VERSIONS[from]} to ${SAMPLED_VLLM_VERSIONS[to]}`;
    })
    .join(' and ');
}

/**
 * Reads a word as vLLM's `FlexibleArgumentParser` and Python's `argparse` below it do: underscores for hyphens, `--flag=value`, `-tp=2`,
 * one-letter flags with their value attached, unambiguous beginnings, and dotted keys of JSON values. A negative decimal counts as a
 * dotted flag there, so it is no value here.
 */
export function readWord(version: string, word: string): Word {
  if (!word.startsWith('-') || word === '-' || /^-\d+$/.test(word)) return { kind: 'Value' };
  const equals = word.indexOf('=');
  const written = equals < 0 ? word : word.slice(0, equals);
  const value = equals < 0 ? undefined : word.slice(equals + 1);
  const dot = written.indexOf('.');
  const path = dot < 0 ? undefined : written.slice(dot + 1);
  const stem = dot < 0 ? written : written.slice(0, dot);
  const name = stem.startsWith('--') ? `--${stem.slice(2).replaceAll('_', '-')}` : stem;

  const exact = flagAt(version, name);
  if (exact) return { kind: 'Flag', spelling: exact, value, path };
  if (name.startsWith('-O') && !name.startsWith('--')) return optimizationLevel(version, word);

  const index = sampledIndex(version);
  const begun: { spelling: Spelling; value: string | undefined }[] = [];
  for (const spelling of SPELLINGS.values()) {
    if (!isAccepted(spelling, index)) continue;
    if (name.length > 2 && name.startsWith('--') && spelling.text.startsWith(name)) begun.push({ spelling, value });
    if (name.startsWith('--') || name.length < 2) continue;
    if (spelling.text.startsWith(name)) begun.push({ spelling, value });
    else if (spelling.text === name.slice(0, 2)) begun.push({ spelling, value: word.slice(2) });
  }
  if (begun.length === 1) return { kind: 'Flag', ...begun[0]!, path };
  if (begun.length > 1) return { kind: 'Ambiguous', name, spellings: begun.map(({ spelling }) => spelling) };
  return word.includes(' ') ? { kind: 'Value' } : { kind: 'Unknown', name };
}

/** vLLM rewrites `-O3`, `-O=3` and `-O 3` to `--optimization-level 3` before it parses. */
function optimizationLevel(version: string, word: string): Word {
  const spelling = flagAt(version, '--optimization-level');
  if (spelling === undefined) return { kind: 'Unknown', name: word };
  const value = word.length > 2 ? word.slice(2).replace(/^=/, '') : undefined;
  return { kind: 'Flag', spelling, value, path: undefined };
}

/** Accepted spelling of a version that is nearest to a mistyped one; undefined when none is near. */
export function nearestSpelling(version: string, name: string): string | undefined {
  const index = sampledIndex(version);
  let best: { text: string; distance: number } | undefined;
  for (const spelling of SPELLINGS.values()) {
    if (!spelling.text.startsWith('--') || !isAccepted(spelling, index)) continue;
    const distance = editDistance(name, spelling.text);
    if (best === undefined || distance < best.distance) best = { text: spelling.text, distance };
  }
  return best && best.distance <= Math.max(2, Math.floor(name.length / 4)) ? best.text : undefined;
}

/** Levenshtein distance. */
function editDistance(left: string, right: string): number {
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let row = 1; row <= left.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= right.length; column += 1) {
      const substitution = previous[column - 1]! + (left[row - 1] === right[column - 1] ? 0 : 1);
      current.push(Math.min(substitution, previous[column]! + 1, current[column - 1]! + 1));
    }
    previous = current;
  }
  return previous[right.length]!;
}
