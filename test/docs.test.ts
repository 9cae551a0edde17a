import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { CONDITIONS, KIND, parseResource, REASONS } from '../src/api/index.ts';
import { isForLater, specFields, withGeneratedSections } from '../src/docs.ts';
import { flagName, type Flags, Options, PlanOptions, RenderOptions } from '../src/options.ts';
import { exposition, gatewayExposition, metricNames } from './support/exposition.ts';

const root = new URL('../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, root), 'utf8');
const readme = read('README.md');

/** What stands between the markers of a section. */
const section = (name: string): string =>
  readme.split(`<!-- generated:${name} -->`)[1]?.split(`<!-- /generated:${name} -->`)[0] ?? '';

describe('README.md', () => {
  test('is what the sources say', () => {
    expect(withGeneratedSections(readme)).toBe(readme);
  });

  test.each(specFields())('has a row for spec.$path', (field) => {
    const [here, elsewhere] = isForLater(field) ? ['fields-later', 'fields'] : ['fields', 'fields-later'];
    expect(section(here)).toContain(`\n| \`${field.path}\` | `);
    expect(section(elsewhere)).not.toContain(`| \`${field.path}\` | `);
  });

  test.each(Object.entries(REASONS))('has a row for the reason %s', (reason, { meaning, remedy }) => {
    expect(section('reasons')).toMatch(new RegExp(`^\\| \`${reason}\` \\| .*`, 'm'));
    for (const text of [meaning, remedy]) expect(section('reasons')).toContain(text);
  });

  test.each(Object.keys(CONDITIONS))('has a row for the condition %s', (type) => {
    expect(section('conditions')).toContain(`\n| \`${type}\` | `);
  });

  const flags: readonly (readonly [section: string, flags: Flags])[] = [
    ['flags', Options],
    ['flags-plan', PlanOptions],
    ['flags-render', RenderOptions],
  ];
  test.each(flags)('has a row for every flag of section %s', (name, { shape }) => {
    for (const flag of Object.keys(shape))
      expect(section(name)).toContain(`\n| \`${flagName(flag).replace(', ', '` `')}\` | `);
  });

  test('has a row for every metric of operator and gateways, and for no other', async () => {
    const metrics = new Set((await Promise.all([exposition(), gatewayExposition()])).flatMap(metricNames));
    const documented = [...readme.matchAll(/^\| `((?:controller_runtime|leader|qwen_coder|rest|workqueue)_\w+)`/gm)];
    expect(documented.map(([, name]) => name!).toSorted()).toEqual([...metrics].toSorted());
  });

  test('marks a field of which only some values are taken', () => {
    expect(section('fields')).toMatch(
      /^\| `engine\.type` .* \*\*Limited for now:\*\* spec\.engine\.type other than VLLM/m,
    );
  });

  test('shows resources that the API server takes', () => {
    const objects = [...readme.matchAll(/^```yaml\n(.*?)^```$/gms)]
      .flatMap(([, block]) => parseAllDocuments(block!))
      .map((document) => document.toJS() as { kind?: string });
    const resources = objects.filter(({ kind }) => kind === KIND);
    expect(resources.length).toBeGreaterThan(1);
    for (const resource of resources) expect(parseResource(resource)).toMatchObject({ ok: true });
  });

  test.each(['README.md', 'CONTRIBUTING.md', 'src/README.md'])('%s links to headings that exist', (path) => {
    const anchors = (text: string): string[] =>
      [...text.matchAll(/^#+ (.+)$/gm)].map(([, title]) =>
        title!
          .toLowerCase()
          .replaceAll(/[^\w\- ]/g, '')
          .replaceAll(' ', '-'),
      );
    for (const [, file, anchor] of read(path).matchAll(/\]\(([^)#:]*)#([^)]+)\)/g)) {
      const target = file === '' ? read(path) : readFileSync(new URL(file!, new URL(path, root)), 'utf8');
      expect(anchors(target)).toContain(anchor);
    }
  });
});

describe('withGeneratedSections', () => {
  const sections = { one: () => '1', two: () => '2' };
  const marked = (name: string, inner: string): string =>
    `<!-- generated:${name} -->${inner}<!-- /generated:${name} -->`;

  test('replaces what is between markers and leaves the rest', () => {
    const once = withGeneratedSections(`a ${marked('one', 'old')} b ${marked('two', '')} c`, sections);
    expect(once.replaceAll(/<!--.*?-->/g, '').replaceAll(/\s+/g, ' ')).toBe('a 1 b 2 c');
    expect(withGeneratedSections(once, sections)).toBe(once);
  });

  test('names markers without a section, and sections without markers', () => {
    expect(() => withGeneratedSections(marked('three', ''), sections)).toThrow(
      'nothing generates "three"; sections are one, two',
    );
    expect(() => withGeneratedSections(marked('one', ''), sections)).toThrow('no markers for two');
  });
});
