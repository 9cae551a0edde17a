import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import packageJson from '../../package.json' with { type: 'json' };
import { customResourceDefinition } from '../../src/api/index.ts';
import { installFiles } from '../../src/install/files.ts';
import { installation } from '../../src/install/installation.ts';
import { networkPolicy, objectsOf } from '../../src/install/parts.ts';
import { Values } from '../../src/install/values.ts';
import { operatorOptions } from '../../src/options.ts';
import { GATEWAY_PORTS, childLabels } from '../../src/render/index.ts';
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

interface EgressRule {
  readonly to?: readonly { readonly podSelector: { readonly matchLabels: Readonly<Record<string, string>> } }[];
  readonly ports: readonly { readonly port: number }[];
}

describe.each<{ name: string; egress: readonly EgressRule[] }>([
  {
    name: 'the NetworkPolicy',
    egress: (objectsOf(networkPolicy, who) as [{ spec: { egress: EgressRule[] } }])[0].spec.egress,
  },
  { name: 'the value that the chart puts into it', egress: Values.parse({}).networkPolicy.egress as never },
])('$name', ({ egress }) => {
  /** Ports of pods with these labels that may be dialled. */
  const open = (labels: Readonly<Record<string, string>>): number[] =>
    egress
      .filter(({ to }) => to?.some(({ podSelector }) => isSubset(podSelector.matchLabels, labels)))
      .flatMap(({ ports }) => ports.map(({ port }) => port));

  test('lets the operator read what engines measured', () => {
    expect(open(childLabels('coder', 'engine'))).toEqual([8000]);
  });

  test('lets the operator tell gateways of engines, and reach nothing else of them', () => {
    expect(open(childLabels('coder', 'gateway'))).toEqual([GATEWAY_PORTS.control]);
  });

  test('lets the operator reach whoever is the API server, by port', () => {
    expect(egress.filter(({ to }) => to === undefined)).toEqual([{ ports: [{ port: 443 }, { port: 6443 }] }]);
  });
});

const isSubset = (part: Readonly<Record<string, string>>, whole: Readonly<Record<string, string>>): boolean =>
  Object.entries(part).every(([key, value]) => whole[key] === value);

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

  test("install.yaml gets the image of one's own by the command that is documented", () => {
    const documented = readFileSync(new URL('charts/qwen-coder-operator/README.md', root), 'utf8');
    const [, command] = /^(sed .*) \| kubectl apply .*$/m.exec(documented)!;
    const [image, version] = ['registry.example.com:5000/team/qwen-coder-operator', packageJson.version];
    const edited = execFileSync('sh', ['-c', command!.replace('REGISTRY/qwen-coder-operator', image)], {
      cwd: fileURLToPath(root),
      encoding: 'utf8',
    });
    const [, ...lines] = edited.split('\n');
    expect(lines.join('\n')).toBe(toYaml(installation({ ...who, version, image: `${image}:${version}` })));
  });
});
