import { describe, expect, test } from 'vitest';
import type { Condition, QwenCoderStatus } from '../../src/api/index.ts';
import { newsOf } from '../../src/reconcile/news.ts';

/** `Stalled True KvCacheTooSmall` and so on. */
const status = (...conditions: readonly string[]): QwenCoderStatus => ({
  conditions: conditions.map((text): Condition => {
    const [type, status, reason] = text.split(' ') as [string, Condition['status'], string];
    return { type, status, reason, message: text, lastTransitionTime: '2026-01-01T00:00:00Z' };
  }),
});

const STARTING = status('Stalled False NotStalled', 'EnginesReady False Starting');

const told = (before: QwenCoderStatus | undefined, after: QwenCoderStatus): string[] =>
  newsOf(before, after).map(({ type, reason }) => `${type} ${reason}`);

describe('newsOf', () => {
  test('a failure that is tried again is told when it comes, and not while it lasts', () => {
    const taken = status('Stalled False NotStalled', 'EnginesReady False GpuMemoryTaken');
    expect(told(STARTING, taken)).toEqual(['EnginesReady GpuMemoryTaken']);
    expect(told(taken, taken)).toEqual([]);
    expect(told(status('EnginesReady True AllReady'), taken)).toEqual(['EnginesReady GpuMemoryTaken']);
    const away = status('Stalled False NotStalled', 'ModelAvailable False HubUnreachable');
    expect(told(status('ModelAvailable False Fetching'), away)).toEqual(['ModelAvailable HubUnreachable']);
  });

  test('one that stalls is told by Stalled alone', () => {
    const stuck = status('Stalled True KvCacheTooSmall', 'EnginesReady False KvCacheTooSmall');
    expect(told(STARTING, stuck)).toEqual(['Stalled KvCacheTooSmall']);
    expect(told(stuck, stuck)).toEqual([]);
  });

  test('one that was told and stalls later is not told again', () => {
    const taken = status('Stalled False NotStalled', 'EnginesReady False GpuMemoryTaken');
    const stuck = status('Stalled True GpuMemoryTaken', 'EnginesReady False GpuMemoryTaken');
    expect(told(taken, stuck)).toEqual([]);
    const looping = status('Stalled True CrashLooping', 'EnginesReady False CrashLooping');
    expect(told(status('Stalled False NotStalled', 'EnginesReady False NotReady'), looping)).toEqual([
      'Stalled CrashLooping',
    ]);
  });

  test('another failure of a resource that is stalled already is told by the condition that names it', () => {
    const before = status('Stalled True KvCacheTooSmall', 'EnginesReady False KvCacheTooSmall');
    const after = status('Stalled True OutOfHostMemory', 'EnginesReady False OutOfHostMemory');
    expect(told(before, after)).toEqual(['EnginesReady OutOfHostMemory']);
  });

  test('one that the operator steps back from is told as that step, which quotes it', () => {
    const after = status('EnginesReady False OutOfGpuMemory', 'Tuned False SteppingBack');
    expect(told(status('EnginesReady False Starting', 'Tuned Unknown Trying'), after)).toEqual(['Tuned SteppingBack']);
  });

  test('the way up and down is no failure', () => {
    for (const reason of ['Starting', 'WaitingForWeights', 'Suspended', 'NoReplicasWanted'])
      expect(told(status('EnginesReady True AllReady'), status(`EnginesReady False ${reason}`))).toEqual([]);
    for (const reason of ['Fetching', 'VolumePending', 'FetchUnschedulable'])
      expect(told(undefined, status(`ModelAvailable False ${reason}`))).toEqual([]);
    for (const reason of ['GatewayStarting', 'NoReadyEngine', 'Suspended', 'NoReplicasWanted'])
      expect(told(undefined, status(`EndpointReady False ${reason}`))).toEqual([]);
  });

  test('gateways that cannot start are told once', () => {
    const before = status('EndpointReady False GatewayStarting');
    const after = status('EndpointReady False GatewayNotReady');
    expect(told(before, after)).toEqual(['EndpointReady GatewayNotReady']);
    expect(told(after, after)).toEqual([]);
  });

  test('a plan, the weights, the first answer and its end are told once each', () => {
    const up = status('Ready True Serving', 'Planned True Planned', 'ModelAvailable True WeightsVerified');
    expect(told(undefined, up)).toEqual(['Ready Serving', 'Planned Planned', 'ModelAvailable WeightsVerified']);
    expect(told(up, up)).toEqual([]);
    expect(told(up, status('Ready False EnginesNotReady'))).toEqual(['Ready EnginesNotReady']);
    expect(told(undefined, status('Ready False NotPlaced', 'ModelAvailable True Image'))).toEqual([]);
  });

  test('pods without a node are told, and those that are refused by Stalled', () => {
    expect(told(undefined, status('Placed False Unschedulable'))).toEqual(['Placed Unschedulable']);
    expect(told(undefined, status('Stalled True PodRejected', 'Placed False PodRejected'))).toEqual([
      'Stalled PodRejected',
    ]);
    expect(told(status('Stalled True PodRejected'), status('Stalled False NotStalled'))).toEqual([
      'Stalled NotStalled',
    ]);
  });
});
