import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EventCutter, comment, withoutUsage } from '../../src/gateway/event-stream.ts';

const event = fc.string().map((text) => `data: ${JSON.stringify(text)}\n\n`);

describe('a stream that is cut at its events', () => {
  test('is the same bytes, and between chunks always at the end of an event', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 20 }), fc.array(fc.nat(400)), fc.boolean(), (events, cuts, isWhole) => {
        const all = Buffer.from(events.join('') + (isWhole ? '' : 'data: "cut'));
        const edges = [0, ...cuts.map((cut) => cut % (all.length + 1)).toSorted((a, b) => a - b), all.length];
        const cutter = new EventCutter();
        const out: Buffer[] = [];
        for (let index = 1; index < edges.length; index += 1) {
          const chunk = cutter.push(all.subarray(edges[index - 1], edges[index]));
          if (chunk === undefined || chunk.length === 0) continue;
          expect(chunk.toString().endsWith('\n\n')).toBe(true);
          out.push(chunk);
        }
        const rest = cutter.end();
        expect(Buffer.concat(rest ? [...out, rest] : out).equals(all)).toBe(true);
      }),
    );
  });

  test('is not copied while whole events come', () => {
    const chunk = Buffer.from('data: 1\n\ndata: 2\n\n');
    expect(new EventCutter().push(chunk)).toBe(chunk);
  });

  test('an event without an end is passed on in pieces', () => {
    const cutter = new EventCutter(10);
    expect(cutter.push(Buffer.from('data: 12'))).toBeUndefined();
    expect(cutter.push(Buffer.from('3456'))?.toString()).toBe('data: 123456');
  });
});

describe('without the usage', () => {
  const usage = 'data: {"id":"a","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n';
  const token = 'data: {"id":"a","choices":[{"delta":{"content":"b"}}]}\n\n';
  const strip = (text: string) => withoutUsage(Buffer.from(text)).toString();

  test('a stream lacks that event, and nothing else', () => {
    expect(strip(`${token}${usage}data: [DONE]\n\n`)).toBe(`${token}data: [DONE]\n\n`);
    expect(strip(usage)).toBe('');
    expect(strip(token)).toBe(token);
  });

  test('text that looks like it stays', () => {
    const quoting = `data: {"choices":[{"delta":{"content":${JSON.stringify('"choices":[],"usage":{')}}}]}\n\n`;
    expect(strip(quoting)).toBe(quoting);
    const first = 'data: {"choices":[],"prompt_filter_results":[]}\n\n';
    expect(strip(first)).toBe(first);
  });
});

test('a comment is one line', () => {
  expect(comment('a\r\ndata: {}\n\nb')).toBe(': a data: {} b\n\n');
});
