import type { V1PodCondition, V1PodStatus } from '@kubernetes/client-node';
import type { Pod, Wire } from '../../../src/kube/wire.ts';
import type { ContainerStatus } from './container.ts';

export type PodStatus = Wire<V1PodStatus>;
type Condition = Wire<V1PodCondition>;

/** What the kubelet knows about a pod's parts. */
export interface PodParts {
  readonly init: readonly ContainerStatus[];
  readonly main: readonly ContainerStatus[];
  readonly hasSandbox: boolean;
  readonly isInitialized: boolean;
  readonly podIP: string | undefined;
  readonly hostIP: string;
  readonly startTime: string;
  readonly restartPolicy: string;
  /** No container will run again. */
  readonly isOver: boolean;
}

/** The status that a kubelet would write; `previous` keeps the times of conditions that did not change. */
export function podStatus(pod: Pod, parts: PodParts, previous: PodStatus | undefined, now: string): PodStatus {
  const phase = phaseOf(parts);
  const isCompleted = phase === 'Succeeded' || phase === 'Failed';
  const unready = parts.main.filter(({ ready }) => !ready).map(({ name }) => name);
  const containersReady = parts.isInitialized && unready.length === 0 && !isCompleted;
  const gates = (pod.spec?.readinessGates ?? []).every(
    ({ conditionType }) => pod.status?.conditions?.find(({ type }) => type === conditionType)?.status === 'True',
  );
  const notReady = isCompleted
    ? { reason: 'PodCompleted' }
    : { reason: 'ContainersNotReady', message: `containers with unready status: [${unready.join(' ')}]` };
  const condition = (type: string, isTrue: boolean, why: { reason?: string; message?: string } = {}): Condition => {
    const status = isTrue ? 'True' : 'False';
    const known = previous?.conditions?.find((candidate) => candidate.type === type);
    return {
      type,
      status,
      ...(!isTrue && why),
      lastTransitionTime: known?.status === status ? known.lastTransitionTime! : now,
    };
  };
  return {
    phase,
    conditions: [
      condition('PodReadyToStartContainers', parts.hasSandbox && !isCompleted),
      condition('Initialized', parts.isInitialized, {
        reason: 'ContainersNotInitialized',
        message: `containers with incomplete status: [${parts.init
          .filter(({ ready }) => !ready)
          .map(({ name }) => name)
          .join(' ')}]`,
      }),
      condition('Ready', containersReady && gates, containersReady ? { reason: 'ReadinessGatesNotReady' } : notReady),
      condition('ContainersReady', containersReady, notReady),
    ],
    startTime: parts.startTime,
    hostIP: parts.hostIP,
    hostIPs: [{ ip: parts.hostIP }],
    ...(parts.podIP !== undefined && { podIP: parts.podIP, podIPs: [{ ip: parts.podIP }] }),
    ...(parts.init.length > 0 && { initContainerStatuses: [...parts.init] }),
    containerStatuses: [...parts.main],
  };
}

function phaseOf({ init, main, isInitialized, restartPolicy, isOver }: PodParts): string {
  if (isOver) {
    const failedInit = !isInitialized && init.some(({ state }) => state?.terminated && state.terminated.exitCode !== 0);
    const allWell = main.every(({ state }) => state?.terminated?.exitCode === 0);
    if (failedInit) return 'Failed';
    return allWell ? 'Succeeded' : 'Failed';
  }
  if (!isInitialized) return 'Pending';
  const hasRun = main.some(({ state, lastState }) => state?.running || state?.terminated || lastState?.terminated);
  if (!hasRun) return 'Pending';
  const isDone = main.every(({ state }) => state?.terminated);
  if (isDone && restartPolicy === 'Never')
    return main.every(({ state }) => state?.terminated?.exitCode === 0) ? 'Succeeded' : 'Failed';
  return 'Running';
}
