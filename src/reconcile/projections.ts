import type { Job, Node, Pod } from '../kube/index.ts';
import { COMPONENT, RESOURCE } from '../render/index.ts';
import { readEngineLog } from '../serving/index.ts';
import type { EngineFacts, ModelState, NodeFacts, PodFacts } from './facts.ts';

/** Extended resources are named `domain/name`; Kubernetes' own have no domain of a vendor. */
const isExtendedResource = (name: string): boolean => name.includes('/') && !name.startsWith('kubernetes.io/');

/** Container states that are the ordinary way up. */
const ORDINARY_WAITING = new Set(['ContainerCreating', 'PodInitializing']);

/** Enough for one sentence of a condition. */
const MAX_LAST_WORDS = 300;

/** A Pod as the operator keeps it: about 0.5 KiB instead of 15. */
export function projectPod(pod: Pod): PodFacts {
  const { name, namespace, uid, resourceVersion, labels, deletionTimestamp } = pod.metadata!;
  const conditions = pod.status?.conditions ?? [];
  const scheduled = conditions.find(({ type }) => type === 'PodScheduled');
  return {
    kind: 'Pod',
    metadata: {
      name,
      namespace,
      uid,
      resourceVersion,
      ...(labels?.[RESOURCE] === undefined ? {} : { labels }),
      ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
    } as PodFacts['metadata'],
    nodeName: pod.spec?.nodeName,
    gpus: extendedResources(pod),
    phase: pod.status?.phase ?? 'Pending',
    ready: conditions.some(({ type, status }) => type === 'Ready' && status === 'True'),
    unschedulable:
      scheduled?.status === 'False' ? (scheduled.message ?? scheduled.reason ?? 'unschedulable') : undefined,
    trouble: trouble(pod),
    restarts: (pod.status?.containerStatuses ?? []).reduce((sum, { restartCount }) => sum + restartCount, 0),
    ...(labels?.[RESOURCE] !== undefined && labels[COMPONENT] === 'engine' && { engine: engineFacts(pod) }),
  };
}

function engineFacts({ metadata, status }: Pod): EngineFacts {
  const time = (text: string | undefined): number | undefined => (text === undefined ? undefined : Date.parse(text));
  const since = (type: string): number | undefined =>
    time(status?.conditions?.find((one) => one.type === type && one.status === 'True')?.lastTransitionTime);
  const container = status?.containerStatuses?.find(({ name }) => name === 'engine');
  const ended = container?.state?.terminated ?? container?.lastState?.terminated;
  return {
    ip: status?.podIP,
    memoryFailure: ended?.message === undefined ? undefined : readEngineLog(ended.message).failure,
    createdMs: time(metadata?.creationTimestamp) ?? 0,
    scheduledMs: since('PodScheduled'),
    startedMs: time(container?.state?.running?.startedAt),
    hasStarted: container?.started === true,
    readyMs: since('Ready'),
  };
}

/** What the scheduler counts: the limits of all containers together, or the largest init container where that is more. */
function extendedResources(pod: Pod): Record<string, number> {
  const total: Record<string, number> = {};
  for (const container of pod.spec?.containers ?? []) {
    for (const [name, amount] of Object.entries(container.resources?.limits ?? {})) {
      if (isExtendedResource(name)) total[name] = (total[name] ?? 0) + Number(amount);
    }
  }
  for (const container of pod.spec?.initContainers ?? []) {
    for (const [name, amount] of Object.entries(container.resources?.limits ?? {})) {
      if (isExtendedResource(name)) total[name] = Math.max(total[name] ?? 0, Number(amount));
    }
  }
  return total;
}

function trouble(pod: Pod): PodFacts['trouble'] {
  for (const { state, lastState, ready } of pod.status?.containerStatuses ?? []) {
    const ended = state?.terminated ?? lastState?.terminated;
    if (state?.waiting?.reason !== undefined && !ORDINARY_WAITING.has(state.waiting.reason)) {
      return { reason: state.waiting.reason, message: ended ? lastWords(ended) : (state.waiting.message ?? '') };
    }
    if (ended && ended.exitCode !== 0 && !ready) return { reason: ended.reason ?? 'Error', message: lastWords(ended) };
  }
  return undefined;
}

/** Exit code and last line: what a log ends with is the error itself. */
function lastWords({ exitCode, message }: { exitCode: number; message?: string }): string {
  const line = message?.trim().split('\n').at(-1)?.trim();
  return line ? `exit code ${exitCode}: ${line.slice(0, MAX_LAST_WORDS)}` : `exit code ${exitCode}`;
}

/** A Node as the operator keeps it. */
export function projectNode(node: Node): NodeFacts {
  const { name, uid, resourceVersion, labels } = node.metadata!;
  const allocatable = Object.entries(node.status?.allocatable ?? {}).filter(([resource]) =>
    isExtendedResource(resource),
  );
  return {
    kind: 'Node',
    metadata: { name, uid, resourceVersion } as NodeFacts['metadata'],
    labels: labels ?? {},
    allocatable: Object.fromEntries(allocatable),
    taints: (node.spec?.taints ?? []).map(({ key, value, effect }) => ({
      key,
      effect,
      ...(value !== undefined && { value }),
    })),
    schedulable: node.spec?.unschedulable !== true,
  };
}

/** How a weights Job stands, by its own conditions and its newest pod. */
export function modelStateOf(job: Job | undefined, pods: readonly PodFacts[]): ModelState {
  if (job === undefined) return { state: 'missing' };
  const holds = (type: string) =>
    job.status?.conditions?.find((condition) => condition.type === type && condition.status === 'True');
  if (holds('Complete')) return { state: 'verified' };
  const failed = holds('Failed');
  const troubled = pods.find((pod) => pod.trouble !== undefined)?.trouble;
  if (failed) {
    return {
      state: 'failed',
      message: troubled?.message ?? failed.message ?? 'the Job gave up',
      failedAtMs: Date.parse(failed.lastTransitionTime ?? ''),
    };
  }
  return {
    state: 'fetching',
    unschedulable: pods.find((pod) => pod.unschedulable !== undefined)?.unschedulable,
    trouble: troubled?.message,
  };
}
