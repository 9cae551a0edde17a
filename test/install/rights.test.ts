import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { GROUP } from '../../src/api/index.ts';
import { installation } from '../../src/install/installation.ts';
import { CHILD_KINDS } from '../../src/reconcile/apply.ts';

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
}
interface Role {
  readonly kind: 'Role' | 'ClusterRole';
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly rules: readonly Rule[];
}

const roles = (namespaces: string[]): Role[] =>
  (installation({ name: 'op', namespace: 'system', version: '1', image: 'op:1', namespaces }) as Role[]).filter(
    ({ kind }) => kind.endsWith('Role'),
  );

const modes = [
  { name: 'in the whole cluster', namespaces: [] },
  { name: 'in two namespaces', namespaces: ['team-a', 'team-b'] },
];
const READ = ['list', 'watch'];

describe.each(modes)('rights of an operator that serves $name', ({ namespaces }) => {
  const rules = roles(namespaces).flatMap((role) => role.rules);

  test('hold no wildcard', () => {
    expect(JSON.stringify(rules)).not.toContain('*');
  });

  test("make Secrets and do nothing else with them, but for the one that is the operator's own", () => {
    const secrets = rules.filter(({ resources }) => resources.includes('secrets'));
    expect(new Set(secrets.filter(({ resourceNames }) => !resourceNames).flatMap(({ verbs }) => verbs))).toEqual(
      new Set(['create']),
    );
    expect(secrets.filter(({ resourceNames }) => resourceNames)).toEqual([
      { apiGroups: [''], resources: ['secrets'], resourceNames: ['op-secret'], verbs: ['get', 'patch'] },
    ]);
  });

  test('reach no Role, and of the inside of a pod its log alone', () => {
    const resources = rules.flatMap((rule) => rule.resources);
    for (const denied of [/role/, /^pods\/(?!log$)/, /token/, /webhook/, /nodes\//])
      expect(resources.filter((resource) => denied.test(resource))).toEqual([]);
  });

  test('are none of those that lead to more rights', () => {
    expect(rules.flatMap(({ verbs }) => verbs)).not.toEqual(
      expect.arrayContaining([expect.stringMatching(/escalate|bind|impersonate|deletecollection/)]),
    );
  });

  test('change no pod and no node', () => {
    const verbs = rules
      .filter(({ resources }) => resources.some((resource) => ['pods', 'nodes'].includes(resource)))
      .flatMap((rule) => rule.verbs);
    expect(new Set(verbs)).toEqual(new Set(READ));
  });

  test('read quotas, and leave them as they are', () => {
    const quotas = rules.filter(({ resources }) => resources.includes('resourcequotas'));
    expect(new Set(quotas.flatMap(({ verbs }) => verbs))).toEqual(new Set(READ));
  });

  test('read logs, and of ConfigMaps read and fill the one that the installation made for them', () => {
    const found = (resource: string) => rules.filter(({ resources }) => resources.includes(resource));
    expect(new Set(found('pods/log').flatMap(({ verbs }) => verbs))).toEqual(new Set(['get']));
    expect(found('configmaps')).toEqual([
      { apiGroups: [''], resources: ['configmaps'], resourceNames: ['op-calibrations'], verbs: ['get', 'patch'] },
    ]);
  });

  test.each(CHILD_KINDS.map(({ group, plural }) => ({ group, plural })))(
    'cover what it does with $plural, and no more',
    ({ group, plural }) => {
      const verbs = rules
        .filter(({ apiGroups, resources }) => apiGroups.includes(group) && resources.includes(plural))
        .flatMap((rule) => rule.verbs);
      expect(new Set(verbs)).toEqual(new Set(['get', 'list', 'watch', 'create', 'patch', 'delete']));
    },
  );
});

describe('an operator that serves two namespaces', () => {
  const all = roles(['team-a', 'team-b']);

  test('may do in the whole cluster nothing but count GPUs', () => {
    expect(all.filter(({ kind }) => kind === 'ClusterRole').flatMap((role) => role.rules)).toEqual([
      { apiGroups: [''], resources: ['pods', 'nodes'], verbs: READ },
    ]);
  });

  test('has a Role in each of them, and in its own namespace one for its Lease, one for its calibrations and one for its Secret', () => {
    expect(
      all.filter(({ kind }) => kind === 'Role').map(({ metadata }) => `${metadata.namespace}/${metadata.name}`),
    ).toEqual(['team-a/op', 'team-b/op', 'system/op-lease', 'system/op-calibrations', 'system/op-secret']);
  });
});

test.each(
  roles(['team-a'])
    .flatMap(({ rules }) => rules)
    .filter(({ apiGroups }) => !apiGroups.includes(GROUP))
    .flatMap(({ resources }) => resources),
)('the README of the chart says why there is a right to %s', (resource) => {
  const readme = readFileSync(new URL('../../charts/qwen-coder-operator/README.md', import.meta.url), 'utf8');
  const [, table] = /## Rights(.*?)## Values/s.exec(readme)!;
  const rows = table!.split('\n').filter((line) => line.startsWith('|'));
  expect(rows.join('\n').toLowerCase()).toMatch(new RegExp(`\\b${resource.replace(/s$/, '')}`));
});
