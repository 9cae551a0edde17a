import { hash } from 'node:crypto';
import type { V1ObjectReference } from '@kubernetes/client-node';
import type { Clock } from '../runtime/clock.ts';
import type { KubeClient } from './client.ts';
import { microTime } from './lease.ts';
import { type EventRecord, Events } from './resources.ts';
import type { ObjectKey, ObjectMeta, Wire } from './wire.ts';

export type ObjectReference = Wire<V1ObjectReference>;

/** Where Events are written. */
export interface EventStore {
  create(event: EventRecord): Promise<unknown>;
  /** Writes the `series` of an Event, the only part that may change; rejects if it is gone. */
  update(at: ObjectKey, series: EventSeries): Promise<unknown>;
}

/** Events on a real API server; needs the rights `create` and `patch`. */
export function eventStore(client: Pick<KubeClient, 'create' | 'patch'>): EventStore {
  return {
    create: (event) => client.create(Events, event),
    update: (at, series) => client.patch(Events, at, { type: 'merge', body: { series } }),
  };
}

export type EventSeries = NonNullable<EventRecord['series']>;

export interface EventContent {
  readonly type: 'Normal' | 'Warning';
  /** Why: a stable UpperCamel word. */
  readonly reason: string;
  /** What was done or failed: a stable UpperCamel verb. */
  readonly action: string;
  /** A sentence for people, with the numbers in it. Cut at 1,024 bytes. */
  readonly note: string;
  readonly related?: ObjectReference;
}

export interface EventRecorderOptions {
  readonly store: EventStore;
  readonly clock: Clock;
  /** Which program reports: a qualified name. */
  readonly controller: string;
  /** Which process of it. */
  readonly instance: string;
  /** Told of Events that could not be written. */
  readonly onFailure?: (error: unknown) => void;
  /** Told of Events that the limit dropped. */
  readonly onDropped?: (regarding: ObjectReference, content: EventContent) => void;
  /** Events per object within any hour. Default 10. */
  readonly perHour?: number;
  /** Objects remembered; the one longest not reported about is forgotten first. Default 1,024. */
  readonly maxObjects?: number;
}

const hourMs = 3_600_000;
/** client-go `tools/events/event_broadcaster.go`: a series that is quiet for 6 minutes has ended. Counts are written as often. */
const seriesMs = 360_000;
/** kubernetes `pkg/apis/core/validation/events.go`. */
const maxNoteBytes = 1024;

interface Series {
  /** Where its Event is; absent until the create was answered. Thousands are remembered, so nothing else is kept of it. */
  at: ObjectKey | undefined;
  count: number;
  lastAt: number;
  lastTime: string;
  cancelWrite: (() => void) | undefined;
}

interface Subject {
  /** Monotonic times of the Events created within the last hour. */
  created: number[];
  series: Map<string, Series>;
}

/**
 * Records Events of `events.k8s.io/v1` about objects, sparingly.
 *
 * **Guarantees**
 * - `record` never throws and never waits: an Event that cannot be written is reported to `onFailure` and forgotten;
 * - equal Events (object, type, reason, action, note) less than six minutes apart become one with a count, written at most each six minutes;
 * - at most `perHour` Events are created about one object within any hour;
 * - memory is bounded by `maxObjects` × `perHour` Events;
 * - after `stop` nothing is recorded and no timer keeps the process alive.
 */
export class EventRecorder {
  readonly name = 'events';
  readonly #options: EventRecorderOptions;
  readonly #clock: Clock;
  readonly #perHour: number;
  readonly #maxObjects: number;
  /** By object uid; a Map keeps the order of insertion, and each use inserts anew. */
  readonly #subjects = new Map<string, Subject>();
  readonly #writes = new Set<Promise<void>>();
  #sequence = 0;
  #isStopped = false;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#perHour = options.perHour ?? 10;
    this.#maxObjects = options.maxObjects ?? 1024;
  }

  start(): void {}

  /** Writes the counts that wait, and resolves when nothing is being written. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.#writes);
    for (const subject of this.#subjects.values()) this.#writeCounts(subject);
    await Promise.all(this.#writes);
  }

  record(regarding: ObjectReference, content: EventContent): void {
    if (this.#isStopped) return;
    const now = this.#clock.monotonic();
    const subject = this.#subject(regarding.uid ?? `${regarding.kind}/${regarding.namespace}/${regarding.name}`);
    const note = cutToBytes(content.note, maxNoteBytes);
    // Thousands are remembered, so a digest stands for the words.
    const key = digestOf(`${content.type}\n${content.reason}\n${content.action}\n${note}`);
    const series = subject.series.get(key);
    if (series && now - series.lastAt < seriesMs) {
      series.count += 1;
      series.lastAt = now;
      series.lastTime = microTime(this.#clock);
      series.cancelWrite ??= this.#clock.schedule(seriesMs, () => this.#writeCount(subject, key, series));
      return;
    }
    while (subject.created.length > 0 && now - subject.created[0]! >= hourMs) subject.created.shift();
    if (subject.created.length >= this.#perHour) {
      this.#options.onDropped?.(regarding, content);
      return;
    }
    subject.created.push(now);
    for (const [other, old] of subject.series) if (now - old.lastAt >= seriesMs) subject.series.delete(other);
    const event = this.#event(regarding, { ...content, note });
    const fresh: Series = {
      at: undefined,
      count: 1,
      lastAt: now,
      lastTime: event.eventTime,
      cancelWrite: undefined,
    };
    subject.series.set(key, fresh);
    const { namespace, name } = event.metadata;
    this.#write(subject, key, fresh, async () => {
      await this.#options.store.create(event);
      fresh.at = { namespace, name };
    });
  }

  #subject(uid: string): Subject {
    const known = this.#subjects.get(uid);
    if (known) {
      this.#subjects.delete(uid);
      this.#subjects.set(uid, known);
      return known;
    }
    if (this.#subjects.size >= this.#maxObjects) {
      const [oldest, subject] = this.#subjects.entries().next().value!;
      this.#writeCounts(subject);
      this.#subjects.delete(oldest);
    }
    const fresh: Subject = { created: [], series: new Map() };
    this.#subjects.set(uid, fresh);
    return fresh;
  }

  #writeCounts(subject: Subject): void {
    for (const [key, series] of subject.series) if (series.cancelWrite) this.#writeCount(subject, key, series);
  }

  #writeCount(subject: Subject, key: string, series: Series): void {
    series.cancelWrite?.();
    series.cancelWrite = undefined;
    const { at, count, lastTime } = series;
    if (!at) return;
    this.#write(subject, key, series, () => this.#options.store.update(at, { count, lastObservedTime: lastTime }));
  }

  #write(subject: Subject, key: string, series: Series, act: () => Promise<unknown>): void {
    const write = this.#tryWrite(subject, key, series, act);
    this.#writes.add(write);
    void write.then(() => this.#writes.delete(write));
  }

  /** A series whose Event could not be written is forgotten, so its next occurrence makes a new Event. */
  async #tryWrite(subject: Subject, key: string, series: Series, act: () => Promise<unknown>): Promise<void> {
    try {
      await act();
    } catch (error) {
      if (subject.series.get(key) === series) subject.series.delete(key);
      series.cancelWrite?.();
      this.#options.onFailure?.(error);
    }
  }

  #event(
    regarding: ObjectReference,
    content: EventContent,
  ): EventRecord & { eventTime: string; metadata: Required<Pick<ObjectMeta, 'name' | 'namespace'>> } {
    const { controller, instance } = this.#options;
    const eventTime = microTime(this.#clock);
    // Events of cluster-scoped objects live in `default`.
    const namespace = regarding.namespace || 'default';
    const unique = digestOf(`${regarding.uid}\n${instance}\n${eventTime}\n${this.#sequence++}`).slice(0, 16);
    return {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name: `${regarding.name?.slice(0, 230)}.${unique}`, namespace },
      eventTime,
      reportingController: controller,
      reportingInstance: instance.slice(0, 128),
      type: content.type,
      reason: content.reason,
      action: content.action,
      note: content.note,
      regarding,
      ...(content.related && { related: content.related }),
    };
  }
}

const digestOf = (text: string): string => hash('sha256', text);

function cutToBytes(text: string, bytes: number): string {
  if (Buffer.byteLength(text) <= bytes) return text;
  const ellipsis = '…';
  const cut = Buffer.from(text).subarray(0, bytes - Buffer.byteLength(ellipsis));
  // A character cut in two decodes to U+FFFD, which goes too.
  return `${cut.toString('utf8').replace(/\uFFFD$/, '')}${ellipsis}`;
}
