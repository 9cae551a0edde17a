import type { KubeObject } from '../kube/index.ts';
import { APPLIED } from '../render/index.ts';

/** A child as the operator keeps it: whole until it was compared with its rendering, then what is read of it. */
export interface LiveChild extends KubeObject {
  /** This version holds the rendering whose digest it carries. */
  readonly isAbridged?: true;
}

/** Members of the body that somebody reads later, besides the metadata. Other kinds have none. */
const READ: Readonly<Record<string, readonly string[]>> = {
  ControllerRevision: ['data', 'revision'],
  Deployment: ['spec.template.metadata.labels', 'spec.template.spec.volumes', 'status.conditions'],
  HTTPRoute: ['status'],
  Job: ['status'],
  PersistentVolumeClaim: ['spec.resources', 'status.phase'],
};

/** The digest that a rendering carries, and the child that it was applied to. */
export const digestOf = ({ metadata }: KubeObject): string | undefined => metadata?.annotations?.[APPLIED];

/** About 1 KiB of an object that has up to 20. */
export function abridged(child: KubeObject): LiveChild {
  const { apiVersion, kind, metadata } = child;
  const kept: Record<string, unknown> = { apiVersion, kind, metadata, isAbridged: true };
  for (const path of READ[kind!] ?? []) copyMember(child, kept, path.split('.'));
  return kept;
}

function copyMember(from: unknown, to: Record<string, unknown>, [name, ...rest]: readonly string[]): void {
  const value = (from as Record<string, unknown> | undefined)?.[name!];
  if (value === undefined) return;
  if (rest.length === 0) to[name!] = value;
  else copyMember(value, (to[name!] ??= {}) as Record<string, unknown>, rest);
}
