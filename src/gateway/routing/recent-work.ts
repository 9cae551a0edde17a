/**
 * Work that each replica was given lately, in seconds of an engine; it fades by e every `fadeMs`.
 *
 * What waits and runs says nothing where replicas are mostly idle, and says it late where a prompt is long.
 */
export class RecentWork {
  readonly #fadeMs: number;
  readonly #work = new Map<string, { seconds: number; atMs: number }>();

  constructor(fadeMs: number) {
    this.#fadeMs = fadeMs;
  }

  add(id: string, seconds: number, nowMs: number): void {
    this.#work.set(id, { seconds: this.of(id, nowMs) + seconds, atMs: nowMs });
  }

  of(id: string, nowMs: number): number {
    const work = this.#work.get(id);
    return work === undefined ? 0 : work.seconds * Math.exp((work.atMs - nowMs) / this.#fadeMs);
  }

  /** Forgets replicas that are not among these. */
  keepOnly(replicas: readonly { readonly id: string }[]): void {
    const ids = new Set(replicas.map(({ id }) => id));
    for (const id of this.#work.keys()) if (!ids.has(id)) this.#work.delete(id);
  }
}
