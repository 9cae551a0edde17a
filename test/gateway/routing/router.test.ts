import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { POLICIES, Router, type Policy } from '../../../src/gateway/routing/index.ts';

const BLOCK_TOKENS = 512;
const router = (policy: Policy = 'PrefixAffinity') =>
  new Router({ policy, blockTokens: BLOCK_TOKENS, cacheBlocks: 5000, gateways: 2 });
const idle = (count: number, from = 0) =>
  Array.from({ length: count }, (_, index) => ({ id: `pod-${from + index}`, work: 0 }));

/** A chain that is a conversation's own from its first block. */
const chain = (conversation: number, length: number): number[] =>
  Array.from({ length }, (_, depth) => conversation * 2 ** 20 + depth * 7919 + 3);
const request = (blocks: readonly number[]) => ({
  blocks,
  promptTokens: blocks.length * BLOCK_TOKENS + 100,
  outputTokens: 200,
});

describe('Router', () => {
  test.each(POLICIES)('%s chooses nothing where there is nothing, and the only one where there is one', (policy) => {
    expect(router(policy).choose(request(chain(1, 4)), [], 0)).toBeUndefined();
    expect(router(policy).choose(request(chain(1, 4)), idle(1), 0)?.id).toBe('pod-0');
  });

  test.each(POLICIES)('%s chooses among the candidates alone, whatever came before', (policy) => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            conversation: fc.nat({ max: 5 }),
            length: fc.nat({ max: 30 }),
            candidates: fc.subarray(idle(6), { minLength: 1 }),
            waitMs: fc.nat({ max: 100_000 }),
          }),
          { maxLength: 40 },
        ),
        (steps) => {
          const routing = router(policy);
          let now = 0;
          for (const { conversation, length, candidates, waitMs } of steps) {
            now += waitMs;
            const choice = routing.choose(request(chain(conversation, length)), candidates, now)!;
            expect(candidates.map(({ id }) => id)).toContain(choice.id);
            expect(choice.work).toBeGreaterThan(0);
            expect(Number.isFinite(choice.work)).toBe(true);
          }
        },
      ),
      { numRuns: 50 },
    );
  });

  test('a conversation that grows stays where its cache is', () => {
    const routing = router();
    const [first, ...rest] = [4, 6, 9, 30].map((length, turn) =>
      routing.choose(request(chain(1, length)), idle(8), turn * 20_000),
    );
    expect(first!.cachedTokens).toBe(0);
    expect(rest.map((choice) => choice!.id)).toEqual([first!.id, first!.id, first!.id]);
    expect(rest.map((choice) => choice!.cachedTokens / BLOCK_TOKENS)).toEqual([4, 6, 9]);
  });

  test('two gateways that never spoke send a conversation to the same replica', () => {
    const [one, other] = [router(), router()];
    let now = 0;
    let agreed = 0;
    for (let conversation = 0; conversation < 400; conversation += 1) {
      now += 4000;
      const first = one.choose(request(chain(conversation, 6)), idle(8), now)!;
      const second = other.choose(request(chain(conversation, 9)), idle(8).reverse(), now + 1000)!;
      if (first.id === second.id) agreed += 1;
    }
    // The rest met a replica that had its share.
    expect(agreed / 400).toBeGreaterThan(0.95);
  });

  test('conversations with one long beginning in common are spread, and each stays', () => {
    const system = chain(1000, 40);
    const [one, other] = [router(), router()];
    const at = new Map<number, string>();
    let [now, stayed, again] = [0, 0, 0];
    for (let turn = 0; turn < 2000; turn += 1) {
      now += 1000;
      const conversation = turn % 200;
      const gateway = (turn * 7919) % 3 === 0 ? one : other;
      const blocks = [...system, ...chain(conversation, 3 + Math.floor(turn / 200))];
      const { id } = gateway.choose(request(blocks), idle(8), now)!;
      if (turn >= 400) {
        again += 1;
        if (at.get(conversation) === id) stayed += 1;
      }
      at.set(conversation, id);
    }
    expect(stayed / again).toBeGreaterThan(0.9);
    const counts = idle(8).map((replica) => [...at.values()].filter((id) => id === replica.id).length);
    expect(Math.max(...counts)).toBeLessThan(2 * (200 / 8));
  });

  test('a beginning that a part of the work has gets a part of the replicas', () => {
    const routing = router();
    const team = chain(2000, 20);
    const used = new Set<string>();
    let now = 0;
    for (let turn = 0; turn < 1500; turn += 1) {
      now += 500;
      const isTeam = turn % 10 === 0;
      const { id } = routing.choose(request([...(isTeam ? team : []), ...chain(turn, 5)]), idle(16), now)!;
      if (isTeam && turn > 500) used.add(id);
    }
    expect(used.size).toBeGreaterThan(1);
    expect(used.size).toBeLessThanOrEqual(8);
  });

  test('one beginning that everybody asks for does not bury its replica', () => {
    const routing = router();
    const work = new Map<string, number>();
    let now = 0;
    for (let turn = 0; turn < 400; turn += 1) {
      now += 250;
      const choice = routing.choose({ ...request(chain(1, 40)), outputTokens: 2000 }, idle(4), now)!;
      if (turn >= 100) work.set(choice.id, (work.get(choice.id) ?? 0) + choice.work);
    }
    const total = [...work.values()].reduce((sum, seconds) => sum + seconds, 0);
    expect(Math.max(...work.values())).toBeLessThan((1.6 * total) / 4);
  });

  test('work that others have sent counts: a replica with a queue gets no new prefix', () => {
    const home = router().choose(request(chain(1, 10)), idle(4), 0)!.id;
    const busy = idle(4).map((replica) => ({ ...replica, work: replica.id === home ? 60 : 1 }));
    const routing = router();
    expect(routing.choose(request(chain(2, 10)), busy, 0)!.id).not.toBe(home);
    expect(routing.choose(request(chain(1, 10)), busy, 0)!.id).not.toBe(home);
  });

  test.each([-4e-12, 4e-12])('a conversation stays where its cache is though sums leave %d of work there', (left) => {
    const routing = router();
    const { id: home } = routing.choose(request(chain(1, 10)), idle(8), 0)!;
    const rounded = idle(8).map(({ id }) => ({ id, work: id === home ? left : -4e-12 }));
    expect(routing.choose(request(chain(1, 12)), rounded, 3_600_000)!.id).toBe(home);
  });

  test('a replica that joins or leaves moves its own share of the conversations and no others', () => {
    const ids = (candidates: ReturnType<typeof idle>) => {
      const routing = router();
      return Array.from(
        { length: 300 },
        (_, conversation) => routing.choose(request(chain(conversation, 6)), candidates, conversation * 60_000)!.id,
      );
    };
    const [eight, seven] = [ids(idle(8)), ids(idle(7))];
    const moved = eight.filter((id, index) => id !== seven[index]);
    expect(moved.every((id) => id === 'pod-7')).toBe(true);
    expect(moved.length / 300).toBeLessThan(1 / 8 + 0.06);
  });

  test('without a whole block a request goes where the least work is', () => {
    const replicas = [
      { id: 'a', work: 3 },
      { id: 'b', work: 1 },
      { id: 'c', work: 2 },
    ];
    expect(router().choose(request([]), replicas, 0)!.id).toBe('b');
    expect(router('LeastLoad').choose(request(chain(1, 3)), replicas, 0)!.id).toBe('b');
  });

  test('RoundRobin takes turns', () => {
    const routing = router('RoundRobin');
    const turns = Array.from({ length: 8 }, () => routing.choose(request(chain(1, 3)), idle(4), 0)!.id);
    expect(new Set(turns.slice(0, 4)).size).toBe(4);
    expect(turns.slice(4)).toEqual(turns.slice(0, 4));
  });

  test('a million blocks and ten thousand replicas take less than 4 MiB in all', () => {
    const before = memory();
    const routing = router();
    for (let turn = 0; turn < 10_000; turn += 1) {
      routing.choose(request(chain(turn, 100)), idle(8, turn), turn * 1000);
    }
    expect(memory() - before).toBeLessThan(4 * 2 ** 20);
    expect(routing.choose(request(chain(1, 3)), idle(2), 1e8)).toBeDefined();
  });
});

/** Bytes that are alive. */
function memory(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
