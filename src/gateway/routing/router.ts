import type { BlockHash } from './block-hashes.ts';
import { RecentWork } from './recent-work.ts';
import { saltOf, strongest } from './rendezvous.ts';
import { SentBlocks } from './sent-blocks.ts';
import { Traffic } from './traffic.ts';
import { ASSUMED_RATES, estimatedWork, type WorkRates } from './work.ts';

/** How a replica is chosen. */
export const POLICIES = ['PrefixAffinity', 'LeastLoad', 'RoundRobin'] as const;
export type Policy = (typeof POLICIES)[number];

/** A request as far as routing goes. */
export interface RoutedRequest {
  /** Hashes of its beginnings; empty where it is shorter than a block. */
  readonly blocks: readonly BlockHash[];
  readonly promptTokens: number;
  /** Expected, not the most allowed. */
  readonly outputTokens: number;
}

/** A replica that may get the request. */
export interface Candidate {
  readonly id: string;
  /** Estimated work that waits or runs there, in seconds of an engine: this gateway's, and that of others where it is known. */
  readonly work: number;
}

export interface Choice {
  readonly id: string;
  /** Prompt tokens that the replica is believed to have in its cache. */
  readonly cachedTokens: number;
  /** Estimated work of the request there, in seconds of an engine. */
  readonly work: number;
}

export interface RouterOptions {
  readonly policy: Policy;
  /** Tokens that a block of the requests stands for. */
  readonly blockTokens: number;
  /** Blocks that the cache of one replica holds. */
  readonly cacheBlocks: number;
  /** Gateways that share the replicas: each fills its part of the caches. */
  readonly gateways: number;
  readonly rates?: WorkRates;
}

/** Rendezvous needs a number for each replica. */
interface Weighed extends Candidate {
  readonly salt: number;
  readonly load: number;
}

// The numbers up to FORK were chosen with `npm run bench -- routing`, on all of its traces and settings at once.

/** Recent work is compared over about this time. */
const LOAD_FADE_MS = 45_000;
/** How popular a prefix is is told by about this time. */
const TRAFFIC_FADE_MS = 600_000;
/** A prefix with a share of the work gets this many times as large a share of the replicas. */
const SPREAD = 3;
/**
 * How far above the mean a replica may be loaded before requests go elsewhere, in the deviations that chance alone would cause: where the mean
 * is N requests of equal work, √N of them. So the bound is tight where there is much to do and loose where a single
 * request tips the scales.
 */
const BOUND = 3.5;
/** Below this many times the mean none is too busy, however much there is to do: a tenth more of work is no reason to lose a cache. */
const SLACK = 1.3;
/** Beyond a prefix, this part of the work goes elsewhere: a fork. */
const FORK = 0.5;
/** Work of a request until some were seen, in seconds; each moves the mean by a part of the difference. */
const FIRST_WORK = 0.5;
const MEAN_STEP = 0.02;
const SENT_ENTRIES = 2 ** 18;
const TRAFFIC_ENTRIES = 2 ** 16;
/** Replicas that came and went are forgotten once so many are remembered. */
const MOST_REPLICAS = 1024;

/**
 * Chooses the replica that a request goes to.
 *
 * `PrefixAffinity` sends equal beginnings to the same replicas, since their caches hold them. The chain of blocks is followed to where requests
 * fork: a beginning that all have in common belongs to all replicas, that of a team to as many of them as its share of the work needs, a
 * conversation to one. Which ones is a matter of hashes (rendezvous), so gateways agree without a word. Where that one has too much work, the
 * request goes to the least loaded of those that hold most of its beginning, and what follows it stays there.
 *
 * **Guarantees**: one of the candidates; undefined only where there is none. 3 MiB, and what 1,024 replicas need, whatever is
 * asked. Nobody's prompt is kept, only hashes.
 *
 * **Assumes** ids that stay as long as the engine's process, and monotonic time.
 */
export class Router {
  readonly #options: RouterOptions;
  readonly #recent = new RecentWork(LOAD_FADE_MS);
  readonly #salts = new Map<string, number>();
  readonly #sent: SentBlocks;
  readonly #traffic: Traffic;
  #turn = 0;
  #meanWork = FIRST_WORK;

  constructor(options: RouterOptions) {
    this.#options = options;
    this.#sent = new SentBlocks(SENT_ENTRIES, options.cacheBlocks / options.gateways);
    this.#traffic = new Traffic(TRAFFIC_ENTRIES, TRAFFIC_FADE_MS);
  }

  /** The replica for a request, which is then taken to have been sent there. A retry asks again without the one that failed. */
  choose(request: RoutedRequest, candidates: readonly Candidate[], nowMs: number): Choice | undefined {
    if (candidates.length === 0) return undefined;
    this.#forget(candidates);
    // Named one by one: candidates are large objects, whose copies would cost more than the choice.
    const replicas = candidates.map(({ id, work }): Weighed => ({
      id,
      work,
      salt: this.#salt(id),
      // Sums of fractions may leave a trace below zero where all work has ended.
      load: Math.max(0, work) + this.#recent.of(id, nowMs),
    }));
    const chosen = this.#pick(request, replicas, nowMs);
    const { blockTokens, rates = ASSUMED_RATES } = this.#options;
    const cachedTokens = Math.min(request.promptTokens, this.#sent.held(request.blocks, chosen) * blockTokens);
    const { promptTokens, outputTokens } = request;
    const work = estimatedWork({ promptTokens, cachedTokens, outputTokens }, rates);
    this.#meanWork += (work - this.#meanWork) * MEAN_STEP;
    this.#recent.add(chosen.id, work, nowMs);
    this.#sent.add(request.blocks, chosen, nowMs);
    this.#traffic.add(request.blocks, work, nowMs);
    return { id: chosen.id, cachedTokens, work };
  }

  #pick(request: RoutedRequest, replicas: readonly Weighed[], nowMs: number): Weighed {
    this.#turn += 1;
    switch (this.#options.policy) {
      case 'RoundRobin':
        return replicas[this.#turn % replicas.length]!;
      case 'LeastLoad':
        return this.#leastLoaded(replicas);
      case 'PrefixAffinity':
        return this.#affine(request, replicas, nowMs);
    }
  }

  #affine({ blocks }: RoutedRequest, replicas: readonly Weighed[], nowMs: number): Weighed {
    if (blocks.length === 0) return this.#leastLoaded(replicas);
    const mean = replicas.reduce((sum, { load }) => sum + load, 0) / replicas.length;
    const bound = Math.max(SLACK * mean, mean + BOUND * Math.sqrt(mean * this.#meanWork));
    const { circles, depth } = this.#circles(blocks, replicas, nowMs);
    const holder = this.#holder(blocks, depth, replicas);
    if (holder && holder.load <= bound) return holder;
    for (const circle of circles) {
      const least = this.#leastLoaded(circle);
      if (least.load <= bound) return least;
    }
    return this.#leastLoaded(replicas);
  }

  /**
   * The replicas that a chain belongs to, in circles: the innermost is the one for what all of it has in common with nobody else, each next one
   * belongs to a shorter and more popular beginning, the outermost has all. `depth` is how many blocks it takes to tell the innermost.
   */
  #circles(
    blocks: readonly BlockHash[],
    replicas: readonly Weighed[],
    nowMs: number,
  ): { circles: readonly (readonly Weighed[])[]; depth: number } {
    const circles: Weighed[][] = [[...replicas]];
    let depth = 1;
    for (;;) {
      const block = blocks[depth - 1]!;
      const share = this.#traffic.share(block, nowMs);
      const count = Math.ceil(share * replicas.length * SPREAD);
      const fork = count > 1 ? this.#forkBelow(blocks, depth, nowMs) : undefined;
      const outer = circles[0]!;
      if (fork === undefined) {
        circles.unshift(strongest(block, outer, 1));
        return { circles, depth };
      }
      if (count < outer.length) circles.unshift(strongest(block, outer, count));
      depth = fork + 1;
    }
  }

  /** The least depth, at or below one, from which most went on otherwise than this chain does. */
  #forkBelow(blocks: readonly BlockHash[], depth: number, nowMs: number): number | undefined {
    for (let at = depth; at < blocks.length; at += 1) {
      const elsewhere = this.#traffic.elsewhere(blocks[at - 1]!, blocks[at]!, nowMs);
      if (elsewhere === undefined) return undefined;
      if (elsewhere > FORK) return at;
    }
    return undefined;
  }

  /** The replica that this gateway sent most of the chain to, if that is more than others have in common with it. */
  #holder(blocks: readonly BlockHash[], depth: number, replicas: readonly Weighed[]): Weighed | undefined {
    let best: Weighed | undefined;
    let most = depth - 1;
    for (const replica of replicas) {
      const held = this.#sent.held(blocks, replica);
      if (held > most || (best && held === most && replica.load < best.load)) [best, most] = [replica, held];
    }
    return best;
  }

  /** Among equals the turn goes round. */
  #leastLoaded(replicas: readonly Weighed[]): Weighed {
    let least = replicas[this.#turn % replicas.length]!;
    for (const replica of replicas) if (replica.load < least.load) least = replica;
    return least;
  }

  #salt(id: string): number {
    let salt = this.#salts.get(id);
    if (salt === undefined) this.#salts.set(id, (salt = saltOf(id)));
    return salt;
  }

  #forget(candidates: readonly Candidate[]): void {
    if (this.#salts.size <= MOST_REPLICAS) return;
    this.#salts.clear();
    this.#recent.keepOnly(candidates);
    this.#sent.keepOnly(candidates.map(({ id }) => ({ salt: this.#salt(id) })));
  }
}
