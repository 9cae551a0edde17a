import { expect, test } from 'vitest';
import { apiError } from '../../src/kube/api-error.ts';
import { KeySecrets } from '../../src/reconcile/key-secrets.ts';
import type { PodFacts } from '../../src/reconcile/facts.ts';
import { silentLog } from '../../src/runtime/index.ts';
import { container, facts, gatewayPod, installation, pod } from '../support/builders.ts';
import { ManualClock } from '../support/manual-clock.ts';

const MADE = Date.parse('2026-01-01T00:00:00Z');
const mounted = ['coder-api-key', installation.keysOf(facts().owner).secretName];

/** What is asked for, and found out, where everything that is mounted was made long ago, and the pods are these. */
async function ensured({ gateways = [gatewayPod()], engines = [], ageMs = 0, refusal = exists }: Ensured) {
  const asked: string[] = [];
  const secrets = new KeySecrets({
    client: {
      create: (_kind, { metadata }) => {
        asked.push(metadata!.name!);
        return Promise.reject(apiError('create secrets', refusal.code, refusal));
      },
    },
    clock: new ManualClock(MADE + ageMs),
    newKey: () => 'a key',
  });
  const { signal } = new AbortController();
  const looked = facts({ gateway: { pods: gateways, secrets: mounted, refusal: undefined }, pods: engines });
  const found = await secrets.ensure(looked, installation, MADE - 3_600_000, silentLog, signal);
  return { asked, ...found };
}

interface Ensured {
  readonly gateways?: readonly PodFacts[];
  readonly engines?: readonly PodFacts[];
  /** Of the pods. */
  readonly ageMs?: number;
  readonly refusal?: typeof exists;
}

const exists = { kind: 'Status', status: 'Failure', code: 409, reason: 'AlreadyExists', message: 'it exists' };
const exceeded = { ...exists, code: 403, reason: 'Forbidden', message: 'exceeded quota: secrets' };

/** It misses a file, say. */
const failing = { ready: false, container: container({ end: { exitCode: 1, reason: 'Error', message: '' } }) };
const evicted = { ready: false, phase: 'Failed', failure: { reason: 'Evicted', message: '', atMs: 0 } };

test('Secrets that are there already are no error when a gateway fails', async () => {
  expect(await ensured({ gateways: [gatewayPod(failing)] })).toEqual({ asked: expect.arrayContaining(mounted) });
});

test('nothing is asked for a gateway that works, nor for one that has ended for good', async () => {
  expect(await ensured({})).toEqual({ asked: [] });
  expect(await ensured({ gateways: [gatewayPod({ ...failing, leaving: true })] })).toEqual({ asked: [] });
  const beside = [gatewayPod(), gatewayPod({ ...evicted, name: 'coder-gateway-y' })];
  expect(await ensured({ gateways: beside })).toEqual({ asked: [] });
});

test('Secrets are made again where a gateway has a node and does not start for half a minute', async () => {
  const { metadata, ...pod } = gatewayPod({ ready: false, phase: 'Pending' });
  const stuck = { ...pod, metadata: { ...metadata, creationTimestamp: new Date(MADE).toISOString() } };
  expect(await ensured({ gateways: [stuck], ageMs: 10_000 })).toEqual({ asked: [], lookAgainMs: 20_000 });
  expect(await ensured({ gateways: [stuck], ageMs: 30_000 })).toEqual({ asked: expect.arrayContaining(mounted) });
  const unplaced = { ...stuck, nodeName: undefined };
  expect(await ensured({ gateways: [unplaced], ageMs: 30_000 })).toEqual({ asked: [] });
});

test('a Secret that an engine misses is made again, and nothing for one that misses another', async () => {
  const missing = (name: string) => ({ reason: 'CreateContainerConfigError', message: `secret "${name}" not found` });
  const waiting = (name: string) => pod({ ready: false, container: container({ waiting: missing(name) }) });
  expect(await ensured({ engines: [waiting(mounted[1]!)] })).toEqual({ asked: [mounted[1]] });
  expect(await ensured({ engines: [waiting('of-the-user')] })).toEqual({ asked: [] });
});

test('a quota that lets in no Secret stops nothing where it was made before', async () => {
  const found = await ensured({ gateways: [gatewayPod(failing)], refusal: exceeded });
  expect(found).toEqual({ asked: expect.arrayContaining(mounted) });
});
