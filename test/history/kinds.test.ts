import { describe, expect, test } from 'vitest';
import * as table from '../../src/kube/resources.ts';
import { rbac } from '../../src/install/rbac.ts';
import { AUDIT_RULES } from './audit-log.ts';
import { RECORDED } from './kinds.ts';
import { type Rule, grantedRights } from './rights.ts';

/** `verb group/plural`, of every right that an installation gives to the operator. */
const granted = grantedRights(
  (rbac('system', 'operator') as { readonly rules?: readonly Rule[] }[]).flatMap(({ rules }) => rules ?? []),
).map((right) => right.split(' ') as [verb: string, what: string]);

const nameOf = ({ group, plural }: { readonly group: string; readonly plural: string }): string =>
  group === '' ? plural : `${group}/${plural}`;

describe('the recorder', () => {
  const recorded = RECORDED.map(nameOf);

  test('watches every kind that the operator may touch', () => {
    // A log is a subresource: no object, no versions.
    const touched = granted.map(([, what]) => what.replace(/\/(status|log)$/, ''));
    expect(touched.filter((what) => !recorded.includes(what))).toEqual([]);
  });

  test('watches every kind that the client has a word for, each once', () => {
    const known = Object.values(table).filter((value) => typeof value === 'object');
    expect(recorded).toEqual(expect.arrayContaining(known.map(nameOf)));
    expect(new Set(recorded).size).toBe(recorded.length);
  });

  test('takes for absent only what a definition brings', () => {
    expect(RECORDED.filter(({ mayBeAbsent }) => mayBeAbsent).map(({ kind }) => kind)).toEqual([
      'QwenCoderDeployment',
      'HTTPRoute',
    ]);
  });
});

describe('the audit log', () => {
  const inFull = (AUDIT_RULES as readonly { level: string; resources?: { group: string; resources: string[] }[] }[])
    .filter(({ level }) => level === 'RequestResponse')
    .flatMap(({ resources = [] }) => resources)
    .flatMap(({ group, resources }) => resources.map((plural) => nameOf({ group, plural })));

  test('holds the bodies of all that the operator may write, but of Secrets and of its Lease', () => {
    const written = granted.filter(([verb]) => ['create', 'update', 'patch', 'delete'].includes(verb));
    const missing = new Set(written.map(([, what]) => what).filter((what) => !inFull.includes(what)));
    expect([...missing].sort()).toEqual(['coordination.k8s.io/leases', 'secrets']);
  });

  test('holds no body of a Secret or of a token', () => {
    expect(inFull.filter((what) => /secrets|token|\*/.test(what))).toEqual([]);
  });
});
