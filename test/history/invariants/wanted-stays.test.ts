import { describe, expect, test } from 'vitest';
import { controllers, resource, child, slot, endpoint, serving } from '../characters.ts';
import { OPERATOR_USER, Story } from '../story.ts';

describe('I3, what is wanted stays', () => {
  test('a delete without a UID is reported, whatever it deletes', () => {
    const story = new Story();
    const { uid } = serving(story);
    story.put(slot(1, uid), OPERATOR_USER);
    story.remove(slot(1, uid), OPERATOR_USER, { precondition: false });
    expect(story.verdict()).toEqual([
      "I3 deployments team-a/coder-engine-1: the operator's delete carries no UID: it would take an object of that name made meanwhile",
    ]);
  });

  test('the Service of a living resource, and a slot within its replicas, are reported; a slot beyond them is not', () => {
    const story = new Story();
    const { uid } = serving(story);
    story.put(slot(1, uid), OPERATOR_USER);
    story.wait(10_000);
    for (const one of [endpoint(uid), slot(0, uid), slot(1, uid)]) story.remove(one, OPERATOR_USER);
    expect(story.verdict()).toEqual([
      'I3 Service team-a/coder: the operator deleted it although coder exists, and every resource has it',
      'I3 Deployment team-a/coder-engine-0: the operator deleted it although coder wants 1 replicas, and this is the place of number 0',
    ]);
  });

  test.each(['Ingress', 'HTTPRoute'])(
    'an %s is reported while the resource asks for it, and not any more after',
    (type) => {
      const deletes = (expose: object): string[] => {
        const story = new Story();
        const uid = story.put(resource({ spec: { endpoint: { expose } } }));
        story.put(child(type, 'coder', uid), OPERATOR_USER);
        story.wait(10_000).remove(child(type, 'coder', uid), OPERATOR_USER);
        return story.verdict();
      };
      expect(deletes({ type })).toEqual([
        `I3 ${type} team-a/coder: the operator deleted it although coder is to be reached by it`,
      ]);
      expect(deletes({ type: 'ClusterIP' })).toEqual([]);
    },
  );

  test('a Service that this version of the operator does not make may go', () => {
    const story = new Story();
    const { uid } = serving(story);
    const old = child('Service', 'coder-gateway', uid);
    story.put(old, OPERATOR_USER);
    story.wait(10_000).remove(old, OPERATOR_USER);
    expect(story.verdict()).toEqual([]);
  });

  test('a delete that was turned away before it was read is not judged, one that met a conflict is', () => {
    const story = new Story();
    const { uid } = serving(story);
    story.refuse(endpoint(uid), 403, 'delete');
    expect(story.verdict()).toEqual([]);
    story.refuse(endpoint(uid), 409, 'delete');
    expect(story.verdict()).toEqual([expect.stringContaining("the operator's delete carries no UID")]);
  });

  test('a wish that came a moment before is no wish yet', () => {
    const scaled = (waitMs: number): string[] => {
      const story = new Story();
      const { uid } = serving(story);
      story.put(slot(1, uid), OPERATOR_USER);
      story.wait(10_000);
      story.put(resource({ spec: { replicas: 2 }, metadata: { generation: 2 } }));
      story.wait(waitMs);
      story.remove(slot(1, uid), OPERATOR_USER);
      return story.verdict();
    };
    expect(scaled(1_000)).toEqual([]);
    expect(scaled(10_000)).toEqual([expect.stringContaining('coder wants 2 replicas')]);
  });

  test('deletions by others, and for a resource that is going, are nobody’s fault', () => {
    const story = new Story();
    const { uid } = serving(story);
    story.remove(endpoint(uid), controllers, { precondition: false });
    story.put(resource({ metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } }));
    story.wait(10_000);
    story.remove(slot(0, uid), OPERATOR_USER);
    expect(story.verdict()).toEqual([]);
  });

  test('weights that a slot still mounts are reported, weights that nothing mounts are not', () => {
    const story = new Story();
    const { uid } = serving(story);
    const volumes = [{ name: 'weights', persistentVolumeClaim: { claimName: 'coder-weights-b' } }];
    story.put(slot(0, uid, { template: { spec: { volumes } } }), OPERATOR_USER);
    const claims = ['a', 'b'].map((letter) => child('PersistentVolumeClaim', `coder-weights-${letter}`, uid));
    for (const claim of claims) story.put(claim, OPERATOR_USER);
    story.wait(10_000);
    for (const claim of claims) story.remove(claim, OPERATOR_USER);
    expect(story.verdict()).toEqual([
      'I3 PersistentVolumeClaim team-a/coder-weights-b: the operator deleted it although Deployment coder-engine-0 reads the weights on it',
    ]);
  });
});
