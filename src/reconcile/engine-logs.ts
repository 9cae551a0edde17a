import type { Clock } from '../runtime/index.ts';
import { type LogFindings, readLog } from '../serving/index.ts';

/** One run of a container; `ended` counts those before it that have ended, so that pod and count name it for good. */
export interface Run {
  readonly namespace: string;
  readonly pod: string;
  readonly uid: string;
  readonly container: string;
  readonly ended: number;
  /** Whether it is over and another one has begun, or waits to. */
  readonly isPrevious: boolean;
  /** Whether it is still under way: its log is that of a start that hangs. */
  readonly isRunning: boolean;
}

export interface EngineLogsOptions {
  /** The end of the log of that very run, or undefined where there is none. */
  readonly read: (run: Run, signal: AbortSignal) => Promise<string | undefined>;
  readonly clock: Clock;
  /** Namespaces that are served; all when absent. Logs of others are never asked for. */
  readonly namespaces: readonly string[] | undefined;
  /** Told that a log came after its reconcile went on without it. */
  readonly onLate: (key: string) => void;
  readonly onFailure: (error: unknown, run: Run) => void;
}

/** A reconcile waits so long for a log: a node that answers does so in milliseconds. */
const PATIENCE_MS = 2000;
/** Reconciles that may wait at once, so that a zone of silent nodes stops no other resource. */
const MOST_WAITING = 2;
/** Findings kept; those longest unused go first. About 1 KiB each. */
const MOST_KEPT = 1000;

/** What is known of the log of a run. */
export interface LogReading {
  /** Undefined where there is no log, and where it could not be had. While it is late, what the run told before it ended. */
  readonly findings: LogFindings | undefined;
  /** Whether it still comes. */
  readonly isLate: boolean;
}

interface Entry {
  findings: LogFindings | undefined;
  readonly done: Promise<void>;
  isDone: boolean;
  readonly wasPrevious: boolean;
}

/**
 * What the logs of engines tell, read through the API server.
 *
 * **Guarantees**: the log of a run is asked for once, and once more when the run has become the previous one and no cause was found: a
 * kubelet tells of the next run later than it begins its log, and a node may not have answered. What is kept is what was found, without
 * secrets, and never the log; no call takes longer than two seconds, and of those that wait there are two at most.
 */
export class EngineLogs {
  readonly #options: EngineLogsOptions;
  readonly #entries = new Map<string, Entry>();
  #waiting = 0;

  constructor(options: EngineLogsOptions) {
    this.#options = options;
  }

  /**
   * What the log of a run tells. Where it takes too long, `key` is told when it has come.
   *
   * @param secrets Values that must not be quoted.
   */
  async read(run: Run, key: string, secrets: readonly string[], signal: AbortSignal): Promise<LogReading> {
    const { namespaces, clock } = this.#options;
    if (namespaces !== undefined && !namespaces.includes(run.namespace)) return { findings: undefined, isLate: false };
    const id = idOf(run);
    const known = this.#entries.get(id);
    const entry = known === undefined || isAnotherTry(known, run) ? this.#start(run, secrets, signal) : known;
    this.#entries.delete(id);
    this.#entries.set(id, entry);
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > MOST_KEPT) this.#entries.delete(oldest!);
    if (entry.isDone) return this.#reading(run, entry);

    if (this.#waiting < MOST_WAITING) {
      this.#waiting += 1;
      const late = Promise.withResolvers<void>();
      const cancel = clock.schedule(PATIENCE_MS, late.resolve);
      await Promise.race([entry.done, late.promise]);
      cancel();
      this.#waiting -= 1;
    }
    if (!entry.isDone) void entry.done.then(() => this.#options.onLate(key));
    return this.#reading(run, entry);
  }

  /** Of a run that has just ended the log may be that of the next one; once that has begun it is asked for as the previous log. */
  #reading({ uid, ended, isRunning }: Run, { findings, isDone, wasPrevious }: Entry): LogReading {
    const whileItRan = this.#entries.get(idOf({ uid, ended: ended - 1, isRunning: true }))?.findings;
    const isLate = !isDone || (!isRunning && !wasPrevious && isOfNext(findings, whileItRan));
    return { findings: isLate ? (whileItRan ?? findings) : findings, isLate };
  }

  #start(run: Run, secrets: readonly string[], signal: AbortSignal): Entry {
    const { read, onFailure } = this.#options;
    const entry: Entry = {
      findings: undefined,
      isDone: false,
      wasPrevious: run.isPrevious,
      done: read(run, signal)
        .then(
          (log) => {
            if (log !== undefined) entry.findings = readLog(log, secrets);
          },
          // The container's last words in the pod's status must do.
          (error: unknown) => onFailure(error, run),
        )
        .then(() => {
          entry.isDone = true;
        }),
    };
    return entry;
  }
}

/** Whether a log may be that of the run after: it has no line yet, or neither a cause nor the first answer that was told before. */
const isOfNext = (log: LogFindings | undefined, before: LogFindings | undefined): boolean =>
  log?.lastLine === undefined ||
  (before?.facts.serving !== undefined && log.facts.serving === undefined && log.cause === undefined);

const idOf = ({ uid, ended, isRunning }: Pick<Run, 'uid' | 'ended' | 'isRunning'>): string =>
  `${uid} ${ended}${isRunning ? ' running' : ''}`;

const isAnotherTry = ({ isDone, wasPrevious, findings }: Entry, { isPrevious }: Run): boolean =>
  isDone && isPrevious && !wasPrevious && findings?.cause === undefined;
