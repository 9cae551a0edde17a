import type { QwenCoderSpec } from '../api/index.ts';
import type { Decision } from '../reconcile/decision.ts';
import {
  type Alternative,
  type GpuQuota,
  type NodeSharing,
  type PlanFailure,
  type RejectedCandidate,
  type ServingPlan,
  concurrency,
  hasPrefixCaching,
  kvGeometry,
  nodeSharing,
  poolBlocks,
  roomOn,
  suits,
  vllmVersion,
} from '../serving/index.ts';
import type { Outlook, WeightsOutlook } from './outlook.ts';
import type { Snapshot } from './snapshot.ts';

/** What `plan` tells of one resource; printed as it is in JSON and YAML. All memory in bytes. */
export type Report = FittingReport | MisfitReport;

interface Subject {
  readonly name: string;
  /** Undefined where nothing names one. */
  readonly namespace: string | undefined;
  /** Combinations that cannot serve, the nearest first. Empty where an earlier plan is kept: none was tried. */
  readonly rejected: readonly RejectedCandidate[];
  /** Undefined without a cluster. */
  readonly change: Change | undefined;
}

export interface FittingReport extends Subject {
  readonly fits: true;
  readonly plan: ServingPlan;
  /** Where the checkpoint comes from, for people. */
  readonly checkpoint: string;
  /** The best on other GPUs; undefined where there is none, and where an earlier plan is kept. */
  readonly runnerUp: ServingPlan | undefined;
  /** What could start sooner, where the plan waits for GPUs. */
  readonly alternative: Alternative | undefined;
  /** Whether the cluster has this plan's revision already. */
  readonly isKept: boolean;
  readonly replicas: number;
  readonly isSuspended: boolean;
  /** GPUs of all replicas together. */
  readonly gpus: number;
  readonly nodes: NodesReport;
  /** Of one GPU; undefined without memory facts. */
  readonly memory: MemoryReport | undefined;
  /** How many requests of a length are held at once by one replica; empty without memory facts. */
  readonly requests: readonly { readonly tokens: number; readonly atOnce: number }[];
}

export interface MisfitReport extends Subject, Pick<PlanFailure, 'reason' | 'message' | 'remedy'> {
  readonly fits: false;
}

/** The GPUs that the plan may use, on nodes that exist. */
export interface NodesReport {
  readonly gpus: number;
  /** Not held by pods of others. */
  readonly free: number;
  /** Of the wanted replicas, those that free GPUs and the quota take. */
  readonly startable: number;
  /** Whether free GPUs would take more, but for the volume of the weights, which one node mounts. */
  readonly isTied: boolean;
  /** The tightest quota, where it takes fewer replicas than are wanted. */
  readonly quota: GpuQuota | undefined;
}

/** Where the memory of one GPU goes. The parts sum to `total`. */
export interface MemoryReport {
  readonly total: number;
  readonly weights: number;
  readonly overhead: number;
  /** Of the KV pool: states of GDN layers, of as many requests of full length as are held at once. */
  readonly recurrentState: number;
  /** The rest of the pool: keys and values of attention layers. */
  readonly kvCache: number;
  readonly free: number;
}

/** What applying the resource changes in the cluster. */
export interface Change extends Pick<Outlook, 'restarts' | 'starts' | 'stops' | 'weights'> {
  /** Whether the resource is in the cluster. */
  readonly exists: boolean;
  readonly writes: readonly {
    readonly do: 'create' | 'apply' | 'delete';
    readonly kind: string;
    readonly name: string;
    readonly reason: string;
  }[];
}

export type { WeightsOutlook };

/** Lengths that a table of requests shows, in tokens. */
const LENGTHS = [8, 16, 32, 64, 128, 256].map((thousand) => thousand * 1024);

export interface ReportOptions {
  readonly namespace: string | undefined;
  readonly outlook: Outlook;
  /** The cluster to compare with; undefined where nothing is compared. */
  readonly snapshot: Snapshot | undefined;
}

/** Puts together what is told of one decision. */
export function reportOf(decision: Decision, { namespace, outlook, snapshot }: ReportOptions): Report {
  const { facts, target, wanted } = decision;
  const { owner, spec } = facts;
  const subject = {
    name: owner.name,
    namespace,
    change: snapshot && changeOf(outlook, snapshot.resource(`${owner.namespace}/${owner.name}`) !== undefined),
  };
  if (!target.planned) return { ...subject, ...target.outcome };
  const { plan, hash } = target.revision;
  const pool = poolOf(plan, spec);
  return {
    ...subject,
    fits: true,
    plan,
    checkpoint: checkpointOf(spec, plan),
    runnerUp: target.runnerUp,
    alternative: wanted > 0 && !spec.suspend ? target.alternative : undefined,
    isKept: facts.revisions.some((revision) => revision.hash === hash),
    replicas: wanted,
    isSuspended: spec.suspend,
    gpus: wanted * plan.gpusPerReplica,
    nodes: nodesOf(decision, plan),
    memory: pool && memoryOf(pool, plan),
    requests: pool ? requestsOf(pool, plan) : [],
    rejected: target.rejected,
  };
}

function checkpointOf({ model: { source } }: QwenCoderSpec, { repository, revision }: ServingPlan): string {
  switch (source.type) {
    case 'HuggingFace':
      return `${repository} at ${revision}`;
    case 'Volume':
      return `volume ${source.claimName}${source.path === undefined ? '' : `, ${source.path}`}`;
    case 'Image':
      return `image ${source.reference}`;
  }
}

function nodesOf({ facts, wanted }: Decision, plan: ServingPlan): NodesReport {
  const { gpusPerReplica } = plan;
  const nodes = facts.nodes().filter((node) => node.exists && suits(plan, node));
  const sum = (count: (node: (typeof nodes)[number]) => number): number =>
    nodes.reduce((total, node) => total + count(node), 0);
  const { quota, spec } = facts;
  const sharing = nodeSharing(spec);
  const startableBy = (shared: NodeSharing): number =>
    roomOn(nodes, gpusPerReplica, { replicas: wanted, quota, nodeSharing: shared }).startable;
  const startable = startableBy(sharing);
  return {
    gpus: sum(({ gpus }) => gpus),
    free: sum(({ free }) => free),
    startable,
    isTied: sharing === 'One' && startable < startableBy('Few'),
    quota: quota !== undefined && Math.floor(quota.gpus / gpusPerReplica) < wanted ? quota : undefined,
  };
}

/** The KV pool of one GPU, as the planner cut it. */
function poolOf(plan: ServingPlan, spec: QwenCoderSpec) {
  const { memory, tensorParallelSize, kvCacheDtype, engineVersion } = plan;
  if (memory === undefined) return undefined;
  const geometry = kvGeometry({
    tensorParallelSize,
    kvCacheDtype,
    prefixCaching: hasPrefixCaching(spec, engineVersion),
    reservedBlocks: vllmVersion(engineVersion).reservedBlocks,
  });
  return { memory, geometry, blocks: poolBlocks(geometry, memory.kvPool) };
}

type Pool = NonNullable<ReturnType<typeof poolOf>>;

function memoryOf({ memory, geometry }: Pool, plan: ServingPlan): MemoryReport {
  const { total, overhead, kvPool } = memory;
  // Scales of FP8 blocks make a share of the weights a fraction of a byte.
  const weights = Math.ceil(memory.weights);
  const recurrentState = (plan.concurrency ?? 0) * geometry.stateBlocks * geometry.blockBytes;
  return {
    total,
    weights,
    overhead,
    recurrentState,
    kvCache: kvPool - recurrentState,
    free: total - weights - overhead - kvPool,
  };
}

const requestsOf = ({ geometry, blocks }: Pool, { maxModelLen, maxNumSeqs }: ServingPlan) =>
  LENGTHS.filter((tokens) => tokens <= maxModelLen).map((tokens) => ({
    tokens,
    atOnce: Math.min(maxNumSeqs, concurrency(geometry, blocks, tokens)),
  }));

function changeOf({ restarts, starts, stops, weights, actions }: Outlook, exists: boolean): Change {
  const writes = actions.map(({ do: verb, object: { kind, metadata }, reason }) => ({
    do: verb,
    kind: kind!,
    name: metadata!.name!,
    reason,
  }));
  return { exists, restarts, starts, stops, weights, writes };
}
