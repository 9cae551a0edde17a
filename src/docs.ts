import { resourceSchema } from './api/crd.ts';
import { CONDITIONS, NOT_EFFECTIVE, type NotEffective, parseSpec, type ReasonEntry, REASONS } from './api/index.ts';
import type { StructuralSchema } from './api/structural.ts';
import { runbookSection } from './install/monitoring/alerts.ts';
import { flagName, type Flags, GatewayFlags, Options, PlanOptions, RenderOptions } from './options.ts';
import { presumedInstallation } from './preview/presumed-installation.ts';
import { preview } from './preview/preview.ts';
import { idleCluster } from './preview/snapshot.ts';
import { PLAIN } from './preview/terminal.ts';
import { textOf } from './preview/text.ts';
import { emptyWish } from './preview/wish.ts';
import { findGpu, isGuess, MIB, parseNodes, planServing, type PlanOutcome } from './serving/index.ts';

/** What stands between markers, by the name in them. */
export type Sections = Readonly<Record<string, () => string>>;

/** Parts of README.md that follow from the sources, by the name in their markers. */
const SECTIONS: Sections = {
  plans: plansTable,
  fields: fieldTables,
  'fields-later': laterTable,
  conditions: conditionsTable,
  reasons: reasonsTable,
  'plan-text': planText,
  flags: () => flagsTable(Options),
  'flags-plan': () => flagsTable(PlanOptions),
  'flags-render': () => flagsTable(RenderOptions),
  'flags-gateway': () => flagsTable(GatewayFlags),
  runbook: runbookSection,
};

/**
 * The text with everything between `<!-- generated:NAME -->` and `<!-- /generated:NAME -->` as the sources say.
 *
 * Guarantees: applied to its own answer it changes nothing.
 * Fails when a section has no markers, or markers have no section.
 */
export function withGeneratedSections(text: string, sections: Sections = SECTIONS): string {
  const missing = new Set(Object.keys(sections));
  const replaced = text.replaceAll(/<!-- generated:(\S+) -->[^]*?<!-- \/generated:\1 -->/g, (_all, name: string) => {
    const section = sections[name];
    if (section === undefined)
      throw new Error(`nothing generates "${name}"; sections are ${Object.keys(sections).join(', ')}`);
    missing.delete(name);
    // Without the second pair of comments a formatter would pad the tables to the width of their longest cell.
    const lines = ['<!-- prettier-ignore-start -->', '', section(), '', '<!-- prettier-ignore-end -->'];
    return [`<!-- generated:${name} -->`, ...lines, `<!-- /generated:${name} -->`].join('\n');
  });
  if (missing.size > 0) throw new Error(`no markers for ${[...missing].join(', ')}`);
  return replaced;
}

/** A field of the spec that holds a value. */
export interface Field {
  /** Without `spec`; `[]` after a list. */
  readonly path: string;
  readonly schema: StructuralSchema;
  readonly isRequired: boolean;
  /** What the API server fills in; its own or that of the object around it. */
  readonly defaultValue: unknown;
}

/** Every such field, in the order of declaration. */
export const specFields = (): Field[] => [
  ...fieldsWithin('', specSchema(), { isRequired: true, defaultValue: undefined }),
];

function* fieldsWithin(
  path: string,
  schema: StructuralSchema,
  { isRequired, defaultValue = schema.default }: Pick<Field, 'isRequired' | 'defaultValue'>,
): Generator<Field> {
  const { items, properties } = schema;
  if (items?.properties) yield* fieldsWithin(`${path}[]`, items, { isRequired: true, defaultValue: undefined });
  else if (properties === undefined) yield { path, schema, isRequired, defaultValue };
  for (const [key, child] of Object.entries(properties ?? {})) {
    yield* fieldsWithin(path === '' ? key : `${path}.${key}`, child, {
      isRequired: schema.required?.includes(key) ?? false,
      defaultValue: child.default ?? (defaultValue as Readonly<Record<string, unknown>> | undefined)?.[key],
    });
  }
}

const specSchema = (): StructuralSchema => resourceSchema().properties!['spec']!;

/** Whether an entry refuses a field whatever its value. */
const refusesAll = ({ cel }: NotEffective): boolean => cel.startsWith('has(');

/** Whether nothing obeys a field yet. */
export const isForLater = ({ path }: Pick<Field, 'path'>): boolean =>
  NOT_EFFECTIVE.some((entry) => refusesAll(entry) && `${path}.`.replaceAll('[]', '').startsWith(`${entry.path}.`));

function fieldTables(): string {
  const fields = specFields().filter((field) => !isForLater(field));
  const groups = Object.entries(specSchema().properties!).map(([name, { description }]) => ({
    title: `**\`spec.${name}\`** – ${description}`,
    members: fields.filter(({ path }) => path.startsWith(`${name}.`)),
  }));
  const grouped = groups.flatMap(({ members }) => members);
  return [...groups, { title: '**Others**', members: fields.filter((field) => !grouped.includes(field)) }]
    .filter(({ members }) => members.length > 0)
    .map(({ title, members }) => `${title}\n\n${fieldTable(members)}`)
    .join('\n\n');
}

const fieldTable = (fields: readonly Field[]): string =>
  table(
    ['Field', 'Value', 'Default', 'Meaning'],
    fields.map((field) => [code(field.path), valueText(field.schema), defaultText(field), meaning(field)]),
  );

function defaultText({ defaultValue, isRequired }: Field): string {
  if (defaultValue !== undefined) return code(valueOf(defaultValue));
  return isRequired ? 'required' : '–';
}

function meaning({ path, schema: { description = '' } }: Field): string {
  const limit = NOT_EFFECTIVE.find((entry) => !refusesAll(entry) && entry.path === path);
  return limit === undefined ? description : `${description} **Limited for now:** ${limit.message}.`;
}

function laterTable(): string {
  const rows = specFields()
    .filter(isForLater)
    .map(({ path, schema }) => [code(path), valueText(schema), schema.description ?? '']);
  return table(['Field', 'Value', 'Meant for'], rows);
}

/** Which values a field takes. */
function valueText(schema: StructuralSchema): string {
  if (schema.enum) return schema.enum.map((value) => code(String(value))).join(' ');
  switch (schema.type) {
    case 'boolean':
      return '`true` `false`';
    case 'integer':
      return `integer ${rangeText(schema)}`;
    case 'number':
      return `number ${rangeText(schema)}`;
    case 'string':
      return `text, ${countText(schema.minLength, schema.maxLength)}`;
    case 'array':
      return `list, ${countText(schema.minItems, schema.maxItems)}: ${valueText(schema.items!)}`;
    case 'object':
      return `map, ${countText(schema.minProperties, schema.maxProperties)}: ${valueText(schema.additionalProperties!)}`;
  }
}

/** Bounds of a length. Every text, list and map of the schema has an upper one. */
const countText = (least = 0, most = Infinity): string => (least > 1 ? `${least} to ${most}` : `up to ${most}`);

function rangeText({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }: StructuralSchema): string {
  if (maximum === undefined) return `≥ ${minimum}`;
  const from = exclusiveMinimum ? `above ${minimum}` : `${minimum}`;
  return `${from} to ${exclusiveMaximum ? 'below ' : ''}${maximum}`;
}

function conditionsTable(): string {
  const rows = Object.entries(CONDITIONS).map(([type, text]) => [code(type), text]);
  return table(['Condition', 'True means'], rows);
}

function reasonsTable(): string {
  const rows = Object.entries<ReasonEntry>(REASONS).map(([reason, { types, meaning, remedy }]) => [
    code(reason),
    types.join(', '),
    meaning,
    remedy,
  ]);
  return table(['Reason', 'On condition', 'Meaning', 'What to do'], rows);
}

function flagsTable(flags: Flags): string {
  const rows = Object.entries(flags.shape).map(([name, schema]) => {
    const { data } = schema.safeParse(undefined);
    return [
      flagName(name).split(', ').map(code).join(' '),
      isDefault(data) ? code(valueOf(data)) : '–',
      schema.description ?? '',
    ];
  });
  return table(['Flag', 'Default', 'Meaning'], rows);
}

const isDefault = (value: unknown): boolean => value !== undefined && !(Array.isArray(value) && value.length === 0);

/** What `plan` prints of the nodes in its own example. */
function planText(): string {
  const cluster = idleCluster(parseNodes('4xL40S-48GB,8xH100-80GB*2'));
  const { report } = preview(emptyWish(), {
    cluster,
    namespace: 'default',
    installation: presumedInstallation({}),
    isLive: false,
  });
  return ['```', textOf(report, PLAIN), '```'].join('\n');
}

/** Nodes that the table of plans shows: so many GPUs of one kind. */
const SHOWN_NODES: readonly (readonly [gpus: number, card: string])[] = [
  [8, 'RTX4090-24GB'],
  [4, 'RTX5090-32GB'],
  [2, 'L40S-48GB'],
  [4, 'L40S-48GB'],
  [1, 'H100-80GB'],
  [2, 'A100-80GB'],
  [2, 'H100-80GB'],
  [1, 'RTXPRO6000-96GB'],
  [1, 'H200-141GB'],
  [1, 'B200-180GB'],
];

function plansTable(): string {
  const rows = SHOWN_NODES.map(([gpus, card]) => [`${gpus}x ${card}`, ...planCells(emptySpecOn(gpus, card))]);
  return table(['A node with', 'Checkpoint', 'GPUs a replica', 'Context', 'Requests of that length at once'], rows);
}

/** The plan of the empty spec in a cluster of one idle node. */
function emptySpecOn(gpus: number, card: string): PlanOutcome {
  const spec = parseSpec({});
  const model = findGpu(card);
  if (!spec.ok || model === undefined) throw new Error(`no plan of ${gpus}x ${card} can be shown`);
  const { labels, memoryMib, computeCapability } = model;
  const memoryBytes = memoryMib * MIB;
  const node = { name: 'node', product: labels[0], memoryBytes, computeCapability, gpus, free: gpus, exists: true };
  return planServing({ spec: spec.value, nodes: [node] });
}

function planCells(outcome: PlanOutcome): string[] {
  if (!outcome.fits) return ['does not fit', '', '', ''];
  const { quantization, gpusPerReplica, maxModelLen, concurrency } = outcome.plan;
  return [
    isGuess(outcome.plan) ? `${quantization}, a guess` : quantization,
    `${gpusPerReplica}`,
    `${maxModelLen}`,
    `${concurrency ?? '?'}`,
  ];
}

/** A table in Markdown. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.map(cell).join(' | ')} |`).join('\n');
}

/** As Markdown takes it: a bar would end the cell, and outside of code an angle bracket would begin a tag. */
const cell = (text: string): string =>
  text.replaceAll('|', String.raw`\|`).replaceAll(/(`[^`]*`)|</g, (_all, code?: string) => code ?? '&lt;');

export const code = (text: string): string => `\`${text}\``;

/** A value as one writes it. */
const valueOf = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));
