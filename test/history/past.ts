import { apiVersionOf, type KubeClient, type KubeObject, pathOf, type Resource } from '../../src/kube/index.ts';
import type { Version } from './history.ts';

export type Change = Pick<Version, 'type'> & { readonly object: KubeObject };

/** What a kind had at a version: UID → object. */
type Snapshot = ReadonlyMap<string, KubeObject>;

/**
 * What happened to the objects of a kind after a version until now, and the version that is now. A server that no longer streams that past,
 * as after a change of the kind's definition, still has it in its storage: each change has a version of its own, so that a list of each
 * version between tells all of them.
 *
 * **Fails when** the storage has forgotten that version too (`isGone`), which it does after minutes.
 */
export async function changesSince(
  client: KubeClient,
  resource: Resource,
  version: string,
  signal: AbortSignal,
): Promise<{ readonly changes: readonly Change[]; readonly resourceVersion: string }> {
  let before = await listAt(client, resource, version, signal);
  const { resourceVersion } = await client.listPage(resource, { pageSize: 1, signal });
  const changes: Change[] = [];
  for (let at = Number(version) + 1; at <= Number(resourceVersion); at += 1) {
    const after = await listAt(client, resource, String(at), signal);
    changes.push(...changesBetween(before, after, String(at)));
    before = after;
  }
  return { changes, resourceVersion };
}

function changesBetween(before: Snapshot, after: Snapshot, resourceVersion: string): Change[] {
  const changes: Change[] = [];
  for (const [uid, object] of before) {
    if (after.has(uid)) continue;
    changes.push({ type: 'DELETED', object: { ...object, metadata: { ...object.metadata, resourceVersion } } });
  }
  for (const [uid, object] of after) {
    if (object.metadata!.resourceVersion !== resourceVersion) continue;
    changes.push({ type: before.has(uid) ? 'MODIFIED' : 'ADDED', object });
  }
  return changes;
}

/** Not a list of the client's: the operator has no use for a state that was. */
async function listAt(
  client: KubeClient,
  resource: Resource,
  resourceVersion: string,
  signal: AbortSignal,
): Promise<Snapshot> {
  const text = await client.transport.send({
    verb: 'list',
    about: `${resource.plural} at ${resourceVersion}`,
    resource: resource.plural,
    path: pathOf(resource),
    query: { resourceVersion, resourceVersionMatch: 'Exact' },
    sensitive: resource.sensitive ?? false,
    signal,
  });
  const { items } = JSON.parse(text) as { readonly items: readonly KubeObject[] | null };
  const type = { apiVersion: apiVersionOf(resource), kind: resource.kind };
  return new Map((items ?? []).map((object) => [object.metadata!.uid!, { ...object, ...type }]));
}
