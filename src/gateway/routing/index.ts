/** Which replica a request goes to; pure. */
export { scramble, type BlockHash } from './block-hashes.ts';
export { promptBlocks, tokensOfBlock, type PromptBlocks, type PromptKind } from './prompt-blocks.ts';
export {
  POLICIES,
  Router,
  type Candidate,
  type Choice,
  type Policy,
  type RoutedRequest,
  type RouterOptions,
} from './router.ts';
export { sequencesOf } from './sequences.ts';
export { ASSUMED_RATES, estimatedWork, OutputEstimate, type Tokens, type WorkRates } from './work.ts';
