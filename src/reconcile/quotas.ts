import type { QwenCoderSpec } from '../api/index.ts';
import type { GpuQuota } from '../serving/index.ts';
import type { QuotaFacts, QuotaScope } from './facts.ts';

/** Of the quotas of a namespace, the one that lets the fewest GPUs in for pods of that placement; undefined where none limits them. */
export function tightestQuota(
  quotas: readonly QuotaFacts[],
  { resourceName, priorityClassName }: QwenCoderSpec['placement'],
): GpuQuota | undefined {
  let tightest: GpuQuota | undefined;
  for (const { metadata, gpus, scopes } of quotas) {
    const [name, hard] = [metadata.name!, gpus[resourceName]];
    if (hard === undefined || !scopes.every((scope) => isOfScope(scope, priorityClassName))) continue;
    const isTighter =
      tightest === undefined || hard < tightest.gpus || (hard === tightest.gpus && name < tightest.name);
    if (isTighter) tightest = { name, gpus: hard };
  }
  return tightest;
}

/**
 * Whether a scope holds for pods of ours, as kubernetes decides it in `pkg/quota/v1/evaluator/core/pods.go`: they ask for CPU and memory
 * and have no deadline. Where that is uncertain it does not: a plan that is refused for nothing is worse than a pod that is.
 */
function isOfScope({ scopeName, operator, values }: QuotaScope, priorityClassName: string | undefined): boolean {
  if (scopeName === 'NotTerminating' || scopeName === 'NotBestEffort') return true;
  // Without a class of its own, a pod may get the default class of the cluster.
  if (scopeName !== 'PriorityClass' || priorityClassName === undefined) return false;
  switch (operator) {
    case 'Exists':
      return true;
    case 'In':
      return values.includes(priorityClassName);
    case 'NotIn':
      return !values.includes(priorityClassName);
    default:
      return false;
  }
}
