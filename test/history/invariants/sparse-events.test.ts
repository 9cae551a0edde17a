import { describe, expect, test } from 'vitest';
import { resource, condition } from '../characters.ts';
import { type Draft, OPERATOR_USER, Story } from '../story.ts';

describe('I13, sparse Events', () => {
  const event = (name: string, uid: string, reason: string, over: object = {}): Draft => ({
    kind: 'Event',
    metadata: { name },
    reason,
    note: name,
    reportingController: 'qwencoder.dev/qwen-coder-operator',
    regarding: { kind: 'QwenCoderDeployment', namespace: 'team-a', name: 'coder', uid },
    ...over,
  });
  const flip = (story: Story, status: 'True' | 'False', reason: string): string =>
    story.put(
      resource({ status: { observedGeneration: 1, conditions: [condition('Planned', status, reason)] } }),
      OPERATOR_USER,
      'status',
    );

  test('an Event for each time that a condition changed is what Events are for', () => {
    const story = new Story();
    story.put(resource());
    const uid = flip(story, 'True', 'Planned');
    story.put(event('a', uid, 'Planned'), OPERATOR_USER);
    flip(story, 'False', 'NoFittingGpu');
    flip(story, 'True', 'Planned');
    story.put(event('b', uid, 'Planned'), OPERATOR_USER);
    story.put(event('theirs', uid, 'Meddled', { reportingController: 'someone' }));
    expect(story.verdict()).toEqual([]);
  });

  test('an Event for another reason of the same status is one too, and the same reason twice is not', () => {
    const story = new Story();
    story.put(resource());
    const uid = flip(story, 'False', 'NoGpuNodes');
    flip(story, 'False', 'NoFittingGpu');
    story.put(event('a', uid, 'NoFittingGpu'), OPERATOR_USER);
    expect(story.verdict()).toEqual([]);
    story.put(event('b', uid, 'NoFittingGpu'), OPERATOR_USER);
    expect(story.verdict()).toEqual(['I13 Event team-a/b: NoFittingGpu was reported 2 times, and came about 1 times']);
  });

  test('an Event more than that is reported, counts of a series included', () => {
    const story = new Story();
    story.put(resource());
    const uid = flip(story, 'True', 'Planned');
    story.put(event('a', uid, 'Planned'), OPERATOR_USER);
    story.put(event('b', uid, 'Ready'), OPERATOR_USER);
    story.put(event('a', uid, 'Planned', { series: { count: 3 } }), OPERATOR_USER);
    expect(story.verdict()).toEqual([
      'I13 Event team-a/a: Planned was reported 3 times, and came about 1 times',
      'I13 Event team-a/b: Ready was reported 1 times, and came about 0 times',
    ]);
  });

  test('the eleventh Event within an hour is reported, spread over more than an hour it is not', () => {
    const eleven = (waitMs: number): string[] => {
      const story = new Story();
      story.put(resource());
      for (let count = 0; count < 11; count += 1) {
        const uid = flip(story, 'True', 'Planned');
        story.put(event(`event-${count}`, uid, 'Planned'), OPERATOR_USER);
        flip(story, 'False', 'NoFittingGpu');
        story.wait(waitMs, { operatorLives: false });
        // Something happens, or the next flip would be without a cause.
        story.put(resource({ spec: { replicas: count + 2 } }));
      }
      return story.verdict();
    };
    expect(eleven(0)).toContain(
      'I13 QwenCoderDeployment team-a/coder: the operator made 11 Events about it within an hour, more than 10',
    );
    expect(eleven(600_000)).toEqual([]);
  });
});
