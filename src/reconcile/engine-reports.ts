import { Agent } from 'undici';
import type { KubeClient } from '../kube/index.ts';
import type { Clock } from '../runtime/index.ts';
import {
  ENGINE_PORT,
  type EngineMetrics,
  type ServedModel,
  type StartReport,
  readMetrics,
  readLog,
  readServedModels,
  startReport,
} from '../serving/index.ts';
import type { PodFacts } from './facts.ts';

/** Something that is read outside a reconcile. */
export type Reading<T> =
  /** With what was known before, so that reading it anew changes nothing that is told of it. */
  { readonly state: 'reading'; readonly last: Known<T> | undefined } | Known<T>;

/** An answer, or the reason why there is none. */
export type Known<T> =
  | { readonly state: 'read'; readonly value: T; readonly atMs: number }
  | {
      readonly state: 'failed';
      readonly message: string;
      readonly atMs: number;
      /** How often in a row. */
      readonly times: number;
    };

export interface EngineReportsOptions {
  readonly client: Pick<KubeClient, 'podLogs'>;
  /** GET of a path of an engine, with its key; fails unless it answers 200. */
  readonly get: (url: string, key: string, signal: AbortSignal) => Promise<string>;
  readonly clock: Clock;
  /** Asks for a reconcile of a resource once something was read. */
  readonly enqueue: (key: string) => void;
}

const DEADLINE_MS = 3000;
/** Engines asked at once. A thousand resources become ready together when an operator starts anew. */
const AT_ONCE = 8;
/** An engine that did not answer is asked again soon, since it may have been slow once; then after five minutes, and after twice as long each time. */
const FIRST_RETRY_MS = 10_000;
const RETRY_MS = 5 * 60_000;
const LONGEST_RETRY_MS = 60 * 60_000;

/** How long what failed so often is left alone. */
export const retryMs = (times: number): number =>
  times === 1 ? FIRST_RETRY_MS : Math.min(LONGEST_RETRY_MS, RETRY_MS * 2 ** (times - 2));
/** What vLLM says of memory stands in its first few hundred lines. */
const LOG_BYTES = 256 * 1024;

interface Entry {
  reading: Reading<unknown>;
}

/** What is known of a reading, be it from the time before. */
export const knownOf = <T>(reading: Reading<T>): Known<T> | undefined =>
  reading.state === 'reading' ? reading.last : reading;

/**
 * What engines that run tell of themselves: metrics, the models they serve, the beginning of their logs. Reading happens beside the reconciles, which get what there
 * is and are asked for again when there is more.
 *
 * **Guarantees**: no reconcile waits; one request at a time for each thing; whatever fails is an answer too.
 */
export class EngineReports {
  readonly #options: EngineReportsOptions;
  readonly #entries = new Map<string, Map<string, Entry>>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(options: EngineReportsOptions) {
    this.#options = options;
  }

  /** Metrics no older than `maxAgeMs`, asked for with the engines' key. */
  metrics(
    key: string,
    pod: PodFacts,
    engineKey: string,
    maxAgeMs: number,
    signal: AbortSignal,
  ): Reading<EngineMetrics> {
    return this.#reading(key, `metrics ${pod.metadata.uid}`, maxAgeMs, signal, async (within) =>
      readMetrics(await this.#options.get(urlOf(pod, '/metrics'), engineKey, within)),
    );
  }

  /**
   * What the run that goes on serves, asked for with the engines' key and once: it is what it was started as. An engine that was started
   * with another secret of the operator refuses.
   */
  models(key: string, pod: PodFacts, engineKey: string, signal: AbortSignal): Reading<readonly ServedModel[]> {
    return this.#reading(key, `models ${pod.metadata.uid} ${pod.restarts}`, Infinity, signal, async (within) =>
      readServedModels(await this.#options.get(urlOf(pod, '/v1/models'), engineKey, within)),
    );
  }

  /** The beginning of the log of the run that goes on. */
  start(key: string, pod: PodFacts, maxAgeMs: number, signal: AbortSignal): Reading<StartReport> {
    return this.#reading(key, `start ${pod.metadata.uid} ${pod.restarts}`, maxAgeMs, signal, async (within) => {
      const { namespace, name } = pod.metadata;
      const text = await this.#options.client.podLogs(
        { namespace: namespace!, name: name! },
        { container: 'engine', limitBytes: LOG_BYTES, signal: within, deadlineMs: DEADLINE_MS },
      );
      if (text === undefined) throw new Error('there is no log yet');
      return startReport(readLog(text));
    });
  }

  /** Drops what is known of other pods than these; of a deleted resource everything. */
  keep(key: string, pods: readonly PodFacts[]): void {
    const entries = this.#entries.get(key);
    for (const id of entries?.keys() ?? []) {
      if (!pods.some((pod) => id.split(' ')[1] === pod.metadata.uid)) entries!.delete(id);
    }
    if (entries?.size === 0) this.#entries.delete(key);
  }

  #reading<T>(
    key: string,
    id: string,
    maxAgeMs: number,
    signal: AbortSignal,
    read: (signal: AbortSignal) => Promise<T>,
  ): Reading<T> {
    const entries = this.#entries.get(key) ?? new Map<string, Entry>();
    this.#entries.set(key, entries);
    const known = entries.get(id);
    if (known && !this.#isStale(known.reading, maxAgeMs)) return known.reading as Reading<T>;
    const reading: Reading<T> = { state: 'reading', last: known && knownOf(known.reading as Reading<T>) };
    const entry: Entry = { reading };
    entries.set(id, entry);
    void this.#run(entry, signal, read).then(() => this.#options.enqueue(key));
    return reading;
  }

  #isStale(reading: Reading<unknown>, maxAgeMs: number): boolean {
    const now = this.#options.clock.monotonic();
    switch (reading.state) {
      case 'reading':
        return false;
      case 'read':
        return now - reading.atMs >= maxAgeMs;
      case 'failed':
        return now - reading.atMs >= Math.min(maxAgeMs, retryMs(reading.times));
    }
  }

  async #run<T>(entry: Entry, signal: AbortSignal, read: (signal: AbortSignal) => Promise<T>): Promise<void> {
    const { clock } = this.#options;
    if (this.#running >= AT_ONCE) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#running += 1;
    const late = new AbortController();
    const cancel = clock.schedule(DEADLINE_MS, () => late.abort(new Error(`no answer within ${DEADLINE_MS / 1000} s`)));
    try {
      const value = await read(AbortSignal.any([signal, late.signal]));
      entry.reading = { state: 'read', value, atMs: clock.monotonic() };
    } catch (error) {
      // The condition quotes it: an engine that cannot be asked is not measured.
      const last = knownOf(entry.reading);
      const times = last?.state === 'failed' ? last.times + 1 : 1;
      entry.reading = { state: 'failed', message: (error as Error).message, atMs: clock.monotonic(), times };
    } finally {
      cancel();
      this.#running -= 1;
      this.#waiting.shift()?.();
    }
  }
}

const urlOf = ({ ip = '' }: PodFacts, path: string): string => `http://${hostOf(ip)}:${ENGINE_PORT}${path}`;

/** An IPv6 address stands in brackets. */
export const hostOf = (ip: string): string => (ip.includes(':') ? `[${ip}]` : ip);

/** `/metrics` of vLLM is about 100 KiB; whatever answers in its place must not fill our memory. */
const MOST_BYTES = 4 * 1024 * 1024;

const agent = new Agent();

/** `get` over HTTP. Node's own `fetch` would be a second client in memory. */
export async function getText(url: string, key: string, signal: AbortSignal): Promise<string> {
  const { origin, pathname: path } = new URL(url);
  const headers = { authorization: `Bearer ${key}` };
  const { statusCode, body } = await agent.request({ origin, path, method: 'GET', signal, headers });
  if (statusCode !== 200) {
    await body.dump();
    throw new Error(`${path} answers ${statusCode}`);
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    size += chunk.byteLength;
    if (size > MOST_BYTES) throw new Error(`${path} answers more than ${MOST_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
