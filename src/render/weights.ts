import type { QwenCoderSpec } from '../api/v1alpha1.ts';
import type { Job, PersistentVolumeClaim } from '../kube/wire.ts';
import { type ServingPlan, quantityBytes, vllmVersion } from '../serving/index.ts';
import { digest } from './digest.ts';
import { engineImage } from './engine-template.ts';
import { childLabels, childNames } from './labels.ts';
import { type K8s, KubeJob, KubePersistentVolumeClaim, manifest, quantities, quantity } from './manifest.ts';
import { type Owner, metadata } from './metadata.ts';
import { containerSecurity, gpuLimit, placement, podSecurity, secretEnv } from './pod-parts.ts';
import { FETCH_WEIGHTS } from './scripts.ts';
import { type WeightsAccess, withAccess } from './weights-access.ts';

/** Where engines find checkpoints. */
export const MODELS_DIR = '/models';
export const HF_HOME = `${MODELS_DIR}/huggingface`;

const GIB = 2 ** 30;
/** Room for torch.compile's cache of several engine versions beside the weights. */
const CACHE_GIB = 10;
/** Room for the hub cache's own bookkeeping and for a partly downloaded file. */
const SPARE = 1.1;

/** Pods retry six times with the Job controller's doubling delay (10 s … 320 s): ten minutes of a hub that is away. */
const FETCH_RETRIES = 6;

/** What decides which volume: the weights on it and what cannot be changed of a claim. */
const claimHash = (spec: QwenCoderSpec, plan: ServingPlan): string =>
  digest([plan.repository, plan.revision, spec.storage.className, spec.storage.accessMode]);

/** The claim that holds the fetched weights: the user's, or one named by repository and revision. */
export const weightsClaimName = (name: string, spec: QwenCoderSpec, plan: ServingPlan): string =>
  spec.storage.claimName ?? childNames.weights(name, claimHash(spec, plan));

/** Stands for one (repository, revision) in the manifest's file name. */
export const manifestPath = (plan: ServingPlan): string =>
  `${MODELS_DIR}/qwen-coder/${digest([plan.repository, plan.revision])}.json`;

/** The claim of the weights as it is. */
export interface LiveVolume {
  /** What it asks for, as a quantity. */
  readonly size: string;
  /** A bound volume has a node or a zone; before, its first pod chooses. */
  readonly isBound: boolean;
}

/**
 * The volume of the weights; undefined where the user brings one or the weights are not fetched. Volumes grow and do not shrink, so it is
 * never rendered smaller than `live`.
 */
export function weightsClaim(
  owner: Owner,
  spec: QwenCoderSpec,
  plan: ServingPlan,
  live: LiveVolume | undefined,
): PersistentVolumeClaim | undefined {
  if (spec.model.source.type !== 'HuggingFace' || spec.storage.claimName !== undefined) return undefined;
  const { className, accessMode, retain } = spec.storage;
  const name = weightsClaimName(owner.name, spec, plan);
  const wanted = claimSize(spec, plan);
  const size = live && quantityBytes(live.size) > quantityBytes(wanted) ? live.size : wanted;
  return manifest(KubePersistentVolumeClaim, {
    metadata: retain
      ? { name, namespace: owner.namespace, labels: childLabels(owner.name, 'weights') }
      : metadata(owner, name, 'weights'),
    spec: {
      accessModes: [accessMode],
      ...(className !== undefined && { storageClassName: className }),
      resources: { requests: { storage: quantity(size) } },
    },
  });
}

/** The size that the spec asks for, or that the checkpoint needs. */
export const claimSize = (spec: QwenCoderSpec, plan: ServingPlan): string =>
  spec.storage.size ?? `${Math.ceil((plan.weightBytes * SPARE) / GIB) + CACHE_GIB}Gi`;

/**
 * The only pod of a resource that may reach the hub; undefined where the weights are not fetched.
 *
 * **Guarantees** `access` is no part of the Job's name: a new proxy fetches nothing anew, the next download goes through it.
 */
export function weightsJob(
  owner: Owner,
  spec: QwenCoderSpec,
  plan: ServingPlan,
  access: WeightsAccess = {},
  live?: LiveVolume,
): Job | undefined {
  const { source } = spec.model;
  if (source.type !== 'HuggingFace') return undefined;
  const labels = childLabels(owner.name, 'weights');
  const template: K8s.PodTemplateSpec = {
    metadata: { labels },
    spec: {
      serviceAccountName: childNames.engine(owner.name),
      ...placement(spec, plan),
      securityContext: podSecurity(vllmVersion(plan.engineVersion).nonRoot),
      restartPolicy: 'Never',
      containers: [
        {
          name: 'weights',
          image: engineImage(spec, plan),
          command: [
            'python3',
            '-c',
            FETCH_WEIGHTS,
            'fetch-weights',
            `--repository=${plan.repository}`,
            `--revision=${plan.revision}`,
            `--manifest=${manifestPath(plan)}`,
          ],
          env: [
            { name: 'HF_HOME', value: HF_HOME },
            { name: 'HF_HUB_DISABLE_TELEMETRY', value: '1' },
            ...(source.endpoint === undefined ? [] : [{ name: 'HF_ENDPOINT', value: source.endpoint }]),
            ...(source.secretRef === undefined ? [] : [secretEnv('HF_TOKEN', source.secretRef)]),
          ],
          resources: {
            requests: quantities({ cpu: '1', memory: '4Gi' }),
            ...(choosesNode(spec, live) && { limits: gpuLimit(spec, plan) }),
          },
          securityContext: containerSecurity,
          // The last words of a download that failed are its reason.
          terminationMessagePolicy: 'FallbackToLogsOnError',
          volumeMounts: [
            { name: 'weights', mountPath: MODELS_DIR, subPath: 'models' },
            { name: 'tmp', mountPath: '/tmp' },
          ],
        },
      ],
      volumes: [
        { name: 'weights', persistentVolumeClaim: { claimName: weightsClaimName(owner.name, spec, plan) } },
        { name: 'tmp', emptyDir: {} },
      ],
    },
  };
  // A Job's template cannot be changed, so its name follows from it: a corrected spec is a new Job.
  return manifest(KubeJob, {
    metadata: metadata(
      owner,
      childNames.weights(owner.name, digest([claimHash(spec, plan), jobInputs(template)])),
      'weights',
    ),
    spec: { backoffLimit: FETCH_RETRIES, template: withAccess(template, access) },
  });
}

/**
 * Whether the Job's pod decides where the volume is. Asking for the engine's GPUs makes that a node where an engine fits; later the
 * engines themselves hold them.
 */
const choosesNode = ({ storage }: QwenCoderSpec, live: LiveVolume | undefined): boolean =>
  storage.accessMode === 'ReadWriteOnce' && storage.claimName === undefined && live?.isBound !== true;

/** What a change of makes a new download: not the operator's own wording of the pod, which may differ between its versions. */
const jobInputs = (template: K8s.PodTemplateSpec): unknown => {
  const container = template.spec!.containers[0]!;
  return {
    command: container.command!.slice(3),
    env: container.env,
    volumes: template.spec!.volumes,
    affinity: template.spec!.affinity,
  };
};
