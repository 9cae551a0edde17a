import { describe, expect, test } from 'vitest';
import { parseApiKeys, presentedKey } from '../../src/gateway/api-keys.ts';

const WRONG_LINE =
  'line 1 is neither "name: key", with a blank behind the colon, nor a key alone, without blank and colon';

describe('keys of a file', () => {
  test('are one a line, with a name or called by their line', () => {
    const keys = parseApiKeys('# team a\nalice: sk-alice-0123456789\n\nsk-0123456789abcdef\r\n');
    expect(keys.names).toEqual(['alice', 'key-4']);
    expect(keys.holder('sk-alice-0123456789')).toBe('alice');
    expect(keys.holder('sk-0123456789abcdef')).toBe('key-4');
    for (const wrong of ['', 'alice', 'sk-alice-012345678', 'sk-alice-0123456789 ', 'alice: sk-alice-0123456789'])
      expect(keys.holder(wrong)).toBeUndefined();
  });

  test('may have colons where they have a name', () => {
    expect(parseApiKeys('alice: sk:0123456789:abcdef').holder('sk:0123456789:abcdef')).toBe('alice');
  });

  test.each([
    ['', 'there is no key in it; write one a line, as "name: key"'],
    ['# nothing\n', 'there is no key in it; write one a line, as "name: key"'],
    ['alice: sk-short', 'the key alice has less than 16 characters; make a longer one'],
    ['a: sk-0123456789abcdef\na: sk-1123456789abcdef', 'the name a stands twice'],
    ['two words and more of it', WRONG_LINE],
    ['alice:sk-0123456789abcdef', WRONG_LINE],
    [':sk-0123456789abcdef', WRONG_LINE],
    ['sk-0123456789abcdef:', WRONG_LINE],
    ['alice : sk-0123456789abcdef', WRONG_LINE],
    ['-alice: sk-0123456789abcdef', WRONG_LINE],
  ])('%j is refused, without a word of the key', (text, error) => {
    expect(() => parseApiKeys(text)).toThrow(error);
  });
});

test.each([
  [{ authorization: 'Bearer abc' }, 'abc'],
  [{ authorization: 'bearer  abc' }, 'abc'],
  [{ 'x-api-key': 'abc' }, 'abc'],
  [{ authorization: 'Bearer abc', 'x-api-key': 'def' }, 'abc'],
  [{ authorization: 'Basic abc' }, undefined],
  [{ authorization: 'Bearer abc def' }, undefined],
  [{ authorization: 'Bearer ' }, undefined],
  [{ 'x-api-key': '' }, undefined],
  [{}, undefined],
])('the key of %j is %s', (headers, key) => {
  expect(presentedKey(headers)).toBe(key);
});
