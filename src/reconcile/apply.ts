import { GROUP, KIND, PLURAL, type QwenCoderDeployment, type QwenCoderStatus, VERSION } from '../api/index.ts';
import {
  ControllerRevisions,
  Deployments,
  HTTPRoutes,
  Ingresses,
  Jobs,
  type KubeClient,
  type KubeObject,
  NetworkPolicies,
  PersistentVolumeClaims,
  PodDisruptionBudgets,
  type Resource,
  ServiceAccounts,
  Services,
  customResource,
  isConflict,
  isForbidden,
  isNotFound,
  isRejected,
} from '../kube/index.ts';
import { MANAGED_BY, OPERATOR, type Owner, RESOURCE } from '../render/index.ts';
import { asSentence, rejectionRemedy } from '../serving/index.ts';
import { WaitError } from '../errors.ts';
import type { Action } from './diff.ts';
import type { Problem } from './outcome.ts';

export const Resources: Resource<QwenCoderDeployment & KubeObject> = customResource(GROUP, VERSION, KIND, PLURAL);

/** The kinds that the operator makes. */
export const CHILD_KINDS: readonly Resource[] = [
  ControllerRevisions,
  Deployments,
  HTTPRoutes,
  Ingresses,
  Jobs,
  NetworkPolicies,
  PersistentVolumeClaims,
  PodDisruptionBudgets,
  ServiceAccounts,
  Services,
];

const RESOURCE_OF: ReadonlyMap<string, Resource> = new Map(CHILD_KINDS.map((resource) => [resource.kind, resource]));

const FIELD_MANAGER = 'qwen-coder-operator';
const STATUS_MANAGER = 'qwen-coder-operator-status';

/** A child of a deleted namesake is on its way out: the garbage collector needs a moment. */
const GARBAGE_COLLECTION_MS = 1000;

/** Told of what was written, so that the cache knows it before the watch does. */
export interface Written {
  applied(object: KubeObject): void;
  /** Gone for good; an object that waits for its finalizers is `applied`. */
  deleted(object: KubeObject): void;
}

/**
 * The only writer.
 *
 * **Guarantees**: an object that belongs to someone else is neither changed nor deleted, even when it takes the name at that very moment:
 * a create is refused where there is an object, an apply where there is another one; deletions carry the UID and version of the object
 * that was decided about; the first refusal that only a user can mend ends the run and is returned, everything else is thrown.
 */
export class Apply {
  readonly #client: KubeClient;
  readonly #written: Written;

  constructor(client: KubeClient, written: Written) {
    this.#client = client;
    this.#written = written;
  }

  /** Writes in order; `onWritten` hears of each action that went through. */
  async run(
    owner: Owner,
    actions: readonly Action[],
    signal: AbortSignal,
    onWritten: (action: Action) => void,
  ): Promise<Problem | undefined> {
    for (const action of actions) {
      const problem = await this.#write(owner, action, signal);
      if (problem) return problem;
      onWritten(action);
    }
    return undefined;
  }

  async status(resource: QwenCoderDeployment, status: QwenCoderStatus, signal: AbortSignal): Promise<void> {
    const { apiVersion, kind, metadata } = resource;
    const { name, namespace, uid } = metadata;
    const object = { apiVersion, kind, metadata: { name, namespace }, status } as QwenCoderDeployment;
    // The UID keeps the status of a deleted resource off a new one of the same name.
    const options = { fieldManager: STATUS_MANAGER, only: { uid }, signal };
    this.#written.applied(await this.#client.applyStatus(Resources, object, options));
  }

  async #write(owner: Owner, action: Action, signal: AbortSignal): Promise<Problem | undefined> {
    const { object } = action;
    const resource = RESOURCE_OF.get(object.kind!)!;
    const key = { namespace: owner.namespace, name: object.metadata!.name! };
    let live: KubeObject | undefined;
    try {
      switch (action.do) {
        case 'delete': {
          const { uid, resourceVersion } = object.metadata!;
          const leaving = await this.#client.delete(resource, key, { uid, resourceVersion, signal });
          if (leaving) this.#written.applied(leaving);
          else this.#written.deleted(object);
          return undefined;
        }
        case 'create':
          live = await this.#createUnlessPresent(resource, object, signal);
          break;
        case 'apply':
          live = action.live;
          break;
      }
      if (live === undefined) return undefined;
      if (!mayTake(live, owner)) return this.#taken(live, owner);
      const only = { uid: live.metadata!.uid! };
      this.#written.applied(await this.#client.apply(resource, object, { fieldManager: FIELD_MANAGER, only, signal }));
      return undefined;
    } catch (error) {
      // Content, quota or policy: the same object is refused again until a user acts.
      if (isRejected(error) || isForbidden(error)) {
        const message = `${asSentence(error.message)} ${rejectionRemedy(error.message)}`;
        return { reason: 'ChildRejected', message };
      }
      if (resource.mayBeAbsent === true && isNotFound(error)) return notInstalled(resource);
      throw error;
    }
  }

  /** Answers the object that has the name already, whosever it is: the cache holds only what carries our labels. */
  async #createUnlessPresent(
    resource: Resource,
    child: KubeObject,
    signal: AbortSignal,
  ): Promise<KubeObject | undefined> {
    try {
      const options = { fieldManager: FIELD_MANAGER, only: 'absent', signal } as const;
      this.#written.applied(await this.#client.apply(resource, child, options));
      return undefined;
    } catch (error) {
      if (!isConflict(error)) throw error;
      const { namespace, name } = child.metadata!;
      const present = await this.#client.get(resource, { namespace: namespace!, name: name! }, { signal });
      // Gone again: whatever comes next is decided anew.
      if (present === undefined) throw error;
      return present;
    }
  }

  #taken(present: KubeObject, owner: Owner): Problem {
    const { name, ownerReferences } = present.metadata!;
    const controller = ownerReferences?.find((reference) => reference.controller);
    if (controller?.kind === owner.kind && controller.name === owner.name) {
      throw new WaitError(
        'GarbageCollection',
        `${present.kind} ${name} belongs to a deleted ${owner.name}`,
        GARBAGE_COLLECTION_MS,
      );
    }
    const whose = controller ? `${controller.kind} ${controller.name}` : 'someone else';
    return {
      reason: 'NameTaken',
      message: `${present.kind} ${name} exists and belongs to ${whose}; it was left alone. Rename or delete it, or rename ${owner.name}.`,
    };
  }
}

const notInstalled = ({ kind, group, version }: Resource): Problem => ({
  reason: 'KindNotInstalled',
  message: `The cluster does not know ${kind} of ${group}/${version}. Install its definitions, or expose the endpoint in another way.`,
});

/** Ours by its controller, or left to a later namesake (retained weights, children orphaned on purpose). */
function mayTake(object: KubeObject, owner: Owner): boolean {
  const { labels, ownerReferences } = object.metadata!;
  const controller = ownerReferences?.find((reference) => reference.controller);
  if (controller) return controller.uid === owner.uid;
  return labels?.[MANAGED_BY] === OPERATOR && labels[RESOURCE] === owner.name;
}
