import { describe, expect, test } from 'vitest';
import { report } from './checker.ts';
import { controllers, resource, readyStatus, slot, engine, endpoint, replicaSet, serving } from './characters.ts';
import { OPERATOR_USER, Story } from './story.ts';

describe('a life without fault', () => {
  test('violates nothing', () => {
    const story = new Story();
    const { uid, replicas } = serving(story, { ready: false });
    story.wait(3_000);
    story.put(engine(replicas), controllers);
    story.put(resource({ status: readyStatus() }), OPERATOR_USER, 'status');
    story.wait(600_000);
    story.remove(resource());
    for (const one of [endpoint(uid), slot(0, uid), replicaSet(''), engine(replicas)]) story.remove(one, controllers);
    expect(story.wait(600_000).verdict()).toEqual([]);
  });

  test('of nobody violates nothing', () => {
    expect(new Story().verdict()).toEqual([]);
  });
});

describe('report', () => {
  test('says how much was seen, and each violation once with how often', () => {
    const why = 'it has 0 controllers, not one';
    const pod = { invariant: 'I1' as const, object: 'Pod team-a/a', version: '7', why };
    const text = report(new Story().history(), [pod, { ...pod, version: '9' }, { ...pod, object: 'Pod team-a/b' }]);
    expect(text).toBe(`3 violations in 0 states and 0 requests:
  I1 Pod team-a/a: it has 0 controllers, not one (version 7), and once more
  I1 Pod team-a/b: it has 0 controllers, not one (version 7)`);
  });

  test('is empty where nothing is wrong', () => {
    expect(report(new Story().history(), [])).toBe('');
  });
});
