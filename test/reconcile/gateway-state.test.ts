import { describe, expect, test } from 'vitest';
import { gatewayState } from '../../src/reconcile/gateway-state.ts';
import type { Slot } from '../../src/render/index.ts';
import { facts, liveSlot, plan, pod, revision } from '../support/builders.ts';

const old = revision({ hash: 'aaaaaaaaaa', plan: plan({ maxModelLen: 8192 }) });
const next = revision({ hash: 'bbbbbbbbbb', plan: plan({ maxModelLen: 262144 }) });
const target = { planned: true, revision: next, rejected: [] } as const;

const engine = (slot: number, hash: string) =>
  liveSlot(slot, hash, [pod({ slot, revision: hash, ip: `10.0.0.${slot}`, name: `engine-${slot}` })]);
const looked = facts({
  slots: [engine(0, next.hash), engine(1, old.hash), engine(2, old.hash)],
  revisions: [next, old],
});

const told = (slots: readonly Slot[] | undefined) => {
  const { endpoints, maxModelLen } = gatewayState(looked, target, undefined, slots);
  return [...endpoints.map(({ state }) => state), maxModelLen];
};

describe('gateways are told', () => {
  test('that an engine drains whose slot moves to another revision, is emptied or goes', () => {
    const stays = { index: 0, revision: next, replicas: 1 } as const;
    const serves = { index: 1, revision: old, replicas: 1 } as const;
    expect(told([stays, serves])).toEqual(['Ready', 'Ready', 'Draining', 8192]);
    expect(told([stays, { ...serves, revision: next }])).toEqual(['Ready', 'Draining', 'Draining', 262144]);
    expect(told([{ ...stays, replicas: 0 }, serves])).toEqual(['Draining', 'Ready', 'Draining', 8192]);
  });

  test('that all are ready where nothing goes', () => {
    expect(told(undefined)).toEqual(['Ready', 'Ready', 'Ready', 8192]);
  });
});
