import { describe, expect, test } from 'vitest';
import { RESOURCE } from '../../../src/render/labels.ts';
import { controllers, resource, namesake, child, engine, endpoint, serving } from '../characters.ts';
import { type Draft, OPERATOR_USER, Story } from '../story.ts';

describe('I12, quiet', () => {
  const touched = (uid: string, to: number): Draft =>
    endpoint(uid, { spec: { selector: { [RESOURCE]: 'coder' }, ports: [{ port: to }] } });
  const late =
    /^I12 Service team-a\/coder: the operator's patch came 30000 ms or more after the last change of team-a\/coder$/;

  test('a write without a cause is reported, one soon after a change is not', () => {
    const story = new Story();
    const { uid } = serving(story);
    story.wait(20_000).put(touched(uid, 1), OPERATOR_USER);
    expect(story.verdict()).toEqual([]);
    story.wait(60_000).put(touched(uid, 2), OPERATOR_USER);
    expect(story.verdict()).toEqual([expect.stringMatching(late)]);
  });

  test('changes of the resource, its pods, its quotas, GPU nodes and an object with the name of a child are causes', () => {
    const causes: ((story: Story, replicas: string) => void)[] = [
      (story) => void story.put(resource({ spec: { replicas: 2 }, metadata: { generation: 2 } })),
      (story, replicas) => void story.put(engine(replicas, { ready: false }), controllers),
      (story) =>
        void story.put({ kind: 'Node', metadata: { name: 'gpu' }, status: { allocatable: { 'nvidia.com/gpu': '8' } } }),
      (story) => void story.put({ kind: 'Service', metadata: { name: 'coder-engines' } }),
      (story) => void story.put({ kind: 'ResourceQuota', metadata: { name: 'gpus' }, spec: { hard: {} } }),
    ];
    for (const cause of causes) {
      const story = new Story();
      const { uid, replicas } = serving(story);
      story.wait(60_000);
      cause(story, replicas);
      story.put(touched(uid, 1), OPERATOR_USER);
      expect(story.verdict()).toEqual([]);
    }
  });

  test('changes of another resource, another namespace’s quota, a node without GPUs and the operator’s own are none', () => {
    const causes: ((story: Story, uid: string) => void)[] = [
      (story) => void story.put(namesake('other')),
      (story) => void story.put({ kind: 'Node', metadata: { name: 'cpu' }, status: { allocatable: {} } }),
      (story) => void story.put({ kind: 'ResourceQuota', metadata: { name: 'gpus', namespace: 'team-b' } }),
      (story, uid) => void story.wait(0).put(touched(uid, 7), OPERATOR_USER),
      (story, uid) => void story.put(child('Secret', 'coder-keys-a', uid), OPERATOR_USER),
    ];
    for (const cause of causes) {
      const story = new Story();
      const { uid } = serving(story);
      story.wait(60_000);
      cause(story, uid);
      story.put(touched(uid, 1), OPERATOR_USER);
      expect(story.verdict()).toContainEqual(expect.stringMatching(late));
    }
  });

  test('a restart is no cause, a change while the operator was away is', () => {
    const afterRestart = (change: boolean): string[] => {
      const story = new Story();
      const { uid, replicas } = serving(story);
      story.wait(60_000);
      story.wait(10_000, { operatorLives: false });
      if (change) story.put(engine(replicas, { ready: false }), controllers);
      story.wait(600_000, { operatorLives: false }).wait(4_000);
      story.put(touched(uid, 1), OPERATOR_USER);
      return story.verdict();
    };
    expect(afterRestart(false)).toEqual([expect.stringMatching(late)]);
    expect(afterRestart(true)).toEqual([]);
  });

  test('what was refused may be tried again at any time', () => {
    const story = new Story();
    const { uid } = serving(story);
    story.wait(60_000).refuse(endpoint(uid), 403);
    story.wait(60_000).put(touched(uid, 1), OPERATOR_USER);
    expect(story.verdict()).toEqual([]);
  });

  test('a failed download is started again at any time', () => {
    const story = new Story();
    const { uid } = serving(story);
    const job = (over: object) => child('Job', 'coder-weights', uid, over);
    story.put(job({}), OPERATOR_USER);
    story.put(job({ status: { conditions: [{ type: 'Failed', status: 'True' }] } }), controllers);
    story.wait(600_000).remove(job({}), OPERATOR_USER);
    expect(story.verdict()).toEqual([]);
  });

  test('a second write in a row without effect is reported, the first is not', () => {
    const story = new Story();
    const { uid } = serving(story);
    story.repeat(endpoint(uid));
    expect(story.verdict()).toEqual([]);
    story.repeat(endpoint(uid));
    expect(story.verdict()).toEqual([
      "I12 Service team-a/coder: the operator's patch changed nothing, as the one before it",
    ]);
  });

  test('writes without effect are told of what belongs to no resource as well', () => {
    const story = new Story();
    const calibrations = { kind: 'ConfigMap', metadata: { name: 'calibrations' }, data: {} };
    story.put(calibrations, 'installer');
    story.wait(60_000).put({ ...calibrations, data: { fp8: '1' } }, OPERATOR_USER);
    expect(story.verdict()).toEqual([]);
    story.repeat(calibrations);
    story.repeat(calibrations);
    expect(story.verdict()).toEqual([
      expect.stringMatching(/^I12 ConfigMap .* changed nothing, as the one before it$/),
    ]);
  });

  test('a write that changes nothing but a time is reported', () => {
    const story = new Story();
    const { uid } = serving(story);
    const at = (time: string): Draft => endpoint(uid, { status: { message: `looked at ${time}`, ready: 1 } });
    story.put(at('2026-01-01T00:00:00Z'), OPERATOR_USER);
    story.put(at('2026-01-01T00:00:05Z'), OPERATOR_USER);
    expect(story.verdict()).toEqual(['I12 Service team-a/coder: the operator changed nothing of it but a time']);
  });
});
