import { describe, expect, test } from 'vitest';
import { condition, resource, slot } from '../characters.ts';
import { OPERATOR_USER, Story } from '../story.ts';

describe('I15, no secrets', () => {
  const SECRET = 'canary-0123456789';

  test('a secret is reported wherever it is shown, as it is or in base64, once for each place', () => {
    const story = new Story();
    story.hide(SECRET, 'key token of Secret team-a/hub');
    story.put(resource());
    story.log(JSON.stringify({ msg: `asked with ${SECRET}` }));
    story.log(JSON.stringify({ msg: `asked again with ${SECRET}` }));
    story.measure(`requests_total{token="${Buffer.from(SECRET).toString('base64')}"} 1`);
    story.put(
      resource({ status: { conditions: [{ ...condition('Planned', 'True', 'Planned'), message: SECRET }] } }),
      OPERATOR_USER,
    );
    story.put({ kind: 'Event', metadata: { name: 'coder.1' }, note: SECRET }, OPERATOR_USER);
    expect(story.verdict().sort()).toEqual([
      'I15 Event team-a/coder.1: it shows key token of Secret team-a/hub',
      "I15 the operator's log: it shows key token of Secret team-a/hub",
      "I15 the operator's metrics: it shows key token of Secret team-a/hub",
      'I15 the status of QwenCoderDeployment team-a/coder: it shows key token of Secret team-a/hub',
    ]);
  });

  test('a variable of the spec is where it belongs in the spec and in the pod', () => {
    const story = new Story();
    story.hide(SECRET, 'variable TOKEN of team-a/coder');
    const uid = story.put(resource({ spec: { engine: { env: [{ name: 'TOKEN', value: SECRET }] } } }));
    story.put(
      slot(0, uid, { template: { spec: { containers: [{ env: [{ name: 'TOKEN', value: SECRET }] }] } } }),
      OPERATOR_USER,
    );
    expect(story.verdict()).toEqual([]);
  });
});
