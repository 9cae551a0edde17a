import {
  GROUP,
  KIND,
  VERSION,
  type Condition,
  type QwenCoderDeployment,
  type QwenCoderSpec,
  type QwenCoderStatus,
  parseSpec,
} from '../api/index.ts';
import {
  type LiveVolume,
  type Revision,
  type Owner,
  type WeightsAccess,
  children,
  weightsJob,
} from '../render/index.ts';
import { type Clock, type Log, type ReconcileContext, type ReconcileOutcome, timestamp } from '../runtime/index.ts';
import { planServing } from '../serving/index.ts';
import type { Apply } from './apply.ts';
import { logConditions, logTarget, logWrite } from './changes.ts';
import { diff, nameOf } from './diff.ts';
import { type Facts, type LiveSlot, type ModelState, isAvailable, isReady } from './facts.ts';
import type { OperatorMetrics, Planner } from './metrics.ts';
import { type Caches, observe, observeModel, observeVolume } from './observe.ts';
import { rollout } from './rollout.ts';
import type { Problem } from './outcome.ts';
import { isSame } from './same.ts';
import { invalidStatus, statusOf } from './status.ts';
import { type Target, chooseTarget } from './target.ts';

/** Revisions kept besides those in use (design decision 6). */
const KEPT_REVISIONS = 5;
/** A fetch that used up its retries is started again after this long. */
const REFETCH_AFTER_MS = 10 * 60_000;
/** Objects of others are not watched: a taken name is looked at again after this long. */
const LOOK_AGAIN_MS = 30_000;

/** Tells a user, once, that something happened to their resource. */
export interface Announce {
  (resource: QwenCoderDeployment, type: 'Normal' | 'Warning', reason: string, message: string): void;
}

export interface ReconcilerOptions {
  readonly caches: Caches;
  readonly apply: Apply;
  readonly announce: Announce;
  readonly clock: Clock;
  readonly weightsAccess?: WeightsAccess | undefined;
  readonly metrics: OperatorMetrics;
}

/** Brings one resource's children and status to what its spec asks for. Level-triggered: it looks at the world, never at an event. */
export class Reconciler {
  readonly #options: ReconcilerOptions;
  readonly #plan: Planner;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    this.#plan = options.metrics.measured(planServing);
  }

  readonly reconcile = async (key: string, { signal, log }: ReconcileContext): Promise<ReconcileOutcome> => {
    const { caches, apply, clock, metrics } = this.#options;
    const resource = caches.resource(key);
    // Owner references take the children of a deleted resource with it.
    if (resource === undefined || resource.metadata.deletionTimestamp !== undefined) return {};
    const parsed = parseSpec(resource.spec ?? {});
    if (!parsed.ok) {
      await this.#writeStatus(resource, invalidStatus(resource, parsed.errors, timestamp(clock)), signal, log);
      return {};
    }

    const facts = observe(caches, key, ownerOf(resource), resource, parsed.value);
    const target = chooseTarget(facts, this.#plan);
    const model = target.planned ? observeModel(caches, key, facts, target.revision) : ({ state: 'missing' } as const);
    const volume = target.planned ? observeVolume(facts, target.revision) : undefined;
    const wanted = wantedReplicas(parsed.value);
    const desired = desiredChildren(facts, target, model, volume, wanted, this.#options.weightsAccess);
    const actions = diff(facts.owner, desired, facts.children, { keepWeights: isRollingOut(facts.slots, target) });
    logTarget(log, resource.status, target, facts.owner);
    const due = [...actions, ...refetch(facts, target, model, clock.now())];
    const problem = await apply.run(facts.owner, due, signal, (action) => {
      metrics.wrote(action);
      logWrite(log, action);
    });

    const status = statusOf(
      { facts, target, model, volume, wanted: parsed.value.suspend ? 0 : wanted, problem },
      resource.status,
      timestamp(clock),
    );
    await this.#writeStatus(resource, status, signal, log);
    return { requeueAfterMs: nextLook(problem, model, clock.now()) };
  };

  async #writeStatus(
    resource: QwenCoderDeployment,
    status: QwenCoderStatus,
    signal: AbortSignal,
    log: Log,
  ): Promise<void> {
    if (isSame(status, resource.status)) return;
    await this.#options.apply.status(resource, status, signal);
    this.#options.metrics.statusWritten();
    logConditions(log, resource.status, status);
    for (const condition of status.conditions ?? []) {
      const before = resource.status?.conditions?.find(({ type }) => type === condition.type);
      if (!isNews(condition, before?.status)) continue;
      const good = condition.type === 'Stalled' ? condition.status === 'False' : condition.status === 'True';
      this.#options.announce(
        resource,
        good ? 'Normal' : 'Warning',
        condition.reason,
        `${condition.type}: ${condition.message}`,
      );
    }
  }
}

/** Events are for people: a plan, the weights, the first answer, and what went wrong. */
function isNews({ type, status: now, reason }: Condition, before: Condition['status'] | undefined): boolean {
  if (before === now) return false;
  switch (type) {
    case 'Stalled':
      return now === 'True' || before === 'True';
    case 'Planned':
      return now === 'True';
    case 'ModelAvailable':
      // Weights that nobody fetches are no news.
      return reason === 'WeightsVerified';
    case 'Ready':
      return now === 'True' || before === 'True';
    case 'Placed':
      return now === 'False';
    default:
      return false;
  }
}

const ownerOf = ({ metadata }: QwenCoderDeployment): Owner => ({
  apiVersion: `${GROUP}/${VERSION}`,
  kind: KIND,
  namespace: metadata.namespace,
  name: metadata.name,
  uid: metadata.uid,
});

/** How many replicas the spec asks for, whoever set the number. */
export function wantedReplicas({ scaling, replicas }: QwenCoderSpec): number {
  switch (scaling.mode) {
    case 'Builtin':
      return scaling.minReplicas;
    case 'External':
    case 'None':
      return replicas ?? 1;
  }
}

function desiredChildren(
  facts: Facts,
  target: Target,
  model: ModelState,
  volume: LiveVolume | undefined,
  wanted: number,
  access?: WeightsAccess,
) {
  const { owner, spec, slots, revisions } = facts;
  const available = isAvailable(model);
  const chosen = target.planned ? target.revision : undefined;
  const known =
    chosen === undefined
      ? revisions
      : [withServed(chosen, slots), ...revisions.filter(({ hash }) => hash !== chosen.hash)];
  const planned = rollout(wanted, spec.suspend, available ? chosen : undefined, known, slots);
  const inUse = new Set([
    ...planned.map(({ revision }) => revision.hash),
    ...slots.map(({ revisionHash }) => revisionHash),
  ]);
  const kept = known.filter((revision, index) => index < KEPT_REVISIONS || inUse.has(revision.hash));
  return children({ owner, spec, target: chosen, revisions: kept, slots: planned, volume, access });
}

/** A revision has served once an engine of it was ready: its plan is then known to work. */
const withServed = (revision: Revision, slots: readonly LiveSlot[]): Revision =>
  revision.served || !slots.some((slot) => slot.revisionHash === revision.hash && isReady(slot))
    ? revision
    : { ...revision, served: true };

/** Older weights stay until every slot has left them; without a plan nothing is thrown away. */
const isRollingOut = (slots: readonly LiveSlot[], target: Target): boolean =>
  !target.planned ||
  slots.some((slot) => slot.revisionHash !== target.revision.hash) ||
  (slots.length > 0 && !slots.some(isReady));

function refetch(facts: Facts, target: Target, model: ModelState, nowMs: number) {
  if (!target.planned || model.state !== 'failed' || nowMs - model.failedAtMs < REFETCH_AFTER_MS) return [];
  const name = nameOf(weightsJob(facts.owner, facts.spec, target.revision.plan)!);
  const job = facts.children.find((child) => nameOf(child) === name);
  return job ? [{ do: 'delete' as const, object: job, reason: 'its download is tried again' }] : [];
}

function nextLook(problem: Problem | undefined, model: ModelState, nowMs: number): number | undefined {
  if (problem) return LOOK_AGAIN_MS;
  if (model.state === 'failed') return Math.max(1000, REFETCH_AFTER_MS - (nowMs - model.failedAtMs));
  return undefined;
}
