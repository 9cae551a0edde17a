import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { type PromptKind, sequencesOf } from '../../../src/gateway/routing/index.ts';

test.each<{ kind: PromptKind; body: unknown; sequences: number }>([
  { kind: 'chat', body: { messages: [] }, sequences: 1 },
  { kind: 'chat', body: { n: 4 }, sequences: 4 },
  { kind: 'chat', body: { n: 4, prompt: ['a', 'b'] }, sequences: 4 },
  { kind: 'completions', body: { prompt: 'a' }, sequences: 1 },
  { kind: 'completions', body: { prompt: [1, 2, 3] }, sequences: 1 },
  { kind: 'completions', body: { prompt: [] }, sequences: 1 },
  { kind: 'completions', body: { prompt: ['a', 'b', 'c'] }, sequences: 3 },
  { kind: 'completions', body: { prompt: [[1, 2], [3]], n: 2 }, sequences: 4 },
  { kind: 'messages', body: { n: 4 }, sequences: 1 },
  { kind: 'responses', body: { n: 4, prompt: ['a', 'b'] }, sequences: 1 },
])('$kind $body is answered by $sequences sequences', ({ kind, body, sequences }) => {
  expect(sequencesOf(body, kind)).toBe(sequences);
});

test.each([0, -1, 1.5, NaN, Infinity, 1e300, '2', null, [2], {}])('an n of %j counts as 1', (n) => {
  expect(sequencesOf({ n }, 'chat')).toBe(1);
});

test('whatever the body, there is a whole number of sequences, and at least one', () => {
  const kind = fc.constantFrom<PromptKind>('chat', 'completions', 'responses', 'messages');
  const body = fc.oneof(fc.jsonValue(), fc.record({ n: fc.jsonValue(), prompt: fc.jsonValue() }));
  fc.assert(
    fc.property(body, kind, (given, of) => {
      const sequences = sequencesOf(given, of);
      expect(Number.isInteger(sequences) && sequences >= 1).toBe(true);
    }),
  );
});
