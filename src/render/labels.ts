/** Names and labels that tie children to their resource. The one place where they are spelled. */
export const MANAGED_BY = 'app.kubernetes.io/managed-by';
export const OPERATOR = 'qwen-coder-operator';
export const COMPONENT = 'app.kubernetes.io/component';
export const RESOURCE = 'qwencoder.dev/resource';
export const SLOT = 'qwencoder.dev/slot';
export const REVISION = 'qwencoder.dev/revision';
/** Digest of the object as last rendered: differs from the desired one when a field was removed. */
export const APPLIED = 'qwencoder.dev/applied';
/** On a ControllerRevision: digest of the spec it was last chosen for. */
export const INPUTS = 'qwencoder.dev/inputs';
/** On a ControllerRevision: digest of the part of that spec which decides the plan. */
export const PLAN_INPUTS = 'qwencoder.dev/plan-inputs';
/** On a ControllerRevision: `true` once an engine of it was ready. */
export const SERVED = 'qwencoder.dev/served';
/** On a ControllerRevision: seconds that its first engine took from its container's start to its first answer. */
export const LOAD_SECONDS = 'qwencoder.dev/load-seconds';

/** Selects everything that the operator manages. */
export const MANAGED_SELECTOR = `${MANAGED_BY}=${OPERATOR}`;

export type Component = 'engine' | 'weights' | 'endpoint' | 'gateway' | 'network-probe';

export const childLabels = (resource: string, component: Component): Record<string, string> => ({
  [MANAGED_BY]: OPERATOR,
  'app.kubernetes.io/name': 'qwen-coder',
  'app.kubernetes.io/instance': resource,
  [COMPONENT]: component,
  [RESOURCE]: resource,
});

/** Selects the engine pods of a resource, whatever their slot or revision. */
export const engineSelector = (resource: string): Record<string, string> => ({
  [RESOURCE]: resource,
  [COMPONENT]: 'engine',
});

/** Selects the gateway pods of a resource. */
export const gatewaySelector = (resource: string): Record<string, string> => ({
  [RESOURCE]: resource,
  [COMPONENT]: 'gateway',
});

export const childNames = {
  endpoint: (resource: string) => resource,
  gateway: (resource: string) => `${resource}-gateway`,
  apiKey: (resource: string) => `${resource}-api-key`,
  keys: (resource: string, hash: string) => `${resource}-keys-${hash}`,
  networkProbe: (resource: string, hash: string) => `${resource}-network-${hash}`,
  engines: (resource: string) => `${resource}-engines`,
  engine: (resource: string) => `${resource}-engine`,
  slot: (resource: string, slot: number) => `${resource}-engine-${slot}`,
  revision: (resource: string, hash: string) => `${resource}-${hash}`,
  weights: (resource: string, hash: string) => `${resource}-weights-${hash}`,
};

/** The Secret, beside the operator's Lease, that keys between operator, gateways and engines are derived from. */
export const operatorSecretName = (leaseName: string): string => `${leaseName}-secret`;

/** The ConfigMap, beside the operator's Lease, that keeps what engines measured. */
export const calibrationsName = (leaseName: string): string => `${leaseName}-calibrations`;
