import { KIND, type QwenCoderDeployment } from '../../../src/api/index.ts';
import { type SeenObject, titleOf } from '../history.ts';
import type { Timeline } from '../timeline.ts';
import type { Violation } from '../violation.ts';

interface Place {
  readonly where: Pick<Violation, 'object' | 'version'>;
  readonly text: string;
}

/** I15: no secret value appears in the operator's logs, in Events, in a status or in metrics; neither as it is nor in base64. */
export function noSecrets({ history, versions }: Timeline): Violation[] {
  const places: Place[] = [
    ...history.logs.map((text) => ({ where: { object: "the operator's log" }, text })),
    ...history.metrics.map((text) => ({ where: { object: "the operator's metrics" }, text })),
    ...versions.flatMap(({ object }) => shownBy(object)),
  ];
  return history.canaries.flatMap(({ value, from }) => {
    const spellings = [value, Buffer.from(value).toString('base64')];
    const showing = places.filter(({ text }) => spellings.some((spelling) => text.includes(spelling)));
    const firsts = new Map(showing.toReversed().map(({ where }) => [where.object, where]));
    return [...firsts.values()].map((where) => ({ invariant: 'I15' as const, ...where, why: `it shows ${from}` }));
  });
}

/** What everybody who may look at resources and Events can read. */
function shownBy(object: SeenObject): Place[] {
  const { resourceVersion: version } = object.metadata;
  if (object.kind === 'Event') return [{ where: { object: titleOf(object), version }, text: JSON.stringify(object) }];
  const { status } = object as unknown as QwenCoderDeployment;
  if (object.kind !== KIND || status === undefined) return [];
  return [{ where: { object: `the status of ${titleOf(object)}`, version }, text: JSON.stringify(status) }];
}
