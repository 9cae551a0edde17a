import { expect, test } from 'vitest';
import { apiError } from '../../src/kube/api-error.ts';
import { KeySecrets } from '../../src/reconcile/key-secrets.ts';
import { silentLog } from '../../src/runtime/index.ts';
import { facts, gatewayPod, installation } from '../support/builders.ts';
import { ManualClock } from '../support/manual-clock.ts';

test('Secrets that are there already are no error when a gateway fails', async () => {
  const clock = new ManualClock();
  const asked: string[] = [];
  const secrets = new KeySecrets({
    client: {
      create: (_kind, { metadata }) => {
        asked.push(metadata!.name!);
        const status = { kind: 'Status', status: 'Failure', code: 409, reason: 'AlreadyExists', message: 'it exists' };
        return Promise.reject(apiError('create secrets', 409, status));
      },
    },
    clock,
    newKey: () => 'a key',
  });
  const { signal } = new AbortController();
  const failing = facts({
    gateway: {
      pods: [gatewayPod({ ready: false, failure: { reason: 'Evicted', message: '', atMs: 0 } })],
      secrets: [],
      refusal: undefined,
    },
  });
  expect(await secrets.ensure(failing, installation, -3_600_000, silentLog, signal)).toEqual({});
  expect(asked).toHaveLength(2);
});
