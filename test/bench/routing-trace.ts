import { readFileSync } from 'node:fs';
import { scramble } from '../../src/gateway/routing/index.ts';

/** Tokens of one block of a trace's hashes. */
export const TRACE_BLOCK_TOKENS = 512;

/** A request of a trace. */
export interface TracedRequest {
  readonly seconds: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** One number for each whole block; it stands for all before it as well. */
  readonly blocks: readonly number[];
}

export interface Trace {
  readonly name: string;
  readonly requests: readonly TracedRequest[];
}

/**
 * Reads a trace of one JSON object a line: `timestamp` in milliseconds, `input_length` and `output_length` in tokens, `hash_ids` of
 * blocks of 512 tokens, the last of them a part of a block, which no engine caches.
 *
 * **Fails when** a line is something else: an error with its number.
 */
export function readTrace(path: string): Trace {
  const lines = readFileSync(path, 'utf8').split('\n');
  const requests: TracedRequest[] = [];
  lines.forEach((line, index) => {
    if (line.trim() === '') return;
    const row = JSON.parse(line) as Record<string, unknown>;
    const { timestamp, input_length: promptTokens, output_length: outputTokens, hash_ids: hashes } = row;
    if (
      typeof timestamp !== 'number' ||
      typeof promptTokens !== 'number' ||
      typeof outputTokens !== 'number' ||
      !Array.isArray(hashes)
    ) {
      throw new Error(
        `${path}:${index + 1}: no request. A line has timestamp, input_length, output_length and hash_ids.`,
      );
    }
    const blocks = (hashes as number[]).slice(0, Math.floor(promptTokens / TRACE_BLOCK_TOKENS));
    requests.push({ seconds: timestamp / 1000, promptTokens, outputTokens, blocks });
  });
  requests.sort((one, other) => one.seconds - other.seconds);
  const first = requests[0]?.seconds ?? 0;
  return {
    name: path.replace(/^.*\//, '').replace(/\.\w+$/, ''),
    requests: requests.map((request) => ({ ...request, seconds: request.seconds - first })),
  };
}

/** Coding agents of teams that share repositories. */
export interface TeamsOptions {
  readonly seed: number;
  readonly requests: number;
  readonly teams: number;
  /** Exponent of Zipf's law: how unequal the teams are. */
  readonly zipf: number;
  /** Mean turns of a session. */
  readonly turns: number;
  /** How much more sessions begin in the busy tenth of the minutes than in the others. */
  readonly burst: number;
}

const HOUR = 3600;
/** Instructions and tools of the agent that everybody uses. */
const AGENT_BLOCKS = 20;
const SECONDS_BETWEEN_TURNS = 20;
const MOST_BLOCKS = 400;

/**
 * An hour of agents at work: a session begins with what all agents say, then with what its team's repository says, and grows by a few
 * blocks with every turn.
 */
export function teamsTrace({ seed, requests, teams, zipf, turns: meanTurns, burst }: TeamsOptions): Trace {
  const random = randomFrom(seed);
  const exponential = (mean: number): number => -mean * Math.log(1 - random());
  let nextBlock = 0;
  const chain = (length: number): number[] => Array.from({ length }, () => (nextBlock += 1));
  const agent = chain(AGENT_BLOCKS);
  const repositories = Array.from({ length: teams }, () => [...agent, ...chain(5 + Math.floor(random() * 75))]);
  const weights = repositories.map((_, rank) => 1 / (rank + 1) ** zipf);
  const sum = weights.reduce((total, weight) => total + weight, 0);
  const team = (): number => {
    let left = random() * sum;
    return Math.max(
      0,
      weights.findIndex((weight) => (left -= weight) < 0),
    );
  };
  const minutes = Array.from({ length: 60 }, () => (random() < 0.1 ? burst : 1));
  const busiest = Math.max(...minutes);
  const beginning = (): number => {
    for (;;) {
      const seconds = random() * HOUR;
      if (random() * busiest < minutes[Math.floor(seconds / 60)]!) return seconds;
    }
  };

  const traced: TracedRequest[] = [];
  while (traced.length < requests) {
    let seconds = beginning();
    const blocks = [...repositories[team()]!, ...chain(1 + Math.floor(exponential(2)))];
    const turns = 1 + Math.floor(exponential(meanTurns));
    for (let turn = 0; turn < turns && seconds < HOUR && blocks.length < MOST_BLOCKS; turn += 1) {
      const outputTokens = 20 + Math.floor(exponential(250));
      const promptTokens = blocks.length * TRACE_BLOCK_TOKENS + Math.floor(random() * TRACE_BLOCK_TOKENS);
      traced.push({ seconds, promptTokens, outputTokens, blocks: [...blocks] });
      blocks.push(...chain(1 + Math.floor(exponential(3))));
      seconds += 2 + exponential(SECONDS_BETWEEN_TURNS);
    }
  }
  traced.sort((one, other) => one.seconds - other.seconds);
  return { name: `${teams} teams, zipf ${zipf}, ${meanTurns} turns${burst > 1 ? ', bursts' : ''}`, requests: traced };
}

/** Numbers in [0, 1) that are the same for the same seed. */
function randomFrom(seed: number): () => number {
  let drawn = 0;
  return () => scramble(scramble(seed) + (drawn += 1)) / 2 ** 32;
}
