import type { Clock } from '../runtime/clock.ts';
import type { Generation } from './generation.ts';
import type { Replica } from './replicas.ts';
import {
  OutputEstimate,
  type Policy,
  type PromptKind,
  Router,
  estimatedWork,
  promptBlocks,
  tokensOfBlock,
} from './routing/index.ts';

export interface BalancerOptions {
  readonly clock: Clock;
  readonly policy: Policy;
  /** Tokens of a block of the engines' cache. */
  readonly cacheBlockTokens: number;
  /** Blocks that the cache of one engine holds. */
  readonly cacheBlocks: number;
  /** Gateways that share the engines. */
  readonly gateways: number;
}

/** A request on its way to a replica. */
export interface Route {
  /** Estimated work, in seconds of an engine that has none of the prompt in its cache. */
  readonly work: number;
  /** One of the replicas, of which there is at least one, and the work of the request there. A retry asks again without the one that failed. */
  readonly choose: (replicas: readonly Replica[]) => { readonly replica: Replica; readonly work: number };
}

/** Shares requests out among replicas. */
export class Balancer {
  readonly #options: BalancerOptions;
  readonly #router: Router;
  readonly #output = new OutputEstimate();

  constructor(options: BalancerOptions) {
    this.#options = options;
    const { policy, cacheBlockTokens, cacheBlocks, gateways } = options;
    this.#router = new Router({ policy, blockTokens: tokensOfBlock(cacheBlockTokens), cacheBlocks, gateways });
  }

  route({ operation, body }: Generation): Route {
    const { clock, cacheBlockTokens } = this.#options;
    const { blocks, tokens: promptTokens } = promptBlocks(body, KINDS[operation.name] ?? 'chat', cacheBlockTokens);
    const outputTokens = operation.kind === 'Generation' ? this.#output.expected(mostTokens(body)) : 0;
    return {
      work: estimatedWork({ promptTokens, cachedTokens: 0, outputTokens }),
      choose: (replicas) => {
        const { id, work } = this.#router.choose({ blocks, promptTokens, outputTokens }, replicas, clock.monotonic())!;
        return { replica: replicas.find((replica) => replica.id === id)!, work };
      },
    };
  }

  /** Learns from an answer that has ended. */
  learn(generatedTokens: number): void {
    this.#output.observe(generatedTokens);
  }
}

/** How the prompt stands in the body of an operation. */
const KINDS: Readonly<Record<string, PromptKind>> = {
  chat: 'chat',
  completions: 'completions',
  responses: 'responses',
  messages: 'messages',
  count_tokens: 'messages',
};

function mostTokens(body: Generation['body']): number | undefined {
  const most = body['max_completion_tokens'] ?? body['max_output_tokens'] ?? body['max_tokens'];
  return typeof most === 'number' && most > 0 ? most : undefined;
}
