import type { Job, Node, Pod, ResourceQuota } from '../kube/index.ts';
import { COMPONENT, RESOURCE } from '../render/index.ts';
import { quotable, quantityValue } from '../serving/index.ts';
import type { ContainerFacts, EngineFacts, ModelState, NodeFacts, PodFacts, QuotaFacts } from './facts.ts';

type ContainerStatus = NonNullable<NonNullable<Pod['status']>['containerStatuses']>[number];

/** Extended resources are named `domain/name`; Kubernetes' own have no domain of a vendor. */
const isExtendedResource = (name: string): boolean => name.includes('/') && !name.startsWith('kubernetes.io/');

/** Container states that are the ordinary way up. A back-off says nothing but that the run before it ended; its text changes with each. */
const ORDINARY_WAITING = new Set(['ContainerCreating', 'PodInitializing', 'CrashLoopBackOff']);

/** What a kubelet keeps of a termination message. */
const MAX_TERMINATION_MESSAGE = 4096;

/** A Pod as the operator keeps it: about 0.5 KiB instead of 15. */
export function projectPod(pod: Pod): PodFacts {
  const { name, namespace, uid, resourceVersion, labels, creationTimestamp, deletionTimestamp } = pod.metadata!;
  const conditions = pod.status?.conditions ?? [];
  const scheduled = conditions.find(({ type }) => type === 'PodScheduled');
  return {
    kind: 'Pod',
    metadata: {
      name,
      namespace,
      uid,
      resourceVersion,
      ...(labels?.[RESOURCE] === undefined ? {} : { labels, creationTimestamp }),
      ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
    } as PodFacts['metadata'],
    nodeName: pod.spec?.nodeName,
    gpus: extendedResources(pod),
    phase: pod.status?.phase ?? 'Pending',
    ready: conditions.some(({ type, status }) => type === 'Ready' && status === 'True'),
    unschedulable:
      scheduled?.status === 'False' ? (scheduled.message ?? scheduled.reason ?? 'unschedulable') : undefined,
    container: labels?.[RESOURCE] === undefined ? undefined : containerFacts(pod),
    failure:
      pod.status?.phase === 'Failed' && pod.status.reason !== undefined
        ? { reason: pod.status.reason, message: pod.status.message ?? '', atMs: lastChangeMs(pod) }
        : undefined,
    restarts: (pod.status?.containerStatuses ?? []).reduce((sum, { restartCount }) => sum + restartCount, 0),
    ...(labels?.[RESOURCE] !== undefined && { ip: pod.status?.podIP }),
    ...(labels?.[RESOURCE] !== undefined && labels[COMPONENT] === 'engine' && { engine: engineFacts(pod) }),
  };
}

/** When the last of a pod's conditions changed: of one that is over, when it ended. */
function lastChangeMs({ status }: Pod): number | undefined {
  const times = (status?.conditions ?? []).map(({ lastTransitionTime }) => Date.parse(lastTransitionTime ?? ''));
  const known = times.filter((time) => !Number.isNaN(time));
  return known.length === 0 ? undefined : Math.max(...known);
}

function engineFacts({ metadata, status }: Pod): EngineFacts {
  const time = (text: string | undefined): number | undefined => (text === undefined ? undefined : Date.parse(text));
  const since = (type: string, is = 'True'): number | undefined =>
    time(status?.conditions?.find((one) => one.type === type && one.status === is)?.lastTransitionTime);
  const container = status?.containerStatuses?.find(({ name }) => name === 'engine');
  const unreadyMs = since('Ready', 'False');
  const beganMs = time(container && lastEnd(container)?.startedAt);
  return {
    createdMs: time(metadata?.creationTimestamp) ?? 0,
    scheduledMs: since('PodScheduled'),
    hasStarted: container?.started === true,
    readyMs: since('Ready'),
    unreadyMs,
    endedServing: unreadyMs !== undefined && beganMs !== undefined && unreadyMs > beganMs,
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

/** Our pods have one container. */
function containerFacts(pod: Pod): ContainerFacts | undefined {
  const status = pod.status?.containerStatuses?.[0];
  if (status === undefined) return undefined;
  const { name, state, restartCount } = status;
  const end = lastEnd(status);
  const { reason, message } = state?.waiting ?? {};
  const startedAt = state?.running?.startedAt;
  return {
    name,
    waiting:
      reason === undefined || ORDINARY_WAITING.has(reason) ? undefined : { reason, message: pullError(message ?? '') },
    end: end && {
      exitCode: end.exitCode,
      reason: end.reason ?? '',
      message: (end.message ?? '').slice(-MAX_TERMINATION_MESSAGE),
    },
    ended: restartCount + (state?.terminated ? 1 : 0),
    runningSinceMs: startedAt === undefined ? undefined : Date.parse(startedAt),
  };
}

/** How its last run ended, be it over just now or before the run that goes on. */
const lastEnd = ({ state, lastState }: ContainerStatus) => state?.terminated ?? lastState?.terminated;

/** The kubelet tries and backs off in turns, with two texts for one cause. */
const pullError = (message: string): string => message.replace(/^Back-off pulling image "[^"]*": \w+: /, '');

/** Exit code and last line: what a log ends with is the error itself. */
export function lastWords({ end }: ContainerFacts, secrets: readonly string[] = []): string | undefined {
  if (end === undefined || end.exitCode === 0) return undefined;
  const line = end.message.trim().split('\n').at(-1)?.trim();
  return line ? `exit code ${end.exitCode}: ${quotable(line, secrets)}` : `exit code ${end.exitCode}`;
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

/** Of extended resources a quota limits requests alone. */
const REQUESTS = 'requests.';

/** A ResourceQuota as the operator keeps it. What is used of it changes with every pod and is not kept. */
export function projectQuota({ metadata, spec, status }: ResourceQuota): QuotaFacts {
  const { name, namespace, uid, resourceVersion } = metadata!;
  const gpus: Record<string, number> = {};
  for (const [key, hard] of Object.entries(spec?.hard ?? {})) {
    const resource = key.slice(REQUESTS.length);
    if (!key.startsWith(REQUESTS) || !isExtendedResource(resource)) continue;
    // Admission goes by the status, which follows the spec within moments.
    const limit = quantityValue(status?.hard?.[key] ?? hard);
    if (limit !== undefined) gpus[resource] = limit;
  }
  const expressions = spec?.scopeSelector?.matchExpressions ?? [];
  return {
    kind: 'ResourceQuota',
    metadata: { name, namespace, uid, resourceVersion } as QuotaFacts['metadata'],
    gpus,
    scopes: [
      ...(spec?.scopes ?? []).map((scopeName) => ({ scopeName, operator: 'Exists', values: [] })),
      ...expressions.map(({ scopeName, operator, values }) => ({ scopeName, operator, values: values ?? [] })),
    ],
  };
}

/** How a weights Job stands, by its own conditions and its newest pod that has something to say. */
export function modelStateOf(job: Job | undefined, pods: readonly PodFacts[]): ModelState {
  if (job === undefined) return { state: 'missing' };
  const holds = (type: string) =>
    job.status?.conditions?.find((condition) => condition.type === type && condition.status === 'True');
  if (holds('Complete')) return { state: 'verified' };
  const failed = holds('Failed');
  const pod = pods.toSorted(newestFirst).find(isTroubled);
  const trouble = pod?.container && lastWords(pod.container);
  if (failed) {
    return {
      state: 'failed',
      message: trouble ?? failed.message ?? 'the Job gave up',
      failedAtMs: Date.parse(failed.lastTransitionTime ?? ''),
      pod,
    };
  }
  return {
    state: 'fetching',
    unschedulable: pods.find((candidate) => candidate.unschedulable !== undefined)?.unschedulable,
    trouble,
    pod,
    podless:
      pods.length > 0
        ? undefined
        : { uid: job.metadata?.uid ?? '', createdAtMs: Date.parse(job.metadata?.creationTimestamp ?? '') },
  };
}

const isTroubled = ({ container, failure }: PodFacts): boolean =>
  failure !== undefined ||
  container?.waiting !== undefined ||
  (container?.end !== undefined && container.end.exitCode !== 0);

const newestFirst = (a: PodFacts, b: PodFacts): number =>
  (b.metadata.creationTimestamp ?? '').localeCompare(a.metadata.creationTimestamp ?? '');
