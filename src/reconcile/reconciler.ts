import { type QwenCoderDeployment, type QwenCoderStatus, parseSpec } from '../api/index.ts';
import { type Installation, type Slot, type WeightsAccess, weightsJob } from '../render/index.ts';
import { type Clock, type Log, type ReconcileContext, type ReconcileOutcome, timestamp } from '../runtime/index.ts';
import { planServing } from '../serving/index.ts';
import type { Apply } from './apply.ts';
import { logConditions, logTarget, logWrite } from './changes.ts';
import { type Decision, type DecisionOptions, decide } from './decision.ts';
import { desiredSlots } from './desired.ts';
import { nameOf } from './diff.ts';
import type { Facts, ModelState } from './facts.ts';
import type { FailureFinder } from './failures.ts';
import type { GatewayLinks } from './gateway-links.ts';
import { gatewayState } from './gateway-state.ts';
import type { KeySecrets } from './key-secrets.ts';
import type { LiveChild } from './live-child.ts';
import type { OperatorMetrics } from './metrics.ts';
import type { Caches, Counted } from './observe.ts';
import type { Problem } from './outcome.ts';
import { newsOf } from './news.ts';
import type { ServedModels } from './served-models.ts';
import { isSame } from './same.ts';
import { invalidStatus, statusOf } from './status.ts';
import type { Target } from './target.ts';
import type { Tuner } from './tuner.ts';

/** A fetch that used up its retries is started again after this long. */
const REFETCH_AFTER_MS = 10 * 60_000;
/** Objects of others are not watched: a taken name is looked at again after this long. */
const LOOK_AGAIN_MS = 30_000;

/** Tells a user, once, that something happened to their resource. */
export interface Announce {
  (resource: QwenCoderDeployment, type: 'Normal' | 'Warning', reason: string, message: string): void;
}

export interface ReconcilerOptions {
  readonly caches: Caches & { matched(matches: readonly LiveChild[]): void };
  readonly apply: Apply;
  readonly announce: Announce;
  readonly clock: Clock;
  readonly weightsAccess?: WeightsAccess | undefined;
  readonly metrics: OperatorMetrics;
  readonly tuner: Tuner;
  readonly failures: FailureFinder;
  readonly models: ServedModels;
  readonly installation: Installation;
  readonly keySecrets: KeySecrets;
  readonly links: GatewayLinks;
}

/** Brings one resource's children and status to what its spec asks for. Level-triggered: it looks at the world, never at an event. */
export class Reconciler {
  readonly #options: ReconcilerOptions;
  readonly #howToDecide: DecisionOptions;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    const { installation, weightsAccess: access, metrics } = options;
    this.#howToDecide = { installation, plan: metrics.measured(planServing), access };
  }

  readonly reconcile = async (key: string, { signal, log }: ReconcileContext): Promise<ReconcileOutcome> => {
    const { caches, clock, tuner, models, links, installation } = this.#options;
    const resource = caches.resource(key);
    // Owner references take the children of a deleted resource with it.
    if (resource === undefined || resource.metadata.deletionTimestamp !== undefined) {
      tuner.forget(key);
      models.forget(key);
      links.forget(key);
      return {};
    }
    const parsed = parseSpec(resource.spec ?? {});
    if (!parsed.ok) {
      // Linked, gateways would go on by a word that nobody keeps true; on their own they go by DNS too.
      links.forget(key);
      await this.#writeStatus(resource, invalidStatus(resource, parsed.errors, timestamp(clock)), signal, log);
      return {};
    }

    const learned = await tuner.learned(key, parsed.value, resource.status, signal);
    const { controlKey, engineKey } = installation.keysOf(resource.metadata);
    const counted: Counted = (pods, revisions) =>
      models.counted(key, pods, { revisions, engineKey, conditions: resource.status?.conditions }, signal);
    let decision: Decision;
    try {
      decision = decide(caches, key, resource, parsed.value, { ...this.#howToDecide, learned, counted });
    } catch (error) {
      links.forget(key);
      throw error;
    }
    const { facts, target, model, volume, wanted, matches } = decision;
    caches.matched(matches);
    logTarget(log, resource.status, target, facts.owner);
    const revision = target.planned ? target.revision : undefined;
    const start = tuner.starts(key, facts, revision, signal);
    const tell = (slots: readonly Slot[] | undefined): void =>
      links.tell(key, facts.gateway.pods, controlKey, gatewayState(facts, target, start?.text, slots));
    // Before anything is written, so that a gateway sends nothing more to an engine that is about to go.
    tell(desiredSlots(decision));
    const written = await this.#write(resource, decision, signal, log).catch((error: unknown) => {
      tell(undefined);
      throw error;
    });
    const { problem } = written;
    // What could not be written takes no engine away.
    if (problem) tell(undefined);

    const { failures, lookAgainMs } = await this.#options.failures.find(decision, start, signal);
    const now = timestamp(clock);
    const tuning = tuner.look(
      key,
      facts,
      revision,
      { attempts: learned.attempts, failure: failures.engine, engineKey },
      now,
      signal,
    );
    const outcome = { facts, target, model, volume, problem, failures, tuning, start };
    const status = statusOf({ ...outcome, wanted: parsed.value.suspend ? 0 : wanted }, resource.status, now);
    await this.#writeStatus(resource, status, signal, log);
    return {
      requeueAfterMs: soonest(
        nextLook(problem, model, clock.now()),
        lookAgainMs,
        written.lookAgainMs,
        tuning.lookAgainMs,
        start?.nextMs,
      ),
    };
  };

  async #write(
    resource: QwenCoderDeployment,
    { facts, target, model, actions }: Decision,
    signal: AbortSignal,
    log: Log,
  ): Promise<{ readonly problem?: Problem | undefined; readonly lookAgainMs?: number }> {
    const { apply, clock, installation, keySecrets, metrics } = this.#options;
    const createdMs = Date.parse(resource.metadata.creationTimestamp);
    const secrets = await keySecrets.ensure(facts, installation, createdMs, log, signal);
    if (secrets.problem) return secrets;
    const due = [...actions, ...refetch(facts, target, model, clock.now())];
    const problem = await apply.run(facts.owner, due, signal, (action) => {
      metrics.wrote(action);
      logWrite(log, action);
    });
    return { ...secrets, problem };
  }

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
    for (const condition of newsOf(resource.status, status)) {
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

function refetch(facts: Facts, target: Target, model: ModelState, nowMs: number) {
  if (!target.planned || model.state !== 'failed' || nowMs - model.failedAtMs < REFETCH_AFTER_MS) return [];
  const name = nameOf(weightsJob(facts.owner, facts.spec, target.revision.plan)!);
  const job = facts.children.find((child) => nameOf(child) === name);
  return job ? [{ do: 'delete' as const, object: job, reason: 'its download is tried again' }] : [];
}

function soonest(...looks: readonly (number | undefined)[]): number | undefined {
  const due = looks.filter((look) => look !== undefined);
  return due.length === 0 ? undefined : Math.min(...due);
}

function nextLook(problem: Problem | undefined, model: ModelState, nowMs: number): number | undefined {
  if (problem) return LOOK_AGAIN_MS;
  if (model.state === 'failed') return Math.max(1000, REFETCH_AFTER_MS - (nowMs - model.failedAtMs));
  return undefined;
}
