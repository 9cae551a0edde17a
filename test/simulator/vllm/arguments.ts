import flags15 from './data/flags-0.15.0.json' with { type: 'json' };
import flags33 from './data/flags-0.33.0.json' with { type: 'json' };
import history from './data/flag-history.json' with { type: 'json' };
import { isAtLeast } from './version.ts';

/** One option of `vllm serve`, as its own parser declares it. */
interface Option {
  readonly dest: string;
  readonly flags: readonly string[];
  readonly hidden?: readonly string[];
  readonly kind: string;
  readonly nargs?: string;
  readonly type?: string;
  readonly choices?: readonly (string | number)[];
  readonly default?: unknown;
}

type Value = string | number | boolean | null | Value[] | { [key: string]: Value };

/** What `vllm serve` was told, by argparse destination; defaults included. */
export interface VllmArguments {
  readonly model: string;
  readonly values: Readonly<Record<string, Value>>;
  /** Destinations that the command line named. */
  readonly given: ReadonlySet<string>;
}

/** How a command line ends before anything loads: what is printed on stderr, and the exit code. */
export interface Refusal {
  readonly exitCode: 1 | 2;
  readonly stderr: readonly string[];
}

export type ParseResult =
  | { readonly ok: true; readonly arguments: VllmArguments }
  | { readonly ok: false; readonly refusal: Refusal };

/** Options whose declared inner type the parser's dump lost: `optional_type(int)` and the like. */
const OPTIONAL_INNER: Readonly<Record<string, string>> = {
  max_num_queued_reqs: 'int',
  max_num_active_seqs: 'int',
  max_num_queued_tokens: 'humanInt',
  max_num_scheduled_tokens: 'humanInt',
  kv_cache_memory_bytes: 'humanInt',
  num_gpu_blocks_override: 'int',
  mamba_block_size: 'int',
  max_log_len: 'int',
  grpc_port: 'int',
  kv_offloading_size: 'float',
  speculative_config: 'json',
  kv_transfer_config: 'json',
  kv_events_config: 'json',
  mm_processor_kwargs: 'json',
};

/** How Python prints a converter in its messages. */
const PYTHON_NAMES: Readonly<Record<string, string>> = {
  int: "<class 'int'>",
  float: "<class 'float'>",
  json: '<function loads at 0x7f557bee56c0>',
  humanInt: '<function human_readable_int at 0x7f556efd8680>',
};

const parsers = new Map<string, ReadonlyMap<string, Option>>();

/** The options that `version` accepts, by every spelling. */
function optionsOf(version: string): ReadonlyMap<string, Option> {
  const known = parsers.get(version);
  if (known) return known;
  // The declarations of the sample nearest to the version; the other sample fills in what only it declares.
  const [first, second] = isAtLeast(version, '0.22.0') ? [flags33, flags15] : [flags15, flags33];
  const bySpelling = new Map<string, Option>();
  for (const { options } of [first, second]) {
    for (const option of options as readonly Option[]) {
      for (const spelling of [...option.flags, ...(option.hidden ?? [])]) {
        if (!bySpelling.has(spelling)) bySpelling.set(spelling, option);
      }
    }
  }
  for (const [flag, presence] of Object.entries(history.flags)) {
    if (!isPresent(presence, version)) bySpelling.delete(flag);
    else if (!bySpelling.has(flag))
      bySpelling.set(flag, { dest: flag.slice(2).replaceAll('-', '_'), flags: [flag], kind: 'boolean' });
  }
  // One-letter and short spellings are absent from the history: they live and die with their long form.
  for (const [spelling, option] of bySpelling) {
    if (!spelling.startsWith('--') && !option.flags.some((flag) => flag.startsWith('--') && bySpelling.has(flag)))
      bySpelling.delete(spelling);
  }
  parsers.set(version, bySpelling);
  return bySpelling;
}

function isPresent(presence: { from?: string; to?: string; present?: readonly string[] }, version: string): boolean {
  if (presence.present) return presence.present.includes(version);
  const newest = history.versions.at(-1)!;
  return isAtLeast(version, presence.from!) && (presence.to === newest || isAtLeast(presence.to!, version));
}

class ArgumentError extends Error {}

/**
 * Reads the arguments after `vllm serve` as the parser of `version` does: the same spellings, types, choices and refusals.
 *
 * Refuses with exit code 2 what argparse refuses, in its words, and with 1 what vLLM's own cross-flag check refuses.
 */
export function parseArguments(version: string, args: readonly string[]): ParseResult {
  const options = optionsOf(version);
  const values: Record<string, Value> = {};
  for (const option of new Set(options.values())) values[option.dest] = (option.default ?? null) as Value;
  values['gpu_memory_utilization'] = isAtLeast(version, '0.20.0') ? 0.92 : 0.9;

  const given = new Set<string>();
  const extras: string[] = [];
  let model: string | undefined;
  const queue = joinLevel(args.map(normalize));
  try {
    while (queue.length > 0) {
      const word = queue.shift()!;
      if (!isFlag(word)) {
        if (model === undefined) model = word;
        else extras.push(word);
        continue;
      }
      const { option, spelling, explicit, path } = lookUp(options, word);
      if (!option) {
        extras.push(word);
        continue;
      }
      given.add(option.dest);
      if (option.kind !== 'value' && option.kind !== 'append') {
        if (explicit !== undefined)
          throw new ArgumentError(`argument ${option.flags.join('/')}: ignored explicit argument '${explicit}'`);
        values[option.dest] =
          !/^--(no|disable)-/.test(spelling) || option.kind === 'true' || option.flags[0] === spelling;
        continue;
      }
      const raw = explicit === undefined ? takeValues(option, queue) : [explicit];
      if (path) {
        const merged = { ...(values[option.dest] as Record<string, Value> | null) };
        assign(merged, path, raw[0]!);
        values[option.dest] = merged;
      } else {
        const converted = raw.map((text) => convert(option, text));
        const before = option.kind === 'append' ? ((values[option.dest] as Value[] | null) ?? []) : [];
        values[option.dest] =
          option.nargs === '+' || option.kind === 'append' ? [...before, ...converted] : (converted[0] ?? null);
      }
    }
  } catch (error) {
    if (!(error instanceof ArgumentError)) throw error;
    return refuse(2, ['usage: vllm serve [model_tag] [options]', `vllm serve: error: ${error.message}`]);
  }
  // The sub-command leaves what it does not know to the program, which is why the name differs from the one above.
  if (extras.length > 0) {
    return refuse(2, [
      'usage: vllm [-h] [-v] {chat,complete,serve,launch,bench,collect-env,run-batch} ...',
      `vllm: error: unrecognized arguments: ${extras.join(' ')}`,
    ]);
  }
  if (values['enable_auto_tool_choice'] === true && !values['tool_call_parser']) {
    return refuse(1, [
      'Traceback (most recent call last):',
      '  File "/usr/local/bin/vllm", line 10, in <module>',
      '    sys.exit(main())',
      'TypeError: Error: --enable-auto-tool-choice requires --tool-call-parser',
    ]);
  }
  return {
    ok: true,
    arguments: { model: model ?? (values['model'] as string | null) ?? 'Qwen/Qwen3-0.6B', values, given },
  };
}

const refuse = (exitCode: 1 | 2, stderr: string[]): ParseResult => ({ ok: false, refusal: { exitCode, stderr } });

/** vLLM lets underscores stand for dashes in a flag's name. */
function normalize(word: string): string {
  if (!word.startsWith('--')) return word;
  const end = word.search(/[=.]/);
  return end === -1 ? word.replaceAll('_', '-') : word.slice(0, end).replaceAll('_', '-') + word.slice(end);
}

/** `-O 3` is one word to vLLM. */
const joinLevel = (words: string[]): string[] =>
  words.flatMap((word, index) =>
    word === '-O' ? [`-O${words[index + 1] ?? ''}`] : words[index - 1] === '-O' ? [] : [word],
  );

/** A negative number is a value: no option of vLLM's looks like one. */
const isFlag = (word: string): boolean => word.startsWith('-') && word.length > 1 && !/^-\d+$|^-\d*\.\d+$/.test(word);

function lookUp(options: ReadonlyMap<string, Option>, word: string) {
  const exact = options.get(word);
  if (exact) return { option: exact, spelling: word, explicit: undefined, path: undefined };
  const equals = word.indexOf('=');
  const [name, explicit] = equals === -1 ? [word, undefined] : [word.slice(0, equals), word.slice(equals + 1)];
  const option = options.get(name);
  if (option) return { option, spelling: name, explicit, path: undefined };
  // `--compilation-config.cudagraph_mode=PIECEWISE`: one key of a JSON option.
  const dot = name.indexOf('.');
  const base = dot === -1 ? undefined : options.get(name.slice(0, dot));
  if (base?.kind === 'value')
    return { option: base, spelling: name.slice(0, dot), explicit, path: name.slice(dot + 1).split('.') };
  // `-O3` and `-O.mode=3` are vLLM's own; `-qfp8` is argparse's way of joining a value to a short flag.
  const level = /^-O=?(\d)$/.exec(word);
  if (level)
    return {
      option: options.get('--optimization-level'),
      spelling: '--optimization-level',
      explicit: level[1],
      path: undefined,
    };
  const short = /^-[a-z]/.test(word) ? options.get(word.slice(0, 2)) : undefined;
  if (short) return { option: short, spelling: word.slice(0, 2), explicit: word.slice(2), path: undefined };
  // argparse takes an unambiguous beginning of a long flag for the flag.
  const longer = name.startsWith('--') ? [...options].filter(([spelling]) => spelling.startsWith(name)) : [];
  const targets = new Set(longer.map(([, target]) => target));
  if (targets.size === 1) return { option: longer[0]![1], spelling: longer[0]![0], explicit, path: undefined };
  if (targets.size > 1) {
    throw new ArgumentError(`ambiguous option: ${word} could match ${longer.map(([spelling]) => spelling).join(', ')}`);
  }
  return { option: undefined, spelling: name, explicit, path: undefined };
}

function takeValues(option: Option, queue: string[]): string[] {
  const taken: string[] = [];
  const most = option.nargs === '+' ? Number.POSITIVE_INFINITY : 1;
  while (taken.length < most && queue.length > 0 && !isFlag(queue[0]!)) taken.push(queue.shift()!);
  if (taken.length > 0 || option.nargs === '?') return taken;
  const expected = option.nargs === '+' ? 'expected at least one argument' : 'expected one argument';
  throw new ArgumentError(`argument ${option.flags.join('/')}: ${expected}`);
}

function convert(option: Option, text: string): Value {
  const value = convertTo(option, option.type ?? 'str', text);
  if (option.choices && !option.choices.includes(value as string | number)) {
    const repr = (choice: unknown) => (typeof choice === 'number' ? `${choice}` : `'${String(choice)}'`);
    const choices = option.choices.map(repr).join(', ');
    throw new ArgumentError(
      `argument ${option.flags.join('/')}: invalid choice: ${repr(value)} (choose from ${choices})`,
    );
  }
  return value;
}

function convertTo(option: Option, type: string, text: string): Value {
  const invalid = (kind: string) =>
    new ArgumentError(`argument ${option.flags.join('/')}: invalid ${kind} value: '${text}'`);
  switch (type) {
    case 'int': {
      const value = pythonInt(text);
      if (value === undefined) throw invalid('int');
      return value;
    }
    case 'float': {
      if (text.trim() === '' || Number.isNaN(Number(text))) throw invalid('float');
      return Number(text);
    }
    case 'humanInt':
      return humanInt(option, text, invalid('human_readable_int'));
    case 'humanIntOrAuto':
      return text === 'auto' ? -1 : humanInt(option, text, invalid('human_readable_int_or_auto'));
    case 'json':
      try {
        return JSON.parse(text) as Value;
      } catch {
        throw new ArgumentError(
          `argument ${option.flags.join('/')}: Value ${text} cannot be converted to ${PYTHON_NAMES['json']}.`,
        );
      }
    case 'jsonOrStr':
      return text.startsWith('{') ? convertTo(option, 'json', text) : text;
    case 'optional': {
      if (text === '' || text === 'None') return null;
      const inner = OPTIONAL_INNER[option.dest];
      if (!inner) return text;
      try {
        return convertTo(option, inner, text);
      } catch (error) {
        if (!(error instanceof ArgumentError)) throw error;
        throw new ArgumentError(
          `argument ${option.flags.join('/')}: Value ${text} cannot be converted to ${PYTHON_NAMES[inner]}.`,
        );
      }
    }
    default:
      return text;
  }
}

function pythonInt(text: string): number | undefined {
  return /^\s*[+-]?\d+(_\d+)*\s*$/.test(text) ? Number(text.replaceAll('_', '')) : undefined;
}

/** `1k` is 1000, `1K` is 1024, and a decimal point goes only with the decimal suffixes. */
function humanInt(option: Option, text: string, invalid: ArgumentError): number {
  const match = /^(\d+(?:\.\d+)?)([kKmMgGtT])$/.exec(text.trim());
  if (match) {
    const [, number, suffix] = match as unknown as [string, string, string];
    const power = 'kmgt'.indexOf(suffix.toLowerCase()) + 1;
    if (suffix === suffix.toLowerCase()) return Math.trunc(Number(number) * 1000 ** power);
    if (number.includes('.')) {
      const advice = `Did you mean to use ${number}${suffix.toLowerCase()} instead?`;
      throw new ArgumentError(
        `argument ${option.flags.join('/')}: Decimals are not allowed with binary suffixes like ${suffix}. ${advice}`,
      );
    }
    return Number(number) * 1024 ** power;
  }
  const plain = pythonInt(text);
  if (plain === undefined) throw invalid;
  return plain;
}

function assign(target: Record<string, Value>, path: readonly string[], text: string): void {
  const [head, ...rest] = path as [string, ...string[]];
  if (rest.length > 0) {
    const child = { ...(target[head] as Record<string, Value> | undefined) };
    assign(child, rest, text);
    target[head] = child;
    return;
  }
  try {
    target[head] = JSON.parse(text) as Value;
  } catch {
    target[head] = text;
  }
}
