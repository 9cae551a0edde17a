import type { ConditionUpdate, QwenCoderSpec } from '../api/index.ts';
import { type LiveVolume, engineImage } from '../render/index.ts';
import {
  type Diagnosis,
  alternativeRemedy,
  asSentence,
  caveatOf,
  quantityBytes,
  suits,
  unschedulableRemedy,
} from '../serving/index.ts';
import { type PodFacts, isAvailable, isServing, isTerminating } from './facts.ts';
import { gatewayFailureText } from './gateway-failure.ts';
import { type Outcome, gpusText, readySlots } from './outcome.ts';
import { networkLocked } from './network-condition.ts';
import { routeRefusal } from './route.ts';
import type { Target } from './target.ts';
import { tunedCondition } from './tuned-condition.ts';

/** Restarts after which an engine that does not answer is called a crash loop. */
const CRASH_LOOP_RESTARTS = 2;

/** A condition without the generation that it is about. */
export type Update = ConditionUpdate extends infer U
  ? U extends unknown
    ? Omit<U, 'observedGeneration'>
    : never
  : never;

const told = ({ evidence, remedy }: Diagnosis): string => `${asSentence(evidence)} ${remedy}`;

/** What is the case, one entry a condition type, Ready first. */
export function conditionsOf(outcome: Outcome): Update[] {
  const parts = [
    planned(outcome),
    modelAvailable(outcome),
    placed(outcome),
    enginesReady(outcome),
    endpointReady(outcome),
  ];
  const ready = readyCondition(outcome, parts);
  const stalled = stalledCondition(outcome, parts);
  return [
    ready,
    reconciling(outcome, parts, stalled.status === 'True'),
    stalled,
    ...parts,
    tunedCondition(outcome),
    scalingActive(outcome),
    networkLocked(outcome.facts),
    reproducible(outcome.facts.spec, outcome.target),
  ];
}

function planned({ target, tuning }: Outcome): Update {
  if (!target.planned) {
    const { reason, message, remedy } = target.outcome;
    return { type: 'Planned', status: 'False', reason, message: `${message} ${remedy}`.trim() };
  }
  const { plan } = target.revision;
  const fits =
    plan.concurrency === undefined
      ? 'GPU memory is unknown, so the length is a careful first one'
      : `${plan.concurrency} requests of that length fit at once`;
  const isMeasured = (tuning?.verdict?.state ?? 'Trying') !== 'Trying';
  const caveat = isMeasured ? '' : (caveatOf(plan) ?? '');
  return {
    type: 'Planned',
    status: 'True',
    reason: 'Planned',
    message: `${plan.quantization} on ${gpusText(plan)}, ${plan.maxModelLen} tokens; ${fits}. ${caveat}`.trim(),
  };
}

function modelAvailable(outcome: Outcome): Update {
  const { facts, target, model, volume, failures } = outcome;
  const { spec } = facts;
  const type = 'ModelAvailable';
  if (!target.planned)
    return { type, status: 'Unknown', reason: 'NotPlanned', message: 'There is no plan that names the weights.' };
  const { plan } = target.revision;
  const what = `${plan.repository}@${plan.revision}`;
  if (failures?.fetch && (model.state === 'fetching' || model.state === 'failed')) {
    const { reason } = failures.fetch;
    const again = model.state === 'failed' ? ' The Job gave up and is made anew after ten minutes.' : '';
    return { type, status: 'False', reason, message: `Fetching ${what} fails: ${told(failures.fetch)}${again}` };
  }
  switch (model.state) {
    case 'not-fetched':
      return {
        type,
        status: 'True',
        reason: model.source,
        message: `The weights are read from the ${model.source === 'Volume' ? 'claim' : 'image'} in spec.model.source and not checked.`,
      };
    case 'verified':
      return {
        type,
        status: 'True',
        reason: 'WeightsVerified',
        message: `${what} is on the volume, every file verified.${tooLarge(spec, volume)}`,
      };
    case 'missing':
      return { type, status: 'False', reason: 'Fetching', message: `A Job for ${what} is being made.` };
    case 'failed':
      return {
        type,
        status: 'False',
        reason: 'FetchFailed',
        message: `Fetching ${what} failed: ${asSentence(model.message)} Read kubectl logs of the pods of the Job, which is made anew after ten minutes.`,
      };
    case 'fetching':
      if (model.unschedulable !== undefined) {
        return {
          type,
          status: 'False',
          reason: /persistentvolumeclaim/i.test(model.unschedulable) ? 'VolumePending' : 'FetchUnschedulable',
          message: `The Job for ${what} finds no node: ${model.unschedulable}${placementRemedy(outcome, model.unschedulable)}`,
        };
      }
      return {
        type,
        status: 'False',
        reason: 'Fetching',
        message: `A Job is fetching ${what}${model.trouble === undefined ? '' : `; its last try ended: ${model.trouble}`}.`,
      };
  }
}

/** An edit that no volume obeys is not refused, since the engines are fine; it is said. */
function tooLarge({ storage: { size } }: QwenCoderSpec, volume: LiveVolume | undefined): string {
  if (size === undefined || volume === undefined || quantityBytes(volume.size) <= quantityBytes(size)) return '';
  return ` The volume keeps its ${volume.size}: volumes do not shrink, so spec.storage.size ${size} has no effect.`;
}

/** Why no replica is wanted, where none is. */
function nothingWanted({
  facts,
  wanted,
}: Outcome): { reason: 'Suspended' | 'NoReplicasWanted'; message: string } | undefined {
  if (facts.spec.suspend) return { reason: 'Suspended', message: 'spec.suspend is true: no engine runs.' };
  if (wanted === 0) return { reason: 'NoReplicasWanted', message: 'No replica is wanted.' };
  return undefined;
}

function placed(outcome: Outcome): Update {
  const type = 'Placed';
  const none = nothingWanted(outcome);
  if (none) return { type, status: 'Unknown', ...none };
  const refusal = outcome.failures?.refusal;
  if (refusal) {
    return { type, status: 'False', reason: refusal.reason, message: `Engine pods are refused: ${told(refusal)}` };
  }
  const unschedulable = outcome.facts.pods.find((pod) => pod.unschedulable !== undefined && !isTerminating(pod));
  if (unschedulable) {
    return {
      type,
      status: 'False',
      reason: 'Unschedulable',
      message: `Pod ${unschedulable.metadata.name}: ${unschedulable.unschedulable}${placementRemedy(outcome, unschedulable.unschedulable!)}`,
    };
  }
  const bound = outcome.facts.slots.filter((slot) =>
    slot.pods.some((pod) => pod.nodeName !== undefined && !isTerminating(pod)),
  );
  const counted = `${bound.length} of ${outcome.wanted} engine pods have a node.`;
  if (bound.length >= outcome.wanted) return { type, status: 'True', reason: 'Placed', message: counted };
  if (!outcome.target.planned) return { type, status: 'Unknown', reason: 'NotPlanned', message: counted };
  return { type, status: 'Unknown', reason: 'Placing', message: counted };
}

/**
 * What is short, on how many nodes, and what could start sooner; the nodes are those that have the planned GPUs, free or not.
 *
 * Who holds which GPUs changes all the time, so only what the scheduler says of a pod that waits tells of it, and no condition of a plan.
 */
function placementRemedy({ facts, target, wanted }: Outcome, message: string): string {
  if (!target.planned) return '';
  const { alternative, revision } = target;
  const { plan } = revision;
  const nodes = facts.nodes().filter((node) => suits(plan, node));
  const remedy = unschedulableRemedy(message, plan, facts.spec.placement.resourceName, nodes.length);
  return ` ${remedy}${alternative ? ` ${alternativeRemedy(alternative, wanted)}` : ''}`;
}

function enginesReady(outcome: Outcome): Update {
  const type = 'EnginesReady';
  const none = nothingWanted(outcome);
  if (none) return { type, status: 'Unknown', ...none };
  const ready = readySlots(outcome);
  const counted = `${ready.length} of ${outcome.wanted} engines are ready`;
  if (ready.length >= outcome.wanted) return { type, status: 'True', reason: 'AllReady', message: `${counted}.` };
  const failing = outcome.failures?.engine;
  if (failing) {
    const { pod, diagnosis } = failing;
    const { reason } = diagnosis;
    return {
      type,
      status: 'False',
      // While it loads once more it is still in the loop: two restarts without an answer between them.
      reason: reason === 'NotReady' && isLooping(pod) ? 'CrashLooping' : reason,
      message: `${counted}; pod ${pod.metadata.name}: ${told(diagnosis)}`,
    };
  }
  if (!outcome.target.planned && outcome.facts.slots.length === 0) {
    return { type, status: 'Unknown', reason: 'NotPlanned', message: 'There is no plan to start engines from.' };
  }
  if (outcome.facts.slots.length === 0 && !isAvailable(outcome.model)) {
    return {
      type,
      status: 'False',
      reason: 'WaitingForWeights',
      message: `${counted}: the weights are not there yet.`,
    };
  }
  const { start } = outcome;
  if (start === undefined) return { type, status: 'False', reason: 'Starting', message: `${counted}.` };
  return { type, status: 'False', reason: 'Starting', message: `${counted}; pod ${start.pod}: ${start.text}.` };
}

const isLooping = ({ restarts }: PodFacts): boolean => restarts >= CRASH_LOOP_RESTARTS;

function endpointReady(outcome: Outcome): Update {
  const type = 'EndpointReady';
  const none = nothingWanted(outcome);
  if (none) return { type, status: 'False', ...none };
  const { gateway, spec } = outcome.facts;
  const gateways = gateway.pods.filter(isServing).length;
  const counted = `${gateways} of ${spec.endpoint.gateway.replicas} gateways`;
  const failure = outcome.failures?.gateway;
  if (failure)
    return {
      type,
      status: 'False',
      reason: 'GatewayNotReady',
      message: gatewayFailureText(`${counted} are ready`, failure),
    };
  if (gateways === 0) return { type, status: 'False', reason: 'GatewayStarting', message: `${counted} are ready.` };
  const ready = readySlots(outcome).length;
  const refusal = routeRefusal(outcome.facts.children);
  if (ready > 0 && refusal !== undefined)
    return { type, status: 'False', reason: 'RouteNotAccepted', message: `The HTTPRoute is not taken. ${refusal}` };
  if (ready > 0)
    return {
      type,
      status: 'True',
      reason: 'Serving',
      message: `${engines(ready, 'answers', 'answer')} behind ${counted}.`,
    };
  return {
    type,
    status: 'False',
    reason: 'NoReadyEngine',
    message: `No engine answers behind ${counted}; requests are held until one does.`,
  };
}

function readyCondition(outcome: Outcome, parts: readonly Update[]): Update {
  const type = 'Ready';
  const { target, facts, problem } = outcome;
  if (problem) return { type, status: 'False', ...problem };
  const none = nothingWanted(outcome);
  if (none) return { type, status: 'False', ...none };
  if (!target.planned) {
    return { type, status: 'False', reason: 'NotPlanned', message: messageOf(parts, 'Planned') };
  }
  const ready = readySlots(outcome);
  const older = ready.filter((slot) => slot.revisionHash !== target.revision.hash);
  const endpoint = parts.find(({ type }) => type === 'EndpointReady')!;
  if (ready.length > older.length && older.length === 0) {
    if (endpoint.status !== 'True')
      return { type, status: 'False', reason: 'EndpointNotReady', message: endpoint.message };
    return {
      type,
      status: 'True',
      reason: 'Serving',
      message: `${ready.length} of ${outcome.wanted} engines serve generation ${facts.generation}.`,
    };
  }
  const still = older.length > 0 ? ` ${engines(older.length, 'still serves', 'still serve')} an older revision.` : '';
  const blame = parts.find(
    (part) =>
      part.status !== 'True' &&
      (['ModelAvailable', 'Placed', 'EnginesReady'] as const).some((blamed) => blamed === part.type),
  );
  const message = `${blame?.message ?? 'A rollout is under way.'}${still}`;
  switch (blame?.type) {
    case 'ModelAvailable':
      return { type, status: 'False', reason: 'WeightsNotAvailable', message };
    case 'Placed':
      return { type, status: 'False', reason: 'NotPlaced', message };
    default:
      return { type, status: 'False', reason: 'EnginesNotReady', message };
  }
}

/** A failure that another try cannot mend, or that came back. */
function stuckOn({ failures = {}, tuning }: Outcome) {
  const { fetch, refusal, engine } = failures;
  if (fetch?.isFinal) return { reason: fetch.reason, blamed: 'ModelAvailable' as const };
  if (refusal?.isFinal) return { reason: refusal.reason, blamed: 'Placed' as const };
  if (!engine || !(engine.diagnosis.isFinal || isLooping(engine.pod))) return undefined;
  // The operator itself is about to try another length.
  if (tuning?.verdict?.state === 'Step' && tuning.verdict.isUrgent) return undefined;
  const { reason } = engine.diagnosis;
  return { reason: reason === 'NotReady' ? ('CrashLooping' as const) : reason, blamed: 'EnginesReady' as const };
}

function stalledCondition(outcome: Outcome, parts: readonly Update[]): Update {
  const type = 'Stalled';
  const { target, model, problem } = outcome;
  if (problem) return { type, status: 'True', ...problem };
  if (!target.planned)
    return { type, status: 'True', reason: target.outcome.reason, message: messageOf(parts, 'Planned') };
  const stuck = stuckOn(outcome);
  if (stuck) {
    const { reason, blamed } = stuck;
    return { type, status: 'True', reason, message: messageOf(parts, blamed) };
  }
  if (model.state === 'failed')
    return { type, status: 'True', reason: 'FetchFailed', message: messageOf(parts, 'ModelAvailable') };
  return { type, status: 'False', reason: 'NotStalled', message: 'Nothing blocks the resource.' };
}

function reconciling(outcome: Outcome, parts: readonly Update[], isStalled: boolean): Update {
  const type = 'Reconciling';
  if (isStalled) return { type, status: 'False', reason: 'Stalled', message: 'Stalled; see condition Stalled.' };
  if (isSettled(outcome, parts)) return { type, status: 'False', reason: 'Settled', message: 'As wanted.' };
  const open = parts.find((part) => part.status !== 'True');
  return {
    type,
    status: 'True',
    reason: 'Progressing',
    message: open?.message ?? 'Slots are moving to the target revision.',
  };
}

function isSettled(outcome: Outcome, parts: readonly Update[]): boolean {
  const { facts, target, wanted } = outcome;
  if (nothingWanted(outcome) !== undefined) return facts.pods.length === 0;
  const atTarget = facts.slots.filter((slot) => target.planned && slot.revisionHash === target.revision.hash);
  return facts.slots.length === wanted && atTarget.length === wanted && parts.every((part) => part.status === 'True');
}

function scalingActive({ facts, wanted }: Outcome): Update {
  const type = 'ScalingActive';
  const { scaling, replicas, suspend } = facts.spec;
  if (suspend) return { type, status: 'False', reason: 'Suspended', message: 'spec.suspend is true.' };
  switch (scaling.mode) {
    case 'External':
      return { type, status: 'True', reason: 'External', message: `spec.replicas is obeyed: ${wanted}.` };
    case 'None':
      return { type, status: 'False', reason: 'NotScaled', message: `spec.replicas stands: ${wanted}.` };
    case 'Builtin':
      if (replicas !== undefined && replicas !== wanted) {
        return {
          type,
          status: 'True',
          reason: 'ReplicasIgnored',
          message: `spec.replicas is ${replicas} and ignored: scaling.mode Builtin keeps ${wanted}. Set scaling.mode to External to scale by hand or HPA.`,
        };
      }
      return {
        type,
        status: 'True',
        reason: 'Fixed',
        message: `The operator keeps ${wanted} ${wanted === 1 ? 'replica' : 'replicas'}.`,
      };
  }
}

function reproducible(spec: QwenCoderSpec, target: Target): Update {
  const type = 'Reproducible';
  const revision = target.planned ? target.revision.plan.revision : (spec.model.revision ?? '');
  if (spec.model.source.type === 'HuggingFace' && !/^[0-9a-f]{40}$/.test(revision)) {
    return {
      type,
      status: 'False',
      reason: 'RevisionNotPinned',
      message: `spec.model.revision is ${revision === '' ? 'unset' : `"${revision}"`}, which can move; name a commit of 40 digits.`,
    };
  }
  const image = target.planned ? engineImage(spec, target.revision.plan) : (spec.engine.image ?? '');
  if (!/@sha256:[0-9a-f]{64}$/.test(image)) {
    return {
      type,
      status: 'False',
      reason: 'ImageNotPinned',
      message: `The engine image ${image} is named by tag; name it by digest in spec.engine.image.`,
    };
  }
  return { type, status: 'True', reason: 'Pinned', message: 'Model commit and image digest are pinned.' };
}

const messageOf = (parts: readonly Update[], type: Update['type']): string =>
  parts.find((part) => part.type === type)?.message ?? '';

const engines = (count: number, one: string, many: string): string =>
  count === 1 ? `1 engine ${one}` : `${count} engines ${many}`;
