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
  assertNothingLost(props, rendered, '$');
  return rendered as Rendered;
}

function assertNothingLost(given: unknown, rendered: unknown, path: string): void {
  if (given === undefined) return;
  if (given instanceof k8s.Quantity || given instanceof k8s.IntOrString) {
    if (rendered !== given.value) lost(path);
  } else if (Array.isArray(given)) {
    if (!Array.isArray(rendered) || rendered.length !== given.length) lost(path);
    given.forEach((item, index) => assertNothingLost(item, (rendered as unknown[])[index], `${path}[${index}]`));
  } else if (typeof given === 'object' && given !== null) {
    if (typeof rendered !== 'object' || rendered === null) lost(path);
    for (const [key, value] of Object.entries(given)) {
      assertNothingLost(value, member(rendered, key), `${path}.${key}`);
    }
  } else if (rendered !== given) lost(path);
}

/** cdk8s spells acronyms its own way: `clusterIp` is rendered as `clusterIP`. */
function member(rendered: object, key: string): unknown {
  if (key in rendered) return (rendered as Record<string, unknown>)[key];
  const spelled = Object.keys(rendered).find((candidate) => candidate.toLowerCase() === key.toLowerCase());
  return spelled === undefined ? undefined : (rendered as Record<string, unknown>)[spelled];
}

function lost(path: string): never {
  throw new Error(`cdk8s lost ${path}: its models of Kubernetes 1.28 do not know this value`);
}
