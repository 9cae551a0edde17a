import { describe, expect, test } from 'vitest';
import { saltOf } from '../../../src/gateway/routing/rendezvous.ts';
import { SentBlocks } from '../../../src/gateway/routing/sent-blocks.ts';

const a = { salt: saltOf('a') };
const b = { salt: saltOf('b') };
const chain = (from: number, length: number): number[] =>
  Array.from({ length }, (_, index) => (from + index) * 1_000_003_001 + 17);

describe('SentBlocks', () => {
  test('a replica holds the part of a chain that was sent to it', () => {
    const sent = new SentBlocks(1024, 100);
    sent.add(chain(0, 10), a, 0);
    expect(sent.held([...chain(0, 10), ...chain(500, 5)], a)).toBe(10);
    expect(sent.held([...chain(0, 4), ...chain(500, 5)], a)).toBe(4);
    expect(sent.held(chain(0, 10), b)).toBe(0);
  });

  test('is forgotten when the replica got as much as its cache holds, and not before', () => {
    const sent = new SentBlocks(4096, 80);
    sent.add(chain(0, 10), a, 0);
    let at = 0;
    for (let from = 100; from < 160; from += 10) sent.add(chain(from, 10), a, (at += 1000));
    expect(sent.held(chain(0, 10), a)).toBe(10);
    for (let from = 160; from < 200; from += 10) sent.add(chain(from, 10), a, (at += 1000));
    expect(sent.held(chain(0, 10), a)).toBe(0);
    expect(sent.held(chain(190, 10), a)).toBe(10);
  });

  test('what is sent again stays, and fills nothing', () => {
    const sent = new SentBlocks(4096, 80);
    for (let at = 0; at < 100; at += 1) {
      sent.add(chain(0, 10), a, at * 1000);
      sent.add(chain(1000 + at * 4, 4), a, at * 1000);
    }
    expect(sent.held(chain(0, 10), a)).toBe(10);
    expect(sent.held(chain(1000, 4), a)).toBe(0);
  });

  test('a full table keeps what was sent last', () => {
    const sent = new SentBlocks(64, 10_000);
    for (let at = 0; at < 200; at += 1) sent.add(chain(at * 10, 8), a, at * 1000);
    expect(sent.held(chain(1990, 8), a)).toBe(8);
    expect(sent.held(chain(0, 8), a)).toBe(0);
  });
});
