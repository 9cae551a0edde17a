import { describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { UsageError } from '../../src/options.ts';
import { WIDTH } from '../../src/preview/terminal.ts';
import { resource, run } from './surroundings.ts';

const cases: { name: string; gpus: string; spec?: string; code?: number }[] = [
  { name: 'empty-spec', gpus: '4xL40S-48GB' },
  { name: 'several-products', gpus: '4xL40S-48GB,8xH100-80GB*2' },
  { name: 'does-not-fit', gpus: '2xRTX4090-24GB', code: 1 },
  { name: 'a-guess', gpus: '2xL40S-48GB' },
  { name: 'no-gpus', gpus: 'CPU*2', code: 1 },
  { name: 'unlabelled', gpus: '8xUNLABELLED' },
  {
    name: 'node-shapes',
    gpus: 'CPU',
    spec: '{placement: {nodeShapes: [{product: NVIDIA-H100-80GB-HBM3, memory: 80Gi, gpus: 8}], nodeSelector: {pool: gpu}}}',
  },
  {
    name: 'more-replicas-than-gpus',
    gpus: '4xH100-80GB',
    spec: '{scaling: {mode: None}, replicas: 3, model: {quantization: FP8, source: {type: Volume, claimName: models, path: fp8}}}',
  },
  { name: 'one-volume', gpus: '4xH100-80GB*2', spec: '{scaling: {mode: None}, replicas: 3}' },
  { name: 'suspended', gpus: '1xH200-141GB', spec: '{suspend: true, placement: {nodeSelector: {pool: gpu}}}' },
  {
    name: 'pinned-context',
    gpus: '1xRTXPRO6000-96GB',
    spec: '{context: {maxModelLen: 100000, minConcurrency: 2, kvCacheDtype: FP8}}',
  },
  { name: 'amd', gpus: '8xMI300X-192GB', spec: '{placement: {resourceName: amd.com/gpu}, engine: {image: rocm:1}}' },
];

describe('plan', () => {
  test.each(cases)('$name reads as reviewed', async ({ name, gpus, spec, code = 0 }) => {
    const ran = await run(['plan', '-f', 'coder.yaml', '--gpus', gpus], { 'coder.yaml': resource('coder', spec) });
    expect(ran.code).toBe(code);
    await expect(ran.out).toMatchFileSnapshot(`../golden/plan/${name}.txt`);
  });

  test.each(cases)('$name keeps to ASCII and 80 columns where no terminal is', async ({ gpus, spec }) => {
    const { out } = await run(['plan', '-f', 'coder.yaml', '--gpus', gpus], { 'coder.yaml': resource('coder', spec) });
    expect(out).toMatch(/^[\n\x20-\x7E]*$/);
    for (const line of out.split('\n')) expect(line.length).toBeLessThanOrEqual(WIDTH);
  });

  test('a terminal gets the same text in colours', async () => {
    const [plain, coloured] = await Promise.all([
      run(['plan', '--gpus', '2xH100-80GB']),
      run(['plan', '--gpus', '2xH100-80GB'], {}, true),
    ]);
    // oxlint-disable-next-line no-control-regex -- these are the codes
    const bare = coloured.out.replaceAll(/\u001B\[\d+m/g, '');
    expect(bare).not.toBe(coloured.out);
    expect(bare.replaceAll(/[█▓▒░]/g, '*')).toBe(
      plain.out.replaceAll(/(?<=^ {2}\[.*)[#osk.]|(?<=^ {2})[#osk.](?= )/gm, '*'),
    );
  });

  test('without a file an empty spec is planned', async () => {
    const given = await run(['plan', '-f', 'a', '--gpus', '4xL40S-48GB'], { a: resource('coder') });
    expect(await run(['plan', '--gpus', '4xL40S-48GB'])).toEqual(given);
  });

  test('every resource of every file is planned, standard input too; one that fits nowhere gives 1', async () => {
    const files = {
      '-': resource('a'),
      'b.yaml': `${resource('b')}---\nkind: Namespace\n---\n${resource('c', '{placement: {minMemory: 500Gi}}', ', namespace: team-c')}`,
    };
    const { code, out } = await run(['plan', '-f', '-', '-f', 'b.yaml', '--gpus', '4xL40S-48GB'], files);
    expect(code).toBe(1);
    expect(out.match(/^[a-z/-]+: .*$/gm)).toEqual([
      'a: FP8 on 4x L40S-48GB, 262144 tokens',
      'b: FP8 on 4x L40S-48GB, 262144 tokens',
      'team-c/c: does not fit (NoFittingGpu)',
    ]);
  });

  test('json and yaml hold the same, with memory that adds up', async () => {
    const asked = ['plan', '--gpus', '4xL40S-48GB', '-o'];
    const json = JSON.parse((await run([...asked, 'json'])).out) as {
      plans: [{ plan: object; gpus: number; memory: Record<string, number> }];
    };
    expect(parse((await run([...asked, 'yaml'])).out)).toEqual(json);
    const { plan, gpus, memory } = json.plans[0];
    expect({ plan, gpus }).toMatchObject({
      plan: { quantization: 'FP8', gpusPerReplica: 4, maxModelLen: 262144 },
      gpus: 4,
    });
    const { total, ...parts } = memory;
    expect(Object.values(parts).reduce((sum, bytes) => sum + bytes, 0)).toBe(total);
  });
});

describe('render', () => {
  const uid = '0a1b2c3d-0000-4000-8000-000000000000';
  const files = {
    'coder.yaml': resource('coder', '{scaling: {mode: None}, replicas: 2}', `, namespace: team-a, uid: ${uid}`),
  };

  test('prints the children in the order in which they are applied, owned by the uid of the file', async () => {
    const { code, out } = await run(['render', '-f', 'coder.yaml', '--gpus', '8xH100-80GB'], files);
    expect(code).toBe(0);
    await expect(out).toMatchFileSnapshot('../golden/plan/render-two-replicas.yaml');
    const objects = parseAllDocuments(out).map(
      (document) => document.toJS() as { metadata: { ownerReferences: unknown } },
    );
    for (const { metadata } of objects)
      expect(metadata).toMatchObject({ namespace: 'team-a', ownerReferences: [{ uid }] });
  });

  test('json is a list that kubectl takes, of the same objects', async () => {
    const args = ['render', '-f', 'coder.yaml', '--gpus', '8xH100-80GB'];
    const { items } = JSON.parse((await run([...args, '-o', 'json'], files)).out) as { items: unknown[] };
    const yaml = parseAllDocuments((await run(args, files)).out).map((document) => document.toJS() as unknown);
    expect(items).toEqual(yaml);
  });

  test("takes the operator's flags about the way to the hub", async () => {
    const args = ['render', '--gpus', '8xH100-80GB', '--weights-proxy', 'http://proxy.corp:3128'];
    expect((await run(args)).out).toContain('value: http://proxy.corp:3128');
  });

  test('of a resource that fits nowhere it prints nothing but why', async () => {
    const { code, out, complaints } = await run(['render', '--gpus', '1xL4-24GB']);
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(complaints).toMatch(/^coder: NoFittingGpu: No GPU can serve .* FP8 fits on 4x 32 GB/);
  });
});

describe('what cannot be told names flag, file or field, and the remedy', () => {
  const files = {
    'fields.yaml': resource('Coder', '{context: {maxLen: 3}, parallelism: {tensorParallelSize: 3}}'),
    'two.yaml': `${resource('a')}---\n${resource('b', '{replicas: many}')}`,
    'broken.yaml': 'a: 1\nb: [1\n',
    'other.yaml': 'kind: Namespace\n---\nkind: Secret\n',
    'empty.yaml': '',
    'theirs.yaml': resource('coder', '{}', ', namespace: theirs'),
  };
  test.each<{ name: string; args: string[]; says: RegExp }>([
    { name: 'an unknown flag', args: ['--gpu', '1xL4'], says: /^Unknown option '--gpu'; flags are --file, --gpus, / },
    { name: 'a value of a flag', args: ['-o', 'xml'], says: /^--output: .*"text"\|"json"\|"yaml"/ },
    { name: 'a stray argument', args: ['coder.yaml'], says: /^Unexpected argument 'coder.yaml'; flags are --file/ },
    { name: 'nodes', args: ['--gpus', '8xH100'], says: /^--gpus: "8xH100" is not .* write 8xH100-80GB\*3/ },
    { name: 'two clusters', args: ['--gpus', '1xL4', '--context', 'x'], says: /^--gpus: .*--context.*leave one/ },
    { name: 'a missing file', args: ['-f', 'no.yaml'], says: /^--file no.yaml: ENOENT.*name a file that can be read/ },
    { name: 'text that is no YAML', args: ['-f', 'broken.yaml'], says: /^broken.yaml:\d: / },
    {
      name: 'a file of other things',
      args: ['-f', 'other.yaml'],
      says: /^other.yaml: has no QwenCoderDeployment, only Namespace, Secret; name a file/,
    },
    { name: 'an empty file', args: ['-f', 'empty.yaml'], says: /^empty.yaml: has no QwenCoderDeployment; name a file/ },
    {
      name: 'every wrong field',
      args: ['-f', 'fields.yaml'],
      says: /^fields.yaml: metadata.name [^]*^fields.yaml: spec.parallelism.tensorParallelSize: [^]*^fields.yaml: spec.context.maxLen: no such field/m,
    },
    { name: 'the resource', args: ['-f', 'two.yaml'], says: /^two.yaml, QwenCoderDeployment 2: spec.replicas: / },
    {
      name: 'two namespaces',
      args: ['-f', 'theirs.yaml', '-n', 'ours', '--gpus', '1xL4'],
      says: /^--namespace ours: coder has metadata.namespace theirs; leave one/,
    },
    { name: 'a kubeconfig', args: ['--kubeconfig', '/nowhere'], says: /^--kubeconfig \/nowhere: .*--gpus 8xH100-80GB/ },
  ])('$name', async ({ args, says }) => {
    const ran = run(['plan', ...args], files);
    await expect(ran).rejects.toThrow(UsageError);
    await expect(ran).rejects.toThrow(says);
  });
});
