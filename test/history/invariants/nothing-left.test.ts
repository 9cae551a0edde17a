import { describe, expect, test } from 'vitest';
import { OWNED, controllers, resource, child, slot, engine, endpoint, replicaSet, serving } from '../characters.ts';
import { OPERATOR_USER, Story, labelled } from '../story.ts';

describe('I10, nothing is left', () => {
  test('a child that outlives its resource is reported, as is one without an owner', () => {
    const story = new Story();
    const uid = story.put(resource());
    story.put(endpoint(uid), OPERATOR_USER);
    const account = { kind: 'ServiceAccount', metadata: labelled('coder-engine', OWNED) };
    story.put(account, OPERATOR_USER);
    story.remove(resource());
    expect(story.wait(61_000).verdict()).toEqual([
      'I1 ServiceAccount team-a/coder-engine: it has 0 controllers, not one',
      'I10 Service team-a/coder: it outlived QwenCoderDeployment team-a/coder by 61000 ms',
      'I10 ServiceAccount team-a/coder-engine: it outlived QwenCoderDeployment team-a/coder by 61000 ms',
    ]);
  });

  test('a Secret and a route that outlive their resource are reported', () => {
    const story = new Story();
    const uid = story.put(resource());
    for (const kind of ['Secret', 'HTTPRoute']) story.put(child(kind, 'coder', uid), OPERATOR_USER);
    story.remove(resource());
    expect(story.wait(61_000).verdict()).toEqual([
      'I10 Secret team-a/coder: it outlived QwenCoderDeployment team-a/coder by 61000 ms',
      'I10 HTTPRoute team-a/coder: it outlived QwenCoderDeployment team-a/coder by 61000 ms',
    ]);
  });

  test('a child that goes in time is not reported, nor is one whose time is not up', () => {
    const story = new Story();
    const uid = story.put(resource());
    story.put(endpoint(uid), OPERATOR_USER);
    story.put(slot(0, uid), OPERATOR_USER);
    story.remove(resource());
    story.wait(10_000).remove(endpoint(uid), controllers);
    expect(story.wait(30_000).verdict()).toEqual([]);
  });

  test('a pod that drains has its grace', () => {
    const drains = (grace: number): string[] => {
      const story = new Story();
      const { uid, replicas } = serving(story);
      story.remove(resource());
      for (const one of [endpoint(uid), slot(0, uid), replicaSet('')]) story.remove(one, controllers);
      const metadata = { deletionTimestamp: '2026-01-01T00:00:00Z', deletionGracePeriodSeconds: grace };
      story.put(engine(replicas, { metadata }), controllers);
      return story.wait(300_000).verdict();
    };
    expect(drains(600)).toEqual([]);
    expect(drains(30)).toEqual([
      'I10 Pod team-a/coder-engine-0-x: it outlived QwenCoderDeployment team-a/coder by 270000 ms',
    ]);
  });

  test('weights stay where the resource said so, and only there', () => {
    const stays = (retain: boolean): string[] => {
      const story = new Story();
      story.put(resource({ spec: { storage: { retain } } }));
      story.put({ kind: 'PersistentVolumeClaim', metadata: labelled('coder-weights', OWNED) }, OPERATOR_USER);
      story.remove(resource({ spec: { storage: { retain } } }));
      return story.wait(61_000).verdict();
    };
    expect(stays(true)).toEqual([]);
    expect(stays(false)).toEqual([
      expect.stringContaining('I10 PersistentVolumeClaim team-a/coder-weights: it outlived'),
    ]);
  });

  test('children that a user chose to keep may stay', () => {
    const story = new Story();
    const uid = story.put(resource());
    story.put(endpoint(uid), OPERATOR_USER);
    story.put(resource({ metadata: { finalizers: ['orphan'], deletionTimestamp: '2026-01-01T00:00:00Z' } }));
    story.put({ kind: 'Service', metadata: labelled('coder', OWNED) }, controllers);
    story.remove(resource());
    expect(story.wait(61_000).verdict()).toEqual([]);
  });

  test('an object that no resource controls is not the operator’s to delete', () => {
    const story = new Story();
    story.put(resource());
    const helper = { kind: 'Service', metadata: labelled('helper') };
    story.put(helper);
    story.remove(helper, OPERATOR_USER);
    expect(story.verdict()).toEqual(['I10 Service team-a/helper: the operator deleted it, which nobody controls']);
  });

  test('an object that somebody else made is not the operator’s to adopt, one that it made itself is', () => {
    const adopts = (entries: object): string[] => {
      const story = new Story();
      const uid = story.put(resource());
      story.put({ kind: 'PersistentVolumeClaim', metadata: labelled('coder-weights', entries) });
      story.put(child('PersistentVolumeClaim', 'coder-weights', uid), OPERATOR_USER);
      return story.verdict();
    };
    expect(adopts(OWNED)).toEqual([]);
    expect(adopts({})).toEqual([
      'I10 PersistentVolumeClaim team-a/coder-weights: the operator made it a child, to be deleted with the resource, and somebody else had made it',
    ]);
  });

  test('a child made for a resource that is going is reported once the operator must know', () => {
    const makes = (waitMs: number): string[] => {
      const story = new Story();
      const uid = story.put(resource());
      story.put(resource({ metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } }));
      story.wait(waitMs);
      story.put(endpoint(uid), OPERATOR_USER);
      return story.verdict();
    };
    expect(makes(1_000)).toEqual([]);
    expect(makes(10_000)).toEqual([
      'I10 Service team-a/coder: the operator made it for QwenCoderDeployment team-a/coder, which is being deleted',
    ]);
  });
});
