import { hostname } from 'node:os';
import { randomBytes, randomUUID } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { KubeConfig } from '@kubernetes/client-node';
import type { QwenCoderDeployment } from './api/index.ts';
import { EventRecorder, KubeClient, LeaseElection, eventStore, leaseIdentity, leaseStore } from './kube/index.ts';
import { type OperatorOptions, weightsAccess } from './options.ts';
import {
  Apply,
  CalibrationStore,
  EngineLogs,
  EngineReports,
  FailureFinder,
  GatewayLinks,
  InformerCaches,
  KeySecrets,
  OperatorMetrics,
  OperatorSecret,
  Reconciler,
  ServedModels,
  Tuner,
  collectFrom,
  getText,
  jobRefusal,
  logTail,
} from './reconcile/index.ts';
import { type Installation, calibrationsName, internalKeys, operatorSecretName } from './render/index.ts';
import {
  Controller,
  type Log,
  Manager,
  Metrics,
  Probes,
  controllerMetrics,
  leaderMetric,
  queueMetrics,
  requestMetrics,
  systemClock,
} from './runtime/index.ts';

export const PROGRAM = 'qwen-coder-operator';

/**
 * Memory before speed, since an operator waits most of its time. V8 lets a heap grow to twice what is alive, and the first of its two
 * compilers of hot functions takes 20 MiB for its work.
 */
const V8_FLAGS = ['--optimize-for-size', '--no-maglev'];

/** A silent stream is opened again after 90 s; three minutes mean that this fails, and the caches show the past. */
const STALE_MS = 180_000;

/**
 * Runs the operator until `signal` aborts. Rejects when leadership was lost or a part failed: the process must then end, because it knows
 * a world that may have passed.
 */
export async function runOperator(
  options: OperatorOptions,
  version: string,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  for (const flag of V8_FLAGS) setFlagsFromString(flag);
  const clock = systemClock;
  const metrics = new Metrics({ process: true });
  const operatorMetrics = new OperatorMetrics(metrics, clock, { version, node: process.version });
  const config = kubeConfig(options);
  const identity = leaseIdentity(hostname(), randomUUID());

  const client = KubeClient.connect(config, {
    clock,
    userAgent: `${PROGRAM}/${version}`,
    requestsPerSecond: options['requests-per-second'],
    burst: options.burst,
    fence: () => election.fence(),
    onRequest: requestMetrics(metrics),
  });

  const caches = new InformerCaches({
    client,
    namespaces: options.namespaces,
    enqueue: (key, priority) => controller.add(key, { priority }),
    onError: (error, kind) => {
      operatorMetrics.watchFailed(kind);
      log.warn('a watch was interrupted and is resumed', { kind, error });
    },
  });
  collectFrom(metrics, caches);
  const recorder = new EventRecorder({
    store: eventStore(client),
    clock,
    controller: `qwencoder.dev/${PROGRAM}`,
    instance: identity,
    onFailure: (error) => log.warn('an event was not recorded', { error }),
  });
  const reports = new EngineReports({ client, get: getText, clock, enqueue: (key) => controller.add(key) });
  const tuner = new Tuner({
    clock,
    calibrations: new CalibrationStore({
      client,
      log,
      key: { namespace: options['lease-namespace'], name: calibrationsName(options['lease-name']) },
    }),
    reports,
    idleMs: options['tuning-idle-seconds'] * 1000,
  });
  const logs = new EngineLogs({
    read: logTail(client),
    clock,
    namespaces: options.namespaces,
    onLate: (key) => controller.add(key),
    onFailure: (error, { namespace, pod }) => log.warn('the log of an engine was not read', { namespace, pod, error }),
  });
  const secret = new OperatorSecret({
    client,
    key: { namespace: options['lease-namespace'], name: operatorSecretName(options['lease-name']) },
    random: () => randomBytes(32).toString('base64url'),
  });
  const installation: Installation = {
    namespace: options['lease-namespace'],
    image: options.image,
    keysOf: (owner) => internalKeys(owner, secret.value),
  };
  const links = new GatewayLinks({ clock, log, epoch: () => election.term });
  const reconciler = new Reconciler({
    installation,
    keySecrets: new KeySecrets({ client, clock, newKey: () => `qwen-${randomBytes(32).toString('base64url')}` }),
    links,
    failures: new FailureFinder({ clock, logs, refusalOf: jobRefusal(client), keysOf: installation.keysOf }),
    caches,
    apply: new Apply(client, caches),
    clock,
    metrics: operatorMetrics,
    tuner,
    models: new ServedModels(reports),
    weightsAccess: weightsAccess(options),
    announce: (resource, type, reason, note) =>
      recorder.record(referenceTo(resource), { type, reason, action: 'Reconcile', note }),
  });
  const controller = new Controller({
    name: 'qwencoderdeployment',
    reconcile: reconciler.reconcile,
    clock,
    log,
    workers: options.workers,
    metrics: controllerMetrics(metrics, 'qwencoderdeployment', options.workers),
    queue: { metrics: queueMetrics(metrics, 'qwencoderdeployment') },
  });
  const election = new LeaseElection({
    store: leaseStore(client),
    key: { namespace: options['lease-namespace'], name: options['lease-name'] },
    identity,
    clock,
    random: Math.random,
    onLeading: leaderMetric(metrics, options['lease-name']),
    onHolder: (holder, isSelf) => log.info('the lease has a holder', { holder, isSelf }),
    onFailure: (error) => {
      operatorMetrics.leaseFailed();
      log.warn('the lease could not be read or renewed', { error });
    },
  });
  const manager: Manager = new Manager({
    log,
    clock,
    probes: new Probes({
      port: options['http-port'],
      readiness: [{ name: 'manager', check: () => manager.readiness.check() }],
      liveness: [
        {
          name: 'watches',
          check: () =>
            caches.staleForMs > STALE_MS ? `nothing heard for ${Math.round(caches.staleForMs / 1000)} s` : undefined,
        },
      ],
      metrics: { contentType: metrics.contentType, text: () => metrics.text() },
    }),
    informers: [{ name: 'caches', start: (running) => caches.start(running), stop: () => caches.stop() }],
    election,
    controllers: [secret, recorder, links, controller],
  });
  try {
    await manager.run(signal);
  } finally {
    await client.close();
  }
}

function kubeConfig(options: OperatorOptions): KubeConfig {
  const config = new KubeConfig();
  if (options.kubeconfig === undefined) config.loadFromDefault();
  else config.loadFromFile(options.kubeconfig);
  return config;
}

const referenceTo = ({ apiVersion, kind, metadata: { namespace, name, uid } }: QwenCoderDeployment) => ({
  apiVersion,
  kind,
  namespace,
  name,
  uid,
});
