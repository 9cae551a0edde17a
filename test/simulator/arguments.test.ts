import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseArguments } from './vllm/arguments.ts';

/** What vLLM's own parser, run from the wheels without torch, made of a command line. */
interface OracleCase {
  readonly version: string;
  readonly args: readonly string[];
  /** What differs from the defaults; absent where it was refused. */
  readonly values?: Readonly<Record<string, unknown>>;
  readonly exitCode?: number;
  readonly error?: string;
}

const oracle = readFileSync(new URL('oracle/vllm-arguments.jsonl', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as OracleCase);

/** What differs between vLLM's answer and ours; undefined where nothing does. */
function disagreement({ version, args, values, exitCode, error }: OracleCase): string | undefined {
  const result = parseArguments(version, args);
  const theirs = values ? JSON.stringify(values) : `${exitCode} ${exitCode === 2 ? error : ''}`;
  const ours = result.ok
    ? JSON.stringify(
        Object.fromEntries(Object.keys(values ?? {}).map((dest) => [dest, result.arguments.values[dest] ?? null])),
      )
    : // Exit code 1 ends in a traceback, whose text is not held to the letter.
      `${result.refusal.exitCode} ${result.refusal.exitCode === 2 ? messageOf(result.refusal.stderr) : ''}`;
  return ours === theirs ? undefined : `${args.join(' ')}: ${ours}, not ${theirs}`;
}

/** The last line without the program's name and without addresses. */
const messageOf = (stderr: readonly string[]): string =>
  stderr
    .at(-1)!
    .replace(/^vllm( serve)?: error: /, '')
    .replaceAll(/0x[0-9a-f]+/g, '0x…');

describe('parseArguments', () => {
  test.each(['0.15.1', '0.33.0'])("answers 138 command lines as vLLM %s's own parser", (version) => {
    const cases = oracle.filter((candidate) => candidate.version === version);
    expect(cases.length).toBe(138);
    expect(cases.map(disagreement).filter((text) => text !== undefined)).toEqual([]);
  });

  test('the sub-command refuses values, the program refuses what nobody knows', () => {
    expect(refusal('0.33.0', '--port=http')).toMatchInlineSnapshot(`
      [
        "usage: vllm serve [model_tag] [options]",
        "vllm serve: error: argument --port: invalid int value: 'http'",
      ]
    `);
    expect(refusal('0.33.0', '--swap-space=4')).toMatchInlineSnapshot(`
      [
        "usage: vllm [-h] [-v] {chat,complete,serve,launch,bench,collect-env,run-batch} ...",
        "vllm: error: unrecognized arguments: --swap-space=4",
      ]
    `);
  });

  test('automatic tool choice without a parser is refused by vLLM itself, with exit code 1', () => {
    const result = parseArguments('0.33.0', ['Qwen/X', '--enable-auto-tool-choice']);
    expect(result).toMatchObject({ ok: false, refusal: { exitCode: 1 } });
    expect(refusal('0.33.0', '--enable-auto-tool-choice')!.at(-1)).toBe(
      'TypeError: Error: --enable-auto-tool-choice requires --tool-call-parser',
    );
  });

  test.each([
    { version: '0.19.1', flag: '--swap-space=4', accepted: false, name: 'a flag removed after 0.17.1' },
    { version: '0.17.1', flag: '--swap-space=4', accepted: true, name: 'the last version that has it' },
    { version: '0.18.1', flag: '--shutdown-timeout=9', accepted: true, name: 'the first version of a new flag' },
    { version: '0.17.1', flag: '--shutdown-timeout=9', accepted: false, name: 'the version before it' },
    { version: '0.26.0', flag: '--calculate-kv-scales', accepted: true, name: 'a flag in its last version' },
    { version: '0.29.0', flag: '--calculate-kv-scales', accepted: false, name: 'a flag that is gone' },
    { version: '0.22.1', flag: '--no-enable-prefix-caching', accepted: true, name: 'a spelling that is hidden later' },
  ])('$name: $flag on $version', ({ version, flag, accepted }) => {
    expect(parseArguments(version, ['Qwen/X', flag]).ok).toBe(accepted);
  });

  test.each([
    { version: '0.19.1', utilization: 0.9 },
    { version: '0.20.2', utilization: 0.92 },
  ])('the default of GPU memory utilization on $version is $utilization', ({ version, utilization }) => {
    const result = parseArguments(version, ['Qwen/X']);
    expect(result.ok && result.arguments.values['gpu_memory_utilization']).toBe(utilization);
  });
});

function refusal(version: string, ...args: string[]): readonly string[] | undefined {
  const result = parseArguments(version, ['Qwen/X', ...args]);
  return result.ok ? undefined : result.refusal.stderr;
}
