import { describe, expect, test } from 'vitest';
import { parseResource, parseSpec, Spec } from '../../src/api/index.ts';

describe('parseSpec', () => {
  test('nothing at all is the empty spec', () => {
    for (const nothing of [undefined, null, {}]) {
      expect(parseSpec(nothing)).toEqual({ ok: true, value: Spec.parse({}) });
    }
  });

  test('a null is a field that was left out', () => {
    expect(parseSpec({ model: null, context: { maxModelLen: null }, podMetadata: { labels: { a: null } } })).toEqual({
      ok: true,
      value: Spec.parse({ podMetadata: { labels: {} } }),
    });
  });

  test('every error is a sentence that begins with its field', () => {
    const spec = {
      modle: null,
      model: { source: { type: 'Hub' }, servedName: 7 },
      engine: { env: [{ name: 'A', value: '1' }, { nmae: 'B', value: '1' }, null] },
      context: { maxModelLen: 1_000_000 },
      placement: { nodeShapes: [{ product: '', memory: '80 GB', gpus: 1.5 }] },
    };
    const parsed = parseSpec(spec);
    expect(parsed.ok ? [] : parsed.errors).toMatchInlineSnapshot(`
      [
        "spec.model.source.type: Invalid discriminator value. Expected 'HuggingFace' | 'Volume' | 'Image'",
        "spec.model.servedName: Invalid input: expected string, received number",
        "spec.engine.env[1].name: Invalid input: expected string, received undefined",
        "spec.engine.env[1].nmae: no such field; remove it or correct its name",
        "spec.engine.env[2]: Invalid input: expected object, received null",
        "spec.context.maxModelLen: Too big: expected number to be <=262144",
        "spec.placement.nodeShapes[0].product: Too small: expected string to have >=1 characters",
        "spec.placement.nodeShapes[0].memory: Invalid string: must match pattern /^[0-9]+(\\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi|E|Ei)?$/",
        "spec.placement.nodeShapes[0].gpus: Invalid input: expected int, received number",
        "spec.modle: no such field; remove it or correct its name",
      ]
    `);
  });
});

describe('parseResource', () => {
  const resource = {
    apiVersion: 'qwencoder.dev/v1alpha1',
    kind: 'QwenCoderDeployment',
    metadata: { name: 'coder', namespace: 'team-a', labels: { a: 'b' } },
    spec: {},
  };

  test('takes a resource as a user writes it', () => {
    expect(parseResource(resource)).toEqual({ ok: true, value: { name: 'coder', spec: Spec.parse({}) } });
  });

  test.each(['a'.repeat(41), 'Coder', 'team.coder', '4coder', 'coder-', ''])('refuses the name "%s"', (name) => {
    const parsed = parseResource({ ...resource, metadata: { name } });
    expect(parsed).toEqual({ ok: false, errors: [expect.stringContaining('at most 40 lower case letters')] });
  });

  test('says everything that is wrong at once', () => {
    const parsed = parseResource({ ...resource, apiVersion: 'v1', spec: { replicas: -1 } });
    expect(parsed.ok ? [] : parsed.errors).toMatchInlineSnapshot(`
      [
        "apiVersion: Invalid input: expected "qwencoder.dev/v1alpha1"",
        "spec.replicas: Too small: expected number to be >=0",
      ]
    `);
  });

  test('what is no object is no resource', () => {
    for (const nothing of [undefined, null, 'coder', []]) expect(parseResource(nothing)).toMatchObject({ ok: false });
  });
});
