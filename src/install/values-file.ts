import { Document, type Pair, type Scalar, visit } from 'yaml';
import { type Sections, code, table } from '../docs.ts';
import { type JsonSchema, Values, flagSchemas, valuesSchema } from './values.ts';

const WIDTH = 110;

/** One value, by its whole name. */
interface Leaf {
  readonly name: string;
  readonly schema: JsonSchema;
}

/** Names are nested only where the schema names what is inside. */
function leaves(properties: Record<string, JsonSchema>, prefix = ''): Leaf[] {
  return Object.entries(properties).flatMap(([key, schema]) => {
    const name = `${prefix}${key}`;
    const inner = schema.properties ?? {};
    if (schema.description !== undefined) return [{ name, schema }];
    return leaves(inner, `${name}.`);
  });
}

/** `values.yaml`: every value with its default, its meaning above it. */
export function valuesFile(): string {
  const meaning = new Map(leaves(valuesSchema().properties!).map(({ name, schema }) => [name, schema.description!]));
  const document = new Document(Values.parse({}));
  visit(document, {
    Pair: (_, pair, path) => {
      const { key } = pair as Pair<Scalar<string>>;
      const names = path.flatMap((node) => ('key' in node ? [(node.key as Scalar<string>).value] : []));
      key.spaceBefore = names.length === 0;
      const text = meaning.get([...names, key.value].join('.'));
      if (text === undefined) return undefined;
      key.commentBefore = wrapped(text)
        .map((line) => ` ${line}`)
        .join('\n');
      return visit.SKIP;
    },
  });
  return document.toString({ lineWidth: 0, indentSeq: false }).trimStart();
}

function wrapped(text: string): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    if (lines.at(-1)!.length + word.length >= WIDTH) lines.push('');
    lines.push(`${lines.pop()!} ${word}`.trimStart());
  }
  return lines;
}

/** Tables of the chart's README. */
export const VALUES_SECTIONS: Sections = {
  values: () => rows('Value', leaves(valuesSchema().properties!)),
  flags: () =>
    rows(
      'Flag',
      Object.entries(flagSchemas()).map(([name, schema]) => ({ name, schema })),
    ),
};

const rows = (what: string, all: readonly Leaf[]): string =>
  table(
    [what, 'Default', 'Meaning'],
    all.map(({ name, schema }) => [
      code(name),
      schema.default === undefined ? '–' : code(JSON.stringify(schema.default)),
      schema.description!,
    ]),
  );
