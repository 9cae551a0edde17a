import {
  type Condition,
  type QwenCoderDeployment,
  type QwenCoderSpec,
  type QwenCoderStatus,
  setCondition,
} from '../api/index.ts';
import { COMPONENT, RESOURCE, apiKeysRef, certificateOf, childNames } from '../render/index.ts';
import type { RejectedCandidate, ServingPlan } from '../serving/index.ts';
import { conditionsOf } from './conditions.ts';
import { isTerminating } from './facts.ts';
import { type Outcome, currentRevision, gpusText, readySlots } from './outcome.ts';

/**
 * The status that an outcome amounts to. Nothing in it moves unless something happened.
 *
 * @param now RFC 3339, for conditions that flip.
 */
export function statusOf(outcome: Outcome, before: QwenCoderStatus | undefined, now: string): QwenCoderStatus {
  const { facts, target, wanted } = outcome;
  const { owner, generation, spec } = facts;
  let conditions: readonly Condition[] = before?.conditions ?? [];
  for (const update of conditionsOf(outcome)) {
    conditions = setCondition(conditions, { ...update, observedGeneration: generation }, now);
  }
  const apiKeys = apiKeysRef(owner.name, spec);
  const { expose } = spec.endpoint;
  const alive = facts.pods.filter((pod) => !isTerminating(pod));
  const ready = readySlots(outcome).length;
  const current = currentRevision(outcome);
  const shown = target.planned ? target.revision.plan : current?.plan;
  const rejected = target.planned ? target.rejected : target.outcome.rejected;
  return {
    observedGeneration: generation,
    conditions: [...conditions],
    ...planStatus(shown, rejected.length > 0 ? rejected : undefined, before, spec),
    ...(outcome.tuning && outcome.tuning.attempts.length > 0 && { tuning: [...outcome.tuning.attempts] }),
    revisions: {
      ...(current && { current: childNames.revision(owner.name, current.hash) }),
      ...(target.planned && { target: childNames.revision(owner.name, target.revision.hash) }),
    },
    replicas: alive.length,
    readyReplicas: ready,
    replicasSummary: `${ready}/${wanted}`,
    selector: `${RESOURCE}=${owner.name},${COMPONENT}=engine`,
    scaling: { desiredReplicas: wanted },
    endpoint: {
      url: `${certificateOf(spec) === undefined ? 'http' : 'https'}://${owner.name}.${owner.namespace}.svc/v1`,
      ...(expose.type === 'Ingress' && {
        externalUrl: `${expose.tlsSecretName === undefined ? 'http' : 'https'}://${expose.host}/v1`,
      }),
      ...(apiKeys && { apiKeys: { secretName: apiKeys.name, key: apiKeys.key } }),
    },
  };
}

const mebibytes = (bytes: number): number => Math.round(bytes / 2 ** 20);

/** What was rejected is known only when a plan is made; until the next one is, what was said stays. */
function planStatus(
  plan: ServingPlan | undefined,
  rejected: readonly RejectedCandidate[] | undefined,
  before: QwenCoderStatus | undefined,
  spec: QwenCoderSpec,
): Pick<QwenCoderStatus, 'plan'> {
  const shown =
    rejected?.slice(0, 5).map(({ quantization, gpuName, tensorParallelSize, reason }) => ({
      candidate: `${quantization} on ${tensorParallelSize}x ${gpuName}`,
      reason,
    })) ?? before?.plan?.rejected;
  const rejectedPart = shown && shown.length > 0 ? { rejected: shown } : {};
  if (plan === undefined) return shown && shown.length > 0 ? { plan: rejectedPart } : {};
  const { memory } = plan;
  return {
    plan: {
      engine: plan.engine,
      engineVersion: plan.engineVersion,
      quantization: plan.quantization,
      ...(spec.model.source.type === 'HuggingFace' && { repository: plan.repository, revision: plan.revision }),
      gpus: gpusText(plan),
      ...(plan.gpuProduct !== undefined && { gpuProduct: plan.gpuProduct }),
      tensorParallelSize: plan.tensorParallelSize,
      maxModelLen: plan.maxModelLen,
      maxNumSeqs: plan.maxNumSeqs,
      kvCacheDtype: plan.kvCacheDtype,
      gpuMemoryUtilizationPercent: plan.gpuMemoryUtilizationPercent,
      ...(plan.concurrency !== undefined && { concurrency: plan.concurrency }),
      ...(memory && {
        memoryMiB: {
          total: mebibytes(memory.total),
          usable: mebibytes(memory.usable),
          weights: mebibytes(memory.weights),
          overhead: mebibytes(memory.overhead),
          kvCache: mebibytes(memory.kvPool),
        },
      }),
      ...rejectedPart,
    },
  };
}

/** The status of a stored resource that breaks a rule; its children are left as they are. */
export function invalidStatus(
  { metadata: { generation }, status }: Pick<QwenCoderDeployment, 'metadata' | 'status'>,
  errors: readonly string[],
  now: string,
): QwenCoderStatus {
  const message = errors.join('; ');
  let conditions: readonly Condition[] = status?.conditions ?? [];
  for (const type of ['Ready', 'Planned'] as const) {
    conditions = setCondition(
      conditions,
      { type, status: 'False', reason: 'InvalidSpec', message, observedGeneration: generation },
      now,
    );
  }
  conditions = setCondition(
    conditions,
    { type: 'Stalled', status: 'True', reason: 'InvalidSpec', message, observedGeneration: generation },
    now,
  );
  return { ...status, observedGeneration: generation, conditions: [...conditions] };
}
