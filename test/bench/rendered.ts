import { Spec, type QwenCoderDeployment, type QwenCoderSpecInput } from '../../src/api/index.ts';
import type { KubeObject } from '../../src/kube/index.ts';
import { type Owner, apiKeySecret, children, internalKeysSecret, newRevision } from '../../src/render/index.ts';
import { planServing } from '../../src/serving/index.ts';
import { gpuNode, installation } from '../support/builders.ts';

/** The weights are in an image, so nothing is fetched. */
export const measuredSpec: QwenCoderSpecInput = {
  model: { quantization: 'FP8', source: { type: 'Image', reference: 'registry.example/qwen3-coder-next-fp8:1' } },
};

/** GPUs that an engine of `measuredSpec` gets on H100s. */
export const GPUS_PER_ENGINE = 2;

/** What the operator makes of a resource with `measuredSpec`: its children, and the Secrets that it makes before them. */
export function renderedChildren({ apiVersion, kind, metadata }: QwenCoderDeployment): KubeObject[] {
  const { namespace, name, uid } = metadata;
  const owner: Owner = { apiVersion, kind, namespace, name, uid };
  const spec = Spec.parse(measuredSpec);
  const outcome = planServing({ spec, nodes: [gpuNode()] });
  if (!outcome.fits || outcome.plan.gpusPerReplica !== GPUS_PER_ENGINE)
    throw new Error('the measured spec is planned in another way');
  const keys = installation.keysOf(owner);
  const revision = newRevision(name, spec, outcome.plan, keys.secretName, 1);
  return [
    internalKeysSecret(owner, keys),
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
