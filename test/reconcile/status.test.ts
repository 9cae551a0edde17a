import { describe, expect, test } from 'vitest';
import type { QwenCoderSpecInput, QwenCoderStatus } from '../../src/api/index.ts';
import { Status } from '../../src/api/index.ts';
import type { Facts, ModelState } from '../../src/reconcile/facts.ts';
import { type Alternative, type Observation, observed, tune, unmeasured } from '../../src/serving/index.ts';
import type { Outcome } from '../../src/reconcile/outcome.ts';
import { invalidStatus, statusOf } from '../../src/reconcile/status.ts';
import { facts, gpuNode, liveSlot, plan, pod, revision, spec } from '../support/builders.ts';

const NOW = '2026-01-01T00:00:00Z';
const current = revision();
const planned = { planned: true, revision: current, rejected: [] } as const;
const verified: ModelState = { state: 'verified' };

interface Situation {
  readonly input?: QwenCoderSpecInput;
  readonly facts?: Partial<Facts>;
  readonly outcome?: Partial<Outcome>;
}

function outcomeOf({ input = {}, facts: over = {}, outcome = {} }: Situation): Outcome {
  const given = facts({ spec: spec(input), revisions: [current], ...over });
  return {
    facts: given,
    target: planned,
    model: verified,
    volume: undefined,
    wanted: 1,
    problem: undefined,
    ...outcome,
  };
}

const status = (situation: Situation, before?: QwenCoderStatus): QwenCoderStatus =>
  statusOf(outcomeOf(situation), before, NOW);

const serving: Situation = { facts: { slots: [liveSlot(0)] } };
const starting = pod({ ready: false });
const crashing = pod({ ready: false, restarts: 2 });
const notPlanned = {
  planned: false,
  outcome: {
    fits: false,
    reason: 'NoFittingGpu',
    message: 'No GPU can serve it.',
    remedy: 'Add one.',
    rejected: [{ quantization: 'FP8', gpuName: 'L4-24GB', tensorParallelSize: 1, reason: 'needs 77.9 GiB' }],
  },
} as const;

/** A plan whose engine was seen: tuning is decided by the same function as in a reconcile. */
function tried(observation: Observation, context: QwenCoderSpecInput['context'] = {}, shorter = false): Situation {
  const input = { context };
  const made = plan({ maxModelLen: context.maxModelLen ?? (shorter ? 8192 : 131_072) });
  const attempts = observed([], made, spec(input), observation, NOW);
  const tuning = {
    attempts,
    verdict: tune(made, spec(input), attempts),
    idleMs: 1_800_000,
    lookAgainMs: undefined,
  };
  const target = { ...planned, revision: { ...current, plan: made } };
  const isUp = observation.outcome === 'Fits';
  return {
    input,
    facts: { slots: [liveSlot(0, 'aaaaaaaaaa', [isUp ? pod() : starting])] },
    outcome: { target, tuning },
  };
}
const refused = (kvBlocks: number): Observation => ({
  outcome: 'DoesNotFit',
  message: "To serve at least one request with the model's max seq len (131072), (3.02 GiB KV cache is needed …",
  kvBlocks,
});
const a100 = gpuNode({ name: 'node-2', product: 'NVIDIA-A100-SXM4-80GB' });
const onA100: Alternative = {
  plan: plan({ gpuProduct: 'NVIDIA-A100-SXM4-80GB', gpuName: 'A100-80GB', maxModelLen: 131_072 }),
  startable: 1,
  set: { placement: { products: ['A100-80GB'] } },
};
const unplaced = liveSlot(0, 'aaaaaaaaaa', [
  pod({
    ready: false,
    nodeName: undefined,
    unschedulable: '0/2 nodes are available: 2 Insufficient nvidia.com/gpu. preemption: 0/2 nodes are available.',
  }),
]);
const slow = {
  pod: 'coder-engine-0-x',
  phase: 'Weights',
  share: 0.6,
  nextMs: 60_000,
} as const;

const situations: Record<string, Situation> = {
  serving: serving,
  'being fetched': { outcome: { model: { state: 'fetching', unschedulable: undefined, trouble: undefined } } },
  'fetched in vain': { outcome: { model: { state: 'failed', message: '404 Not Found', failedAtMs: 0 } } },
  'without a node for the weights': {
    outcome: { model: { state: 'fetching', unschedulable: '0/1 nodes', trouble: undefined } },
  },
  starting: { facts: { slots: [liveSlot(0, 'aaaaaaaaaa', [starting])] } },
  'without a node': {
    facts: {
      slots: [
        liveSlot(0, 'aaaaaaaaaa', [
          pod({ ready: false, nodeName: undefined, unschedulable: '0/3 nodes are available' }),
        ]),
      ],
    },
  },
  'without a node for the weights, beside other GPUs that are free': {
    facts: { nodes: () => [gpuNode({ free: 0 }), a100] },
    outcome: {
      target: { ...planned, alternative: onA100 },
      model: { state: 'fetching', unschedulable: '0/2 nodes are available.', trouble: undefined },
    },
  },
  'without a node, beside other GPUs that are free': {
    facts: { nodes: () => [gpuNode({ free: 0 }), a100], slots: [unplaced] },
    outcome: { target: { ...planned, alternative: onA100 } },
  },
  'that waits for GPUs of which two replicas of three could do with others': {
    facts: { nodes: () => [gpuNode({ free: 0 }), a100], slots: [unplaced] },
    outcome: {
      wanted: 3,
      target: {
        ...planned,
        alternative: {
          ...onA100,
          startable: 2,
          set: { ...onA100.set, parallelism: { tensorParallelSize: 2 }, model: { quantization: 'FP8' } },
        },
      },
    },
  },
  'that waits for GPUs beside a pool that can grow': {
    facts: { nodes: () => [gpuNode({ free: 0 })], slots: [unplaced] },
    outcome: { target: { ...planned, alternative: { ...onA100, startable: 0 } } },
  },
  crashing: {
    facts: {
      slots: [liveSlot(0, 'aaaaaaaaaa', [crashing])],
    },
    outcome: {
      failures: {
        engine: {
          pod: crashing,
          diagnosis: { reason: 'NotReady', evidence: 'exit code 1', remedy: 'Read its log.', isFinal: false },
          findings: undefined,
          isLogLate: false,
        },
      },
    },
  },
  'short of KV memory': {
    facts: { slots: [liveSlot(0, 'aaaaaaaaaa', [starting])] },
    outcome: {
      failures: {
        engine: {
          pod: starting,
          diagnosis: {
            reason: 'KvCacheTooSmall',
            evidence: 'ValueError: To serve …',
            remedy: 'Set it.',
            isFinal: true,
          },
          findings: undefined,
          isLogLate: false,
        },
      },
    },
  },
  'refused by a quota': {
    facts: { slots: [liveSlot(0, 'aaaaaaaaaa', [])] },
    outcome: {
      failures: {
        refusal: { reason: 'PodRejected', evidence: 'exceeded quota: gpus', remedy: 'Raise it.', isFinal: true },
      },
    },
  },
  'without the right to its weights': {
    outcome: {
      model: { state: 'fetching', unschedulable: undefined, trouble: 'exit code 1' },
      failures: {
        fetch: { reason: 'GatedRepository', evidence: '401 Client Error', remedy: 'Ask for access.', isFinal: true },
      },
    },
  },
  'rolling out': {
    facts: { slots: [liveSlot(0), liveSlot(1, 'bbbbbbbbbb')], revisions: [revision({ hash: 'bbbbbbbbbb' }), current] },
    outcome: { wanted: 2 },
  },
  'not planned': { outcome: { target: notPlanned, model: { state: 'missing' } } },
  'not planned any more and still serving': {
    ...serving,
    outcome: { target: notPlanned, model: { state: 'missing' } },
  },
  suspended: { input: { suspend: true }, facts: { slots: [liveSlot(0, 'aaaaaaaaaa', [])] }, outcome: { wanted: 0 } },
  'scaled to nothing': { input: { scaling: { mode: 'External' }, replicas: 0 }, outcome: { wanted: 0 } },
  'blocked by a taken name': {
    outcome: { problem: { reason: 'NameTaken', message: 'Service coder exists and belongs to someone else.' } },
  },
  pinned: {
    ...serving,
    input: { engine: { image: `vllm@sha256:${'0'.repeat(64)}` } },
    outcome: { target: { ...planned, revision: { ...current, plan: plan({ revision: 'a'.repeat(40) }) } } },
  },
  tuned: tried({ outcome: 'Fits', kvBlocks: 1000 }),
  'that may have a longer context': tried({ outcome: 'Fits', kvBlocks: 2000 }),
  'that holds fewer requests than asked for': tried({ outcome: 'Fits', kvBlocks: 700 }),
  'stepping back': tried(refused(150)),
  'that no length helps': tried(refused(3)),
  'at the shortest context with too few requests': tried({ outcome: 'Fits', kvBlocks: 70 }, {}, true),
  'with a pinned length': tried({ outcome: 'Fits', kvBlocks: 1000 }, { maxModelLen: 32_768 }),
  'with a pinned length that fails': tried(refused(150), { maxModelLen: 131_072 }),
  'whose engine tells nothing': {
    ...serving,
    outcome: {
      tuning: {
        attempts: [],
        verdict: tune(
          current.plan,
          spec(),
          unmeasured(
            [],
            current.plan,
            spec(),
            'pod coder-engine-0-x: /metrics answers 404, and its log does not tell',
            NOW,
          ),
        ),
        idleMs: 1_800_000,
        lookAgainMs: undefined,
      },
    },
  },
  'starting slowly': {
    facts: { slots: [liveSlot(0, 'aaaaaaaaaa', [starting])] },
    outcome: { start: { ...slow, text: 'weights 40 %, 9 of 14 min', isExceeded: false } },
  },
  'starting too slowly': {
    facts: { slots: [liveSlot(0, 'aaaaaaaaaa', [starting])] },
    outcome: {
      start: { ...slow, text: 'weights 40 %, more than its 14 min', isExceeded: true },
      failures: {
        engine: {
          pod: starting,
          diagnosis: {
            reason: 'StartBudgetExceeded',
            evidence: 'weights 40 %, more than its 14 min',
            remedy: 'Use a faster volume.',
            isFinal: true,
          },
          findings: undefined,
          isLogLate: false,
        },
      },
    },
  },
  'on a volume larger than asked for': {
    ...serving,
    input: { storage: { size: '100Gi' } },
    outcome: { volume: { size: '500Gi', isBound: true } },
  },
};

describe('statusOf', () => {
  test('every situation reads as reviewed', async () => {
    const text = Object.entries(situations)
      .map(([name, situation]) => {
        const lines = status(situation).conditions!.map(
          ({ type, status: is, reason, message }) =>
            `  ${type.padEnd(15)} ${is.padEnd(7)} ${reason.padEnd(20)} ${message}`,
        );
        return [`A resource ${name}:`, ...lines, ''].join('\n');
      })
      .join('\n');
    await expect(text).toMatchFileSnapshot('../golden/status/conditions.txt');
  });

  test.each(Object.entries(situations))('the status of a resource %s is one that the CRD takes', (_name, situation) => {
    expect(Status.safeParse(status(situation))).toMatchObject({ success: true });
  });

  test('the same facts give the same status, so that nothing is written', () => {
    for (const situation of Object.values(situations)) {
      const first = status(situation);
      expect(statusOf(outcomeOf(situation), first, '2027-01-01T00:00:00Z')).toEqual(first);
    }
  });

  test('what could start sooner is told by a pod that finds no node, and by nothing that stays', () => {
    const { conditions } = status({ ...serving, outcome: { target: { ...planned, alternative: onA100 } } });
    expect(JSON.stringify(conditions)).not.toContain('A100');
  });

  test('what was rejected stays in the status until a new plan is made', () => {
    const before = status({ outcome: { target: notPlanned, model: { state: 'missing' } } });
    expect(before.plan).toEqual({ rejected: [{ candidate: 'FP8 on 1x L4-24GB', reason: 'needs 77.9 GiB' }] });
    expect(status(serving, before).plan).toMatchObject({ quantization: 'FP8', rejected: before.plan!.rejected });
  });

  test('replicas count pods, and those on their way out count no more', () => {
    const slots = [liveSlot(0), liveSlot(1, 'aaaaaaaaaa', [pod({ slot: 1, leaving: true })])];
    expect(status({ facts: { slots }, outcome: { wanted: 2 } })).toMatchObject({
      replicas: 1,
      readyReplicas: 1,
      replicasSummary: '1/2',
    });
  });

  test('a stored resource that breaks a rule keeps what its status said about the rest', () => {
    const before = status(serving);
    const after = invalidStatus({ metadata: { generation: 2 }, status: before } as never, ['spec.a: wrong'], NOW);
    expect(after.plan).toEqual(before.plan);
    expect(after.conditions!.find(({ type }) => type === 'Stalled')).toMatchObject({
      status: 'True',
      reason: 'InvalidSpec',
      message: 'spec.a: wrong',
    });
  });
});
