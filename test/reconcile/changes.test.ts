import { afterEach, describe, expect, test } from 'vitest';
import { oneResource, served } from './one-resource.ts';

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function setUp() {
  const one = await oneResource();
  closing.push(one.stop);
  return one;
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
