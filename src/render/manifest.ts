// The deep import skips cdk8s-plus's L2 tree (32 MB of memory); the package has no exports map.
import * as k8s from 'cdk8s-plus-28/lib/imports/k8s.js';
import type * as K8s from 'cdk8s-plus-28/lib/imports/k8s.js';

export type { K8s };

/** The L1 kinds that we render. */
export const {
  KubeControllerRevision,
  KubeDeployment,
  KubeIngress,
  KubeJob,
  KubeNetworkPolicy,
  KubePersistentVolumeClaim,
  KubePodDisruptionBudget,
  KubePodTemplate,
  KubeSecret,
  KubeService,
  KubeServiceAccount,
} = k8s;

/** A Kubernetes quantity. Always from text: a number would never equal the text that the API server answers. */
export const quantity = (text: string): K8s.Quantity => k8s.Quantity.fromString(text);
/** An int-or-string field that holds a number. */
export const int = (value: number): K8s.IntOrString => k8s.IntOrString.fromNumber(value);
/** An int-or-string field that holds a port's name. */
export const text = (value: string): K8s.IntOrString => k8s.IntOrString.fromString(value);
export const quantities = (values: Readonly<Record<string, string>>): Record<string, K8s.Quantity> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, quantity(value)]));

interface L1<Props> {
  manifest(props: Props): unknown;
}

/**
 * Renders one object through its cdk8s L1 class.
 *
 * **Guarantees** every leaf of `props` is in the answer.
 * **Fails when** the 1.28 models drop one: they copy only fields that they know, and silently.
 */
export function manifest<Props, Rendered>(kind: L1<Props>, props: Props): Rendered {
  const rendered = kind.manifest(props);
  const path = lost(props, rendered);
  if (path !== undefined) {
    throw new Error(`cdk8s lost $${path}: its models of Kubernetes 1.28 do not know this value`);
  }
  return rendered as Rendered;
}

/** Path of the first leaf that is not in what was rendered. */
function lost(given: unknown, rendered: unknown): string | undefined {
  if (given === undefined) return undefined;
  if (typeof given !== 'object' || given === null) return given === rendered ? undefined : '';
  if (given instanceof k8s.Quantity || given instanceof k8s.IntOrString) {
    return rendered === given.value ? undefined : '';
  }
  if (typeof rendered !== 'object' || rendered === null) return '';
  if (Array.isArray(given)) {
    if (!Array.isArray(rendered) || rendered.length !== given.length) return '';
    for (let index = 0; index < given.length; index += 1) {
      const path = lost(given[index], rendered[index]);
      if (path !== undefined) return `[${index}]${path}`;
    }
    return undefined;
  }
  for (const key of Object.keys(given)) {
    const path = lost((given as Record<string, unknown>)[key], member(rendered, key));
    if (path !== undefined) return `.${key}${path}`;
  }
  return undefined;
}

/** cdk8s spells acronyms its own way: `clusterIp` is rendered as `clusterIP`. */
function member(rendered: object, key: string): unknown {
  if (key in rendered) return (rendered as Record<string, unknown>)[key];
  const spelled = Object.keys(rendered).find((candidate) => candidate.toLowerCase() === key.toLowerCase());
  return spelled === undefined ? undefined : (rendered as Record<string, unknown>)[spelled];
}
