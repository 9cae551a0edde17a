import type { KubeObject, Node, ResourceQuota } from '../../src/kube/index.ts';
import type { SeenObject } from './history.ts';

/**
 * What is kept of an object. Kinds that the operator writes are kept whole, `managedFields` included; of the others, what invariants read,
 * so that heartbeats make no new version. Of a Secret that is who it is and whose its fields are, never what is in them.
 */
export function trim(kind: string, object: KubeObject): SeenObject {
  switch (kind) {
    case 'Node':
      return trimNode(object);
    case 'Secret':
      return { kind, metadata: withoutAnnotations(object) };
    case 'ResourceQuota':
      return { kind, metadata: withoutManagers(object), spec: (object as ResourceQuota).spec } as SeenObject;
    case 'CustomResourceDefinition':
    case 'ReplicaSet':
      return { kind, metadata: withoutManagers(object) };
    case 'Event':
    case 'Lease':
    case 'Pod':
      return { ...object, kind, metadata: withoutManagers(object) };
    default:
      return { ...object, kind } as SeenObject;
  }
}

function withoutManagers({ metadata }: KubeObject): SeenObject['metadata'] {
  const { managedFields: _, ...rest } = metadata!;
  return rest as SeenObject['metadata'];
}

/** `kubectl apply` writes down there what it applied. */
function withoutAnnotations({ metadata }: KubeObject): SeenObject['metadata'] {
  const { annotations: _, ...rest } = metadata!;
  return rest as SeenObject['metadata'];
}

function trimNode(node: Node): SeenObject & Node {
  const { name, uid, resourceVersion, labels, deletionTimestamp } = node.metadata!;
  const { taints, unschedulable } = node.spec ?? {};
  return {
    kind: 'Node',
    metadata: {
      name,
      uid,
      resourceVersion,
      labels,
      ...(deletionTimestamp !== undefined && { deletionTimestamp }),
    } as SeenObject['metadata'],
    spec: { ...(taints && { taints }), ...(unschedulable !== undefined && { unschedulable }) },
    status: { ...(node.status?.allocatable && { allocatable: node.status.allocatable }) },
  };
}
