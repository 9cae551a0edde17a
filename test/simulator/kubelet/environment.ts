import type { Wire } from '../../../src/kube/wire.ts';
import type { V1Container, V1EnvVar } from '@kubernetes/client-node';
import type { Pod } from '../../../src/kube/wire.ts';

export type Container = Wire<V1Container>;
type EnvVar = Wire<V1EnvVar>;

/** Reads one value of a Secret or ConfigMap; undefined where there is no such object or key. */
export type ReadValue = (
  kind: 'Secret' | 'ConfigMap',
  name: string,
  key: string | undefined,
) => Promise<Readonly<Record<string, string>> | undefined>;

/** A container cannot be made; the kubelet tries again. */
export class ContainerConfigError extends Error {}

export interface PodFacts {
  readonly pod: Pod;
  readonly podIP: string;
  readonly hostIP: string;
}

/** The environment of a container, as the kubelet makes it: `envFrom`, then `env` in order, with `$(NAME)` of earlier ones. */
export async function environment(
  container: Container,
  facts: PodFacts,
  read: ReadValue,
): Promise<Record<string, string>> {
  const values: Record<string, string> = {};
  for (const { prefix, secretRef, configMapRef } of container.envFrom ?? []) {
    const source = secretRef ?? configMapRef;
    const kind = secretRef ? 'Secret' : 'ConfigMap';
    const data = await read(kind, source?.name ?? '', undefined);
    if (!data && !source?.optional) throw new ContainerConfigError(`${kind.toLowerCase()} "${source?.name}" not found`);
    for (const [key, value] of Object.entries(data ?? {})) values[`${prefix ?? ''}${key}`] = value;
  }
  for (const variable of container.env ?? []) {
    const value = await valueOf(variable, container, facts, read, values);
    if (value !== undefined) values[variable.name] = value;
  }
  return values;
}

async function valueOf(
  { name, value, valueFrom }: EnvVar,
  container: Container,
  facts: PodFacts,
  read: ReadValue,
  earlier: Readonly<Record<string, string>>,
): Promise<string | undefined> {
  if (!valueFrom) return expand(value ?? '', earlier);
  if (valueFrom.fieldRef) return fieldOf(valueFrom.fieldRef.fieldPath, facts);
  if (valueFrom.resourceFieldRef)
    return container.resources?.limits?.[valueFrom.resourceFieldRef.resource.replace(/^limits\./, '')] ?? '0';
  const reference = valueFrom.secretKeyRef ?? valueFrom.configMapKeyRef;
  if (!reference) throw new ContainerConfigError(`env ${name}: unknown source`);
  const kind = valueFrom.secretKeyRef ? 'Secret' : 'ConfigMap';
  const data = await read(kind, reference.name ?? '', reference.key);
  if (data?.[reference.key] !== undefined) return data[reference.key];
  if (reference.optional) return undefined;
  throw new ContainerConfigError(
    data
      ? `couldn't find key ${reference.key} in ${kind} ${facts.pod.metadata?.namespace}/${reference.name}`
      : `${kind.toLowerCase()} "${reference.name}" not found`,
  );
}

function fieldOf(path: string, { pod, podIP, hostIP }: PodFacts): string {
  const { metadata, spec } = pod;
  const keyed = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(path);
  if (keyed) return (keyed[1] === 'labels' ? metadata?.labels : metadata?.annotations)?.[keyed[2]!] ?? '';
  switch (path) {
    case 'status.podIP':
    case 'status.podIPs':
      return podIP;
    case 'status.hostIP':
    case 'status.hostIPs':
      return hostIP;
    case 'metadata.name':
      return metadata?.name ?? '';
    case 'metadata.namespace':
      return metadata?.namespace ?? '';
    case 'metadata.uid':
      return metadata?.uid ?? '';
    case 'spec.nodeName':
      return spec?.nodeName ?? '';
    case 'spec.serviceAccountName':
      return spec?.serviceAccountName ?? '';
    default:
      throw new ContainerConfigError(`fieldPath ${path} is not supported`);
  }
}

/** `$(NAME)` of known variables; `$$(NAME)` is a literal; unknown ones stay as they are. */
export function expand(text: string, values: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$\$|\$\(([A-Za-z_.-][\w.-]*)\)/g, (whole, name: string | undefined) =>
    whole === '$$' ? '$' : (values[name!] ?? whole),
  );
}

/** What links to a namespace's Services put into containers unless `enableServiceLinks` is false. */
export function serviceLinks(
  services: readonly {
    name: string;
    clusterIP: string;
    ports: readonly { name?: string; port: number; protocol?: string }[];
  }[],
): Record<string, string> {
  const values: Record<string, string> = {};
  for (const { name, clusterIP, ports } of services) {
    if (clusterIP === 'None' || clusterIP === '' || ports.length === 0) continue;
    const stem = name.toUpperCase().replaceAll('-', '_');
    const first = ports[0]!;
    values[`${stem}_SERVICE_HOST`] = clusterIP;
    values[`${stem}_SERVICE_PORT`] = `${first.port}`;
    values[`${stem}_PORT`] = `${(first.protocol ?? 'TCP').toLowerCase()}://${clusterIP}:${first.port}`;
  }
  return values;
}
