import type { History } from './history.ts';
import { LIMITS, type Limits } from './limits.ts';
import { Timeline } from './timeline.ts';
import type { Violation } from './violation.ts';
import { honestStatus } from './invariants/honest-status.ts';
import { noSecrets } from './invariants/no-secrets.ts';
import { nothingLeft } from './invariants/nothing-left.ts';
import { oneOwner } from './invariants/one-owner.ts';
import { othersFields } from './invariants/others-fields.ts';
import { quiet } from './invariants/quiet.ts';
import { sparseEvents } from './invariants/sparse-events.ts';
import { wantedStays } from './invariants/wanted-stays.ts';

export type { InvariantId, Violation } from './violation.ts';

const INVARIANTS: readonly ((timeline: Timeline, limits: Limits) => Violation[])[] = [
  oneOwner,
  wantedStays,
  othersFields,
  nothingLeft,
  honestStatus,
  quiet,
  sparseEvents,
  noSecrets,
];

/** Replays every state and every write of a history against the invariants. Pure. */
export function check(history: History, limits: Partial<Limits> = {}): Violation[] {
  const timeline = new Timeline(history);
  return INVARIANTS.flatMap((invariant) => invariant(timeline, { ...LIMITS, ...limits }));
}

/** Violations as text for people: one line each, with how often and where first. Empty when there is none. */
export function report(history: History, violations: readonly Violation[]): string {
  if (violations.length === 0) return '';
  const groups = Map.groupBy(violations, ({ invariant, object, why }) => `${invariant} ${object}: ${why}`);
  const lines = [...groups].map(([text, [first, ...more]]) => {
    const where = first!.version === undefined ? '' : ` (version ${first!.version})`;
    return `  ${text}${where}${again(more.length)}`;
  });
  const seen = `${history.versions.length} states and ${history.requests.length} requests`;
  return `${violations.length} ${violations.length === 1 ? 'violation' : 'violations'} in ${seen}:\n${lines.join('\n')}`;
}

function again(times: number): string {
  if (times === 0) return '';
  return times === 1 ? ', and once more' : `, and ${times} more times`;
}
