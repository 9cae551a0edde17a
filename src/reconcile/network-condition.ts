import type { Job } from '../kube/index.ts';
import { networkProbeName } from '../render/index.ts';
import type { Update } from './conditions.ts';
import type { Facts } from './facts.ts';
import { ofKind } from './observe.ts';

/** What came of the pod that tries to get out under the engines' network rules. */
export function networkLocked({ spec, owner, children }: Facts): Update {
  const type = 'NetworkLocked';
  if (spec.network.isolation === 'Open') {
    return {
      type,
      status: 'False',
      reason: 'Open',
      message: 'spec.network.isolation is Open: no NetworkPolicy is made.',
    };
  }
  const name = networkProbeName(owner.name);
  const conditions = ofKind<Job>(children, 'Job').find(({ metadata }) => metadata?.name === name)?.status?.conditions;
  const holds = (type: string) => conditions?.find((one) => one.type === type && one.status === 'True');
  if (holds('Complete')) {
    return {
      type,
      status: 'True',
      reason: 'Locked',
      message: `The pod of Job ${name}, under the same rules as the engines, could not reach the API server.`,
    };
  }
  const failed = holds('Failed');
  // The exit code that says so is the only one that ends the Job at once.
  if (failed?.reason === 'PodFailurePolicy') {
    return {
      type,
      status: 'False',
      reason: 'NotEnforced',
      message: `The pod of Job ${name}, under the same rules as the engines, reached the API server: the network plugin enforces no NetworkPolicy. Use one that does, as Calico or Cilium, then delete the Job, and it is tried again.`,
    };
  }
  if (failed) {
    return {
      type,
      status: 'Unknown',
      reason: 'ProbeFailed',
      message: `Job ${name} failed: ${failed.message ?? failed.reason ?? 'for a reason that it does not tell'}.`,
    };
  }
  return { type, status: 'Unknown', reason: 'Probing', message: `Job ${name} has not ended yet.` };
}
