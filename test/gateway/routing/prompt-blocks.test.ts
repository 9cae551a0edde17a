import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BlockHashes } from '../../../src/gateway/routing/block-hashes.ts';
import { promptBlocks, tokensOfBlock, type PromptKind } from '../../../src/gateway/routing/index.ts';

const CACHE_BLOCK = 16;
/** Characters of a block of 16 tokens. */
const UNITS = 80;

const blocksOf = (body: unknown, kind: PromptKind = 'chat') => promptBlocks(body, kind, CACHE_BLOCK).blocks;

const common = (one: readonly number[], other: readonly number[]): number => {
  let length = 0;
  while (length < one.length && one[length] === other[length]) length += 1;
  return length;
};

const LONG = 'You write code in the repository of the payment service. '.repeat(20);
const tool = (name: string) => ({
  type: 'function',
  function: {
    name,
    description: `${name} does what it says. `.repeat(20),
    parameters: { type: 'object', properties: { path: { type: 'string' }, line: { type: 'integer' } } },
  },
});
/** Longer than the model's context. */
const TOO_LONG = 'x'.repeat(4_000_000);
const messages = [
  { role: 'system', content: LONG },
  { role: 'user', content: `Fix the test. ${'It fails on Tuesdays. '.repeat(40)}` },
];

/** The same value with the keys of its objects the other way round. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, inner]) => [key, reversed(inner)]),
  );
}

const fail = (why: string): never => {
  throw new Error(why);
};

describe('promptBlocks', () => {
  test('is independent of the order of keys', () => {
    const body = { model: 'm', tools: [tool('read'), tool('write')], messages };
    expect(blocksOf(reversed(body))).toEqual(blocksOf(body));
  });

  test('a conversation that grows keeps its blocks and gets more', () => {
    const answer = { role: 'assistant', content: 'It is the clock. '.repeat(30) };
    const before = blocksOf({ messages });
    const after = blocksOf({ messages: [...messages, answer, { role: 'user', content: 'Then mend it.' }] });
    expect(common(before, after)).toBe(before.length);
    expect(after.length).toBeGreaterThan(before.length);
  });

  test('instructions come before tools, and tools before messages', () => {
    const one = blocksOf({ messages, tools: [tool('read')] });
    const other = blocksOf({ messages, tools: [tool('write')] });
    expect(common(one, other)).toBe(Math.floor((LONG.length + 1) / UNITS));
    const third = blocksOf({
      messages: [messages[0], { role: 'user', content: 'Hello. '.repeat(90) }],
      tools: [tool('read')],
    });
    expect(common(one, third)).toBeGreaterThan(common(one, other) + 5);
  });

  test('ids of calls and marks of caches change nothing, since the model does not see them', () => {
    const turn = (id: string, mark: object) => ({
      system: [{ type: 'text', text: LONG, ...mark }],
      messages: [
        { role: 'user', content: [{ type: 'text', text: LONG, ...mark }] },
        { role: 'assistant', content: [{ type: 'tool_use', id, name: 'read', input: { path: 'a' } }] },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: id, content: [{ type: 'text', text: LONG }] }] },
      ],
    });
    const marked = turn('toolu_1', { cache_control: { type: 'ephemeral' } });
    expect(blocksOf(marked, 'messages')).toEqual(blocksOf(turn('toolu_2', {}), 'messages'));
  });

  test.each<{ name: string; kind: PromptKind; body: unknown }>([
    {
      name: 'chat',
      kind: 'chat',
      body: {
        messages: [
          { role: 'system', content: LONG },
          { role: 'user', content: LONG },
        ],
      },
    },
    {
      name: 'chat with parts',
      kind: 'chat',
      body: {
        messages: [
          { role: 'developer', content: [{ type: 'text', text: LONG }] },
          { role: 'user', content: [{ type: 'text', text: LONG }] },
        ],
      },
    },
    { name: 'messages', kind: 'messages', body: { system: LONG, messages: [{ role: 'user', content: LONG }] } },
    { name: 'responses', kind: 'responses', body: { instructions: LONG, input: LONG } },
    {
      name: 'responses with items',
      kind: 'responses',
      body: {
        instructions: LONG,
        input: [{ type: 'message', role: 'user', content: [{ type: 'input_text', text: LONG }] }],
      },
    },
  ])('the same prompt has the same blocks in every API: $name', ({ kind, body }) => {
    expect(blocksOf(body, kind)).toEqual(
      blocksOf({ system: LONG, messages: [{ role: 'user', content: LONG }] }, 'messages'),
    );
  });

  test('calls of tools and what came of them are part of the prompt', () => {
    const withCall = (path: string) => ({
      messages: [
        ...messages,
        { role: 'assistant', tool_calls: [{ id: 'x', function: { name: 'read', arguments: `{"path":"${path}"}` } }] },
        { role: 'tool', content: 'no such file '.repeat(20) },
      ],
    });
    const [one, other] = [blocksOf(withCall('a')), blocksOf(withCall('b'))];
    expect(common(one, other)).toBe(blocksOf({ messages }).length);
    expect(other.length).toBe(one.length);
    const responses = (output: string) =>
      blocksOf(
        {
          input: [
            { type: 'function_call', name: 'read', arguments: LONG },
            { type: 'function_call_output', output },
          ],
        },
        'responses',
      );
    expect(responses(LONG)).not.toEqual(responses(LONG.toUpperCase()));
  });

  test('a completion is its text, or its tokens with two units each', () => {
    expect(blocksOf({ prompt: LONG }, 'completions')).toHaveLength(Math.floor(LONG.length / UNITS));
    expect(blocksOf({ prompt: [LONG, 'another'] }, 'completions')).toEqual(blocksOf({ prompt: LONG }, 'completions'));
    const tokens = Array.from({ length: 4000 }, (_, index) => index * 37);
    expect(blocksOf({ prompt: tokens }, 'completions')).toHaveLength(8000 / UNITS);
    expect(blocksOf({ prompt: [tokens] }, 'completions')).toEqual(blocksOf({ prompt: tokens }, 'completions'));
  });

  test('of several prompts the first is hashed and all are counted, each up to the context of the model', () => {
    const list = (prompt: unknown) => promptBlocks({ prompt }, 'completions', CACHE_BLOCK);
    const tokens = Array.from({ length: 4000 }, (_, index) => index);
    expect(list([LONG, 'x'.repeat(4000), TOO_LONG])).toEqual({
      blocks: list(LONG).blocks,
      tokens: list(LONG).tokens + 1000 + 262_144,
    });
    expect(list([tokens, tokens.slice(0, 1000)])).toEqual({ blocks: list(tokens).blocks, tokens: 2000 + 500 });
    expect(list([LONG, 1, null, {}]).tokens).toBe(list(LONG).tokens);
  });

  test('what is no number in a list of tokens is taken for token 0', () => {
    const tokens = Array.from({ length: 400 }, (_, index) => index);
    const withOther = (other: unknown) => blocksOf({ prompt: tokens.with(1, other as number) }, 'completions');
    for (const other of [null, 'x', true, {}, [[]], '17']) expect(withOther(other)).toEqual(withOther(0));
  });

  test('a prompt shorter than a block has none, and tokens all the same', () => {
    expect(promptBlocks({ prompt: 'x'.repeat(UNITS - 1) }, 'completions', CACHE_BLOCK)).toEqual({
      blocks: [],
      tokens: 20,
    });
  });

  test.each<{ name: string; kind: PromptKind; body: (unread: unknown) => unknown }>([
    { name: 'of a text', kind: 'completions', body: () => ({ prompt: TOO_LONG }) },
    {
      name: 'of messages',
      kind: 'chat',
      body: (unread) => ({ messages: [{ role: 'user', content: TOO_LONG }, unread] }),
    },
    {
      name: 'of parts',
      kind: 'messages',
      body: (unread) => ({ messages: [{ role: 'user', content: [{ type: 'text', text: TOO_LONG }, unread] }] }),
    },
    {
      name: 'of calls',
      kind: 'chat',
      body: (unread) => ({ messages: [{ tool_calls: [{ function: { name: 'read', arguments: TOO_LONG } }, unread] }] }),
    },
    {
      name: 'of tools',
      kind: 'chat',
      body: (unread) => ({ tools: [{ name: 'read', description: TOO_LONG, parameters: unread }, unread], messages }),
    },
    {
      name: 'of schemas',
      kind: 'chat',
      body: (unread) => ({
        tools: [{ name: 'read', parameters: { a: { b: [TOO_LONG, unread], c: unread }, d: unread } }],
      }),
    },
    {
      name: 'of instructions',
      kind: 'responses',
      body: (unread) => ({ instructions: TOO_LONG, tools: [unread], input: [unread] }),
    },
  ])('what is behind the context of the model is neither read nor counted: $name', ({ kind, body }) => {
    const unread = new Proxy(
      { role: 'user' },
      {
        get: (target, field) => (field === 'role' ? target.role : fail('it was read')),
        ownKeys: () => fail('it was walked'),
      },
    );
    const { blocks, tokens } = promptBlocks(body(unread), kind, 544);
    expect(blocks).toHaveLength(Math.floor(262_144 / 544));
    expect(tokens).toBe(262_144);
  });

  test('an object of more keys than any schema has is taken as it stands', () => {
    const withKeys = (count: number) => ({
      tools: [
        { name: 'wide', parameters: Object.fromEntries(Array.from({ length: count }, (_, at) => [`k${at}`, 1])) },
      ],
    });
    expect(blocksOf(reversed(withKeys(1000)))).toEqual(blocksOf(withKeys(1000)));
    expect(blocksOf(reversed(withKeys(1001)))).not.toEqual(blocksOf(withKeys(1001)));
  });

  test('any JSON is taken', () => {
    const kind = fc.constantFrom<PromptKind>('chat', 'completions', 'responses', 'messages');
    const field = fc.constantFrom('messages', 'tools', 'system', 'prompt', 'input', 'instructions');
    fc.assert(
      fc.property(fc.dictionary(field, fc.jsonValue({ maxDepth: 5 })), kind, (body, of) => {
        const { blocks, tokens } = promptBlocks(body, of, CACHE_BLOCK);
        expect(blocks).toBeDefined();
        expect(tokens).toBeGreaterThanOrEqual(0);
      }),
    );
    for (const body of [undefined, null, 'text', 3, []]) expect(blocksOf(body)).toEqual([]);
  });

  test('nesting as deep as a hostile client likes is no danger to the stack', () => {
    const depth = 50_000;
    const schema = JSON.parse(`${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`) as unknown;
    const result = JSON.parse(`${'[{"type":"tool_result","content":'.repeat(depth)}""${'}]'.repeat(depth)}`) as unknown;
    const prompt = JSON.parse(`[1,${'['.repeat(depth)}${']'.repeat(depth)}]`) as unknown;
    expect(promptBlocks({ prompt }, 'completions', CACHE_BLOCK)).toEqual({ blocks: [], tokens: 1 });
    expect(
      blocksOf({ tools: [{ name: 'deep', parameters: schema }], messages: [{ role: 'user', content: result }] }),
    ).toEqual(expect.any(Array));
  });

  test('a block stands for at least the tokens of a block of the cache', () => {
    expect(tokensOfBlock(544)).toBe(680);
  });
});

describe('BlockHashes', () => {
  const hashesOf = (pieces: readonly string[]) => {
    const hashes = new BlockHashes(8, 1000);
    for (const piece of pieces) hashes.add(piece);
    return hashes.hashes;
  };

  test('equal texts have equal hashes, however they are cut into pieces', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ maxLength: 30 }), { maxLength: 8 }), (pieces) => {
        expect(hashesOf(pieces)).toEqual(hashesOf([pieces.join('')]));
      }),
    );
  });

  test('a block covers all before it: texts that differ have no hash in common from there on', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 40, maxLength: 200 }), fc.nat(), (text, where) => {
        const at = where % text.length;
        const changed = `${text.slice(0, at)}${String.fromCharCode(text.charCodeAt(at) ^ 1)}${text.slice(at + 1)}`;
        const [one, other] = [hashesOf([text]), hashesOf([changed])];
        expect(common(one, other)).toBe(Math.floor(at / 8));
        for (const hash of one.slice(Math.floor(at / 8))) expect(other).not.toContain(hash);
      }),
    );
  });

  test('a hundred thousand blocks have a hundred thousand hashes, whole numbers below 2^53', () => {
    const hashes = new BlockHashes(4, 100_000);
    for (let index = 0; index < 100_000; index += 1) hashes.add('same');
    expect(new Set(hashes.hashes).size).toBe(100_000);
    expect(hashes.hashes.every((hash) => Number.isSafeInteger(hash) && hash >= 0)).toBe(true);
  });
});
