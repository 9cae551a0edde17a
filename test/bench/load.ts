import { availableParallelism } from 'node:os';
import type { Cluster, ComponentName } from '../cluster/cluster.ts';
import { machineBusySeconds, processFigures } from './process-figures.ts';

const COMPONENTS: readonly ComponentName[] = [
  'etcd',
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'kwok',
];

/** Who used the processors for a while. */
export interface LoadShare {
  /** CPU seconds of the control plane, nodes included. */
  readonly planeCpuSeconds: number;
  /** Part of all processors that strangers used: whoever else works on the machine makes every time longer. */
  readonly strangersPercent: number;
}

/** Begins to look; the answer tells of the time since. `clientCpuSeconds` is what the measured client used in that time. */
export function watchLoad(cluster: Cluster): (clientCpuSeconds: number) => LoadShare {
  const plane = () =>
    COMPONENTS.reduce((sum, name) => sum + processFigures(cluster.component(name).pid!).cpuSeconds, 0);
  const bench = () => processFigures(process.pid).cpuSeconds;
  const before = { plane: plane(), bench: bench(), machine: machineBusySeconds(), at: performance.now() };
  return (clientCpuSeconds) => {
    const planeCpuSeconds = plane() - before.plane;
    const benchCpuSeconds = bench() - before.bench;
    const strangers = machineBusySeconds() - before.machine - planeCpuSeconds - benchCpuSeconds - clientCpuSeconds;
    const capacity = ((performance.now() - before.at) / 1000) * availableParallelism();
    return { planeCpuSeconds, strangersPercent: Math.max(0, Math.round((100 * strangers) / capacity)) };
  };
}
