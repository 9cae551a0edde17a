import type { QwenCoderDeployment, QwenCoderSpec } from '../api/index.ts';
import type { ControllerRevision, Deployment, Job, KubeObject, PersistentVolumeClaim } from '../kube/index.ts';
import {
  COMPONENT,
  type Component,
  type LiveVolume,
  type Owner,
  REVISION,
  type Revision,
  SLOT,
  readRevision,
  weightsClaimName,
  weightsJob,
} from '../render/index.ts';
import type { GpuInventory } from './inventory.ts';
import type { LiveChild } from './live-child.ts';
import {
  type Facts,
  type GatewayFacts,
  type LiveSlot,
  type ModelState,
  type PodFacts,
  type QuotaFacts,
  isTerminating,
} from './facts.ts';
import { modelStateOf } from './projections.ts';
import { tightestQuota } from './quotas.ts';

/** What the operator has in memory of the cluster. */
export interface Caches {
  resource(key: string): QwenCoderDeployment | undefined;
  /** Live children of a resource, of every kind that we make. */
  children(key: string): readonly LiveChild[];
  /** Pods labelled as a resource's. */
  pods(key: string): readonly PodFacts[];
  /** Of a namespace. */
  quotas(namespace: string): readonly QuotaFacts[];
  readonly inventory: GpuInventory;
}

/** Engine pods as they count, where more is known of them than the cluster tells. */
export type Counted = (pods: readonly PodFacts[], revisions: readonly Revision[]) => readonly PodFacts[];

/** Gathers the facts about one resource, from memory alone. */
export function observe(
  caches: Caches,
  key: string,
  owner: Owner,
  resource: QwenCoderDeployment,
  spec: QwenCoderSpec,
  counted: Counted = (pods) => pods,
): Facts {
  const children = caches.children(key);
  const all = caches.pods(key);
  const isOf = (component: Component) => (object: KubeObject) => object.metadata?.labels?.[COMPONENT] === component;
  const revisions = ofKind<ControllerRevision>(children, 'ControllerRevision')
    .map(readRevision)
    .sort((a, b) => b.number - a.number);
  const pods = counted(all.filter(isOf('engine')), revisions);
  const gateways = all.filter(isOf('gateway'));
  const deployments = ofKind<Deployment>(children, 'Deployment');
  return {
    owner,
    generation: resource.metadata.generation ?? 0,
    spec,
    revisions,
    slots: deployments
      .filter(isOf('engine'))
      .map((deployment) => liveSlot(deployment, pods))
      .sort((a, b) => a.index - b.index),
    pods,
    gateway: gatewayFacts(deployments.find(isOf('gateway')), gateways),
    isUnplaced: all.some(
      (pod) => (isOf('engine')(pod) || isOf('weights')(pod)) && pod.unschedulable !== undefined && !isTerminating(pod),
    ),
    children,
    quota: tightestQuota(caches.quotas(owner.namespace), spec.placement),
    nodes: once(() => caches.inventory.nodes(spec.placement, key)),
  };
}

/** How the weights of a revision stand. */
export function observeModel(caches: Caches, key: string, facts: Facts, revision: Revision): ModelState {
  const { source } = facts.spec.model;
  if (source.type !== 'HuggingFace') return { state: 'not-fetched', source: source.type };
  const name = weightsJob(facts.owner, facts.spec, revision.plan)!.metadata!.name;
  const job = ofKind<Job>(facts.children, 'Job').find((candidate) => candidate.metadata?.name === name);
  const all = caches.pods(key);
  const pods = all.filter((pod) => pod.metadata.labels?.['batch.kubernetes.io/job-name'] === name);
  return modelStateOf(job, pods);
}

/** The claim of a revision's weights; undefined while there is none. */
export function observeVolume({ children, owner, spec }: Facts, { plan }: Revision): LiveVolume | undefined {
  const name = weightsClaimName(owner.name, spec, plan);
  const claim = ofKind<PersistentVolumeClaim>(children, 'PersistentVolumeClaim').find(
    ({ metadata }) => metadata?.name === name,
  );
  const size = claim?.spec?.resources?.requests?.['storage'];
  return size === undefined ? undefined : { size, isBound: claim?.status?.phase === 'Bound' };
}

export const ofKind = <T extends KubeObject>(objects: readonly KubeObject[], kind: string): T[] =>
  objects.filter((object): object is T => object.kind === kind);

function liveSlot(deployment: Deployment, pods: readonly PodFacts[]): LiveSlot {
  const labels = deployment.spec?.template.metadata?.labels ?? {};
  const index = Number(labels[SLOT]);
  return {
    index,
    revisionHash: labels[REVISION] ?? '',
    // A pod of an older revision may outlive the Deployment's change; it does not count for the new one.
    pods: pods.filter(
      (pod) => pod.metadata.labels?.[SLOT] === String(index) && pod.metadata.labels[REVISION] === labels[REVISION],
    ),
    refusal: replicaFailure(deployment),
  };
}

function gatewayFacts(deployment: Deployment | undefined, pods: readonly PodFacts[]): GatewayFacts {
  const volumes = deployment?.spec?.template.spec?.volumes ?? [];
  const secrets = volumes.flatMap(({ secret, projected }) => [
    secret?.secretName,
    ...(projected?.sources ?? []).map((source) => source.secret?.name),
  ]);
  return {
    pods,
    secrets: secrets.filter((name) => name !== undefined),
    refusal: deployment && replicaFailure(deployment),
  };
}

/** Why pods of a Deployment cannot be made: a quota, or a policy at admission. */
export const replicaFailure = ({ status }: Deployment): string | undefined =>
  status?.conditions?.find(({ type, status: is }) => type === 'ReplicaFailure' && is === 'True')?.message;

function once<T>(compute: () => T): () => T {
  let value: { readonly of: T } | undefined;
  return () => (value ??= { of: compute() }).of;
}
