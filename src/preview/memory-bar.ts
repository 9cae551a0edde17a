import type { MemoryReport } from './report.ts';

/** A part of a GPU's memory, in the order of the bar. */
export type Part = Exclude<keyof MemoryReport, 'total'>;
export const PARTS: readonly Part[] = ['weights', 'overhead', 'recurrentState', 'kvCache', 'free'];

/**
 * How many of `width` cells each part gets.
 *
 * Guarantees: the cells sum to `width`; a part of any size gets at least one, and one of none gets none; otherwise no part is off by more
 * than the cells that small ones were given.
 */
export function barCells(memory: MemoryReport, width: number): Record<Part, number> {
  const exact = (part: Part): number => (Math.max(0, memory[part]) / memory.total) * width;
  const cells = Object.fromEntries(
    PARTS.map((part) => [part, memory[part] > 0 ? Math.max(1, Math.floor(exact(part))) : 0]),
  ) as Record<Part, number>;
  const rest = () => width - PARTS.reduce((sum, part) => sum + cells[part], 0);
  const most = (score: (part: Part) => number): Part => PARTS.toSorted((a, b) => score(b) - score(a))[0]!;
  while (rest() > 0) cells[most((part) => exact(part) - cells[part])] += 1;
  while (rest() < 0) cells[most((part) => cells[part] - exact(part) + (cells[part] > 1 ? width : 0))] -= 1;
  return cells;
}
