import { type BlockHash, BlockHashes } from './block-hashes.ts';
import { promptsOf, readPrompt, unitsOf, type PromptKind } from './canonical-prompt.ts';

export type { PromptKind } from './canonical-prompt.ts';

/**
 * Characters of a token. Code has 3 to 4, English prose up to 5. A block is reckoned with the most, so that it is never less than a block of
 * the engine's cache; how long a prompt is is reckoned with 4.
 */
const MOST_CHARACTERS_PER_TOKEN = 5;
const CHARACTERS_PER_TOKEN = 4;
/** The model's context. The engine refuses what is longer, so that it is no work. */
const MOST_TOKENS = 262_144;

export interface PromptBlocks {
  /** One hash for each whole block; each covers everything before it. What is left over is in none. */
  readonly blocks: readonly BlockHash[];
  /** Estimate of the prompt's tokens, at most the model's context; of all of them where there are several. */
  readonly tokens: number;
}

/** Estimated tokens that one block of `promptBlocks` stands for. */
export const tokensOfBlock = (cacheBlockTokens: number): number =>
  (cacheBlockTokens * MOST_CHARACTERS_PER_TOKEN) / CHARACTERS_PER_TOKEN;

/**
 * The beginnings of a prompt, as hashes.
 *
 * Two requests have the first n hashes in common where their instructions, tools and messages are the same for so long. Bodies that are no
 * request of the kind have none. Of several prompts the first has hashes, since all go to one replica.
 *
 * Costs about 0.15 ms for 100 KB of text, 2 ms for 1 MB and no more for a longer one: what is behind the model's context is not read.
 *
 * @param cacheBlockTokens Tokens of a block of the engine's cache: 528 to 2,096 for this model.
 */
export function promptBlocks(body: unknown, kind: PromptKind, cacheBlockTokens: number): PromptBlocks {
  const units = Math.ceil(cacheBlockTokens * MOST_CHARACTERS_PER_TOKEN);
  const hashes = new BlockHashes(units, Math.floor(MOST_TOKENS / cacheBlockTokens));
  readPrompt(body, kind, (piece) => hashes.add(piece));
  const others = kind === 'completions' ? promptsOf(body).slice(1) : [];
  const tokens = others.reduce<number>((sum, prompt) => sum + tokensOf(unitsOf(prompt)), tokensOf(hashes.units));
  return { blocks: hashes.hashes, tokens };
}

const tokensOf = (units: number): number => Math.min(MOST_TOKENS, Math.ceil(units / CHARACTERS_PER_TOKEN));
