import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  ApiError,
  ConnectionError,
  Informer,
  type InformerOptions,
  type Pod,
  Pods,
  type WatchEvent,
} from '../../src/kube/index.ts';
import { ManualClock, settle } from '../support/manual-clock.ts';
import { podJson } from '../support/scripted-api-server.ts';

type Client = InformerOptions<Pod, Pod>['client'];
type Event = WatchEvent<Pod>;

interface Revision {
  readonly version: number;
  readonly name: string;
  readonly before: Pod | undefined;
  readonly after: Pod | undefined;
}

const SELECTED = 'app=x';
const matches = (pod: Pod | undefined): pod is Pod => pod?.metadata?.labels?.['app'] === 'x';
const versionOf = (pod: Pod) => Number(pod.metadata?.resourceVersion);

/**
 * A server in memory: etcd's history, lists that are snapshots, watches that replay it. Nothing leaves it until `deliver`, so that
 * every interleaving of writes and news can be played.
 */
class ModelServer {
  readonly clock = new ManualClock();
  readonly #history: Revision[] = [];
  #version = 98;
  #compactedBelow = 0;
  #uids = 0;
  /** Whatever can come next, in order, each from another stream or call. */
  readonly #outbox: Outlet[] = [];
  refusesInitialEvents = false;
  /** The next snapshot is this many versions old. */
  lag = 0;

  get client(): Client {
    return { clock: this.clock, listPage: this.#listPage, watch: this.#watch } as unknown as Client;
  }

  state(at = this.#version): Map<string, Pod> {
    const state = new Map<string, Pod>();
    for (const { version, name, after } of this.#history) {
      if (version > at) break;
      if (after) state.set(name, after);
      else state.delete(name);
    }
    return state;
  }

  /** Creates or changes an object; `selected` says whether the informer's selector matches it then. */
  write(name: string, selected: boolean): Pod {
    const before = this.state().get(name);
    this.#version += 1;
    const after = podJson(name, this.#version, {
      uid: before?.metadata?.uid ?? `uid-${(this.#uids += 1)}`,
      labels: { app: selected ? 'x' : 'y' },
    });
    this.#history.push({ version: this.#version, name, before, after });
    return after;
  }

  delete(name: string): Pod | undefined {
    const before = this.state().get(name);
    if (!before) return undefined;
    this.#version += 1;
    this.#history.push({ version: this.#version, name, before, after: undefined });
    return before;
  }

  /** Another resource was written: versions move on without an event. */
  writeElsewhere(): void {
    this.#version += 1;
  }

  compact(): void {
    this.#compactedBelow = this.#version;
  }

  /** Lets one answer or event out. */
  async deliver(index: number): Promise<void> {
    const outlet = this.#outbox[index % Math.max(1, this.#outbox.length)];
    outlet?.release();
    await settle();
  }

  async bookmark(): Promise<void> {
    for (const outlet of this.#outbox) outlet.bookmark?.();
    await settle();
  }

  async end(how: 'close' | 'reset' | 'gone'): Promise<void> {
    for (const outlet of this.#outbox.slice()) outlet.end(how);
    await settle();
  }

  /** Whether nothing waits to be let out. */
  get isDrained(): boolean {
    return this.#outbox.every((outlet) => outlet.isIdle());
  }

  #snapshotVersion(): number {
    const version = Math.max(this.#compactedBelow, this.#version - this.lag, 98);
    this.lag = 0;
    return version;
  }

  #call<T>(answer: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const remove = () => this.#outbox.splice(this.#outbox.indexOf(outlet), 1);
      const outlet: Outlet = {
        isIdle: () => false,
        release() {
          remove();
          try {
            resolve(answer());
          } catch (error) {
            reject(error);
          }
        },
        end(how) {
          remove();
          reject(failure(how));
        },
      };
      this.#outbox.push(outlet);
    });
  }

  readonly #listPage = (_: unknown, options: { pageSize?: number }, continueToken?: string) =>
    this.#call(() => {
      const [version, offset] = continueToken?.split(':').map(Number) ?? [this.#snapshotVersion(), 0];
      if (version! < this.#compactedBelow) throw failure('gone');
      const all = [...this.state(version).values()].filter(matches);
      const end = offset! + (options.pageSize ?? 500);
      return {
        items: structuredClone(all.slice(offset, end)),
        resourceVersion: String(version),
        continueToken: end < all.length ? `${version}:${end}` : undefined,
      };
    });

  readonly #watch = (_: unknown, options: { resourceVersion?: string; initialEvents?: boolean }) =>
    this.#call(() => {
      if (options.initialEvents && this.refusesInitialEvents) throw new ApiError(422, 'Invalid', 'not enabled');
      return this.#stream(options);
    });

  async *#stream({ resourceVersion }: { resourceVersion?: string }): AsyncGenerator<Event, void> {
    let cursor = resourceVersion === undefined ? this.#snapshotVersion() : Number(resourceVersion);
    if (cursor < this.#compactedBelow) throw failure('gone');
    const ready: Event[] = [];
    if (resourceVersion === undefined) {
      for (const pod of this.state(cursor).values()) if (matches(pod)) ready.push({ type: 'ADDED', object: pod });
      // The end is announced at a later version than the snapshot's, after the events between.
      const end = this.#version;
      for (const event of this.#since(cursor, end)) ready.push(event);
      cursor = end;
      ready.push({ type: 'BOOKMARK', resourceVersion: String(end), initialEventsEnd: true });
    }
    let wake = Promise.withResolvers<Event | undefined>();
    const refill = () => {
      for (const event of this.#since(cursor, this.#version)) ready.push(event);
      cursor = this.#version;
    };
    const outlet: Outlet = {
      isIdle: () => {
        refill();
        return ready.length === 0;
      },
      release: () => {
        refill();
        const event = ready.shift();
        if (event) wake.resolve(event);
      },
      bookmark: () => {
        if (ready.length > 0) return;
        refill();
        ready.push({ type: 'BOOKMARK', resourceVersion: String(cursor), initialEventsEnd: false });
      },
      end: (how) => {
        if (how === 'close') wake.resolve(undefined);
        else wake.reject(failure(how));
      },
    };
    this.#outbox.push(outlet);
    try {
      for (;;) {
        const event = await wake.promise;
        wake = Promise.withResolvers();
        if (!event) return;
        yield structuredClone(event);
      }
    } finally {
      this.#outbox.splice(this.#outbox.indexOf(outlet), 1);
    }
  }

  *#since(cursor: number, end: number): Generator<Event> {
    for (const { version, before, after } of this.#history) {
      if (version <= cursor || version > end) continue;
      if (matches(after)) yield { type: matches(before) ? 'MODIFIED' : 'ADDED', object: after };
      else if (matches(before)) yield { type: 'DELETED', object: atVersion(before, version) };
    }
  }
}

interface Outlet {
  release(): void;
  bookmark?(): void;
  end(how: 'close' | 'reset' | 'gone'): void;
  isIdle(): boolean;
}

const atVersion = (pod: Pod, version: number): Pod => ({
  ...pod,
  metadata: { ...pod.metadata, resourceVersion: String(version) },
});

const failure = (how: 'close' | 'reset' | 'gone'): Error =>
  how === 'gone' ? new ApiError(410, 'Expired', 'too old') : new ConnectionError('Lost', 'cut');

const name = fc.constantFrom('a', 'b', 'c');
const command = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('deliver' as const), index: fc.nat(3) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('write' as const), name, selected: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('delete' as const), name }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('own write' as const), name, selected: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('own delete' as const), name }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('answer' as const), index: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('bookmark' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('write elsewhere' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('compact' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('lag' as const), by: fc.integer({ min: 1, max: 5 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('end' as const),
      how: fc.constantFrom('close' as const, 'reset' as const, 'gone' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(500, 30_000) }) },
);

test('whatever order lists, events, own writes, cuts and compactions come in, the cache ends equal to the server and never goes back in time', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(command, { maxLength: 120, size: 'max' }), fc.boolean(), async (commands, refuses) => {
      const server = new ModelServer();
      server.refusesInitialEvents = refuses;
      const mirror = new Map<string, number>();
      const newest = new Map<string, number>();
      const broken: string[] = [];
      const informer = new Informer<Pod>({
        client: server.client,
        resource: Pods,
        labelSelector: SELECTED,
        pageSize: 2,
        random: () => 0.5,
        onChange: ({ type, object }) => {
          const pod = object as Pod;
          const key = pod.metadata!.name!;
          if (mirror.has(key) !== (type !== 'add')) broken.push(`${type} of ${key} does not fit what was told before`);
          if (type === 'delete') mirror.delete(key);
          else {
            if (versionOf(pod) <= (newest.get(key) ?? 0)) broken.push(`${type} of ${key} goes back in time`);
            newest.set(key, versionOf(pod));
            mirror.set(key, versionOf(pod));
          }
        },
      });
      informer.start();
      const at = (key: string) => informer.get({ namespace: 'default', name: key }) as Pod | undefined;
      const answers: (() => void)[] = [];
      await settle();
      for (const step of commands) {
        switch (step.do) {
          case 'deliver':
            await server.deliver(step.index);
            break;
          case 'write':
            server.write(step.name, step.selected);
            break;
          case 'delete':
            server.delete(step.name);
            break;
          case 'own write': {
            const written = server.write(step.name, step.selected > 0);
            answers.push(() => {
              informer.observe(structuredClone(written));
              const isCurrent = matches(written) && server.state().get(step.name) === written;
              if (isCurrent && versionOf(written) !== Number(at(step.name)?.metadata?.resourceVersion)) {
                broken.push(`${step.name} does not show its own write`);
              }
            });
            break;
          }
          case 'own delete': {
            const deleted = server.delete(step.name);
            const uid = deleted?.metadata?.uid;
            if (uid === undefined) break;
            answers.push(() => {
              informer.forget({ namespace: 'default', name: step.name }, uid);
              if (at(step.name)?.metadata?.uid === uid) broken.push(`${step.name} is still there after its own delete`);
            });
            break;
          }
          case 'answer':
            answers.splice(step.index % Math.max(1, answers.length), 1)[0]?.();
            break;
          case 'bookmark':
            await server.bookmark();
            break;
          case 'write elsewhere':
            server.writeElsewhere();
            break;
          case 'compact':
            server.compact();
            break;
          case 'lag':
            server.lag = step.by;
            break;
          case 'end':
            await server.end(step.how);
            break;
          case 'wait':
            await server.clock.advance(step.ms);
            break;
        }
        expect(broken).toEqual([]);
      }
      for (const answer of answers) answer();
      server.lag = 0;
      for (let turn = 0; turn < 200; turn += 1) {
        await server.clock.advance(30_000);
        if (server.isDrained && informer.hasSynced) {
          // A last bookmark says that nothing is missing.
          await server.bookmark();
          await server.deliver(0);
          if (server.isDrained) break;
        }
        await server.deliver(0);
      }
      expect(broken).toEqual([]);
      const truth = new Map(
        [...server.state()].filter(([, pod]) => matches(pod)).map(([key, pod]) => [key, versionOf(pod)]),
      );
      const held = new Map(informer.list().map((pod) => [pod.metadata!.name!, versionOf(pod as Pod)]));
      expect(held).toEqual(truth);
      expect(mirror).toEqual(held);
      // Ends the stream that the informer still reads.
      const stopped = informer.stop();
      await server.end('reset');
      await stopped;
    }),
    { numRuns: Number(process.env['PROPERTY_RUNS'] ?? 300) },
  );
});
