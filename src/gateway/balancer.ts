import type { Clock } from '../runtime/clock.ts';
import type { Body } from './generation.ts';
import type { Operation } from './operations.ts';
import type { Replica } from './replicas.ts';
import {
  OutputEstimate,
  type Policy,
  type PromptKind,
  Router,
  estimatedWork,
  promptBlocks,
  sequencesOf,
  tokensOfBlock,
} from './routing/index.ts';
import type { Usage } from './usage.ts';

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
  /** Answers that it asks for. */
  readonly sequences: number;
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

  route({ name, kind: operationKind }: Operation, body: Body): Route {
    const { clock, cacheBlockTokens } = this.#options;
    if (operationKind !== 'Generation') return TO_ANY;
    const kind = KINDS[name] ?? 'chat';
    const { blocks, tokens: promptTokens } = promptBlocks(body, kind, cacheBlockTokens);
    const sequences = sequencesOf(body, kind);
    const outputTokens = sequences * this.#output.expected(mostTokens(body, kind));
    const request = { blocks, promptTokens, outputTokens };
    return {
      sequences,
      work: estimatedWork({ promptTokens, cachedTokens: 0, outputTokens }),
      choose: (replicas) => {
        const { id, work } = this.#router.choose(request, replicas, clock.monotonic())!;
        return { replica: replicas.find((replica) => replica.id === id)!, work };
      },
    };
  }

  /** What an answer that has ended really took, in seconds of an engine; the next ones are estimated by it. */
  learn({ sequences }: Route, { promptTokens, cachedTokens, generatedTokens }: Usage): number {
    this.#output.observe(generatedTokens / sequences);
    return estimatedWork({ promptTokens, cachedTokens, outputTokens: generatedTokens });
  }
}

/** A route of what an engine answers without its GPU: no cache is worth a thought. */
const TO_ANY: Route = {
  sequences: 1,
  work: 0,
  choose: (replicas) => ({ replica: replicas.reduce((a, b) => (b.work < a.work ? b : a)), work: 0 }),
};

/** How the prompt stands in the body of an operation. */
const KINDS: Readonly<Record<string, PromptKind>> = {
  chat: 'chat',
  completions: 'completions',
  responses: 'responses',
  messages: 'messages',
};

/** Where an operation's API puts the most tokens of an answer, the first one first: engines overlook other fields. */
const MOST_TOKENS: Readonly<Record<PromptKind, readonly string[]>> = {
  chat: ['max_completion_tokens', 'max_tokens'],
  completions: ['max_tokens'],
  responses: ['max_output_tokens'],
  messages: ['max_tokens'],
};

const mostTokens = (body: Body, kind: PromptKind): number | undefined =>
  MOST_TOKENS[kind].map((field) => body[field]).find(isCount);

const isCount = (value: unknown): value is number => Number.isInteger(value) && (value as number) > 0;
