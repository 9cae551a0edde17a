import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { customResourceDefinition, parseResource } from '../../src/api/index.ts';
import { MAX_CRD_BYTES, resourceSchema } from '../../src/api/crd.ts';
import type { StructuralSchema } from '../../src/api/structural.ts';

const root = new URL('../../', import.meta.url);
const crd = customResourceDefinition();

describe('the CRD', () => {
  test('is the committed file', () => {
    const file = readFileSync(new URL(`crds/${crd.metadata.name}.yaml`, root), 'utf8');
    expect(parse(file)).toEqual(JSON.parse(JSON.stringify(crd)));
  });

  test('stays small', () => {
    expect(Buffer.byteLength(JSON.stringify(crd))).toBeLessThanOrEqual(MAX_CRD_BYTES);
  });

  test('describes every field for kubectl explain', () => {
    const undescribed = [...fields(resourceSchema(), '')]
      .filter(([path, schema]) => !/^\.metadata(\.|$)/.test(path) && !schema.description)
      .map(([path]) => path);
    expect(undescribed).toEqual([]);
  });

  test('reads its columns and its scale from fields that it has', () => {
    const paths = new Set([...fields(resourceSchema(), '')].map(([path]) => path));
    const [version] = crd.spec.versions;
    const read = [
      ...version!.additionalPrinterColumns.map(({ jsonPath }) => jsonPath.replace(/\[\?[^\]]*\]/, '[]')),
      ...Object.values(version!.subresources.scale),
    ].filter((path) => path !== '.metadata.creationTimestamp');
    for (const path of read) expect(paths).toContain(path);
  });
});

describe('examples', () => {
  test.each(readdirSync(new URL('examples/', root)).filter((name) => name.endsWith('.yaml')))(
    '%s is accepted',
    (name) => {
      expect(parseResource(parse(readFileSync(new URL(`examples/${name}`, root), 'utf8')))).toMatchObject({ ok: true });
    },
  );
});

function* fields(schema: StructuralSchema, path: string): Generator<readonly [string, StructuralSchema]> {
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    yield [`${path}.${name}`, field];
    yield* fields(field, `${path}.${name}`);
  }
  if (schema.items) yield* fields(schema.items, `${path}[]`);
}
