import { describe, expect, test } from 'vitest';
import { type Change, InformerStore, type Pod } from '../../src/kube/index.ts';
import { podJson } from '../support/scripted-api-server.ts';

type PodRest = NonNullable<Parameters<typeof podJson>[2]>;

/** A store of pods, and what it told. */
function setUp() {
  const told: string[] = [];
  const name = (pod: Change<Pod>['object'] | undefined) => `${pod?.metadata?.name}@${pod?.metadata?.resourceVersion}`;
  const store = new InformerStore<Pod>({
    project: (pod) => pod,
    indexBy: { label: (pod) => (pod.metadata?.labels?.['app'] === undefined ? [] : [pod.metadata.labels['app']]) },
    onChange: ({ type, object, previous }) => {
      told.push(type === 'update' ? `update ${name(previous)} → ${name(object)}` : `${type} ${name(object)}`);
    },
  });
  return {
    store,
    held: () => {
      const objects: Change<Pod>['object'][] = [];
      store.collect(objects);
      return objects.map(name).sort();
    },
    told: () => told.splice(0),
    replace: (version: number, ...pods: Pod[]) => {
      const scratch = store.scratch();
      for (const pod of pods) scratch.apply(pod);
      store.replace(scratch, String(version));
    },
  };
}

const pod = (name: string, version: number, rest: PodRest = {}): Pod => podJson(name, version, rest);

describe('initial state', () => {
  test('is taken over at once; what it lacks is deleted', () => {
    const { replace, held, told } = setUp();
    replace(10, pod('a', 3), pod('b', 4));
    expect(told()).toEqual(['add a@3', 'add b@4']);
    replace(20, pod('b', 4), pod('c', 12));
    expect(told()).toEqual(['delete a@3', 'add c@12']);
    expect(held()).toEqual(['b@4', 'c@12']);
  });

  test('older than what was seen is refused', () => {
    const { replace, held } = setUp();
    replace(10, pod('a', 3));
    expect(() => replace(9)).toThrow('the server answered with version 9 after version 10');
    expect(held()).toEqual(['a@3']);
  });

  test('is the truth when told to rewind, in one step', () => {
    const { store, replace, held, told } = setUp();
    replace(100, pod('a', 30), pod('b', 40));
    store.observe(pod('c', 120));
    told();
    const scratch = store.scratch();
    scratch.apply(pod('a', 20));
    store.replace(scratch, '50', { rewind: true });
    expect(told()).toEqual(['delete b@40', 'delete c@120', 'update a@30 → a@20']);
    store.apply(pod('a', 51));
    expect(held()).toEqual(['a@51']);
  });

  test('changes while it arrives are part of it', () => {
    const { store, held } = setUp();
    const scratch = store.scratch();
    scratch.apply(pod('a', 3));
    scratch.apply(pod('b', 4));
    scratch.apply(pod('a', 7));
    scratch.apply(pod('a', 5));
    scratch.remove(pod('b', 8));
    expect(held()).toEqual([]);
    store.replace(scratch, '8');
    expect(held()).toEqual(['a@7']);
  });
});

describe('live stream', () => {
  test('an older version never replaces a newer one', () => {
    const { store, replace, held, told } = setUp();
    replace(100, pod('a', 99));
    store.apply(pod('a', 110));
    store.apply(pod('a', 95));
    store.apply(pod('a', 110));
    store.remove(pod('a', 105));
    expect(held()).toEqual(['a@110']);
    expect(told()).toEqual(['add a@99', 'update a@99 → a@110']);
  });

  test('versions are numbers, not text', () => {
    const { store, replace, held } = setUp();
    replace(9, pod('a', 9));
    store.apply(pod('a', 10));
    expect(held()).toEqual(['a@10']);
    store.apply(podJson('a', '9007199254740993'));
    store.apply(podJson('a', '9007199254740992'));
    expect(held()).toEqual(['a@9007199254740993']);
  });

  test('a recreated object is a delete and an add', () => {
    const { store, replace, told } = setUp();
    replace(10, pod('a', 3, { uid: 'one' }));
    store.apply(pod('a', 12, { uid: 'two' }));
    expect(told()).toEqual(['add a@3', 'delete a@3', 'add a@12']);
    store.remove(pod('a', 11, { uid: 'one' }));
    expect(told()).toEqual([]);
  });

  test('a delete tells the last state', () => {
    const { store, replace, told } = setUp();
    replace(10, pod('a', 3));
    store.remove(pod('a', 12));
    expect(told()).toEqual(['add a@3', 'delete a@12']);
  });
});

describe('own writes', () => {
  test('are seen at once, and their late event changes nothing', () => {
    const { store, replace, held, told } = setUp();
    replace(10);
    store.observe(pod('a', 11));
    expect(held()).toEqual(['a@11']);
    store.apply(pod('a', 11));
    store.advance('12');
    expect(told()).toEqual(['add a@11']);
  });

  test('hide older events', () => {
    const { store, replace, held } = setUp();
    replace(10, pod('a', 9));
    store.observe(pod('a', 15));
    store.apply(pod('a', 12));
    expect(held()).toEqual(['a@15']);
    store.apply(pod('a', 15));
    expect(held()).toEqual(['a@15']);
  });

  test('older than the stream are ignored: the object may be deleted by now', () => {
    const { store, replace, held } = setUp();
    replace(10);
    store.apply(pod('a', 11));
    store.remove(pod('a', 12));
    store.observe(pod('a', 11));
    expect(held()).toEqual([]);
  });

  test('that the stream passes without delivering them go: deleted meanwhile, or outside the selector', () => {
    const { store, replace, held, told } = setUp();
    replace(10, pod('b', 9));
    store.observe(pod('a', 11));
    store.advance('11');
    expect(held()).toEqual(['b@9']);
    expect(told()).toEqual(['add b@9', 'add a@11', 'delete a@11']);
  });

  test('outlive an initial state that is older, and not one that is newer', () => {
    const { store, replace, held } = setUp();
    replace(10);
    store.observe(pod('a', 15));
    replace(12);
    expect(held()).toEqual(['a@15']);
    replace(16);
    expect(held()).toEqual([]);
  });

  test('before the first initial state count too', () => {
    const { store, replace, held } = setUp();
    store.observe(pod('a', 15));
    replace(12, pod('a', 8));
    expect(held()).toEqual(['a@15']);
  });

  test('deletes hide late events and lists of the same object, not of its successor', () => {
    const { store, replace, held, told } = setUp();
    replace(10, pod('a', 9, { uid: 'one' }));
    store.forget({ namespace: 'default', name: 'a' }, 'one');
    expect(told()).toEqual(['add a@9', 'delete a@9']);
    store.apply(pod('a', 12, { uid: 'one' }));
    replace(12, pod('a', 12, { uid: 'one' }));
    expect(held()).toEqual([]);
    store.remove(pod('a', 13, { uid: 'one' }));
    store.apply(pod('a', 14, { uid: 'two' }));
    expect(held()).toEqual(['a@14']);
  });

  test('deletes of one object leave its successor alone', () => {
    const { store, replace, held } = setUp();
    replace(10, pod('a', 9, { uid: 'two' }));
    store.forget({ namespace: 'default', name: 'a' }, 'one');
    expect(held()).toEqual(['a@9']);
  });
});

describe('indexes', () => {
  const names = (pods: readonly Change<Pod>['object'][]) => new Set(pods.map((pod) => pod.metadata?.name));

  test('follow every change', () => {
    const { store, replace } = setUp();
    replace(10, pod('a', 1, { labels: { app: 'x' } }), pod('b', 2, { labels: { app: 'x' } }), pod('c', 3));
    expect(names(store.byIndex('label', 'x'))).toEqual(new Set(['a', 'b']));
    store.apply(pod('a', 11, { labels: { app: 'y' } }));
    store.remove(pod('b', 12, { labels: { app: 'x' } }));
    expect(names(store.byIndex('label', 'x'))).toEqual(new Set([]));
    expect(names(store.byIndex('label', 'y'))).toEqual(new Set(['a']));
  });

  test('a name that was never declared is an error', () => {
    expect(() => setUp().store.byIndex('labels', 'x')).toThrow('no index labels');
  });
});

test('managedFields never enter, and the projection is what is kept', () => {
  const store = new InformerStore<Pod, { name: string; fields: unknown }>({
    project: (pod) => ({ name: pod.metadata!.name!, fields: pod.metadata!.managedFields }),
    onChange: () => {},
  });
  store.apply(pod('a', 1, { managedFields: [{}] }));
  expect(store.get({ namespace: 'default', name: 'a' })).toEqual({ name: 'a', fields: undefined });
});

describe('an exchange', () => {
  test('of what is held is told to nobody, and found as before', () => {
    const { store, replace, told } = setUp();
    replace(10, pod('a', 3, { labels: { app: 'x' } }));
    told();
    const less = { metadata: { name: 'a', resourceVersion: '3', labels: { app: 'x' } } } as Pod;
    store.exchange({ namespace: 'default', name: 'a' }, '3', less);
    expect(told()).toEqual([]);
    expect(store.get({ namespace: 'default', name: 'a' })).toBe(less);
    expect(store.byIndex('label', 'x')).toEqual([less]);
    store.apply(pod('a', 11, {}));
    expect(told()).toEqual(['update a@3 → a@11']);
    expect(store.byIndex('label', 'x')).toEqual([]);
  });

  test('comes too late for another version', () => {
    const { store, replace, held } = setUp();
    replace(10, pod('a', 3));
    store.apply(pod('a', 11));
    store.exchange({ namespace: 'default', name: 'a' }, '3', {});
    store.exchange({ namespace: 'default', name: 'b' }, '3', {});
    expect(held()).toEqual(['a@11']);
  });

  test('of an own write goes with it when the stream passes without it', () => {
    const { store, replace, held } = setUp();
    replace(10);
    store.observe(pod('a', 12));
    store.exchange({ namespace: 'default', name: 'a' }, '12', pod('a', 12));
    store.advance('13');
    expect(held()).toEqual([]);
  });

  test('is known to the next projection', () => {
    const store = new InformerStore<Pod, { readonly version: string; readonly before: unknown }>({
      project: ({ metadata }, before) => ({ version: metadata!.resourceVersion!, before }),
      onChange: () => {},
    });
    store.observe(pod('a', 3));
    const less = { version: '3', before: 'less' };
    store.exchange({ namespace: 'default', name: 'a' }, '3', less);
    store.apply(pod('a', 4));
    expect(store.get({ namespace: 'default', name: 'a' })).toEqual({ version: '4', before: less });
  });
});
