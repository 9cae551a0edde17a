import { describe, expect, test } from 'vitest';
import { Balancer } from '../../src/gateway/index.ts';
import { operationAt } from '../../src/gateway/operations.ts';
import { ManualClock } from '../support/manual-clock.ts';

const OPTIONS = { policy: 'PrefixAffinity', cacheBlockTokens: 544, cacheBlocks: 1000, gateways: 1 } as const;
const balancer = () => new Balancer({ clock: new ManualClock(), ...OPTIONS });
const chat = operationAt('/v1/chat/completions')!;
const messages = [{ role: 'user', content: 'hello' }];

describe('the work of a request', () => {
  test.each([
    ['/v1/chat/completions', ['max_completion_tokens', 'max_tokens'], ['max_output_tokens']],
    ['/v1/completions', ['max_tokens'], ['max_completion_tokens', 'max_output_tokens']],
    ['/v1/responses', ['max_output_tokens'], ['max_tokens', 'max_completion_tokens']],
    ['/v1/messages', ['max_tokens'], ['max_completion_tokens', 'max_output_tokens']],
  ])('of %s is bounded by its own field alone', (path, own, foreign) => {
    const work = (body: object) => balancer().route(operationAt(path)!, { messages, prompt: 'hello', ...body }).work;
    const unbounded = work({});
    for (const field of own) expect(work({ [field]: 1 })).toBeLessThan(unbounded);
    for (const field of foreign) expect(work({ [field]: 1 })).toBe(unbounded);
    for (const nothing of [0, -1, 0.5, 1e-9, Infinity, '1', null]) expect(work({ [own[0]!]: nothing })).toBe(unbounded);
  });

  test('is that of all its answers', () => {
    const work = (body: object) => balancer().route(operationAt('/v1/completions')!, { max_tokens: 100, ...body });
    const one = work({ prompt: 'a' });
    const many = work({ prompt: Array.from({ length: 500 }, () => 'a'), n: 4 });
    expect([one.sequences, many.sequences]).toEqual([1, 2000]);
    expect(many.work).toBeGreaterThan(1000 * one.work);
  });

  test('of counting tokens is none', () => {
    const count = operationAt('/v1/messages/count_tokens')!;
    expect(balancer().route(count, { messages: [{ role: 'user', content: 'a'.repeat(100_000) }] }).work).toBe(0);
  });

  test('is known once it has ended, and the next answers are estimated by it', () => {
    const one = balancer();
    const route = one.route(chat, { messages });
    const usage = { promptTokens: 20_000, cachedTokens: 10_000, generatedTokens: 2500 };
    expect(one.learn(route, usage)).toBeCloseTo(0.5 + 1);
    expect(one.route(chat, { messages }).work).toBeGreaterThan(route.work);
  });
});
