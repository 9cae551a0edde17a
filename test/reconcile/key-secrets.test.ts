import { expect, test } from 'vitest';
import { apiError } from '../../src/kube/api-error.ts';
import { KeySecrets } from '../../src/reconcile/key-secrets.ts';
import type { PodFacts } from '../../src/reconcile/facts.ts';
import { silentLog } from '../../src/runtime/index.ts';
import { container, facts, gatewayPod, installation } from '../support/builders.ts';
import { ManualClock } from '../support/manual-clock.ts';

/** What is asked for where everything that is mounted was made long ago, and the gateways are these. */
async function askedWith(...pods: PodFacts[]): Promise<string[]> {
  const asked: string[] = [];
  const secrets = new KeySecrets({
    client: {
      create: (_kind, { metadata }) => {
        asked.push(metadata!.name!);
        const status = { kind: 'Status', status: 'Failure', code: 409, reason: 'AlreadyExists', message: 'it exists' };
        return Promise.reject(apiError('create secrets', 409, status));
      },
    },
    clock: new ManualClock(),
    newKey: () => 'a key',
  });
  const { signal } = new AbortController();
  const mounted = ['coder-api-key', installation.keysOf(facts().owner).secretName];
  const looked = facts({ gateway: { pods, secrets: mounted, refusal: undefined } });
  expect(await secrets.ensure(looked, installation, -3_600_000, silentLog, signal)).toEqual({});
  return asked;
}

/** It misses a file, say. */
const failing = { ready: false, container: container({ end: { exitCode: 1, reason: 'Error', message: '' } }) };
const evicted = { ready: false, phase: 'Failed', failure: { reason: 'Evicted', message: '', atMs: 0 } };

test('Secrets that are there already are no error when a gateway fails', async () => {
  expect(await askedWith(gatewayPod(failing))).toHaveLength(2);
});

test('nothing is asked for a gateway that works, nor for one that has ended for good', async () => {
  expect(await askedWith(gatewayPod())).toEqual([]);
  expect(await askedWith(gatewayPod({ ...failing, leaving: true }))).toEqual([]);
  expect(await askedWith(gatewayPod(), gatewayPod({ ...evicted, name: 'coder-gateway-y' }))).toEqual([]);
});
