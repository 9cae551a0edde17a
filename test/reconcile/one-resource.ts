import type { QwenCoderDeployment, QwenCoderSpecInput } from '../../src/api/index.ts';
import { KubeClient, type KubeObject } from '../../src/kube/index.ts';
import { FailureFinder } from '../../src/reconcile/failures.ts';
import { Apply } from '../../src/reconcile/apply.ts';
import { CalibrationStore } from '../../src/reconcile/calibration-store.ts';
import { nameOf } from '../../src/reconcile/diff.ts';
import { EngineReports } from '../../src/reconcile/engine-reports.ts';
import { GpuInventory } from '../../src/reconcile/inventory.ts';
import type { PodFacts } from '../../src/reconcile/facts.ts';
import { type LiveChild, abridged } from '../../src/reconcile/live-child.ts';
import { OperatorMetrics } from '../../src/reconcile/metrics.ts';
import { GatewayLinks } from '../../src/reconcile/gateway-links.ts';
import { KeySecrets } from '../../src/reconcile/key-secrets.ts';
import { ServedModels } from '../../src/reconcile/served-models.ts';
import { Reconciler } from '../../src/reconcile/reconciler.ts';
import { Tuner } from '../../src/reconcile/tuner.ts';
import { Metrics, silentLog } from '../../src/runtime/index.ts';
import { CollectingLog } from '../runtime/collecting-log.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { ScriptedApiServer } from '../support/scripted-api-server.ts';
import { installation, spec } from '../support/builders.ts';

/** Weights that need no download: engines are made at once. */
export const served: QwenCoderSpecInput = {
  model: { quantization: 'FP8', source: { type: 'Volume', claimName: 'weights' } },
};

/** One resource with its reconciler, and an API server that takes whatever is applied. */
export async function oneResource() {
  const server = await ScriptedApiServer.start();
  const clock = new ManualClock();
  const client = KubeClient.connect(server.config(), { clock, userAgent: 'test/1' });
  let version = 0;
  const refusals = new Map<string, number>();
  server.always((request) => {
    const refusal = refusals.get(request.method);
    if (refusal !== undefined) return request.fail(refusal, 'Invalid');
    if (request.method === 'GET') return request.fail(404, 'NotFound');
    if (request.method === 'DELETE') return request.json(200, { kind: 'Status', apiVersion: 'v1', status: 'Success' });
    const object = request.body as KubeObject;
    const metadata = { ...object.metadata, resourceVersion: String((version += 1)), uid: nameOf(object) };
    return request.json(200, { ...object, metadata });
  });

  let resource = {
    apiVersion: 'qwencoder.dev/v1alpha1',
    kind: 'QwenCoderDeployment',
    metadata: { namespace: 'team-a', name: 'coder', uid: 'uid-coder', generation: 1 },
    spec: spec(served),
  } as QwenCoderDeployment;
  const children = new Map<string, LiveChild>();
  const pods: PodFacts[] = [];
  const inventory = new GpuInventory();
  const caches = {
    resource: () => resource,
    children: () => [...children.values()],
    matched: (matches: readonly LiveChild[]) => {
      for (const child of matches) children.set(nameOf(child), abridged(child));
    },
    pods: () => pods,
    quotas: () => [],
    inventory,
  };
  const written = {
    applied: (object: KubeObject) => {
      if (object.kind !== resource.kind) children.set(nameOf(object), object);
      else resource = { ...resource, status: (object as QwenCoderDeployment).status! };
    },
    deleted: (object: KubeObject) => void children.delete(nameOf(object)),
  };
  const links = new GatewayLinks({ clock, log: silentLog, epoch: () => 1 });
  const reports = new EngineReports({
    client,
    clock,
    get: () => Promise.reject(new Error('no engine')),
    enqueue: () => {},
  });
  const reconciler = new Reconciler({
    caches,
    apply: new Apply(client, written),
    clock,
    failures: new FailureFinder({
      clock,
      keysOf: installation.keysOf,
      logs: { read: () => Promise.resolve({ findings: undefined, isLate: false }) },
      refusalOf: () => Promise.resolve(undefined),
    }),
    announce: () => {},
    installation,
    keySecrets: new KeySecrets({ client, clock, newKey: () => 'a key' }),
    links,
    tuner: new Tuner({
      clock,
      calibrations: new CalibrationStore({
        client,
        key: { namespace: 'system', name: 'calibrations' },
        log: silentLog,
      }),
      reports,
      idleMs: 1_800_000,
    }),
    models: new ServedModels(reports),
    metrics: new OperatorMetrics(new Metrics(), clock, { version: '1', node: '24' }),
  });
  const store = (stored: unknown) => {
    const metadata = { ...resource.metadata, generation: resource.metadata.generation + 1 };
    resource = { ...resource, metadata, spec: stored } as QwenCoderDeployment;
  };
  return {
    stop: async () => {
      links.stop();
      await client.close();
      await server.stop();
    },
    edit: (input: QwenCoderSpecInput) => store(spec(input)),
    /** A spec as it is, however wrong. */
    store,
    children,
    pods,
    /** From now on the API server answers a method so. */
    refuse: (method: string, status: number) => void refusals.set(method, status),
    addNode: () =>
      inventory.setNode({
        metadata: { name: 'node-1' },
        labels: { 'nvidia.com/gpu.product': 'NVIDIA-H100-80GB-HBM3' },
        allocatable: { 'nvidia.com/gpu': '2' },
        taints: [],
        schedulable: true,
      }),
    /** The lines that one reconcile writes at info and above. */
    reconcile: async () => {
      const log = new CollectingLog();
      const context = {
        signal: new AbortController().signal,
        reconcileId: 'id',
        log: log.child({ key: 'team-a/coder' }),
      };
      await reconciler.reconcile('team-a/coder', context);
      return log.entries.filter(({ level }) => level !== 'debug');
    },
  };
}
