import { expect, test } from 'vitest';
import { discoverEngines } from '../../src/gateway/engine-discovery.ts';
import type { Endpoint } from '../../src/gateway/index.ts';
import { CollectingLog } from '../runtime/collecting-log.ts';
import { ManualClock } from '../support/manual-clock.ts';

function discovery(addressesOf: () => Promise<readonly string[]>) {
  const clock = new ManualClock();
  const log = new CollectingLog();
  const stop = new AbortController();
  const told: (readonly Endpoint[])[] = [];
  const running = discoverEngines(
    { clock, log, engines: 'engines:8000', slots: 8, tell: (endpoints) => told.push(endpoints), addressesOf },
    stop.signal,
  );
  return { clock, log, stop, told, running };
}

test('engines are those that the name has, and those of last time where it cannot be resolved', async () => {
  const answers: (readonly string[] | Error)[] = [['10.0.0.2', 'fd00::1'], new Error('SERVFAIL'), []];
  const { clock, log, stop, told, running } = discovery(async () => {
    const answer = answers.shift()!;
    if (answer instanceof Error) throw answer;
    return answer;
  });
  await clock.advance(5000);
  const found = ['10.0.0.2:8000', '[fd00::1]:8000'];
  expect(told).toEqual([found.map((address) => ({ id: address, address, state: 'Ready', slots: 8 }))]);
  expect(log.lines('warn')).toEqual(['warn the name of the engines could not be resolved']);
  await clock.advance(5000);
  expect(told.slice(1)).toEqual([[]]);
  stop.abort();
  await running;
});

test('a look-up that stalls holds up no end', async () => {
  const { promise, resolve } = Promise.withResolvers<readonly string[]>();
  const { clock, log, stop, told, running } = discovery(() => promise);
  await clock.advance(60_000);
  stop.abort();
  await running;
  resolve(['10.0.0.2']);
  await clock.advance(60_000);
  expect([told, log.lines()]).toEqual([[], []]);
});
