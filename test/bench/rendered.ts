import { GROUP, KIND, Spec, VERSION, type QwenCoderDeployment, type QwenCoderSpecInput } from '../../src/api/index.ts';
import type { KubeObject } from '../../src/kube/index.ts';
import {
  type Owner,
  type Revision,
  apiKeySecret,
  children,
  internalKeysSecret,
  newRevision,
} from '../../src/render/index.ts';
import { revisionObject } from '../../src/render/revision.ts';
import { geometryOf, identityOf, planServing } from '../../src/serving/index.ts';
import { gpuNode, installation } from '../support/builders.ts';

/** The weights are in an image, so nothing is fetched. */
export const measuredSpec: QwenCoderSpecInput = {
  model: { quantization: 'FP8', source: { type: 'Image', reference: 'registry.example/qwen3-coder-next-fp8:1' } },
};

/** GPUs that an engine of `measuredSpec` gets on H100s. */
export const GPUS_PER_ENGINE = 2;

/** What the operator makes of a resource with `measuredSpec`: its children, and the Secrets that it makes before them. */
export function renderedChildren(resource: QwenCoderDeployment): KubeObject[] {
  const { owner, revision } = measured(resource);
  return [
    internalKeysSecret(owner, installation.keysOf(owner)),
    apiKeySecret(owner, 'a-key-for-clients'),
    ...children({
      owner,
      spec: Spec.parse(measuredSpec),
      target: revision,
      revisions: [revision],
      slots: [{ index: 0, revision, replicas: 1 }],
      installation,
    }),
  ];
}

/** The revision as the operator writes it once an engine of it was ready. */
export function servedRevision(resource: QwenCoderDeployment): KubeObject {
  const { owner, revision } = measured(resource);
  return revisionObject(owner, { ...revision, served: true });
}

/** What an engine of `measuredSpec` tells of itself. */
export function measuredEngine() {
  const { plan, template } = measured({ metadata: { namespace: 'bench', name: 'coder', uid: 'none' } }).revision;
  const identity = identityOf(template.spec?.containers[0]?.args)!;
  return { ...identity, maxModelLen: plan.maxModelLen, ...geometryOf(plan, Spec.parse(measuredSpec)) };
}

function measured({ metadata }: { metadata: Pick<Owner, 'namespace' | 'name' | 'uid'> }): {
  owner: Owner;
  revision: Revision;
} {
  const { namespace, name, uid } = metadata;
  const owner: Owner = { apiVersion: `${GROUP}/${VERSION}`, kind: KIND, namespace, name, uid };
  const spec = Spec.parse(measuredSpec);
  const outcome = planServing({ spec, nodes: [gpuNode()] });
  if (!outcome.fits || outcome.plan.gpusPerReplica !== GPUS_PER_ENGINE)
    throw new Error('the measured spec is planned in another way');
  return { owner, revision: newRevision(name, spec, outcome.plan, installation.keysOf(owner).secretName, 1) };
}
