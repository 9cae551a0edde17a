import type { Condition, QwenCoderDeployment, QwenCoderSpecInput } from '../../src/api/index.ts';
import {
  type KubeClient,
  type KubeObject,
  Deployments,
  Namespaces,
  Pods,
  Secrets,
  Services,
} from '../../src/kube/index.ts';
import { Resources } from '../../src/reconcile/apply.ts';
import { COMPONENT, MANAGED_BY, OPERATOR, RESOURCE } from '../../src/render/labels.ts';
import { systemClock } from '../../src/runtime/index.ts';
import type { Limits } from './limits.ts';

/** The catalogue's limits, for a scene that lasts seconds. */
export const SCENE_LIMITS: Limits = {
  ownerlessMs: 800,
  goneMs: 1_200,
  settleMs: 1_200,
  reactionMs: 500,
  staleReadyMs: 2_000,
  eventsPerHour: 10,
};

/** A step that a broken operator never finishes must not hold the others up. */
const STEP_MS = 4_000;

const SECRET = 'canary-7c0ffee5-do-not-show';

/** The one GPU of its kind: who comes second waits. */
const lone: QwenCoderSpecInput = { placement: { products: ['H200-141GB'] } };
/** Reached from outside by a route that nobody takes. */
const routed: QwenCoderSpecInput = {
  endpoint: { expose: { type: 'HTTPRoute', host: 'coder.local', parentRefs: [{ name: 'public' }] } },
};
/** Nodes that the scene needs; it also needs the definition of HTTPRoute. */
export const SCENE_NODES = '8xH100-80GB*2,1xH200-141GB,CPU';

const spec = (over: QwenCoderSpecInput = {}): QwenCoderSpecInput => ({
  model: { quantization: 'FP8', source: { type: 'Image', reference: 'models/coder-fp8:1' } },
  engine: { env: [{ name: 'HUB_TOKEN', value: SECRET }] },
  placement: { products: ['H100-80GB'] },
  scaling: { mode: 'External' },
  ...over,
});

/** What an operator is put through. */
export interface Stage {
  readonly client: KubeClient;
  readonly namespace: string;
  /** Ends the operator in good order and starts it anew. */
  readonly restart: () => Promise<void>;
  /** Asked after each act: whether what follows is of no interest. */
  readonly isOver: () => Promise<boolean>;
}

/**
 * A short life of four resources: created beside a namesake's Service and a stranger's object, edited, scaled, meddled with, left alone
 * over a restart, and deleted while somebody's finalizer holds on. Answers with the steps that the operator did not finish.
 */
export async function play({ client, namespace, restart, isOver }: Stage): Promise<string[]> {
  const unfinished: string[] = [];
  const key = { namespace, name: 'coder' };
  const user = { fieldManager: 'user' };
  const theirs = { fieldManager: 'someone-else' };

  const apply = (name: string, wanted: QwenCoderSpecInput, metadata: object = {}) =>
    client.apply(Resources, { metadata: { namespace, name, ...metadata }, spec: wanted } as never, user);

  async function step(what: string, isDone: () => Promise<boolean>): Promise<void> {
    const deadline = performance.now() + STEP_MS;
    while (!(await isDone())) {
      if (performance.now() > deadline) return void unfinished.push(what);
      await systemClock.sleep(30);
    }
  }

  const resource = (name: string): Promise<QwenCoderDeployment | undefined> =>
    client.get(Resources, { namespace, name });
  const conditions = async (name: string): Promise<Record<string, Condition>> => {
    const found = await resource(name);
    const current = found?.status?.conditions?.filter((one) => one.observedGeneration === found.metadata.generation);
    return Object.fromEntries((current ?? []).map((one) => [one.type, one]));
  };
  const is = (name: string, type: string, status: string) => async () =>
    (await conditions(name))[type]?.status === status;
  const isSettled = (name: string) => async () => {
    const { Ready, Reconciling } = await conditions(name);
    return Ready?.status === 'True' && Reconciling?.status === 'False';
  };
  const pods = async (): Promise<KubeObject[]> =>
    (await client.list(Pods, { namespace, labelSelector: `${RESOURCE}=coder` })).items;
  const isEngine = ({ metadata }: KubeObject): boolean => metadata!.labels![COMPONENT] === 'engine';

  await client.create(Namespaces, { metadata: { name: namespace } });
  await client.create(Secrets, { metadata: { namespace, name: 'hub' }, stringData: { token: SECRET } });
  const port = { name: 'theirs', port: 81, protocol: 'TCP', targetPort: 81 };
  // A namesake's Service: resource `taken` cannot have its own.
  await client.apply(Services, { metadata: { namespace, name: 'taken' }, spec: { ports: [port] } }, theirs);
  // Somebody put our labels on an object of theirs.
  const labels = { [MANAGED_BY]: OPERATOR, [RESOURCE]: 'coder' };
  await client.apply(Services, { metadata: { namespace, name: 'helper', labels }, spec: { ports: [port] } }, theirs);

  await Promise.all([
    apply('coder', spec({ ...routed, replicas: 2 }), { finalizers: ['theirs.dev/hold'] }),
    apply('neighbour', spec(lone)),
    apply('taken', spec()),
  ]);
  await step('two replicas serve', isSettled('coder'));
  await step('the neighbour serves', isSettled('neighbour'));
  await step('the taken name is reported', is('taken', 'Ready', 'False'));
  await apply('late', spec(lone));
  await step('the late one waits for a GPU', is('late', 'Placed', 'False'));
  if (await isOver()) return unfinished;

  // A field of ours is changed, and one of theirs is put beside it.
  const note = { 'theirs.dev/note': 'kept' };
  const meddled = { name: 'http', port: 80, protocol: 'TCP', targetPort: 1234 };
  await client.apply(Services, { metadata: { ...key, annotations: note }, spec: { ports: [meddled] } }, theirs);
  await step('the port is taken back', async () =>
    (await client.get(Services, key))!.spec!.ports!.some(({ targetPort }) => targetPort === 'http'),
  );
  if (await isOver()) return unfinished;

  await apply('coder', spec({ ...routed, replicas: 2, context: { maxModelLen: 65_536 } }), {
    finalizers: ['theirs.dev/hold'],
  });
  await step('the edit is served', isSettled('coder'));
  await apply('coder', spec({ ...routed, context: { maxModelLen: 65_536 } }), { finalizers: ['theirs.dev/hold'] });
  await step('one replica is left', async () => (await pods()).filter(isEngine).length === 1 && isSettled('coder')());
  if (await isOver()) return unfinished;

  await systemClock.sleep(SCENE_LIMITS.settleMs + 300);
  await restart();
  await systemClock.sleep(500);
  if (await isOver()) return unfinished;

  await client.delete(Resources, key);
  await systemClock.sleep(SCENE_LIMITS.reactionMs + 200);
  await client.delete(Deployments, { namespace, name: 'coder-engine-0' });
  await systemClock.sleep(300);
  if (await isOver()) return unfinished;

  await client.patch(Resources, key, { type: 'merge', body: { metadata: { finalizers: null } } });
  for (const name of ['neighbour', 'late', 'taken']) await client.delete(Resources, { namespace, name });
  await step('all pods are gone', async () => (await pods()).length === 0);
  await systemClock.sleep(SCENE_LIMITS.goneMs + 300);
  return unfinished;
}

/** Takes away what a scene has left, whoever holds on to it. Resolves when no operator can see any of it. */
export async function clear(client: KubeClient, namespace: string): Promise<void> {
  const { items } = await client.list(Resources, { namespace });
  for (const { metadata } of items) {
    const key = { namespace, name: metadata.name };
    await client.patch(Resources, key, { type: 'merge', body: { metadata: { finalizers: null } } });
    await client.delete(Resources, key);
  }
  await client.delete(Namespaces, { name: namespace });
  while ((await client.list(Resources, { namespace })).items.length > 0) await systemClock.sleep(20);
}
