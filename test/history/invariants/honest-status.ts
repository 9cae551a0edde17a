import type { Condition, QwenCoderDeployment } from '../../../src/api/index.ts';
import { canonicalJson } from '../../../src/render/digest.ts';
import { type Version, revisionOf } from '../history.ts';
import type { Limits } from '../limits.ts';
import { aliveClock } from '../alive.ts';
import { answers, enginesOf, missingFrom } from '../served.ts';
import { type Life, type Timeline, isLeaving } from '../timeline.ts';
import { type Violation, violation } from '../violation.ts';

const resourceOf = ({ object }: Version): QwenCoderDeployment => object as unknown as QwenCoderDeployment;

/**
 * I11: `observedGeneration`, of the status and of each condition, never decreases and never exceeds the generation; Ready is True only
 * of a generation whose spec an engine serves, and not for longer than `staleReadyMs` after the last one ceased to.
 */
export function honestStatus(timeline: Timeline, limits: Limits): Violation[] {
  const alive = aliveClock(timeline.history);
  return timeline.resources.flatMap((life) => [
    ...generations(life),
    ...claims(timeline, life, limits.reactionMs),
    ...staleReady(timeline, life, limits.staleReadyMs, alive),
  ]);
}

function generations(life: Life): Violation[] {
  const violations: Violation[] = [];
  const highest = new Map<string, number>();
  for (const version of life.versions) {
    const { metadata, status } = resourceOf(version);
    const observed = [
      { of: 'status', generation: status?.observedGeneration },
      ...(status?.conditions ?? []).map(({ type, observedGeneration }) => ({
        of: type,
        generation: observedGeneration,
      })),
    ];
    for (const { of, generation } of observed) {
      if (generation === undefined) continue;
      const before = highest.get(of) ?? 0;
      if (generation < before)
        violations.push(
          violation('I11', version.object, `observedGeneration of ${of} fell from ${before} to ${generation}`),
        );
      if (generation > (metadata.generation ?? 0)) {
        violations.push(
          violation(
            'I11',
            version.object,
            `observedGeneration of ${of} is ${generation}, of a generation ${metadata.generation}`,
          ),
        );
      }
      highest.set(of, Math.max(before, generation));
    }
  }
  return violations;
}

const readyOf = (version: Version): Condition | undefined => {
  const { metadata, status } = resourceOf(version);
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  return ready?.status === 'True' && ready.observedGeneration === metadata.generation ? ready : undefined;
};

/** Each status that says Ready of the present generation, at the moment that it was written. */
function claims(timeline: Timeline, life: Life, reactionMs: number): Violation[] {
  return life.versions.flatMap((version, index) => {
    const before = life.versions[index - 1];
    const isSame =
      before && canonicalJson(resourceOf(before).status ?? null) === canonicalJson(resourceOf(version).status ?? null);
    if (version.type === 'DELETED' || isSame || readyOf(version) === undefined) return [];
    const why = whyNotServed(timeline, version, reactionMs);
    return why === undefined ? [] : [violation('I11', version.object, `Ready is True, but ${why}`)];
  });
}

function whyNotServed(timeline: Timeline, version: Version, reactionMs: number): string | undefined {
  const resource = resourceOf(version);
  if (resource.spec.suspend) return 'spec.suspend is true';
  const seen = (lives: readonly Life[]) =>
    lives
      .flatMap((life) => life.between(version.atMs - reactionMs, revisionOf(version)))
      .filter(({ type, object }) => type !== 'DELETED' && !isLeaving(object));
  const { namespace, name } = resource.metadata;
  const services = seen(timeline.livesOf('Service', namespace));
  if (!services.some(({ object }) => object.metadata.name === name)) return 'its Service does not exist';
  const ready = seen(enginesOf(timeline, resource)).filter(({ object }) => answers(object));
  if (ready.length === 0) return 'no engine is ready';
  const missing = ready.map(({ object }) => missingFrom(object, resource));
  return missing.includes(undefined)
    ? undefined
    : `of ready engines the last lacks something of the spec: ${missing.at(-1)}`;
}

/** Stretches of Ready without a single engine that answers, as long as the operator lives to see them. */
function staleReady(
  timeline: Timeline,
  life: Life,
  staleReadyMs: number,
  alive: (atMs: number) => number,
): Violation[] {
  const engines = enginesOf(timeline, resourceOf(life.versions[0]!));
  const isAnswered = (revision: number) =>
    engines.some((engine) => {
      const state = engine.at(revision);
      return state !== undefined && answers(state.object);
    });
  return life.versions.flatMap((version, index) => {
    if (readyOf(version) === undefined || version.type === 'DELETED' || isLeaving(version.object)) return [];
    const untilMs = life.versions[index + 1]?.atMs ?? timeline.history.endedAtMs;
    const moments = [version, ...engines.flatMap(({ versions }) => versions)]
      .filter(({ atMs }) => atMs >= version.atMs && atMs <= untilMs)
      .sort((a, b) => revisionOf(a) - revisionOf(b));
    let longestMs = 0;
    let sinceMs: number | undefined;
    for (const moment of moments) {
      if (isAnswered(revisionOf(moment))) sinceMs = undefined;
      else sinceMs ??= moment.atMs;
      const next = moments[moments.indexOf(moment) + 1]?.atMs ?? untilMs;
      if (sinceMs !== undefined) longestMs = Math.max(longestMs, alive(next) - alive(sinceMs));
    }
    if (longestMs <= staleReadyMs) return [];
    return [violation('I11', version.object, `Ready stayed True for ${longestMs} ms without an engine that answers`)];
  });
}
