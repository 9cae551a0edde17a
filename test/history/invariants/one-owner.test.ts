import { describe, expect, test } from 'vitest';
import { COMPONENT } from '../../../src/render/labels.ts';
import { OWNED, controllers, resource, namesake, slot, engine, serving } from '../characters.ts';
import { type Draft, OPERATOR_USER, Story, controlledBy, labelled, managed } from '../story.ts';

describe('I1, one owner', () => {
  const pod = (over: object): Draft => ({ ...engine('', { gpus: 0 }), metadata: { ...engine('').metadata, ...over } });

  test('a pod of ours without a controller is reported', () => {
    const story = new Story();
    story.put(pod({ ownerReferences: [] }), controllers);
    expect(story.verdict()).toEqual(['I1 Pod team-a/coder-engine-0-x: it has 0 controllers, not one']);
  });

  test('a child that the operator made without controlling it is reported, somebody else’s is not', () => {
    const story = new Story();
    story.put(resource());
    story.put({ kind: 'Service', metadata: labelled('coder', OWNED) }, OPERATOR_USER);
    story.put({ kind: 'Service', metadata: labelled('theirs', managed('someone', 'f:spec')) });
    expect(story.verdict()).toEqual(['I1 Service team-a/coder: it has 0 controllers, not one']);
  });

  test.each(['HTTPRoute', 'Ingress', 'NetworkPolicy', 'Secret'])('that is so of an %s as well', (kind) => {
    const story = new Story();
    story.put(resource());
    story.put({ kind, metadata: labelled('coder', OWNED) }, OPERATOR_USER);
    expect(story.verdict()).toEqual([`I1 ${kind} team-a/coder: it has 0 controllers, not one`]);
  });

  test('a child labelled for one resource and controlled by another is reported', () => {
    const story = new Story();
    const uid = story.put(resource());
    const metadata = labelled('coder', { ...controlledBy('QwenCoderDeployment', 'other', uid), ...OWNED });
    story.put({ kind: 'Service', metadata }, OPERATOR_USER);
    expect(story.verdict()).toEqual([
      'I1 Service team-a/coder: it is labelled as a part of coder and controlled by QwenCoderDeployment other',
    ]);
  });

  test('retained weights have no owner and need none', () => {
    const story = new Story();
    story.put(resource());
    story.put({ kind: 'PersistentVolumeClaim', metadata: labelled('coder-weights', OWNED) }, OPERATOR_USER);
    expect(story.verdict()).toEqual([]);
  });

  test('a pod that the Services of two resources select is reported once it is so', () => {
    const story = new Story();
    serving(story);
    const other = story.put(namesake('other'));
    const references = controlledBy('QwenCoderDeployment', 'other', other);
    const metadata = labelled('other', { ...references, ...OWNED }, 'other');
    story.put({ kind: 'Service', metadata, spec: { selector: { [COMPONENT]: 'engine' } } }, OPERATOR_USER);
    expect(story.verdict()).toEqual([
      'I1 Pod team-a/coder-engine-0-x: two resources select it: Deployment team-a/coder-engine-0 and Service team-a/other',
    ]);
  });

  test('a GPU pod that outlives its owner is reported; a pod that terminates, ends or has no GPU is not', () => {
    const outlives = (last: Draft | undefined, gpus = 2): string[] => {
      const story = new Story();
      const { uid } = serving(story, { gpus });
      story.remove(slot(0, uid));
      if (last) story.put(last, controllers);
      return story.wait(40_000).verdict({ goneMs: 1e9, settleMs: 1e9 });
    };
    const leaving = engine('uid-4', { metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } });
    const ended: Draft = { ...engine('uid-4'), status: { phase: 'Succeeded' } };
    expect(outlives(undefined)).toEqual([
      'I1 Pod team-a/coder-engine-0-x: it held GPUs for 40000 ms without a living owner',
    ]);
    expect(outlives(leaving)).toEqual([]);
    expect(outlives(ended)).toEqual([]);
    expect(outlives(undefined, 0)).toEqual([]);
  });

  test('children that a user chose to keep are the user’s, those that the operator orphaned are not', () => {
    const orphaned = (by: string): string[] => {
      const story = new Story();
      const { uid } = serving(story);
      story.put(slot(0, uid), by);
      const finalized = slot(0, uid);
      story.put({ ...finalized, metadata: { ...finalized.metadata, finalizers: ['orphan'] } }, controllers);
      story.put({ kind: 'ReplicaSet', metadata: labelled('coder-engine-0-x') }, controllers);
      story.remove(slot(0, uid), by, { policy: 'Orphan' });
      return story.wait(40_000).verdict({ reactionMs: 0 });
    };
    const held = 'I1 Pod team-a/coder-engine-0-x: it held GPUs for 40001 ms without a living owner';
    expect(orphaned('user')).toEqual([]);
    expect(orphaned(OPERATOR_USER)).toContain(held);
  });
});
