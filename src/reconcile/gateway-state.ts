import type { State } from '../gateway/control/protocol.ts';
import { REVISION, SLOT, type Slot } from '../render/index.ts';
import { ENGINE_PORT } from '../serving/index.ts';
import { hostOf } from './engine-reports.ts';
import { type Facts, type PodFacts, isServing, isTerminating } from './facts.ts';
import type { Target } from './target.ts';

/** Requests that an engine works on at once, where no plan is known any more. */
const SLOTS = 256;

/**
 * What the gateways of a resource are told: engines that answer, those that are on their way out, and why there is none.
 *
 * @param progress How the start that takes longest stands.
 * @param slots Those that there are to be; undefined where none goes.
 */
export function gatewayState(
  facts: Facts,
  target: Target,
  progress: string | undefined,
  slots: readonly Slot[] | undefined,
): State {
  const { pods, revisions, spec } = facts;
  const planOf = (pod: PodFacts) =>
    revisions.find(({ hash }) => hash === pod.metadata.labels?.[REVISION])?.plan ??
    (target.planned ? target.revision.plan : undefined);
  const isReady = (pod: PodFacts) => isServing(pod) && (slots?.some((slot) => isIn(slot, pod)) ?? true);
  const reachable = pods.filter((pod) => pod.ip !== undefined && (isServing(pod) || isLeaving(pod)));
  const lengths = reachable.filter(isReady).map((pod) => planOf(pod)?.maxModelLen ?? Infinity);
  const maxModelLen = lengths.length > 0 ? Math.min(...lengths) : undefined;
  return {
    endpoints: reachable
      .map((pod) => ({
        id: pod.metadata.uid!,
        address: `${hostOf(pod.ip!)}:${ENGINE_PORT}`,
        state: isReady(pod) ? ('Ready' as const) : ('Draining' as const),
        slots: planOf(pod)?.maxNumSeqs ?? SLOTS,
      }))
      .toSorted((a, b) => a.id.localeCompare(b.id)),
    ...(maxModelLen !== undefined && Number.isFinite(maxModelLen) && { maxModelLen }),
    ...(progress !== undefined && { notice: progress }),
    ...(spec.suspend && { isSuspended: true }),
  };
}

/** It finishes what it has; its container is gone when its phase says so. */
const isLeaving = (pod: PodFacts): boolean => isTerminating(pod) && pod.phase === 'Running';

const isIn = ({ index, revision, replicas }: Slot, { metadata: { labels } }: PodFacts): boolean =>
  replicas > 0 && labels?.[SLOT] === String(index) && labels[REVISION] === revision.hash;
