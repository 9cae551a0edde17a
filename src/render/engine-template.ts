import type { QwenCoderSpec } from '../api/v1alpha1.ts';
import type { PodTemplateSpec } from '../kube/wire.ts';
import { ENGINE_PORT, type ServingPlan, vllmArgs, vllmEnv, vllmVersion } from '../serving/index.ts';
import { ENGINE_KEY, ENGINE_KEY_VARIABLE } from './keys.ts';
import { childLabels, childNames, engineSelector } from './labels.ts';
import { type K8s, KubePodTemplate, manifest, quantities, quantity, text } from './manifest.ts';
import { containerSecurity, gpuLimit, placement, podSecurity, secretEnv } from './pod-parts.ts';
import { WAIT_FOR_IDLE } from './scripts.ts';
import { HF_HOME, MODELS_DIR, weightsClaimName } from './weights.ts';

/** A drain may take this long; the grace period adds what stopping an idle engine needs (design decision 11). */
const DRAIN_SECONDS = 540;
const STOP_SECONDS = 60;

/** Two hours: a cold start that downloads kernels and compiles graphs must never be killed by its probe. */
const STARTUP_PROBES = 1440;
const STARTUP_PERIOD_SECONDS = 5;

/**
 * The pod template of an engine: what a revision freezes. The same arguments always give the same template. Slots add their own two
 * labels.
 *
 * @param keysName Of the Secret with the key that the engine asks for.
 */
export function engineTemplate(
  name: string,
  spec: QwenCoderSpec,
  plan: ServingPlan,
  keysName: string,
): PodTemplateSpec {
  const version = vllmVersion(plan.engineVersion);
  const rendered = manifest<K8s.KubePodTemplateProps, { template: PodTemplateSpec }>(KubePodTemplate, {
    template: {
      metadata: {
        labels: { ...spec.podMetadata?.labels, ...childLabels(name, 'engine') },
        ...(spec.podMetadata?.annotations && { annotations: spec.podMetadata.annotations }),
      },
      spec: {
        serviceAccountName: childNames.engine(name),
        ...placement(spec, plan),
        ...topologySpread(name, spec),
        securityContext: podSecurity(version.nonRoot),
        terminationGracePeriodSeconds: DRAIN_SECONDS + STOP_SECONDS,
        containers: [engineContainer(spec, plan, keysName)],
        volumes: volumes(name, spec, plan),
      },
    },
  });
  return withImageVolume(rendered.template, spec);
}

/** The engine image: the user's, or the official one of the planned version. */
export const engineImage = (spec: QwenCoderSpec, plan: ServingPlan): string =>
  spec.engine.image ?? vllmVersion(plan.engineVersion).image;

function engineContainer(spec: QwenCoderSpec, plan: ServingPlan, keysName: string): K8s.Container {
  const health = (probe: Partial<K8s.Probe>): K8s.Probe => ({
    httpGet: { path: '/health', port: text('http') },
    ...probe,
  });
  return {
    name: 'engine',
    image: engineImage(spec, plan),
    args: vllmArgs(plan, spec, modelPath(spec, plan)),
    env: engineEnv(spec, plan, keysName),
    ports: [{ name: 'http', containerPort: ENGINE_PORT }],
    resources: {
      requests: quantities({
        cpu: '4',
        memory: `${16 + 4 * plan.gpusPerReplica}Gi`,
        ...spec.engine.resources?.requests,
      }),
      limits: { ...quantities(spec.engine.resources?.limits ?? {}), ...gpuLimit(spec, plan) },
    },
    // vLLM binds its port early but answers only after the load, so a hanging probe means "still starting".
    startupProbe: health({
      periodSeconds: STARTUP_PERIOD_SECONDS,
      failureThreshold: STARTUP_PROBES,
      timeoutSeconds: 2,
    }),
    readinessProbe: health({ periodSeconds: 5, failureThreshold: 2, timeoutSeconds: 5 }),
    livenessProbe: health({
      periodSeconds: 10,
      failureThreshold: 6,
      timeoutSeconds: 10,
      // An engine that hangs finishes nothing, and its GPUs are wanted: the pod's own grace is that of one which drains.
      terminationGracePeriodSeconds: 30,
    }),
    // vLLM aborts running requests on SIGTERM unless told otherwise, so the pod waits for idle before it is sent.
    lifecycle: {
      preStop: {
        exec: {
          command: [
            'python3',
            '-c',
            WAIT_FOR_IDLE,
            'wait-for-idle',
            `--port=${ENGINE_PORT}`,
            `--seconds=${DRAIN_SECONDS}`,
          ],
        },
      },
    },
    securityContext: containerSecurity,
    // What is left of the cause when nobody reads the log: its last lines.
    terminationMessagePolicy: 'FallbackToLogsOnError',
    volumeMounts: volumeMounts(spec),
  };
}

function engineEnv(spec: QwenCoderSpec, plan: ServingPlan, keysName: string): K8s.EnvVar[] {
  const own: K8s.EnvVar[] = [
    // First, so that args and later variables may refer to it.
    { name: 'POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
    { name: 'HF_HOME', value: HF_HOME },
    ...Object.entries(vllmEnv(plan, spec)).map(([name, value]) => ({ name, value })),
    // Whoever goes around the gateway meets a locked door, where no policy keeps them out.
    secretEnv(ENGINE_KEY_VARIABLE, { name: keysName, key: ENGINE_KEY }),
  ];
  const users = (spec.engine.env ?? []).map(({ name, value, secretKeyRef }) =>
    secretKeyRef ? secretEnv(name, secretKeyRef) : { name, value: value ?? '' },
  );
  return [...own, ...users];
}

/** What vLLM is given as its model: the repository, found offline in the hub cache, or a folder of the mounted checkpoint. */
export function modelPath(spec: QwenCoderSpec, plan: ServingPlan): string {
  const { source } = spec.model;
  switch (source.type) {
    case 'HuggingFace':
      return plan.repository;
    case 'Volume':
      return source.path === undefined ? MODELS_DIR : `${MODELS_DIR}/${source.path.replace(/^\/+/, '')}`;
    case 'Image':
      return MODELS_DIR;
  }
}

function volumes(name: string, spec: QwenCoderSpec, plan: ServingPlan): K8s.Volume[] {
  const { source } = spec.model;
  const memory = (size: string): K8s.EmptyDirVolumeSource => ({ medium: 'Memory', sizeLimit: quantity(size) });
  const fetched = { persistentVolumeClaim: { claimName: weightsClaimName(name, spec, plan) } };
  return [
    ...(source.type === 'HuggingFace' ? [{ name: 'weights', ...fetched }] : []),
    ...(source.type === 'Volume'
      ? [{ name: 'weights', persistentVolumeClaim: { claimName: source.claimName, readOnly: true } }]
      : []),
    // torch.compile's results are worth minutes of every later start; without a volume of ours they live as long as the pod.
    ...(source.type === 'HuggingFace' ? [] : [{ name: 'cache', emptyDir: {} }]),
    // Tensor parallel workers talk through /dev/shm: 160 MiB of broadcast queue, 240 MiB a worker, NCCL. The default is 64 MiB.
    { name: 'shm', emptyDir: memory(`${2 + plan.gpusPerReplica}Gi`) },
    { name: 'tmp', emptyDir: {} },
  ];
}

function volumeMounts(spec: QwenCoderSpec): K8s.VolumeMount[] {
  const fetched = spec.model.source.type === 'HuggingFace';
  return [
    { name: 'weights', mountPath: MODELS_DIR, readOnly: true, ...(fetched && { subPath: 'models' }) },
    fetched ? { name: 'weights', mountPath: '/cache', subPath: 'cache' } : { name: 'cache', mountPath: '/cache' },
    { name: 'shm', mountPath: '/dev/shm' },
    { name: 'tmp', mountPath: '/tmp' },
  ];
}

function topologySpread(name: string, spec: QwenCoderSpec): Pick<K8s.PodSpec, 'topologySpreadConstraints'> {
  const keys = { Host: 'kubernetes.io/hostname', Zone: 'topology.kubernetes.io/zone', None: undefined };
  const topologyKey = keys[spec.placement.topologySpread];
  if (topologyKey === undefined) return {};
  return {
    topologySpreadConstraints: [
      {
        maxSkew: 1,
        topologyKey,
        whenUnsatisfiable: 'ScheduleAnyway',
        labelSelector: { matchLabels: engineSelector(name) },
      },
    ],
  };
}

/** Image volumes are younger than the 1.28 models. */
function withImageVolume(template: PodTemplateSpec, spec: QwenCoderSpec): PodTemplateSpec {
  const { source } = spec.model;
  if (source.type !== 'Image') return template;
  return {
    ...template,
    spec: {
      ...template.spec!,
      volumes: [{ name: 'weights', image: { reference: source.reference } }, ...template.spec!.volumes!],
    },
  };
}
