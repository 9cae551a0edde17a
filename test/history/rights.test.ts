import { describe, expect, test } from 'vitest';
import type { AuditedRequest } from './history.ts';
import { rbacUsage, usedRights } from './rights.ts';

const operator = 'system:serviceaccount:system:operator';
const request = (over: Partial<AuditedRequest>): AuditedRequest => ({
  atMs: 0,
  user: operator,
  userAgent: '',
  verb: 'get',
  group: '',
  resource: 'services',
  subresource: undefined,
  namespace: 'team-a',
  name: 'coder',
  code: 200,
  ...over,
});
const rules = [
  { apiGroups: [''], resources: ['services', 'pods'], verbs: ['get', 'patch'] },
  { apiGroups: ['apps'], resources: ['deployments/status'], verbs: ['patch'] },
  { apiGroups: [''], resources: ['services'], verbs: ['create'] },
];
const unused = (...requests: Partial<AuditedRequest>[]): string[] =>
  rbacUsage(usedRights({ operator, requests: requests.map(request) }), rules);

describe('rbacUsage', () => {
  test('names every right that was given and not used', () => {
    expect(unused({}, { verb: 'patch', resource: 'pods' })).toEqual([
      'patch services',
      'get pods',
      'patch apps/deployments/status',
      'create services',
    ]);
  });

  test('tells a subresource from its resource', () => {
    const deployments = { verb: 'patch', group: 'apps', resource: 'deployments' };
    expect(unused(deployments)).toContain('patch apps/deployments/status');
    expect(unused({ ...deployments, subresource: 'status' })).not.toContain('patch apps/deployments/status');
  });

  test('counts an apply that made its object as a create too', () => {
    expect(unused({ verb: 'patch', code: 200 })).toContain('create services');
    expect(unused({ verb: 'patch', code: 201 })).not.toContain('create services');
  });

  test('counts neither what others did nor what was forbidden', () => {
    expect(unused({ user: 'admin' }, { code: 403 })).toContain('get services');
    expect(unused({ code: 404 })).not.toContain('get services');
  });
});
