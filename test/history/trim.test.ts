import { describe, expect, test } from 'vitest';
import { trim } from './trim.ts';

const metadata = { namespace: 'team-a', name: 'a', uid: 'u', resourceVersion: '7' };

describe('what is kept', () => {
  test('of a Secret says whose it is, and nothing of what is in it', () => {
    const labels = { 'qwencoder.dev/resource': 'coder' };
    const managedFields = [{ manager: 'm', fieldsV1: { 'f:data': { 'f:api-key': {} } } }];
    const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': '{"stringData":{"api-key":"hidden"}}' };
    const secret = { metadata: { ...metadata, labels, annotations, managedFields }, data: { 'api-key': 'aGlkZGVu' } };
    expect(trim('Secret', secret)).toEqual({ kind: 'Secret', metadata: { ...metadata, labels, managedFields } });
  });

  test('of a quota is what it allows, and not what is used of it', () => {
    const spec = { hard: { 'requests.nvidia.com/gpu': '2' } };
    const quota = { metadata, spec, status: { used: { 'requests.nvidia.com/gpu': '1' } } };
    expect(trim('ResourceQuota', quota)).toEqual({ kind: 'ResourceQuota', metadata, spec });
  });
});
