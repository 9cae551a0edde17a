import type { Diagnosis } from './diagnosis.ts';
import { isGuess } from './guess.ts';
import { quotable } from './log-findings.ts';
import type { Alternative, ServingPlan } from './plan.ts';

/**
 * Why the API server takes no pods, by the words in which a controller reports it.
 *
 * Guarantees: the same refusal gives the same answer, though each try has a pod name of its own.
 */
export function diagnoseRefusal(message: string, secrets: readonly string[]): Diagnosis<'PodRejected'> {
  const evidence = quotable(
    message.replace(/^Error creating: /, '').replace(/^pods "[^"]*" is forbidden: /, ''),
    secrets,
  );
  return { reason: 'PodRejected', evidence, remedy: refusalRemedy(evidence), isFinal: true };
}

function refusalRemedy(evidence: string): string {
  const quota =
    /exceeded quota: (?<name>[^,]+), requested: (?<requested>\S+?), used: (?<used>\S+?), limited: (?<limited>\S+)/.exec(
      evidence,
    )?.groups as { name: string; requested: string; used: string; limited: string } | undefined;
  if (quota) {
    return `Raise ResourceQuota ${quota.name} above ${quota.limited} by ${quota.requested} (${quota.used} in use), or ask for less: fewer replicas, or fewer GPUs a replica by spec.parallelism.tensorParallelSize.`;
  }
  const missing = /failed quota: (?<name>[^:]+): must specify (?<what>.+)/.exec(evidence)?.groups as
    | { name: string; what: string }
    | undefined;
  if (missing) return `ResourceQuota ${missing.name} wants limits: set them in spec.engine.resources.`;
  if (/violates PodSecurity/.test(evidence)) {
    return 'Use vLLM 0.33.0 or later, whose image needs no root, or relax pod-security.kubernetes.io/enforce of the namespace.';
  }
  if (/priority ?class/i.test(evidence))
    return 'Create that PriorityClass, or correct spec.placement.priorityClassName.';
  return `Adapt ${policyOf(evidence) ?? 'the policy that refuses it'}, or add what it asks for in spec.podMetadata.`;
}

/** What to do about an object that the API server takes for no pod: a Deployment, a claim, a Service. */
export function rejectionRemedy(message: string): string {
  const policy = policyOf(message);
  if (policy !== undefined) return `Adapt ${policy}.`;
  if (/exceeded quota/.test(message)) return 'Raise that ResourceQuota.';
  return 'Correct the field of spec that it comes from.';
}

/** The policy or the webhook that an API server names as the one that refused. */
function policyOf(message: string): string | undefined {
  const policy = /ValidatingAdmissionPolicy '([^']+)' with binding '([^']+)' denied request/.exec(message);
  if (policy) return `ValidatingAdmissionPolicy ${policy[1]} or its binding ${policy[2]}`;
  const webhook = /admission webhook "([^"]+)" denied the request/.exec(message);
  return webhook ? `what admission webhook ${webhook[1]} checks` : undefined;
}

/** What could start sooner than a plan of `replicas` replicas that waits for GPUs, and the fields to set for it. */
export function alternativeRemedy({ plan, startable, set }: Alternative, replicas: number): string {
  const { quantization, gpusPerReplica, gpuName, maxModelLen } = plan;
  const what = `${quantization} on ${gpusPerReplica}x ${gpuName}, ${maxModelLen} tokens${isGuess(plan) ? ' by a guess' : ''}`;
  const could =
    startable === 0
      ? 'could start on nodes that spec.placement.nodeShapes declares'
      : startable < replicas
        ? `could start ${startable} of ${replicas} replicas at once`
        : 'could start at once';
  const fields = [
    set.placement && `spec.placement.products to [${set.placement.products.join(', ')}]`,
    set.parallelism && `spec.parallelism.tensorParallelSize to ${set.parallelism.tensorParallelSize}`,
    set.model && `spec.model.quantization to ${set.model.quantization}`,
  ].filter((field) => field !== undefined);
  return `${what}, ${could}: set ${fields.join(' and ')}.`;
}

/** What a Kubernetes scheduler counts: nodes that are short of something. */
const INSUFFICIENT = /(\d+) Insufficient ([\w./-]+?)(?=[,.;](?:\s|$)|$)/g;

/**
 * What to do about a pod that finds no node: what is short, on how many nodes.
 *
 * @param message The scheduler's words.
 * @param gpuNodes Nodes that have the planned GPUs and whose taints and labels suit, whether or not they are free.
 */
export function unschedulableRemedy(
  message: string,
  plan: ServingPlan,
  resourceName: string,
  gpuNodes: number,
): string {
  const all = /(\d+)\/(\d+) nodes are available/.exec(message)?.[2];
  const short = [...message.split(/preemption:/)[0]!.matchAll(INSUFFICIENT)].map(([, count, what]) => ({
    count,
    what: what!,
  }));
  const gpus = short.find(({ what }) => what === resourceName);
  const wanted = `${plan.gpusPerReplica}x ${plan.gpuName}`;
  const parts: string[] = [];
  if (gpus) {
    const have = gpuNodes === 1 ? '1 node has such GPUs' : `${gpuNodes} nodes have such GPUs`;
    parts.push(
      `${resourceName} is short on ${gpus.count} of ${all} nodes: a replica needs ${wanted} free on one node, and ${have}. Free them, or add a node with ${wanted}.`,
    );
  } else if (gpuNodes === 0) {
    parts.push(`A replica needs ${wanted} on one node, and no node has them. Add one, or correct spec.placement.`);
  }
  for (const { count, what } of short) {
    if (what === 'cpu' || what === 'memory')
      parts.push(`${what} is short on ${count} of ${all} nodes: lower spec.engine.resources.requests.${what}.`);
  }
  if (/volume node affinity conflict/.test(message))
    parts.push('The volume of the weights is on another node: set spec.storage.accessMode to ReadWriteMany.');
  if (/unbound immediate PersistentVolumeClaims|persistentvolumeclaim/i.test(message))
    parts.push('The volume of the weights is not there: correct spec.storage.');
  if (parts.length === 0 && /untolerated taint/.test(message))
    parts.push('Tolerate the taints that the scheduler names in spec.placement.tolerations.');
  if (parts.length === 0) parts.push('Correct spec.placement, or add a node that suits it.');
  return parts.join(' ');
}
