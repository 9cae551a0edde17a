import { afterEach, describe, expect, test } from 'vitest';
import type { QwenCoderDeployment, QwenCoderSpecInput } from '../../src/api/index.ts';
import { KubeClient, type KubeObject } from '../../src/kube/index.ts';
import { FailureFinder } from '../../src/reconcile/failures.ts';
import { Apply } from '../../src/reconcile/apply.ts';
import { CalibrationStore } from '../../src/reconcile/calibration-store.ts';
import { nameOf } from '../../src/reconcile/diff.ts';
import { EngineReports } from '../../src/reconcile/engine-reports.ts';
import { GpuInventory } from '../../src/reconcile/inventory.ts';
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

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** Weights that need no download: engines are made at once. */
const served: QwenCoderSpecInput = {
  model: { quantization: 'FP8', source: { type: 'Volume', claimName: 'weights' } },
};

/** One resource, and an API server that takes whatever is applied. */
async function setUp() {
  const server = await ScriptedApiServer.start();
  const clock = new ManualClock();
  const client = KubeClient.connect(server.config(), { clock, userAgent: 'test/1' });
  closing.push(
    () => server.stop(),
    () => client.close(),
  );
  let version = 0;
  server.always((request) => {
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
  const inventory = new GpuInventory();
  const caches = {
    resource: () => resource,
    children: () => [...children.values()],
    matched: (matches: readonly LiveChild[]) => {
      for (const child of matches) children.set(nameOf(child), abridged(child));
    },
    pods: () => [],
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
    links: new GatewayLinks({ clock, log: silentLog, epoch: () => 1 }),
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
  return {
    edit: (input: QwenCoderSpecInput) => {
      const metadata = { ...resource.metadata, generation: resource.metadata.generation + 1 };
      resource = { ...resource, metadata, spec: spec(input) };
    },
    children,
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

describe('the log of a reconcile', () => {
  test('has a line for the plan, for each child and for each condition', async () => {
    const { addNode, reconcile } = await setUp();
    addNode();
    const entries = await reconcile();
    expect(
      entries.map(
        ({ message, fields }) => `${message}: ${String(fields['object'] ?? fields['condition'] ?? fields['plan'])}`,
      ),
    ).toMatchInlineSnapshot(`
      [
        "target revision changed: FP8 on 2x H100-80GB, 262144 tokens, vLLM 0.33.0",
        "child created: Secret/coder-keys-bia6jbl1yd",
        "child created: Secret/coder-api-key",
        "child created: ServiceAccount/coder-engine",
        "child created: ServiceAccount/coder-gateway",
        "child created: Service/coder",
        "child created: Service/coder-engines",
        "child created: NetworkPolicy/coder-engine",
        "child created: NetworkPolicy/coder-gateway",
        "child created: PodDisruptionBudget/coder-engine",
        "child created: PodDisruptionBudget/coder-gateway",
        "child created: Deployment/coder-gateway",
        "child created: ControllerRevision/coder-qbk1tkw2do",
        "child created: Deployment/coder-engine-0",
        "child created: Job/coder-network-3uungm",
        "condition changed: Ready",
        "condition changed: Reconciling",
        "condition changed: Stalled",
        "condition changed: Planned",
        "condition changed: ModelAvailable",
        "condition changed: Placed",
        "condition changed: EnginesReady",
        "condition changed: EndpointReady",
        "condition changed: Tuned",
        "condition changed: ScalingActive",
        "condition changed: NetworkLocked",
        "condition changed: Reproducible",
      ]
    `);
    expect(entries.find(({ message }) => message === 'child created')?.fields).toMatchObject({
      key: 'team-a/coder',
      reason: 'gateways mount it',
    });
    expect(entries.find(({ fields }) => fields['condition'] === 'Planned')?.fields).toMatchObject({
      from: undefined,
      to: 'True Planned',
    });
  });

  test('has nothing at info when nothing changed', async () => {
    const { addNode, reconcile } = await setUp();
    await reconcile();
    expect(await reconcile()).toEqual([]);
    addNode();
    expect(await reconcile()).not.toEqual([]);
    expect(await reconcile()).toEqual([]);
  });

  test('says what flipped, from what and why', async () => {
    const { addNode, reconcile } = await setUp();
    await reconcile();
    addNode();
    const planned = (await reconcile()).find(({ fields }) => fields['condition'] === 'Planned');
    expect(planned).toMatchInlineSnapshot(`
      {
        "fields": {
          "condition": "Planned",
          "from": "False NoGpuNodes",
          "key": "team-a/coder",
          "message": "FP8 on 2x H100-80GB, 262144 tokens; 10 requests of that length fit at once.",
          "to": "True Planned",
        },
        "level": "info",
        "message": "condition changed",
      }
    `);
  });

  test('says which children changed or went, and why', async () => {
    const { addNode, reconcile, edit, children } = await setUp();
    addNode();
    await reconcile();
    children.delete('Service/coder');
    edit({ ...served, suspend: true });
    const first = await reconcile();
    edit({ ...served, scaling: { mode: 'None' }, replicas: 0 });
    const written = [...first, ...(await reconcile())].filter(({ message }) => message.startsWith('child '));
    expect(written.map(({ message, fields }) => `${message}: ${String(fields['object'])}, ${String(fields['reason'])}`))
      .toMatchInlineSnapshot(`
      [
        "child created: Service/coder, it does not exist",
        "child changed: Deployment/coder-engine-0, its rendering changed",
        "child deleted: Deployment/coder-engine-0, it is no longer wanted",
      ]
    `);
  });
});
