import type { History } from './history.ts';

/** A leader renews its Lease every two seconds, jittered: where it was silent for longer than this, there was none. */
const DEAD_AFTER_MS = 5_000;

/** A clock that runs only while an operator is alive, by the requests that it makes: wall time → milliseconds lived until then. */
export function aliveClock({ requests, operator }: History): (atMs: number) => number {
  const signs = requests
    .filter(({ user }) => user === operator)
    .map(({ atMs }) => atMs)
    .sort((a, b) => a - b);
  const lived = [0];
  for (let index = 1; index < signs.length; index += 1) {
    const gapMs = signs[index]! - signs[index - 1]!;
    lived.push(lived[index - 1]! + (gapMs > DEAD_AFTER_MS ? 0 : gapMs));
  }
  return (atMs) => {
    const next = upperBound(signs, atMs);
    if (next === 0) return 0;
    const last = next - 1;
    // Between two signs of a living operator time runs; it stands still where the next sign is far or missing.
    const runs = next < signs.length && lived[next]! > lived[last]!;
    return lived[last]! + (runs ? atMs - signs[last]! : 0);
  };
}

/** Index of the first element above the value. */
function upperBound(sorted: readonly number[], value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}
