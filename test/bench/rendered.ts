import { Spec, type QwenCoderDeployment, type QwenCoderSpecInput } from '../../src/api/index.ts';
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
import type { Identity } from '../../src/serving/identity.ts';
import { geometryOf, identityOf, planServing } from '../../src/serving/index.ts';
import { gpuNode, installation, owner as anOwner } from '../support/builders.ts';

/** The weights are in an image, so nothing is fetched. */
export const measuredSpec: QwenCoderSpecInput = {
  model: { quantization: 'FP8', source: { type: 'Image', reference: 'registry.example/qwen3-coder-next-fp8:1' } },
};

/** GPUs that an engine of `measuredSpec` gets on H100s. */
export const GPUS_PER_ENGINE = 2;

const spec = Spec.parse(measuredSpec);

/** What the operator makes of a resource with `measuredSpec`: its children, and the Secrets that it makes before them. */
export function renderedChildren(resource: QwenCoderDeployment): KubeObject[] {
  const owner = ownerOf(resource);
  const revision = revisionOf(owner);
  return [
    internalKeysSecret(owner, installation.keysOf(owner)),
    apiKeySecret(owner, 'a-key-for-clients'),
    ...children({
      owner,
      spec,
      target: revision,
      revisions: [revision],
      slots: [{ index: 0, revision, replicas: 1 }],
      installation,
    }),
  ];
}

/** The revision as the operator writes it once an engine of it was ready. */
export function servedRevision(resource: QwenCoderDeployment): KubeObject {
  const owner = ownerOf(resource);
  return revisionObject(owner, { ...revisionOf(owner), served: true });
}

/** What an engine of `measuredSpec` tells of itself. */
export function measuredEngine(): Identity & { readonly maxModelLen: number; readonly blockTokens: number } {
  const { plan, template } = revisionOf(anOwner());
  const { blockTokens } = geometryOf(plan, spec);
  return { ...identityOf(template.spec?.containers[0]?.args)!, maxModelLen: plan.maxModelLen, blockTokens };
}

const ownerOf = ({ apiVersion, kind, metadata: { namespace, name, uid } }: QwenCoderDeployment): Owner => ({
  apiVersion,
  kind,
  namespace,
  name,
  uid,
});

function revisionOf(of: Owner): Revision {
  const outcome = planServing({ spec, nodes: [gpuNode()] });
  if (!outcome.fits || outcome.plan.gpusPerReplica !== GPUS_PER_ENGINE)
    throw new Error('the measured spec is planned in another way');
  return newRevision(of.name, spec, outcome.plan, installation.keysOf(of).secretName, 1);
}
