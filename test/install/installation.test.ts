import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import packageJson from '../../package.json' with { type: 'json' };
import { customResourceDefinition } from '../../src/api/index.ts';
import { installFiles } from '../../src/install/files.ts';
import { installation } from '../../src/install/installation.ts';
import { operatorOptions } from '../../src/options.ts';
import { toYaml } from '../../src/yaml.ts';

const root = new URL('../../', import.meta.url);
const who = {
  name: 'qwen-coder-operator',
  namespace: 'qwen-coder-system',
  version: '1.2.3',
  image: 'registry.local/qwen-coder-operator:1.2.3',
};

interface Object {
  readonly kind: string;
  readonly metadata: { readonly name: string };
}
const isCrd = ({ kind }: Object): boolean => kind === 'CustomResourceDefinition';

describe('an installation', () => {
  test.each<{ name: string; namespaces: string[] }>([
    { name: 'cluster-wide', namespaces: [] },
    { name: 'two-namespaces', namespaces: ['team-a', 'team-b'] },
  ])('$name renders as reviewed', async ({ name, namespaces }) => {
    const objects = (installation({ ...who, namespaces }) as Object[]).filter((object) => !isCrd(object));
    await expect(toYaml(objects)).toMatchFileSnapshot(`../golden/install/${name}.yaml`);
  });

  test('has the very definition of the resource', () => {
    const { metadata, ...rest } = customResourceDefinition();
    expect((installation(who) as Object[]).find(isCrd)).toEqual({
      ...JSON.parse(JSON.stringify(rest)),
      metadata: { ...metadata, labels: { ...metadata.labels, 'app.kubernetes.io/instance': who.name } },
    });
  });

  test('is probed and scraped where the operator listens', () => {
    const deployment = installation(who).find((object) => (object as Object).kind === 'Deployment');
    const ports = [{ name: 'http', containerPort: operatorOptions([], {})['http-port'] }];
    expect(deployment).toMatchObject({ spec: { template: { spec: { containers: [{ ports }] } } } });
  });

  test('gives the operator longer to stop than it takes', () => {
    // 24 s for controllers, then 2 s each for the Lease, the informers and the probes.
    const deployment = installation(who).find((object) => (object as Object).kind === 'Deployment') as {
      spec: { template: { spec: { terminationGracePeriodSeconds: number } } };
    };
    expect(deployment.spec.template.spec.terminationGracePeriodSeconds).toBeGreaterThan(24 + 3 * 2);
  });
});

describe('files of the installation', () => {
  test.each(installFiles(packageJson.version))('$path is what the sources say', ({ path, content }) => {
    const present = readFileSync(new URL(path, root), 'utf8');
    expect(content(present)).toBe(present);
  });

  test('install.yaml is one stream that YAML 1.1 and 1.2 read the same way', () => {
    const text = readFileSync(new URL('charts/install.yaml', root), 'utf8');
    const read = (version: '1.1' | '1.2') =>
      parseAllDocuments(text, { version }).map((document) => document.toJS() as unknown);
    expect(read('1.1')).toEqual(read('1.2'));
  });
});
