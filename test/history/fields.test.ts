import { describe, expect, test } from 'vitest';
import { ownership, showPath, valueAt } from './fields.ts';
import type { SeenObject } from './history.ts';

const service = {
  kind: 'Service',
  metadata: {
    name: 'coder',
    uid: '1',
    resourceVersion: '1',
    finalizers: ['hold'],
    annotations: { 'example.dev/note': 'kept' },
    managedFields: [
      {
        manager: 'qwen-coder-operator',
        fieldsV1: {
          'f:spec': {
            'f:selector': {},
            'f:ports': { 'k:{"port":80,"protocol":"TCP"}': { '.': {}, 'f:port': {}, 'f:targetPort': {} } },
          },
        },
      },
      {
        manager: 'someone',
        fieldsV1: {
          'f:metadata': {
            'f:annotations': { '.': {}, 'f:example.dev/note': {} },
            'f:finalizers': { '.': {}, 'v:"hold"': {}, 'v:"gone"': {} },
          },
        },
      },
    ],
  },
  spec: {
    selector: { app: 'coder' },
    ports: [
      { port: 81, protocol: 'TCP', targetPort: 'other' },
      { port: 80, protocol: 'TCP', targetPort: 'http' },
    ],
  },
} as unknown as SeenObject;

describe('ownership', () => {
  test('finds every leaf and its value, in maps, lists with keys and sets', () => {
    const { operators, others } = ownership(service);
    const values = (paths: Iterable<readonly string[]>) =>
      Object.fromEntries([...paths].map((path) => [showPath(path), valueAt(service, path)]));
    expect(values(operators.values())).toEqual({
      '.spec.selector': { app: 'coder' },
      '.spec.ports[{"port":80,"protocol":"TCP"}].port': 80,
      '.spec.ports[{"port":80,"protocol":"TCP"}].targetPort': 'http',
    });
    expect(values([...others.values()].map(({ path }) => path))).toEqual({
      '.metadata.annotations.example.dev/note': 'kept',
      '.metadata.finalizers["hold"]': true,
      '.metadata.finalizers["gone"]': undefined,
    });
  });
});

describe('valueAt', () => {
  test('is undefined where the way ends early', () => {
    expect(valueAt({ spec: null }, ['f:spec', 'f:ports', 'k:{"port":80}'])).toBeUndefined();
  });
});
