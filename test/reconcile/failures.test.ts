import { expect, test } from 'vitest';
import { FailureFinder } from '../../src/reconcile/failures.ts';
import { readLog } from '../../src/serving/index.ts';
import { container, facts, installation, liveSlot, pod, revision } from '../support/builders.ts';
import { ManualClock } from '../support/manual-clock.ts';

const { signal } = new AbortController();
const { engineKey, controlKey } = installation.keysOf(facts().owner);
const target = { planned: true, revision: revision(), rejected: [] } as const;

const finder = (log: string) =>
  new FailureFinder({
    clock: new ManualClock(),
    keysOf: installation.keysOf,
    logs: { read: (_run, _key, secrets) => Promise.resolve({ findings: readLog(log, secrets), isLate: false }) },
    refusalOf: () => Promise.resolve(undefined),
  });

test.each([
  { whose: 'engines', key: engineKey },
  { whose: 'gateways', key: controlKey },
])('the key that the operator derived for $whose is quoted from no log', async ({ key }) => {
  const end = { exitCode: 2, reason: 'Error', message: '' };
  const slots = [liveSlot(0, 'aaaaaaaaaa', [pod({ ready: false, container: container({ end, ended: 1 }) })])];
  const log = `vllm: error: argument --max-num-batched-tokens: invalid human_readable_int value: '${key}'`;
  const { failures } = await finder(log).find(
    { facts: facts({ slots }), target, model: { state: 'verified' }, volume: undefined },
    undefined,
    signal,
  );
  expect(failures.engine!.diagnosis.evidence).toContain("value: '***'");
  expect(JSON.stringify(failures)).not.toContain(key);
});

test('a key is quoted neither from the words in which a gateway ended nor from those of a refusal', async () => {
  const end = { exitCode: 1, reason: 'Error', message: `refused ${controlKey}` };
  const broken = facts({
    slots: [{ ...liveSlot(0, 'aaaaaaaaaa', []), refusal: `denied request: ${engineKey}` }],
    gateway: {
      pods: [pod({ ready: false, name: 'coder-gateway-x', container: container({ end }) })],
      secrets: [],
      refusal: undefined,
    },
  });
  const { failures } = await finder('').find(
    { facts: broken, target, model: { state: 'verified' }, volume: undefined },
    undefined,
    signal,
  );
  expect(failures.gateway!.evidence).toBe('pod coder-gateway-x: exit code 1: refused ***');
  expect(failures.refusal!.evidence).toBe('denied request: ***');
});
