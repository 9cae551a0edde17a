import { describe, expect, test } from 'vitest';
import { ManualClock } from '../support/manual-clock.ts';
import { Engine, type GenerationEnd, type GenerationRequest } from './vllm/engine.ts';
import { GIB, type KvLayout, kvGeometry } from './vllm/memory.ts';
import { EngineMetrics } from './vllm/metrics.ts';

/** A thousand prompt tokens a second, and ten generated ones, whatever runs. */
const speed = { prefillTokensPerSecond: 1000, decodeStepSeconds: () => 0.1 };

function setUp(over: Partial<KvLayout> = {}) {
  const clock = new ManualClock();
  const { blockTokens, blocksFor } = kvGeometry(2, 2, true);
  const layout: KvLayout = {
    weightsBytes: 37 * GIB,
    kvBytes: 30 * GIB,
    blockTokens,
    blocks: 1000,
    maxModelLen: 131_072,
    maxNumSeqs: 8,
    prefixCaching: true,
    concurrency: 4,
    blocksFor,
    autoFitFrom: undefined,
    ...over,
  };
  const metrics = new EngineMetrics({
    modelName: 'm',
    maxModelLen: layout.maxModelLen,
    waitingByReason: true,
    cacheConfig: {},
  });
  const engine = new Engine({ clock, layout, batchedTokens: 8192, speed, metrics });
  const sample = (name: string): number => {
    const line = metrics
      .render(engine.load)
      .split('\n')
      .find((candidate) => candidate.startsWith(`${name}{`));
    return Number(line?.split(' ').at(-1));
  };
  return { clock, engine, sample };
}

interface Submitted {
  generated: number;
  firstTokenMs: number | undefined;
  end: GenerationEnd | undefined;
  endMs: number | undefined;
  cancel: () => void;
}

function submit({ clock, engine }: ReturnType<typeof setUp>, over: Partial<GenerationRequest> = {}): Submitted {
  const state: Submitted = {
    generated: 0,
    firstTokenMs: undefined,
    end: undefined,
    endMs: undefined,
    cancel: () => {},
  };
  state.cancel = engine.submit({
    promptTokens: 1000,
    outputTokens: 11,
    maxTokens: 100,
    prefixKeys: [],
    finishReason: 'stop',
    onTokens: (generated) => {
      state.generated = generated;
      state.firstTokenMs ??= clock.monotonic();
    },
    onEnd: (end) => {
      state.end = end;
      state.endMs = clock.monotonic();
    },
    ...over,
  });
  return state;
}

describe('Engine', () => {
  test('a request takes the time of its prompt, then of its tokens', async () => {
    const world = setUp();
    const request = submit(world);
    await world.clock.advance(10_000);
    // 1 s for the prompt and a step for the first token, then ten steps of 0.1 s.
    expect(request).toMatchObject({ generated: 11, firstTokenMs: 1100, end: 'finished', endMs: 2100 });
  });

  test('requests decode together', async () => {
    const world = setUp();
    const requests = [submit(world), submit(world)];
    await world.clock.advance(60_000);
    // The second prompt shares a step with the first answer's second token; from there both go step by step.
    expect(requests.map(({ endMs }) => endMs)).toEqual([3100, 3200]);
  });

  test('at most max_num_seqs run; the rest wait in order', async () => {
    const world = setUp({ maxNumSeqs: 1 });
    const [first, second] = [submit(world), submit(world)];
    await world.clock.advance(500);
    expect(world.engine.load).toMatchObject({ running: 1, waiting: 1 });
    await world.clock.advance(60_000);
    expect([first.endMs, second.endMs]).toEqual([2100, 4200]);
    expect(world.sample('vllm:request_queue_time_seconds_sum')).toBeCloseTo(2.1);
  });

  test('a request waits until the pool has blocks for its prompt', async () => {
    const world = setUp({ blocks: 20 });
    submit(world, { promptTokens: 6000 });
    const second = submit(world, { promptTokens: 6000 });
    await world.clock.advance(1000);
    expect(world.engine.load).toMatchObject({ running: 1, waiting: 1 });
    await world.clock.advance(60_000);
    expect(second.end).toBe('finished');
  });

  test('a request that never fits waits for ever', async () => {
    const world = setUp({ blocks: 20 });
    const request = submit(world, { promptTokens: 50_000 });
    await world.clock.advance(3_600_000);
    expect(request.end).toBeUndefined();
    expect(world.engine.load.waiting).toBe(1);
  });

  test('the youngest is preempted when answers outgrow the pool, and still ends', async () => {
    const world = setUp({ blocks: 26 });
    const requests = [0, 1].map(() => submit(world, { promptTokens: 3000, outputTokens: 3000 }));
    await world.clock.advance(3_600_000);
    expect(requests.map(({ end }) => end)).toEqual(['finished', 'finished']);
    expect(world.sample('vllm:num_preemptions_total')).toBeGreaterThan(0);
  });

  test('a prompt that begins like an earlier one is computed only from where they part', async () => {
    const world = setUp();
    const prefixKeys = Array.from({ length: 10 }, (_, index) => `key-${index}`);
    const first = submit(world, { promptTokens: 6000, prefixKeys });
    await world.clock.advance(60_000);
    const before = world.clock.monotonic();
    const second = submit(world, { promptTokens: 6000, prefixKeys });
    await world.clock.advance(60_000);
    expect(second.firstTokenMs! - before).toBeLessThan(first.firstTokenMs! / 5);
    expect(world.sample('vllm:prefix_cache_hits_total')).toBe(5440);
    expect(world.sample('vllm:prefix_cache_queries_total')).toBe(12_000);
  });

  test('a cancelled request ends at once and frees its place', async () => {
    const world = setUp({ maxNumSeqs: 1 });
    const [first, second] = [submit(world), submit(world)];
    await world.clock.advance(500);
    first.cancel();
    expect(first.end).toBe('aborted');
    await world.clock.advance(2100);
    expect(second.end).toBe('finished');
    expect(world.engine.load).toEqual({ running: 0, waiting: 0, kvCacheUsage: 0 });
  });

  test('a killed engine ends all requests and takes no more', async () => {
    const world = setUp();
    const running = submit(world);
    await world.clock.advance(100);
    world.engine.kill('dead');
    expect([running.end, submit(world).end]).toEqual(['dead', 'dead']);
    expect(world.clock.pending).toBe(0);
  });

  test('usage of the KV cache follows the tokens held', async () => {
    const world = setUp({ blocks: 101 });
    submit(world, { promptTokens: 544 * 44 });
    await world.clock.advance(100);
    expect(world.engine.load.kvCacheUsage).toBeCloseTo(0.5, 1);
  });
});
