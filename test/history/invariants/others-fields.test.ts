import { describe, expect, test } from 'vitest';
import { RESOURCE } from '../../../src/render/labels.ts';
import { MANAGER, endpoint, resource } from '../characters.ts';
import { type Draft, OPERATOR_USER, Story, controlledBy, labelled, managed, managedBoth } from '../story.ts';

describe('I9, fields of others', () => {
  const NOTE = 'f:metadata f:annotations f:note';
  const TARGET = 'f:spec f:ports k:{"port":80} f:targetPort';
  const ours = managed(MANAGER, TARGET);
  const theirs = managed('someone', NOTE);

  /** A Service with a port and a note, and who owns what of it. */
  const service = (uid: string, targetPort: string | number, note: string | undefined, entries: object): Draft => ({
    ...endpoint(uid, { spec: { selector: { [RESOURCE]: 'coder' }, ports: [{ port: 80, targetPort }] } }),
    metadata: {
      ...labelled('coder', controlledBy('QwenCoderDeployment', 'coder', uid)),
      ...(note !== undefined && { annotations: { note } }),
      ...entries,
    },
  });

  test('a value of somebody else that a write of ours changes is reported, with both values', () => {
    const story = new Story();
    const uid = story.put(resource());
    story.put(service(uid, 'http', undefined, ours), OPERATOR_USER);
    story.put(service(uid, 'http', 'kept', managedBoth(ours, theirs)));
    story.put(service(uid, 'http', undefined, ours), OPERATOR_USER);
    expect(story.verdict()).toEqual([
      'I9 Service team-a/coder: the operator changed .metadata.annotations.note of someone from "kept" to null',
    ]);
  });

  test('a field that becomes ours with its value unchanged is reported as taken over', () => {
    const story = new Story();
    const uid = story.put(resource());
    story.put(service(uid, 'http', undefined, ours), OPERATOR_USER);
    story.put(service(uid, 'http', 'kept', managedBoth(ours, theirs)));
    story.put(service(uid, 'http', 'kept', managedBoth(managed(MANAGER, TARGET, NOTE), theirs)), OPERATOR_USER);
    expect(story.verdict()).toEqual([
      'I9 Service team-a/coder: the operator took .metadata.annotations.note of someone over',
    ]);
  });

  test('a field of ours that somebody took is ours to take back', () => {
    const story = new Story();
    const uid = story.put(resource());
    story.put(service(uid, 'http', undefined, ours), OPERATOR_USER);
    const taken = managedBoth(managed(MANAGER, 'f:spec f:type'), managed('someone', TARGET, NOTE));
    story.put(service(uid, 1234, 'kept', taken));
    story.put(service(uid, 'http', 'kept', managedBoth(ours, theirs)), OPERATOR_USER);
    expect(story.verdict()).toEqual([]);
  });

  test('what others do to each other is not ours, even when a write of ours without effect is answered with it', () => {
    const story = new Story();
    const uid = story.put(resource());
    story.put(service(uid, 'http', 'kept', managedBoth(ours, theirs)), OPERATOR_USER);
    const changed = service(uid, 'http', 'changed', managedBoth(ours, managed('another', NOTE)));
    story.put(changed);
    story.repeat(changed);
    expect(story.verdict()).toEqual([]);
  });
});
