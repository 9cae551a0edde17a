import { array, assert, jsonValue, property } from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SharedParts } from '../../src/kube/index.ts';

const LONG = 'a text that is long enough';

describe('parts of many objects', () => {
  test('are one where they are equal', () => {
    const parts = new SharedParts();
    const pod = (name: string) => ({ name, labels: { app: LONG }, containers: [{ image: LONG, args: [`--${LONG}`] }] });
    const [a, b] = [parts.share(pod('a')), parts.share(pod('b'))];
    expect([a.name, b.name]).toEqual(['a', 'b']);
    expect(b.labels).toBe(a.labels);
    expect(b.containers).toBe(a.containers);
  });

  test('are told apart by type, order, names and ends', () => {
    const parts = new SharedParts();
    const shared = [
      { a: 1 },
      { a: '1' },
      { a: null },
      { a: 'null' },
      [1, 2],
      [12],
      ['1', '2'],
      ['1"2'],
      { b: 1 },
      {},
      [],
    ];
    const held = parts.share(shared.map((part) => ({ part: structuredClone(part) })));
    expect(held.map(({ part }) => part)).toEqual(shared);
  });

  test('whatever comes, what is answered equals what was given, now and later', () => {
    assert(
      property(
        array(
          jsonValue({ maxDepth: 4 }).map((value) => ({ value })),
          { maxLength: 20 },
        ),
        (objects) => {
          const parts = new SharedParts(4);
          const given = objects.map((object) => JSON.stringify(object));
          const answered = objects.map((object) => parts.share(structuredClone(object)));
          expect(answered.map((object) => JSON.stringify(object))).toEqual(given);
        },
      ),
    );
  });

  test('are forgotten when they were not met for long', () => {
    const parts = new SharedParts(4);
    const first = parts.share({ labels: { app: LONG } });
    for (let other = 0; other < 10; other += 1) parts.share({ labels: { app: `${LONG} ${other}` } });
    const again = parts.share({ labels: { app: LONG } });
    expect(again).toEqual(first);
    expect(again.labels).not.toBe(first.labels);
  });
});
