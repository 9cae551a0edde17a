import { describe, expect, test } from 'vitest';
import type { KubeObject } from '../../src/kube/index.ts';
import { diff } from '../../src/reconcile/diff.ts';
import { abridged } from '../../src/reconcile/live-child.ts';
import { APPLIED, COMPONENT } from '../../src/render/index.ts';
import { owner } from '../support/builders.ts';

const ours = [
  {
    apiVersion: 'qwencoder.dev/v1alpha1',
    kind: 'QwenCoderDeployment',
    name: 'coder',
    uid: 'uid-coder',
    controller: true,
  },
];
const object = (kind: string, name: string, more: object = {}, metadata: object = {}): KubeObject => ({
  kind,
  metadata: {
    name,
    namespace: 'team-a',
    annotations: { [APPLIED]: 'digest' },
    ownerReferences: ours,
    ...metadata,
  },
  ...more,
});
const run = (desired: KubeObject[], live: KubeObject[], keepWeights = false) =>
  diff(owner(), desired, live, { keepWeights }).actions.map(
    (action) => `${action.do} ${action.object.kind}/${action.object.metadata!.name}: ${action.reason}`,
  );

describe('diff', () => {
  test('nothing is written when nothing differs', () => {
    expect(
      run([object('Service', 'coder', { spec: { a: 1 } })], [object('Service', 'coder', { spec: { a: 1, b: 2 } })]),
    ).toEqual([]);
  });

  test('what is missing is created in the desired order, what is left over goes last', () => {
    const desired = [object('ServiceAccount', 'a'), object('Deployment', 'b')];
    expect(run(desired, [object('Deployment', 'c')])).toEqual([
      'create ServiceAccount/a: it does not exist',
      'create Deployment/b: it does not exist',
      'delete Deployment/c: it is no longer wanted',
    ]);
  });

  test('an edit by someone else is taken back', () => {
    expect(
      run(
        [object('Service', 'coder', { spec: { type: 'ClusterIP' } })],
        [object('Service', 'coder', { spec: { type: 'NodePort' } })],
      ),
    ).toEqual(['apply Service/coder: .spec.type differs']);
  });

  test('a field that is no longer rendered is noticed by the digest of the rendering', () => {
    const stamp = (digest: string) => ({ annotations: { 'qwencoder.dev/applied': digest } });
    expect(
      run(
        [object('Service', 'coder', {}, stamp('b'))],
        [object('Service', 'coder', { spec: { extra: 1 } }, stamp('a'))],
      ),
    ).toEqual(['apply Service/coder: its rendering changed']);
  });

  test('a child that was found to hold a rendering holds it until it changes, and no other', () => {
    const desired = object('Service', 'coder', { spec: { type: 'ClusterIP' } });
    const { actions, matches } = diff(owner(), [desired], [desired], { keepWeights: false });
    expect([actions, matches]).toEqual([[], [desired]]);

    const known = abridged(desired);
    expect(known).not.toHaveProperty('spec');
    expect(diff(owner(), [desired], [known], { keepWeights: false })).toEqual({ actions: [], matches: [] });

    const changed = object(
      'Service',
      'coder',
      { spec: { type: 'ClusterIP' } },
      { annotations: { [APPLIED]: 'other' } },
    );
    expect(run([changed], [known])).toEqual(['apply Service/coder: its rendering changed']);
  });

  test('an object that the resource does not control is never deleted', () => {
    expect(run([], [object('Service', 'other', {}, { ownerReferences: [] })])).toEqual([]);
  });

  test('an object on its way out is neither applied nor deleted again', () => {
    const leaving = object('Deployment', 'a', { spec: { b: 1 } }, { deletionTimestamp: '2026-01-01T00:00:00Z' });
    expect(run([object('Deployment', 'a', { spec: { b: 2 } })], [leaving])).toEqual([]);
    expect(run([], [leaving])).toEqual([]);
  });

  test('weights that an older revision may read are kept while asked for', () => {
    const labels = { [COMPONENT]: 'weights' };
    const weights = [object('PersistentVolumeClaim', 'w', {}, { labels }), object('Job', 'w', {}, { labels })];
    expect(run([], weights, true)).toEqual([]);
    expect(run([], weights, false)).toHaveLength(2);
  });

  test('a Job is never changed: a new content has a new name', () => {
    expect(
      run([object('Job', 'w', { spec: { backoffLimit: 6 } })], [object('Job', 'w', { spec: { backoffLimit: 1 } })]),
    ).toEqual([]);
  });
});
