import { describe, expect, test } from 'vitest';
import { controllers, resource, condition, readyStatus, type Engine, engine, serving } from '../characters.ts';
import { OPERATOR_USER, Story } from '../story.ts';

describe('I11, an honest status', () => {
  test('an observedGeneration that falls or is ahead is reported, of the status and of each condition', () => {
    const story = new Story();
    const at = (generation: number, observedGeneration: number, ofPlanned: number) =>
      story.put(
        resource({
          metadata: { generation },
          status: { observedGeneration, conditions: [condition('Planned', 'True', 'Planned', ofPlanned)] },
        }),
        OPERATOR_USER,
        'status',
      );
    story.put(resource());
    at(2, 2, 1);
    at(2, 1, 2);
    at(2, 3, 1);
    expect(story.verdict()).toEqual([
      'I11 QwenCoderDeployment team-a/coder: observedGeneration of status fell from 2 to 1',
      'I11 QwenCoderDeployment team-a/coder: observedGeneration of status is 3, of a generation 2',
      'I11 QwenCoderDeployment team-a/coder: observedGeneration of Planned fell from 2 to 1',
    ]);
  });

  const claim = (story: Story, over: { readonly spec?: object; readonly generation?: number } = {}) => {
    const { spec = {}, generation = 1 } = over;
    story.put(resource({ spec, metadata: { generation }, status: readyStatus() }), OPERATOR_USER, 'status');
  };

  const cases: { name: string; pod: Engine; spec?: object; why: string }[] = [
    { name: 'no engine is ready', pod: { ready: false }, why: 'no engine is ready' },
    {
      name: 'the engine is of another revision',
      pod: { revision: 'bbbb' },
      why: 'of ready engines the last lacks something of the spec: it is of revision bbbb, not coder-aaaa',
    },
    {
      name: 'the engine lacks what the spec says',
      pod: {},
      spec: { context: { maxModelLen: 8192 } },
      why: 'of ready engines the last lacks something of the spec: its arguments lack --max-model-len=8192',
    },
    { name: 'the resource is suspended', pod: {}, spec: { suspend: true }, why: 'spec.suspend is true' },
  ];
  test.each(cases)('Ready is reported when $name', ({ pod, spec, why }) => {
    const story = new Story();
    serving(story, pod);
    claim(story, spec ? { spec } : {});
    expect(story.verdict()).toEqual([`I11 QwenCoderDeployment team-a/coder: Ready is True, but ${why}`]);
  });

  test('Ready of an older generation is no claim about this one', () => {
    const story = new Story();
    serving(story, { ready: false });
    claim(story, { generation: 2 });
    expect(story.verdict()).toEqual([]);
  });

  test('an engine that was ready a moment before was ready when the operator looked', () => {
    const story = new Story();
    const { replicas } = serving(story);
    story.put(engine(replicas, { ready: false }), controllers);
    claim(story);
    expect(story.verdict()).toEqual([]);
  });

  test('Ready that stays without an engine is reported, unless nobody was there to see', () => {
    const stays = (operatorLives: boolean): string[] => {
      const story = new Story();
      const { replicas } = serving(story);
      claim(story);
      story.put(engine(replicas, { ready: false }), controllers);
      return story.wait(20_000, { operatorLives }).verdict();
    };
    expect(stays(true)).toEqual([
      expect.stringMatching(/^I11 .*: Ready stayed True for \d+ ms without an engine that answers$/),
    ]);
    expect(stays(false)).toEqual([]);
  });
});
