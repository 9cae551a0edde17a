import type { QwenCoderSpec } from '../api/v1alpha1.ts';
import type { ControllerRevision, PodTemplateSpec } from '../kube/wire.ts';
import type { ServingPlan } from '../serving/index.ts';
import { digest } from './digest.ts';
import { engineTemplate } from './engine-template.ts';
import { INPUTS, LOAD_SECONDS, PLAN_INPUTS, SERVED, childNames } from './labels.ts';
import { KubeControllerRevision, manifest } from './manifest.ts';
import { type Owner, metadata } from './metadata.ts';

/** A rendered engine template, frozen with the plan that it came from. Its hash stands for the template alone. */
export interface Revision {
  readonly hash: string;
  /** Digest of the engine part of the spec that this revision was last chosen for. */
  readonly inputs: string;
  /** Digest of the part of that spec which decides the plan. */
  readonly planInputs: string;
  readonly plan: ServingPlan;
  readonly template: PodTemplateSpec;
  /** True once an engine of it was ready. */
  readonly served: boolean;
  /** Seconds that its first engine took to load; undefined where none has. */
  readonly loadSeconds?: number | undefined;
  /** Order of creation. */
  readonly number: number;
}

/** What an engine is made from: everything but how many run and what stands in front of them. */
export function engineInputs(spec: QwenCoderSpec): string {
  const { replicas: _r, scaling: _s, suspend: _p, endpoint: _e, network: _n, ...engine } = spec;
  return digest(engine);
}

/** What a plan is made from. An edit elsewhere keeps the plan. */
export const planInputs = (spec: QwenCoderSpec): string =>
  digest([
    spec.model.quantization,
    spec.model.repository,
    spec.model.revision,
    spec.engine.type,
    spec.engine.version,
    spec.engine.args,
    spec.engine.env,
    spec.parallelism,
    spec.context,
    spec.placement,
    // Drivers and cards are another matter in an image of one's own; which image it is, is not.
    ...(spec.engine.image === undefined ? [] : ['own image']),
  ]);

/**
 * Renders a revision: the only place where an engine template is made.
 *
 * @param keysName Of the Secret with the key that engines ask for.
 */
export function newRevision(
  name: string,
  spec: QwenCoderSpec,
  plan: ServingPlan,
  keysName: string,
  number: number,
): Revision {
  const template = engineTemplate(name, spec, plan, keysName);
  return {
    // The Secret's name follows from what only the operator knows; the hash is to follow from what a user says, so that a preview tells it.
    hash: digest(engineTemplate(name, spec, plan, '')),
    inputs: engineInputs(spec),
    planInputs: planInputs(spec),
    plan,
    template,
    served: false,
    number,
  };
}

export function revisionObject(owner: Owner, revision: Revision): ControllerRevision {
  const meta = metadata(owner, childNames.revision(owner.name, revision.hash), 'engine');
  return manifest(KubeControllerRevision, {
    metadata: {
      ...meta,
      annotations: {
        [INPUTS]: revision.inputs,
        [PLAN_INPUTS]: revision.planInputs,
        ...(revision.served && { [SERVED]: 'true' }),
        ...(revision.loadSeconds !== undefined && { [LOAD_SECONDS]: String(revision.loadSeconds) }),
      },
    },
    revision: revision.number,
    data: { hash: revision.hash, plan: revision.plan, template: revision.template },
  });
}

/** Reads back what `revisionObject` wrote. */
export function readRevision(object: ControllerRevision): Revision {
  const loadSeconds = object.metadata?.annotations?.[LOAD_SECONDS];
  const data = object.data as Pick<Revision, 'hash' | 'plan' | 'template'>;
  return {
    hash: data.hash,
    plan: data.plan,
    template: data.template,
    inputs: object.metadata?.annotations?.[INPUTS] ?? '',
    planInputs: object.metadata?.annotations?.[PLAN_INPUTS] ?? '',
    served: object.metadata?.annotations?.[SERVED] === 'true',
    ...(loadSeconds !== undefined && /^\d+$/.test(loadSeconds) && { loadSeconds: Number(loadSeconds) }),
    number: object.revision,
  };
}
