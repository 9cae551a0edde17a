import { describe, expect, test } from 'vitest';
import type { QwenCoderStatus } from '../../src/api/index.ts';
import { CalibrationStore } from '../../src/reconcile/calibration-store.ts';
import { EngineLogs } from '../../src/reconcile/engine-logs.ts';
import { EngineReports } from '../../src/reconcile/engine-reports.ts';
import type { EngineFacts } from '../../src/reconcile/facts.ts';
import { FailureFinder } from '../../src/reconcile/failures.ts';
import { Tuner, type Tuning } from '../../src/reconcile/tuner.ts';
import { silentLog } from '../../src/runtime/index.ts';
import { configurationOf } from '../../src/serving/index.ts';
import { container, facts, installation, liveSlot, type PodOver, plan, pod, revision } from '../support/builders.ts';
import { ManualClock, settle } from '../support/manual-clock.ts';

const KEY = 'team-a/coder';
const MINUTE = 60_000;
const IDLE_MS = 30 * MINUTE;
const { signal } = new AbortController();
const target = revision({ plan: plan({ maxModelLen: 131_072 }) });

const engine = (over: Partial<EngineFacts> = {}): EngineFacts => ({
  createdMs: 0,
  scheduledMs: 0,
  hasStarted: true,
  readyMs: 0,
  ...over,
});

const metrics = (blocks: number, requests = 0, tokens = 0): string =>
  [
    `vllm:num_requests_running{engine="0"} ${requests}.0`,
    `vllm:prompt_tokens_total{engine="0"} ${tokens}.0`,
    `vllm:cache_config_info{block_size="544",num_gpu_blocks="${blocks}"} 1.0`,
  ].join('\n');

const models = (length: number): string => JSON.stringify({ data: [{ id: 'coder', max_model_len: length }] });

/** One engine pod whose answers a test sets, and the operator's part that looks at it. */
function setUp(over: PodOver = {}) {
  const clock = new ManualClock();
  const asked: string[] = [];
  const answers = new Map<string, string | Error>();
  const answer = (path: string): string => {
    asked.push(path);
    const found = answers.get(path) ?? new Error(`${path} answers 404`);
    if (found instanceof Error) throw found;
    return found;
  };
  const calibrations = new CalibrationStore({
    client: { get: async () => undefined, patch: async () => ({}) as never },
    key: { namespace: 'system', name: 'calibrations' },
    log: silentLog,
  });
  const reports = new EngineReports({
    client: { podLogs: async () => answer('log') },
    get: async (url) => answer(new URL(url).pathname),
    clock,
    enqueue: () => {},
  });
  let held: Promise<void> | undefined;
  const failures = new FailureFinder({
    clock,
    keysOf: installation.keysOf,
    logs: new EngineLogs({
      read: async ({ isPrevious }) => {
        const text = answer(isPrevious ? 'previous log' : 'log');
        await held;
        return text;
      },
      clock,
      namespaces: undefined,
      onLate: () => {},
      onFailure: () => {},
    }),
    refusalOf: async () => undefined,
  });
  let tuner = new Tuner({ reports, calibrations, clock, idleMs: IDLE_MS });
  let status: QwenCoderStatus = {};
  let engineOver = over;
  const world = () => {
    const slot = liveSlot(0, target.hash, [pod({ ip: '10.0.0.1', engine: engine(), ...engineOver })]);
    return facts({ slots: [slot], pods: slot.pods, revisions: [target] });
  };
  const reconcile = async (): Promise<Tuning & { readonly isIdle: boolean }> => {
    const { attempts, isIdle } = await tuner.learned(KEY, world().spec, status, signal);
    const subject = {
      facts: world(),
      target: { planned: true, revision: target, rejected: [] },
      model: { state: 'verified' },
      volume: undefined,
    } as const;
    const { engine: failure } = (await failures.find(subject, undefined, signal)).failures;
    const tuning = tuner.look(KEY, subject.facts, target, { attempts, failure, engineKey: 'key' }, 'now', signal);
    status = { tuning: [...tuning.attempts] };
    return { ...tuning, isIdle };
  };
  return {
    clock,
    asked,
    answers,
    calibrations,
    /** Logs come when the answer is called. */
    holdLogs: () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      held = promise;
      return resolve;
    },
    become: (next: PodOver) => (engineOver = next),
    /** A new process, which knows nothing but the cluster. */
    restart: () => (tuner = new Tuner({ reports, calibrations, clock, idleMs: IDLE_MS })),
    reconcile,
    /** Reconciles as the queue would: again after what was read. */
    settled: async () => {
      await reconcile();
      await settle();
      return reconcile();
    },
  };
}

describe('Tuner', () => {
  test('an engine that loaded is measured once, and never asked again', async () => {
    const { answers, asked, settled, reconcile, restart } = setUp();
    answers.set('/metrics', metrics(2448));
    answers.set('/v1/models', models(131_072));
    const { attempts, verdict } = await settled();
    expect(attempts).toEqual([
      {
        configuration: configurationOf(target.plan, facts().spec),
        maxModelLen: 131_072,
        outcome: 'Fits',
        kvBlocks: 2448,
        time: 'now',
      },
    ]);
    expect(verdict?.state).toBe('Step');
    restart();
    answers.set('/metrics', metrics(900));
    asked.length = 0;
    expect((await reconcile()).attempts).toEqual(attempts);
  });

  test('what was measured is shared with engines of its kind', async () => {
    const { answers, calibrations, settled } = setUp();
    answers.set('/metrics', metrics(1000));
    await settled();
    expect(calibrations.get('NVIDIA-H100-80GB-HBM3_vllm-0.33.0_tp2_FP8_kv-BF16')).toMatchObject({
      utilizationPercent: 92,
      gpuMemoryBytes: 81_559 * 2 ** 20,
    });
  });

  test('an engine whose models need a key is measured all the same', async () => {
    const { answers, settled } = setUp();
    answers.set('/metrics', metrics(1000));
    answers.set('/v1/models', new Error('/v1/models answers 401'));
    expect((await settled()).attempts).toMatchObject([{ outcome: 'Fits', kvBlocks: 1000 }]);
  });

  test('where metrics cannot be read, the log tells', async () => {
    const { answers, reconcile, settled } = setUp();
    answers.set('/metrics', new Error('no answer within 3 s'));
    answers.set('log', 'INFO Available KV cache memory: 12.5 GiB');
    await settled();
    await settle();
    expect((await reconcile()).attempts).toMatchObject([{ outcome: 'Fits', kvBlocks: 2007 }]);
  });

  test('an engine that tells nothing is asked again soon, then less and less often; that it failed twice is said', async () => {
    const { answers, asked, clock, reconcile, settled } = setUp();
    const round = async () => {
      await settled();
      await settle();
      return reconcile();
    };
    expect(await round()).toMatchObject({ verdict: { state: 'Trying' }, lookAgainMs: 10_000 });
    expect((await reconcile()).attempts[0]!.message).toBeUndefined();
    expect(asked).toEqual(['/metrics', '/v1/models', 'log']);
    await clock.advance(10_000);
    const blind = await round();
    expect(blind).toMatchObject({ verdict: { state: 'Trying' }, lookAgainMs: 5 * MINUTE });
    expect(blind.attempts[0]!.message).toBe('pod coder-engine-0-x: /metrics answers 404, and its log does not tell');
    await clock.advance(5 * MINUTE);
    // Asking again changes nothing of what is said, so the status is not written.
    for (let looks = 0; looks < 4; looks += 1) {
      expect((await reconcile()).attempts).toEqual(blind.attempts);
      await settle();
    }
    expect(asked).toHaveLength(9);
    answers.set('/metrics', metrics(1000));
    await clock.advance(10 * MINUTE);
    expect((await settled()).attempts).toMatchObject([{ outcome: 'Fits' }]);
  });

  test('a new operator goes on saying so, whatever it has asked yet', async () => {
    const { clock, reconcile, restart, settled } = setUp();
    for (let rounds = 0; rounds < 2; rounds += 1) {
      await settled();
      await settle();
      await reconcile();
      await clock.advance(5 * MINUTE);
    }
    const { attempts } = await settled();
    restart();
    expect((await reconcile()).attempts).toEqual(attempts);
  });

  test('what answers with another length is another engine', async () => {
    const { answers, clock, reconcile, settled } = setUp();
    answers.set('/metrics', metrics(1000));
    answers.set('/v1/models', models(4096));
    await settled();
    await settle();
    await reconcile();
    await clock.advance(5 * MINUTE);
    await settled();
    expect(await reconcile()).toMatchObject({
      verdict: { state: 'Trying' },
      attempts: [{ message: expect.stringContaining('/v1/models says 4096 tokens, not 131072') as string }],
    });
  });

  const TOO_SMALL =
    "ValueError: To serve at least one request with the model's max seq len (131072), (3.02 GiB KV cache is needed, which is larger than the available KV cache memory (1.00 GiB). Based on";
  /** A pod whose engine ended so. */
  const broken = (message = ''): PodOver => ({
    ready: false,
    restarts: 1,
    container: container({ end: { exitCode: 1, reason: 'Error', message }, ended: 1 }),
    engine: engine({ readyMs: undefined }),
  });

  test('what an engine failed of is acted on at once', async () => {
    const { answers, reconcile } = setUp(broken());
    answers.set('previous log', TOO_SMALL);
    expect(await reconcile()).toMatchObject({
      attempts: [
        { maxModelLen: 131_072, outcome: 'DoesNotFit', message: expect.stringContaining('(1.00 GiB)') as string },
      ],
      verdict: { state: 'Step', isUrgent: true },
      lookAgainMs: 1,
    });
  });

  test('where the log cannot be read, what the kubelet quotes of it counts', async () => {
    const { reconcile } = setUp(broken(TOO_SMALL));
    expect((await reconcile()).attempts).toMatchObject([{ outcome: 'DoesNotFit' }]);
  });

  test('while the log is late, a quotation without numbers waits for it', async () => {
    const { clock, answers, asked, settled, reconcile, holdLogs } = setUp(broken('CUDA out of memory.'));
    const release = holdLogs();
    answers.set('previous log', 'Starting to load model x\nCUDA out of memory. Tried to allocate 0.5 GiB.');
    const looking = reconcile();
    await settle();
    await clock.advance(2000);
    expect((await looking).attempts).toMatchObject([{ outcome: 'Trying' }]);
    expect(asked).toEqual(['previous log']);
    release();
    expect((await settled()).attempts).toMatchObject([{ outcome: 'OutOfMemory', kvBlocks: 0 }]);
  });

  test('a crash that has nothing to do with memory is no attempt', async () => {
    const { answers, settled } = setUp(broken());
    answers.set('previous log', 'api_server.py: error: unrecognized arguments');
    expect((await settled()).attempts).toMatchObject([{ outcome: 'Trying' }]);
  });

  test('an engine that served and runs out of memory steps back as well', async () => {
    const { answers, become, settled, reconcile } = setUp();
    answers.set('/metrics', metrics(1000));
    await settled();
    become(broken());
    answers.set('previous log', 'CUDA out of memory. Tried to allocate 2 GiB.');
    await settled();
    expect((await reconcile()).attempts).toMatchObject([{ outcome: 'OutOfMemory' }]);
  });
});

describe('the wait for idleness', () => {
  /** Polls once a minute for so long; the answer of the last reconcile. */
  async function poll(world: ReturnType<typeof setUp>, minutes: number) {
    for (let minute = 0; minute < minutes; minute += 1) {
      await world.clock.advance(MINUTE);
      await world.reconcile();
      await settle();
      await world.reconcile();
    }
    return world.reconcile();
  }

  async function withStepDue(requests = 0, tokens = 0) {
    const world = setUp();
    world.answers.set('/metrics', metrics(5000, requests, tokens));
    const { verdict } = await world.settled();
    expect(verdict).toMatchObject({ state: 'Step', isUrgent: false });
    return world;
  }

  test('ends after thirty minutes without a request, not before', async () => {
    const world = await withStepDue();
    expect((await poll(world, 29)).isIdle).toBe(false);
    expect((await poll(world, 2)).isIdle).toBe(true);
    expect(IDLE_MS).toBe(30 * MINUTE);
  });

  test('begins anew with every request, also one that came and went between two looks', async () => {
    const world = await withStepDue();
    await poll(world, 20);
    world.answers.set('/metrics', metrics(5000, 0, 17));
    expect((await poll(world, 20)).isIdle).toBe(false);
    expect((await poll(world, 11)).isIdle).toBe(true);
  });

  test.each([
    { name: 'is busy', answer: metrics(5000, 1) },
    { name: 'does not answer', answer: new Error('no answer within 3 s') },
  ])('does not pass while the engine $name', async ({ answer }) => {
    const world = await withStepDue();
    world.answers.set('/metrics', answer);
    expect((await poll(world, 45)).isIdle).toBe(false);
  });

  test('counts only as long as it was just seen', async () => {
    const world = await withStepDue();
    expect((await poll(world, 32)).isIdle).toBe(true);
    await world.clock.advance(MINUTE);
    expect((await world.reconcile()).isIdle).toBe(false);
  });

  test('starts over with a new operator', async () => {
    const world = await withStepDue();
    await poll(world, 25);
    world.restart();
    expect((await poll(world, 10)).isIdle).toBe(false);
  });

  test('asks nothing where no step is due', async () => {
    const world = setUp();
    world.answers.set('/metrics', metrics(1000));
    expect(await world.settled()).toMatchObject({ verdict: { state: 'Tuned' }, lookAgainMs: undefined });
    world.asked.length = 0;
    await poll(world, 5);
    expect(world.asked).toEqual([]);
  });
});
