import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AdminApi } from './admin-api.ts';

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly 'x-kubernetes-group-version-kind'?: readonly {
    readonly group: string;
    readonly version: string;
    readonly kind: string;
  }[];
  readonly [keyword: string]: unknown;
}

interface Document {
  readonly components?: { readonly schemas?: Readonly<Record<string, Schema>> };
}

/**
 * Writes what an API server says of its kinds into a folder, as kubeconform reads it: `<kind>-<group>-<version>.json`.
 *
 * **Guarantees** a field that the API server does not know is invalid.
 */
export async function writeSchemas(api: AdminApi, folder: string): Promise<void> {
  const { paths } = await api.call<{ paths: Record<string, { serverRelativeURL: string }> }>('/openapi/v3');
  for (const { serverRelativeURL } of Object.values(paths)) {
    const { components } = await api.call<Document>(serverRelativeURL);
    const schemas = Object.fromEntries(
      Object.entries(components?.schemas ?? {}).map(([name, schema]) => [name, closed(schema)]),
    );
    for (const [name, schema] of Object.entries(schemas)) {
      const [kind, ...others] = schema['x-kubernetes-group-version-kind'] ?? [];
      // Several: options and lists that every group shares.
      if (kind === undefined || others.length > 0) continue;
      const whole = { $ref: `#/components/schemas/${name}`, components: { schemas } };
      await writeFile(join(folder, `${fileName(kind)}.json`), JSON.stringify(whole));
    }
  }
}

const fileName = ({ kind, group, version }: { kind: string; group: string; version: string }): string =>
  [kind, group.split('.')[0]!, version]
    .filter((part) => part !== '')
    .join('-')
    .toLowerCase();

/** Kinds that were defined have their fields inline, others refer to schemas of their own. */
function closed(schema: Schema): Schema {
  const { properties, items } = schema;
  const inner = {
    ...schema,
    ...(items && { items: closed(items) }),
    ...(properties && {
      properties: Object.fromEntries(Object.entries(properties).map(([name, field]) => [name, closed(field)])),
    }),
  };
  return properties === undefined || schema['x-kubernetes-preserve-unknown-fields'] === true
    ? inner
    : { ...inner, additionalProperties: false };
}
