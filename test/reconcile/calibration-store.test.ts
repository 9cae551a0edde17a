import { describe, expect, test } from 'vitest';
import { ApiError, type KubeObject } from '../../src/kube/index.ts';
import { CalibrationStore } from '../../src/reconcile/calibration-store.ts';
import { type Calibration, writeCalibration } from '../../src/serving/index.ts';
import { CollectingLog } from '../runtime/collecting-log.ts';

const { signal } = new AbortController();
const calibration = (kvBytes = 2e10): Calibration => ({
  gpuMemoryBytes: 4e10,
  utilizationPercent: 92,
  kvBytes,
  measuredAt: '2026-01-01T00:00:00Z',
});

/** A ConfigMap, or the error that each request about it gets. */
function setUp(content: Record<string, string> | Error) {
  const written: unknown[] = [];
  let held = content;
  const client = {
    get: async () => {
      if (held instanceof Error) throw held;
      return { data: held } as never;
    },
    patch: async (_resource: unknown, _key: unknown, { body }: { body: object }) => {
      if (held instanceof Error) throw held;
      written.push(body);
      return {} as KubeObject as never;
    },
  };
  const log = new CollectingLog();
  const store = new CalibrationStore({ client, key: { namespace: 'system', name: 'calibrations' }, log });
  return { store, written, log, become: (next: Record<string, string> | Error) => (held = next) };
}

describe('CalibrationStore', () => {
  test('knows what the ConfigMap holds, and leaves out what is broken', async () => {
    const { store } = setUp({ a: writeCalibration(calibration()), b: '{' });
    await store.load(signal);
    expect([store.get('a'), store.get('b'), store.get(undefined)]).toEqual([calibration(), undefined, undefined]);
  });

  test('writes what is new, its own key alone, and nothing that is known', async () => {
    const { store, written } = setUp({ a: writeCalibration(calibration()) });
    await store.load(signal);
    store.put('a', { ...calibration(2.01e10), measuredAt: 'later' }, signal);
    store.put('b', calibration(), signal);
    await store.saved();
    expect(written).toEqual([{ data: { b: writeCalibration(calibration()) } }]);
  });

  test.each([
    { name: 'gone', error: new ApiError(404, 'NotFound', 'configmaps "calibrations" not found') },
    { name: 'not ours to read', error: new ApiError(403, 'Forbidden', 'no') },
    { name: 'out of reach', error: new Error('connection refused') },
  ])('a ConfigMap that is $name costs the hints of earlier operators, and a line of the log', async ({ error }) => {
    const { store, log } = setUp(error);
    await store.load(signal);
    store.put('a', calibration(), signal);
    await store.saved();
    expect(store.get('a')).toEqual(calibration());
    expect(log.entries.map(({ level }) => level)).toEqual(['warn', 'warn']);
  });

  test('what could not be written goes with the next measurement', async () => {
    const { store, written, become } = setUp({});
    await store.load(signal);
    become(new Error('connection refused'));
    store.put('a', calibration(), signal);
    await store.saved();
    become({});
    store.put('b', calibration(), signal);
    await store.saved();
    expect(written).toEqual([{ data: { a: writeCalibration(calibration()), b: writeCalibration(calibration()) } }]);
  });

  test('is read once, and again only where nobody answered', async () => {
    const { store, become } = setUp(new Error('connection refused'));
    await store.load(signal);
    become({ a: writeCalibration(calibration()) });
    await store.load(signal);
    become({});
    await store.load(signal);
    expect(store.get('a')).toEqual(calibration());
  });
});
