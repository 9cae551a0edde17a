import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type QwenCoderSpecInput, customResourceDefinition } from '../../src/api/index.ts';
import { HTTPRoutes } from '../../src/kube/index.ts';
import { canonicalJson } from '../../src/render/index.ts';
import { scaledClock } from '../support/scaled-clock.ts';
import { EDITS, type Edit } from './edits.ts';
import { installHttpRoutes } from './gateway-api.ts';
import { shape } from './shape.ts';
import { World, eventually } from './world.ts';

let world: World;
let namespace: string;

beforeAll(async () => {
  world = await World.start({
    nodes: '8xH100-80GB*4,8xL40S-48GB',
    simulator: { clock: scaledClock(50), loadSeconds: 5 },
    prepare: installHttpRoutes,
  });
  namespace = await world.namespace();
  for (const name of ['checkpoints', 'other', 'mine']) await world.claimWithCheckpoint(namespace, name);
});

afterAll(async () => {
  await world?.stop();
});

describe('every field can be edited on a live resource', () => {
  test('the walk leaves no field out', () => {
    const walked = new Set(EDITS.map(({ path }) => path));
    expect([...leaves()].filter((path) => !walked.has(path))).toEqual([]);
  });

  const cases = EDITS.map((edit) => ({ path: edit.path, edit }));

  test.each(cases.filter(({ edit }) => !('refused' in edit)))(
    '$path takes effect, and going back restores what was',
    async ({ edit }) => {
      const before = await started(edit);
      await world.apply(namespace, NAME, edit.to);
      await eventually(async () => expect(isShown(edit, before, await shape(world, namespace, NAME))).toBe(true));
      await world.apply(namespace, NAME, edit.from ?? {});
      await eventually(async () => expect(edit.stays ? before : await shape(world, namespace, NAME)).toEqual(before));
    },
  );

  test.each(cases.filter(({ edit }) => 'refused' in edit))(
    '$path is refused by name, and nothing changes',
    async ({ edit }) => {
      const before = await started(edit);
      await expect(refusal(edit)).resolves.toMatch((edit as Extract<Edit, { refused: RegExp }>).refused);
      expect(await shape(world, namespace, NAME)).toEqual(before);
      await world.apply(namespace, NAME, edit.from ?? {});
    },
  );
});

describe('an HTTPRoute', () => {
  const routed = (name: string): QwenCoderSpecInput => ({
    endpoint: { expose: { type: 'HTTPRoute', host: `${name}.local`, parentRefs: [{ name: 'public' }] } },
  });

  test('that its Gateway does not take is quoted, and the endpoint is ready once it does', async () => {
    await world.apply(namespace, NAME, routed('routed'));
    await world.settled(namespace, NAME);
    const answer = (status: string, reason: string, message: string) => {
      const accepted = { type: 'Accepted', status, reason, message, observedGeneration: 1 };
      const conditions = [{ ...accepted, lastTransitionTime: new Date().toISOString() }];
      const parents = [{ parentRef: { name: 'public' }, controllerName: 'example.com/gateway', conditions }];
      const body = { status: { parents } };
      return world.client.patch(HTTPRoutes, { namespace, name: NAME }, { type: 'merge', body, subresource: 'status' });
    };
    await answer('False', 'NotAllowedByListeners', 'no listener takes routes of this namespace');
    const refused = { status: 'False', reason: 'RouteNotAccepted' } as const;
    expect((await world.condition(namespace, NAME, 'EndpointReady', refused)).message).toBe(
      'The HTTPRoute is not taken. Gateway public: NotAllowedByListeners: no listener takes routes of this namespace.',
    );
    await world.condition(namespace, NAME, 'Ready', { status: 'False', reason: 'EndpointNotReady' });
    await answer('True', 'Accepted', '');
    await world.ready(namespace, NAME);
  });

  test('of someone else that has the name is left alone', async () => {
    const metadata = { namespace, name: 'theirs' };
    const theirs = await world.client.create(HTTPRoutes, { metadata, spec: { hostnames: ['theirs.local'] } });
    await world.apply(namespace, 'theirs', { ...routed('theirs'), suspend: true });
    const taken = { status: 'False', reason: 'NameTaken' } as const;
    expect((await world.condition(namespace, 'theirs', 'Ready', taken)).message).toContain('HTTPRoute theirs exists');
    expect(await world.client.get(HTTPRoutes, metadata)).toEqual(theirs);
    await world.remove(namespace, 'theirs');
  });
});

const NAME = 'coder';

/** The children once the resource is as it is before the edit. */
async function started({ from = {} }: Edit): Promise<object[]> {
  await world.apply(namespace, NAME, from);
  await world.settled(namespace, NAME);
  return shape(world, namespace, NAME);
}

/** Whether the text that tells the edit came or went with it. */
function isShown(edit: Edit, before: object[], after: object[]): boolean {
  const [was, is] = [canonicalJson(before), canonicalJson(after)];
  if ('shows' in edit) return !was.includes(edit.shows) && is.includes(edit.shows);
  return 'hides' in edit && was.includes(edit.hides) && !is.includes(edit.hides);
}

/** Why an edit is refused: by the API server at once, or by the operator in a condition. */
async function refusal(edit: Edit): Promise<string> {
  try {
    await world.apply(namespace, NAME, edit.to);
  } catch (error) {
    return (error as Error).message;
  }
  return (await world.condition(namespace, NAME, 'Stalled', { status: 'True' })).message;
}

interface Schema {
  readonly type?: string;
  readonly properties?: Record<string, Schema>;
  readonly items?: Schema;
}

/** Leaves of the spec as the CRD declares them, lists and maps seen through. */
function* leaves(schema: Schema = specSchema(), path: readonly string[] = []): Generator<string> {
  const inner = schema.items ?? schema;
  if (inner.properties === undefined) yield path.join('.');
  for (const [key, child] of Object.entries(inner.properties ?? {})) yield* leaves(child, [...path, key]);
}

const specSchema = (): Schema =>
  (customResourceDefinition().spec.versions[0] as unknown as { schema: { openAPIV3Schema: Schema } }).schema
    .openAPIV3Schema.properties!['spec']!;
