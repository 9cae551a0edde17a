import { canonicalJson } from '../../../src/render/digest.ts';
import { type Ownership, ownership, showPath, valueAt } from '../fields.ts';
import type { Version } from '../history.ts';
import type { Timeline } from '../timeline.ts';
import { type Violation, violation } from '../violation.ts';
import { operatorVersions } from '../writes.ts';

/**
 * I9: a write of the operator changes no field that somebody else owns, and takes none over. A field that was the operator's before
 * somebody took it is the operator's to take back.
 */
export function othersFields(timeline: Timeline): Violation[] {
  const made = Map.groupBy(operatorVersions(timeline).made, ({ life }) => life);
  return [...made].flatMap(([life, writes]) => {
    const isMade = new Set(writes.map(({ after }) => after));
    const everOurs = new Set<string>();
    const violations: Violation[] = [];
    let before: { readonly version: Version; readonly owned: Ownership } | undefined;
    for (const version of life.versions) {
      const owned = ownership(version.object);
      if (before && isMade.has(version))
        violations.push(...disturbed(before.version, version, before.owned, owned, everOurs));
      for (const key of owned.operators.keys()) everOurs.add(key);
      before = { version, owned };
    }
    return violations;
  });
}

function disturbed(
  before: Version,
  after: Version,
  was: Ownership,
  is: Ownership,
  everOurs: ReadonlySet<string>,
): Violation[] {
  return [...was.others].flatMap(([key, { path, manager }]) => {
    if (everOurs.has(key)) return [];
    const [old, fresh] = [before, after].map(({ object }) => canonicalJson([valueAt(object, path)]).slice(1, -1));
    const field = `${showPath(path)} of ${manager}`;
    if (old !== fresh) return [violation('I9', after.object, `the operator changed ${field} from ${old} to ${fresh}`)];
    return is.operators.has(key) ? [violation('I9', after.object, `the operator took ${field} over`)] : [];
  });
}
