import { type Clock, sleepOn } from '../../src/runtime/clock.ts';

/** A clock that stands still until told to advance. Timers fire in order of their due time, then of their making. */
export class ManualClock implements Clock {
  #elapsedMs = 0;
  #wallMs: number;
  #timers: { due: number; order: number; callback: () => void }[] = [];
  #order = 0;

  constructor(wallMs = Date.parse('2026-01-01T00:00:00Z')) {
    this.#wallMs = wallMs;
  }

  now(): number {
    return this.#wallMs + this.#elapsedMs;
  }

  monotonic(): number {
    return this.#elapsedMs;
  }

  schedule(ms: number, callback: () => void): () => void {
    const timer = { due: this.#elapsedMs + Math.max(0, ms), order: this.#order++, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return sleepOn(this, ms, signal);
  }

  /** How many timers wait. */
  get pending(): number {
    return this.#timers.length;
  }

  /** Moves wall time alone, as an operator's NTP jump does. */
  jumpWall(ms: number): void {
    this.#wallMs += ms;
  }

  /** Advances by `ms`, firing what falls due and letting promises settle after each timer. */
  async advance(ms: number): Promise<void> {
    const end = this.#elapsedMs + ms;
    await settle();
    for (;;) {
      const next = this.#timers
        .filter((timer) => timer.due <= end)
        .sort((a, b) => a.due - b.due || a.order - b.order)[0];
      if (!next) break;
      this.#timers = this.#timers.filter((timer) => timer !== next);
      this.#elapsedMs = Math.max(this.#elapsedMs, next.due);
      next.callback();
      await settle();
    }
    this.#elapsedMs = end;
    await settle();
  }
}

/** Lets every promise that can settle without time or I/O do so. */
export async function settle(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
}
