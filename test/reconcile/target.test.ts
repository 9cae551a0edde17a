import { describe, expect, test } from 'vitest';
import { type Learned, chooseTarget } from '../../src/reconcile/target.ts';
import { type Revision, engineInputs, newRevision, planInputs } from '../../src/render/index.ts';
import type { QwenCoderSpecInput } from '../../src/api/index.ts';
import { type Attempt, type Observation, geometryOf, observed, tune } from '../../src/serving/index.ts';
import { container, facts, gpuNode, liveSlot, plan, pod, revision, spec } from '../support/builders.ts';

const KEYS = 'coder-keys-0123456789';

/** A revision as it was frozen for that spec; its template is marked, so that a new rendering shows. */
const frozen = (input: QwenCoderSpecInput = {}, over: Partial<Revision> = {}): Revision =>
  revision({ inputs: engineInputs(spec(input)), planInputs: planInputs(spec(input)), ...over });

const l40s = gpuNode({ product: 'NVIDIA-L40S', memoryBytes: 46068 * 2 ** 20, computeCapability: 89 });
const rtxPro6000 = gpuNode({
  product: 'NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition',
  memoryBytes: 97_887 * 2 ** 20,
  computeCapability: 120,
});
const h200 = gpuNode({ product: 'NVIDIA-H200', memoryBytes: 143_771 * 2 ** 20 });
const unschedulable = pod({
  ready: false,
  nodeName: undefined,
  unschedulable: '0/3 nodes are available: 3 Insufficient nvidia.com/gpu.',
});

function chosen(...args: Parameters<typeof facts>): Revision {
  const target = chooseTarget(facts(...args), KEYS);
  if (!target.planned) throw new Error(target.outcome.message);
  return target.revision;
}

describe('chooseTarget', () => {
  test('a new spec is planned and rendered', () => {
    const { plan: made, number, served } = chosen({});
    expect({ made, number, served }).toMatchObject({
      made: { quantization: 'FP8', tensorParallelSize: 2 },
      number: 1,
      served: false,
    });
  });

  test('a spec that was rendered before gets that very revision, whatever a newer operator would render', () => {
    const kept = frozen();
    expect(chosen({ revisions: [kept] })).toBe(kept);
  });

  test('scaling and suspension are no new rendering', () => {
    const kept = frozen();
    expect(
      chosen({ revisions: [kept], spec: spec({ suspend: true, scaling: { mode: 'External' }, replicas: 3 }) }),
    ).toBe(kept);
  });

  test('an edit that the plan does not depend on keeps the plan, though a better one exists', () => {
    const kept = frozen({}, { plan: plan({ maxModelLen: 8192 }) });
    const next = chosen({ revisions: [kept], spec: spec({ sampling: { temperature: 0.5 } }) });
    expect(next.plan.maxModelLen).toBe(8192);
    expect(next.hash).not.toBe(kept.hash);
    expect(next.number).toBe(2);
  });

  test('an image of the own is planned for anew, since what its CUDA needs is not known; another one is not', () => {
    const own = { engine: { image: 'registry.local/vllm:cuda12' } };
    const other = { engine: { image: 'registry.local/vllm:cuda13' } };
    const old = gpuNode({ driver: 550 });
    const kept = frozen();
    expect(chosen({ revisions: [kept], spec: spec(own), nodes: () => [old] }).plan.leastDriver).toBeUndefined();
    const target = chooseTarget(facts({ revisions: [frozen(own)], nodes: () => [old] }), KEYS);
    expect(target).toMatchObject({ planned: false, outcome: { reason: 'DriverTooOld' } });
    const mine = frozen(own, { plan: plan({ leastDriver: undefined, maxModelLen: 8192 }) });
    expect(chosen({ revisions: [mine], spec: spec(other) }).plan.maxModelLen).toBe(8192);
  });

  test('going back to an earlier spec goes back to its revision', () => {
    const first = frozen({});
    const second = frozen({ sampling: { temperature: 0.5 } }, { hash: 'bbbbbbbbbb', number: 2 });
    expect(chosen({ revisions: [second, first] })).toBe(first);
  });

  test('an edit that renders the same template keeps the revision and notes what it is chosen for', () => {
    const same = newRevision('coder', spec({}), chosen({}).plan, KEYS, 1);
    const next = chosen({ revisions: [same], spec: spec({ parallelism: { tensorParallelSize: 2 } }) });
    expect(next.hash).toBe(same.hash);
    expect(next.inputs).toBe(engineInputs(spec({ parallelism: { tensorParallelSize: 2 } })));
  });

  test.each([
    { name: 'its GPUs are gone and others fit', over: { nodes: () => [l40s] }, product: 'NVIDIA-L40S' },
    {
      name: 'its GPUs are gone but for those with an old driver',
      over: { nodes: () => [gpuNode({ driver: 550 }), l40s] },
      product: 'NVIDIA-L40S',
    },
    { name: 'its GPUs are gone and nothing fits', over: { nodes: () => [] }, product: 'NVIDIA-H100-80GB-HBM3' },
    {
      name: 'its GPUs are gone from the cache and its pods run',
      over: { nodes: () => [l40s], pods: [pod()] },
      product: 'NVIDIA-H100-80GB-HBM3',
    },
    {
      name: 'its pods find no node though it served',
      over: { nodes: () => [gpuNode({ free: 0 }), l40s], pods: [unschedulable] },
      product: 'NVIDIA-H100-80GB-HBM3',
    },
  ])('a plan when $name', ({ over, product }) => {
    expect(chosen({ revisions: [frozen()], ...over }).plan.gpuProduct).toBe(product);
  });

  test('a plan that never served and whose pods find no node gives way to one as good on free GPUs, and to no other', () => {
    const input = { revisions: [frozen({}, { served: false })], pods: [unschedulable] };
    const taken = gpuNode({ free: 0 });
    expect(chosen({ ...input, nodes: () => [taken, rtxPro6000] }).plan.gpuProduct).toBe(rtxPro6000.product);
    expect(chosen({ ...input, nodes: () => [taken, l40s] }).plan.gpuProduct).toBe(taken.product);
    expect(chosen({ ...input, nodes: () => [taken] }).plan.gpuProduct).toBe(taken.product);
  });

  test('who holds which GPUs moves no plan whose pods have a node or none yet', () => {
    const nodes = () => [gpuNode({ free: 0 }), rtxPro6000];
    for (const served of [true, false]) {
      const kept = frozen({}, { served });
      expect(chosen({ revisions: [kept], nodes })).toBe(kept);
      expect(chosen({ revisions: [kept], nodes, pods: [pod()] })).toBe(kept);
    }
  });

  test('a plan beyond a quota gives way to one within it while it never served or no engine has a node', () => {
    const input = { nodes: () => [gpuNode(), h200], quota: { name: 'gpus', gpus: 1 } };
    const [fresh, served] = [frozen({}, { served: false }), frozen()];
    const products = {
      fresh: chosen({ ...input, revisions: [fresh], pods: [pod()] }).plan.gpuName,
      down: chosen({ ...input, revisions: [served] }).plan.gpuName,
      up: chosen({ ...input, revisions: [served], pods: [pod()] }).plan.gpuName,
    };
    expect(products).toEqual({ fresh: 'H200-141GB', down: 'H200-141GB', up: 'H100-80GB' });
  });

  test('a plan beyond a quota is kept where nothing is within it', () => {
    const kept = frozen();
    expect(chosen({ revisions: [kept], quota: { name: 'gpus', gpus: 1 } })).toBe(kept);
  });

  test('a new spec that a quota leaves no GPUs for has no target, and the quota is named', () => {
    const target = chooseTarget(facts({ quota: { name: 'gpus', gpus: 1 } }), KEYS);
    expect(target).toMatchObject({ planned: false, outcome: { reason: 'QuotaTooSmall' } });
  });

  test('a plan that waits for a node comes with what could start sooner, whether it served or not', () => {
    const small = gpuNode({ product: 'NVIDIA-GeForce-RTX-5090', memoryBytes: 32_607 * 2 ** 20 });
    const nodes = () => [gpuNode({ free: 0 }), small];
    for (const served of [true, false]) {
      const waiting = facts({ revisions: [frozen({}, { served })], pods: [unschedulable], nodes });
      expect(chooseTarget(waiting, KEYS)).toMatchObject({
        revision: { plan: { gpuName: 'H100-80GB' } },
        alternative: {
          plan: { gpuName: 'RTX5090-32GB', maxModelLen: 140_352 },
          startable: 1,
          set: { placement: { products: ['RTX5090-32GB'] } },
        },
      });
    }
  });

  test('a plan that served and waits is told of better GPUs that came meanwhile, though it is not left for them', () => {
    const nodes = () => [gpuNode({ free: 0 }), h200];
    expect(chooseTarget(facts({ revisions: [frozen()], pods: [unschedulable], nodes }), KEYS)).toMatchObject({
      revision: { plan: { gpuName: 'H100-80GB' } },
      alternative: { plan: { gpuName: 'H200-141GB' } },
    });
  });

  test('nothing is said to be sooner than a plan whose pods have nodes', () => {
    const nodes = () => [gpuNode({ free: 0 }), l40s];
    const target = chooseTarget(facts({ revisions: [frozen()], pods: [pod()], nodes }), KEYS);
    expect(target).toMatchObject({ alternative: undefined });
  });

  test('a spec that cannot be planned has no target, whatever served before', () => {
    const target = chooseTarget(
      facts({ revisions: [frozen()], spec: spec({ placement: { products: ['GB9000'] } }) }),
      KEYS,
    );
    expect(target).toMatchObject({ planned: false, outcome: { reason: 'UnknownGpuProduct' } });
  });
});

describe('a plan that was tried', () => {
  const kept = frozen({}, { plan: plan({ maxModelLen: 131_072 }) });
  const attempts = (observation: Observation, of = kept): readonly Attempt[] =>
    observed([], of.plan, spec(), observation, '2026-01-01T00:00:00Z');
  const learned = (over: Partial<Learned>): Learned => ({
    attempts: [],
    calibration: () => undefined,
    isIdle: false,
    ...over,
  });
  const serving = { revisions: [kept], slots: [liveSlot(0)] };
  const chosenBy = (over: Parameters<typeof facts>[0], what: Partial<Learned>): Revision => {
    const target = chooseTarget(facts(over), KEYS, undefined, learned(what));
    if (!target.planned) throw new Error(target.outcome.message);
    return target.revision;
  };
  const roomy = { attempts: attempts({ outcome: 'Fits', kvBlocks: 2400 }) };
  const tight = { attempts: attempts({ outcome: 'DoesNotFit', kvBlocks: 200 }) };

  test('and failed gives way at once to the length that fits, as a new revision of the same inputs', () => {
    const next = chosenBy(serving, tight);
    expect(next).toMatchObject({ number: 2, inputs: kept.inputs, planInputs: kept.planInputs });
    expect(next.plan.maxModelLen).toBe((Math.floor(199 / 4) - 6) * geometryOf(kept.plan, spec()).blockTokens);
    expect(chosenBy({ ...serving, revisions: [next, kept] }, tight)).toBe(next);
  });

  test('and has room for more serves on while it may be at work', () => {
    const flapping = liveSlot(0, kept.hash, [pod({ ready: false })]);
    expect(chosenBy(serving, roomy)).toBe(kept);
    expect(chosenBy({ ...serving, slots: [flapping] }, roomy)).toBe(kept);
  });

  test.each([
    { name: 'it is idle', slots: serving.slots, isIdle: true },
    { name: 'its pod is gone', slots: [liveSlot(0, kept.hash, [])], isIdle: false },
    {
      name: 'its pod waits for a node',
      slots: [liveSlot(0, kept.hash, [pod({ ready: false, nodeName: undefined })])],
      isIdle: false,
    },
    {
      name: 'its engine ended',
      slots: [
        liveSlot(0, kept.hash, [
          pod({ ready: false, container: container({ end: { exitCode: 1, reason: 'Error', message: '' } }) }),
        ]),
      ],
      isIdle: false,
    },
  ])('and has room for more takes it when $name', ({ slots, isIdle }) => {
    expect(chosenBy({ ...serving, slots }, { ...roomy, isIdle }).plan.maxModelLen).toBe(262_144);
  });

  test('goes back to the revision of a length that worked, which is then the newest', () => {
    const longer = frozen({}, { hash: 'bbbbbbbbbb', number: 2, plan: plan({ maxModelLen: 262_144 }), served: false });
    const both = [
      ...observed([], kept.plan, spec(), { outcome: 'Fits', kvBlocks: 1000 }, 'then'),
      ...attempts({ outcome: 'DoesNotFit', kvBlocks: 1000 }, longer),
    ];
    const step = tune(longer.plan, spec(), both);
    if (step.state !== 'Step') throw new Error(step.state);
    const before = newRevision('coder', spec(), step.to, KEYS, 1);
    const back = chosenBy({ revisions: [longer, before], slots: [liveSlot(0, longer.hash)] }, { attempts: both });
    expect(back).toMatchObject({ hash: before.hash, number: 3 });
    const next = chosenBy({ revisions: [back, longer], slots: [liveSlot(0, longer.hash)] }, { attempts: both });
    expect(next).toBe(back);
  });

  test('and never served gives way to other GPUs where no length fits', () => {
    const never = { ...kept, served: false };
    const nothing = { attempts: attempts({ outcome: 'DoesNotFit', kvBlocks: 0 }) };
    const calibration: Learned['calibration'] = ({ gpuProduct }) =>
      gpuProduct === kept.plan.gpuProduct
        ? { gpuMemoryBytes: kept.plan.gpuMemoryBytes, utilizationPercent: 92, kvBytes: 0, measuredAt: '' }
        : undefined;
    const nodes = () => [gpuNode({ gpus: 2, free: 2 }), l40s];
    const next = chosenBy({ revisions: [never], nodes }, { ...nothing, calibration });
    expect(next.plan.gpuProduct).toBe('NVIDIA-L40S');
    expect(chosenBy({ revisions: [kept], nodes }, { ...nothing, calibration })).toBe(kept);
  });

  test('a hint never refuses what the planner would try', () => {
    const calibration: Learned['calibration'] = () => ({
      gpuMemoryBytes: kept.plan.gpuMemoryBytes,
      utilizationPercent: 92,
      kvBytes: 0,
      measuredAt: '',
    });
    expect(chosenBy({}, { calibration }).plan.quantization).toBe('FP8');
  });

  test('but a guess is not tried against it', () => {
    const nodes = () => [gpuNode({ ...l40s, gpus: 2, free: 2 })];
    expect(chosenBy({ nodes }, {}).plan).toMatchObject({ tensorParallelSize: 2, maxModelLen: 8192 });
    const calibration: Learned['calibration'] = () => ({
      gpuMemoryBytes: l40s.memoryBytes,
      utilizationPercent: 92,
      kvBytes: 0,
      measuredAt: '',
    });
    expect(() => chosenBy({ nodes }, { calibration })).toThrow('No GPU can serve 4 requests');
  });

  test('a plan that failed gives way to no guess: one download for nothing is enough', () => {
    const nodes = () => [gpuNode({ product: 'NVIDIA-GeForce-RTX-4090', memoryBytes: 24_564 * 2 ** 20, gpus: 8 })];
    const guess = chosenBy({ nodes }, {});
    expect(guess.plan).toMatchObject({ quantization: 'FP8', tensorParallelSize: 4 });
    const calibration: Learned['calibration'] = ({ quantization }) =>
      quantization === 'FP8'
        ? { gpuMemoryBytes: guess.plan.gpuMemoryBytes, utilizationPercent: 92, kvBytes: 0, measuredAt: '' }
        : undefined;
    const nothing = attempts({ outcome: 'DoesNotFit', kvBlocks: 0 }, guess);
    expect(chosenBy({ revisions: [guess], nodes }, { attempts: nothing, calibration })).toBe(guess);
  });

  test('is what another resource of its kind begins with', () => {
    const kvBytes = 200 * geometryOf(kept.plan, spec()).blockBytes;
    const calibration: Learned['calibration'] = ({ tensorParallelSize, quantization }) =>
      tensorParallelSize === 2 && quantization === 'FP8'
        ? { gpuMemoryBytes: kept.plan.gpuMemoryBytes, utilizationPercent: 92, kvBytes, measuredAt: '' }
        : undefined;
    const only = spec({ parallelism: { tensorParallelSize: 2 }, model: { quantization: 'FP8' } });
    expect(chosenBy({ spec: only }, { calibration }).plan).toMatchObject({ maxModelLen: 23_392, concurrency: 4 });
  });
});
