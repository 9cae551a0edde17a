import { COMPONENT, MANAGED_BY, OPERATOR, RESOURCE, REVISION, SLOT } from '../../src/render/labels.ts';
import { type Draft, OPERATOR_USER, type Story, controlledBy, labelled, managed } from './story.ts';

/** The operator's field manager. */
export const MANAGER = 'qwen-coder-operator';
/** Its mark on what it made. */
export const OWNED = managed(MANAGER, 'f:spec');
/** The user that acts on Deployments and collects garbage. */
export const controllers = 'system:kube-controller-manager';

/** The resource `coder`. */
export const resource = (
  over: { readonly spec?: object; readonly status?: object; readonly metadata?: object } = {},
): Draft => ({
  kind: 'QwenCoderDeployment',
  metadata: { name: 'coder', generation: 1, ...over.metadata },
  spec: { scaling: { mode: 'External' }, replicas: 1, ...over.spec },
  ...(over.status && { status: over.status }),
});

/** Any resource of another name. */
export const namesake = (name: string): Draft => ({ ...resource(), metadata: { name, generation: 1 } });

/** One condition of a status. */
export const condition = (type: string, status: string, reason: string, observedGeneration = 1) => ({
  type,
  status,
  reason,
  observedGeneration,
  message: '',
  lastTransitionTime: '2026-01-01T00:00:00Z',
});

/** What an operator says of a resource that serves. */
export const readyStatus = (observedGeneration = 1): object => ({
  observedGeneration,
  conditions: [condition('Ready', 'True', 'Serving', observedGeneration)],
  revisions: { target: 'coder-aaaa' },
});

/** A child that the operator has made for the resource of that UID. */
export const child = (kind: string, name: string, uid: string, over: object = {}): Draft => ({
  kind,
  metadata: labelled(name, { ...controlledBy('QwenCoderDeployment', 'coder', uid), ...OWNED }),
  ...over,
});

/** The Deployment of a slot. */
export const slot = (index: number, uid: string, over: object = {}): Draft =>
  child('Deployment', `coder-engine-${index}`, uid, {
    spec: { selector: { matchLabels: { [RESOURCE]: 'coder', [SLOT]: String(index) } }, ...over },
  });

/** How an engine pod differs from one that is ready. */
export interface Engine {
  readonly ready?: boolean;
  readonly revision?: string;
  readonly args?: readonly string[];
  readonly gpus?: number;
  readonly metadata?: object;
}

/** The engine pod of slot 0, controlled by whatever has that UID. */
export const engine = (
  uid: string,
  { ready = true, revision = 'aaaa', args = [], gpus = 2, metadata }: Engine = {},
): Draft => ({
  kind: 'Pod',
  metadata: {
    ...labelled('coder-engine-0-x', controlledBy('ReplicaSet', 'coder-engine-0-x', uid)),
    labels: {
      [MANAGED_BY]: OPERATOR,
      [RESOURCE]: 'coder',
      [COMPONENT]: 'engine',
      [SLOT]: '0',
      [REVISION]: revision,
    },
    ...metadata,
  },
  spec: {
    containers: [{ name: 'engine', args, resources: gpus > 0 ? { limits: { 'nvidia.com/gpu': String(gpus) } } : {} }],
  },
  status: { phase: 'Running', conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
});

/** The Service of the resource. */
export const endpoint = (uid: string, over: object = {}): Draft =>
  child('Service', 'coder', uid, { spec: { selector: { [RESOURCE]: 'coder' } }, ...over });

/** What a Deployment made for slot 0. */
export const replicaSet = (uid: string): Draft => ({
  kind: 'ReplicaSet',
  metadata: labelled('coder-engine-0-x', controlledBy('Deployment', 'coder-engine-0', uid)),
});

/** A resource with its Service, one slot and one engine pod. Answers with its UID and with that of the pod's ReplicaSet. */
export function serving(story: Story, pod: Engine = {}): { uid: string; replicas: string } {
  const uid = story.put(resource());
  story.put(endpoint(uid), OPERATOR_USER);
  const deployment = story.put(slot(0, uid), OPERATOR_USER);
  const replicas = story.put(replicaSet(deployment), controllers);
  story.put(engine(replicas, pod), controllers);
  return { uid, replicas };
}
