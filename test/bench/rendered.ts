import { Spec, type QwenCoderDeployment, type QwenCoderSpecInput } from '../../src/api/index.ts';
import type { KubeObject } from '../../src/kube/index.ts';
import { type Owner, children, internalKeys, newRevision } from '../../src/render/index.ts';
import { planServing } from '../../src/serving/index.ts';
import { gpuNode, installation } from '../support/builders.ts';

/** The weights are in an image, so nothing is fetched. */
export const measuredSpec: QwenCoderSpecInput = {
  model: { quantization: 'FP8', source: { type: 'Image', reference: 'registry.example/qwen3-coder-next-fp8:1' } },
};

/** GPUs that an engine of `measuredSpec` gets on H100s. */
export const GPUS_PER_ENGINE = 2;

/** The children that the operator makes of a resource with `measuredSpec`. */
export function renderedChildren({ apiVersion, kind, metadata }: QwenCoderDeployment): KubeObject[] {
  const { namespace, name, uid } = metadata;
  const owner: Owner = { apiVersion, kind, namespace, name, uid };
  const spec = Spec.parse(measuredSpec);
  const outcome = planServing({ spec, nodes: [gpuNode()] });
  if (!outcome.fits || outcome.plan.gpusPerReplica !== GPUS_PER_ENGINE)
    throw new Error('the measured spec is planned in another way');
  const revision = newRevision(name, spec, outcome.plan, internalKeys(owner, installation).secretName, 1);
  return children({
    owner,
    spec,
    target: revision,
    revisions: [revision],
    slots: [{ index: 0, revision, replicas: 1 }],
    installation,
  });
}
