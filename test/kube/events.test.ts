import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type EventContent,
  EventRecorder,
  type EventRecorderOptions,
  type EventSeries,
  type EventStore,
} from '../../src/kube/events.ts';
import type { EventRecord } from '../../src/kube/resources.ts';
import type { ObjectKey } from '../../src/kube/wire.ts';
import { ManualClock, settle } from '../support/manual-clock.ts';

const minuteMs = 60_000;
const coder = { apiVersion: 'example.dev/v1', kind: 'Coder', namespace: 'team-a', name: 'coder', uid: 'uid-1' };
const started: EventContent = { type: 'Normal', reason: 'Started', action: 'Start', note: 'Replica 0 started' };

/** The part of an API server that keeps Events; what is stored is what a user sees. */
class Events implements EventStore {
  readonly stored = new Map<string, EventRecord>();
  isAway = false;
  writes = 0;

  async create(event: EventRecord): Promise<void> {
    this.#write();
    const { name } = event.metadata!;
    if (this.stored.has(name!)) throw new Error('409 AlreadyExists');
    this.stored.set(name!, event);
  }

  async update({ name }: ObjectKey, series: EventSeries): Promise<void> {
    this.#write();
    const event = this.stored.get(name);
    if (event === undefined) throw new Error('404 NotFound');
    this.stored.set(name, { ...event, series });
  }

  #write(): void {
    this.writes += 1;
    if (this.isAway) throw new Error('503 ServiceUnavailable');
  }

  /** `note ×count` of each Event. */
  get seen(): string[] {
    return [...this.stored.values()].map(({ note, series }) => (series ? `${note} ×${series.count}` : note!));
  }
}

function setUp(options: Partial<EventRecorderOptions> = {}) {
  const clock = new ManualClock();
  const events = new Events();
  const failures: string[] = [];
  const recorder = new EventRecorder({
    store: events,
    clock,
    controller: 'example.dev/operator',
    instance: 'pod-0',
    onFailure: (error) => failures.push(String(error)),
    ...options,
  });
  return { clock, events, failures, recorder };
}

describe('EventRecorder', () => {
  test('writes an Event of events.k8s.io/v1 with all that the API asks for', async () => {
    const { recorder, events } = setUp();
    recorder.record(coder, { ...started, related: { kind: 'Pod', name: 'coder-0', namespace: 'team-a' } });
    await settle();
    const [event] = events.stored.values();
    expect(event).toEqual({
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name: expect.stringMatching(/^coder\.[0-9a-f]{16}$/), namespace: 'team-a' },
      eventTime: '2026-01-01T00:00:00.000000Z',
      reportingController: 'example.dev/operator',
      reportingInstance: 'pod-0',
      type: 'Normal',
      reason: 'Started',
      action: 'Start',
      note: 'Replica 0 started',
      regarding: coder,
      related: { kind: 'Pod', name: 'coder-0', namespace: 'team-a' },
    });
  });

  test('an Event about a cluster-scoped object is written to the default namespace', async () => {
    const { recorder, events } = setUp();
    recorder.record({ kind: 'Node', name: 'gpu-0', uid: 'uid-2' }, started);
    await settle();
    expect([...events.stored.values()][0]!.metadata!.namespace).toBe('default');
  });

  test('a repeated Event becomes a series with a count, written at most each six minutes', async () => {
    const { recorder, events, clock } = setUp();
    for (let minute = 0; minute < 12; minute++) {
      recorder.record(coder, started);
      await clock.advance(minuteMs);
    }
    await clock.advance(10 * minuteMs);
    expect(events.seen).toEqual(['Replica 0 started ×12']);
    expect([...events.stored.values()][0]!.series!.lastObservedTime).toBe('2026-01-01T00:11:00.000000Z');
    expect(events.writes).toBe(3);
    expect(clock.pending).toBe(0);
  });

  test('the same after six minutes of silence is a new Event', async () => {
    const { recorder, events, clock } = setUp();
    recorder.record(coder, started);
    await clock.advance(6 * minuteMs);
    recorder.record(coder, started);
    await settle();
    expect(events.seen).toEqual(['Replica 0 started', 'Replica 0 started']);
  });

  test.each([
    { name: 'another object', regarding: { ...coder, uid: 'uid-2' }, content: started },
    { name: 'another type', regarding: coder, content: { ...started, type: 'Warning' as const } },
    { name: 'another reason', regarding: coder, content: { ...started, reason: 'Restarted' } },
    { name: 'another action', regarding: coder, content: { ...started, action: 'Restart' } },
    { name: 'another note', regarding: coder, content: { ...started, note: 'Replica 1 started' } },
  ])('$name makes another Event', async ({ regarding, content }) => {
    const { recorder, events } = setUp();
    recorder.record(coder, started);
    recorder.record(regarding, content);
    await settle();
    expect(events.stored.size).toBe(2);
  });

  test('at most ten Events are created about one object within any hour', async () => {
    const about = (objects: number) =>
      fc.array(fc.record({ object: fc.nat(objects), afterMs: fc.nat(5 * minuteMs) }), { maxLength: 80, size: 'max' });
    await fc.assert(
      fc.asyncProperty(about(1), async (recorded) => {
        const { recorder, events, clock } = setUp();
        let note = 0;
        for (const { object, afterMs } of recorded) {
          recorder.record({ ...coder, uid: `uid-${object}` }, { ...started, note: `note ${note++}` });
          await clock.advance(afterMs);
        }
        const tooSoon = ['uid-0', 'uid-1'].flatMap((uid) => {
          const times = [...events.stored.values()]
            .filter(({ regarding }) => regarding!.uid === uid)
            .map(({ eventTime }) => Date.parse(eventTime));
          return times.filter((time, index) => index >= 10 && time - times[index - 10]! < 60 * minuteMs);
        });
        expect(tooSoon).toEqual([]);
      }),
      { numRuns: 15 },
    );
  });

  test('what the limit drops is told, and the next hour has room again', async () => {
    const dropped: string[] = [];
    const { recorder, events, clock } = setUp({ onDropped: (_regarding, { note }) => dropped.push(note) });
    for (let i = 0; i < 12; i++) recorder.record(coder, { ...started, note: `note ${i}` });
    recorder.record({ ...coder, uid: 'uid-2' }, started);
    await settle();
    expect(dropped).toEqual(['note 10', 'note 11']);
    expect(events.stored.size).toBe(11);
    await clock.advance(60 * minuteMs);
    recorder.record(coder, { ...started, note: 'note 12' });
    await settle();
    expect(events.stored.size).toBe(12);
  });

  test('a failure to write is told, throws nothing, and the next occurrence makes the Event', async () => {
    const { recorder, events, failures, clock } = setUp();
    events.isAway = true;
    recorder.record(coder, started);
    recorder.record(coder, started);
    await settle();
    expect(failures).toEqual(['Error: 503 ServiceUnavailable']);
    expect(clock.pending).toBe(0);
    events.isAway = false;
    recorder.record(coder, started);
    await settle();
    expect(events.seen).toEqual(['Replica 0 started']);
  });

  test('a store that throws at once fails no reconcile either', async () => {
    const { recorder, failures } = setUp({
      store: {
        create: () => {
          throw new TypeError('no namespace');
        },
        update: () => Promise.reject(new Error('never')),
      },
    });
    recorder.record(coder, started);
    await settle();
    expect(failures).toEqual(['TypeError: no namespace']);
  });

  test('an Event that someone deleted is made anew with its next occurrence', async () => {
    const { recorder, events, failures, clock } = setUp();
    recorder.record(coder, started);
    await settle();
    events.stored.clear();
    recorder.record(coder, started);
    await clock.advance(6 * minuteMs);
    expect(failures).toEqual(['Error: 404 NotFound']);
    recorder.record(coder, started);
    await settle();
    expect(events.seen).toEqual(['Replica 0 started']);
  });

  test('a storm of failures makes no storm of requests', async () => {
    const { recorder, events, clock } = setUp();
    events.isAway = true;
    for (let i = 0; i < 1_000; i++) {
      recorder.record(coder, started);
      await clock.advance(100);
    }
    expect(events.writes).toBe(10);
  });

  test('stop writes the counts that wait and leaves no timer', async () => {
    const { recorder, events, clock } = setUp();
    recorder.record(coder, started);
    recorder.record(coder, started);
    recorder.record(coder, started);
    await recorder.stop();
    recorder.record(coder, started);
    expect(events.seen).toEqual(['Replica 0 started ×3']);
    expect(clock.pending).toBe(0);
  });

  test('objects beyond the limit are forgotten, the one longest not reported about first, and their counts are written', async () => {
    const { recorder, events, clock } = setUp({ maxObjects: 2 });
    const about = (uid: string) => recorder.record({ ...coder, uid, name: uid }, { ...started, note: `about ${uid}` });
    about('a');
    about('b');
    await settle();
    about('a');
    about('b');
    about('a');
    about('c');
    await settle();
    expect(events.seen).toEqual(['about a', 'about b ×2', 'about c']);
    await clock.advance(6 * minuteMs);
    expect(events.seen).toEqual(['about a ×3', 'about b ×2', 'about c']);
    expect(clock.pending).toBe(0);
  });

  test('a long note is cut to what the API takes, between characters', async () => {
    const { recorder, events } = setUp();
    recorder.record(coder, { ...started, note: 'ä'.repeat(1_000) });
    await settle();
    const { note } = [...events.stored.values()][0]!;
    expect(Buffer.byteLength(note!)).toBeLessThanOrEqual(1_024);
    expect(note).toBe(`${'ä'.repeat(510)}…`);
  });

  test('names of Events stay within what the API takes', async () => {
    const { recorder, events } = setUp();
    recorder.record({ ...coder, name: 'a'.repeat(253) }, started);
    await settle();
    expect([...events.stored.keys()][0]!.length).toBeLessThanOrEqual(253);
  });
});
