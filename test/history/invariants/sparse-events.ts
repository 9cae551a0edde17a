import type { QwenCoderDeployment } from '../../../src/api/index.ts';
import type { EventRecord } from '../../../src/kube/index.ts';
import type { SeenObject } from '../history.ts';
import type { Limits } from '../limits.ts';
import type { Life, Timeline } from '../timeline.ts';
import { type Violation, violation } from '../violation.ts';

const HOUR_MS = 3_600_000;
const CONTROLLER = 'qwencoder.dev/qwen-coder-operator';

/**
 * I13: about one resource, the operator reports no more often than conditions came to another status or reason, and makes at most
 * `eventsPerHour` Events within any hour. An Event's reason is that of the condition that changed.
 */
export function sparseEvents(timeline: Timeline, { eventsPerHour }: Limits): Violation[] {
  const ours = timeline.livesOf('Event').filter(({ last }) => eventOf(last).reportingController === CONTROLLER);
  return timeline.resources.flatMap((resource) => {
    const events = ours.filter(({ last }) => eventOf(last).regarding?.uid === resource.uid);
    return [...tooOften(resource, events), ...tooMany(resource, events, eventsPerHour)];
  });
}

const eventOf = (object: SeenObject): EventRecord => object as unknown as EventRecord;

function tooOften(resource: Life, events: readonly Life[]): Violation[] {
  const changes = changesByReason(resource);
  const byReason = Map.groupBy(events, ({ last }) => eventOf(last).reason ?? '');
  return [...byReason].flatMap(([reason, group]) => {
    const reported = group.reduce((sum, { last }) => sum + (eventOf(last).series?.count ?? 1), 0);
    const changed = changes.get(reason) ?? 0;
    if (reported <= changed) return [];
    return [
      violation('I13', group.at(-1)!.last, `${reason} was reported ${reported} times, and came about ${changed} times`),
    ];
  });
}

/** How often a condition came to a status, or within it to this reason. */
function changesByReason({ versions }: Life): Map<string, number> {
  const changes = new Map<string, number>();
  let before = new Map<string, string>();
  for (const { object } of versions) {
    const conditions = (object as unknown as QwenCoderDeployment).status?.conditions ?? [];
    for (const { type, status, reason } of conditions) {
      if (before.get(type) !== `${status} ${reason}`) changes.set(reason, (changes.get(reason) ?? 0) + 1);
    }
    before = new Map(conditions.map(({ type, status, reason }) => [type, `${status} ${reason}`]));
  }
  return changes;
}

function tooMany(resource: Life, events: readonly Life[], eventsPerHour: number): Violation[] {
  const times = events.map(({ versions }) => versions[0]!.atMs).sort((a, b) => a - b);
  const most = Math.max(0, ...times.map((from) => times.filter((at) => at >= from && at - from < HOUR_MS).length));
  if (most <= eventsPerHour) return [];
  return [
    violation(
      'I13',
      resource.last,
      `the operator made ${most} Events about it within an hour, more than ${eventsPerHour}`,
    ),
  ];
}
