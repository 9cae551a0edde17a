import { describe, expect, test } from 'vitest';
import { type ServedModel, diagnoseIdentity, identityOf, isAsTold, vllmArgs } from '../../src/serving/index.ts';
import { plan, spec } from '../support/builders.ts';

const model = { servedName: 'qwen3-coder-next', aliases: ['coder', 'gpt-4o'] };
const identity = identityOf(vllmArgs(plan(), spec({ model }), 'Qwen/Qwen3-Coder-Next-FP8'))!;

const card = (id: string, root: string | undefined = identity.model): ServedModel => ({
  id,
  root,
  maxModelLen: undefined,
});
const asTold = ['qwen3-coder-next', 'coder', 'gpt-4o'].map((name) => card(name));

describe('identityOf', () => {
  test('is the model and all names of the arguments that are rendered', () => {
    expect(identity).toEqual({ model: 'Qwen/Qwen3-Coder-Next-FP8', names: ['qwen3-coder-next', 'coder', 'gpt-4o'] });
    expect(identityOf(['/models', '--served-model-name', 'coder'])).toEqual({ model: '/models', names: ['coder'] });
  });

  test('arguments without a name tell nothing', () => {
    for (const args of [undefined, [], ['/models'], ['/models', '--port=8000']])
      expect(identityOf(args)).toBeUndefined();
  });
});

describe('isAsTold', () => {
  test.each<{ what: string; served: readonly ServedModel[]; is: boolean }>([
    { what: 'what was asked for', served: asTold, is: true },
    { what: 'more names, as adapters have', served: [...asTold, card('adapter', '/adapters/a')], is: true },
    { what: 'no word of the checkpoint', served: asTold.map((one) => ({ ...one, root: undefined })), is: true },
    {
      what: 'its folder in the hub cache',
      served: asTold.map(({ id }) => card(id, '/models/hub/models--Qwen--Qwen3-Coder-Next-FP8/snapshots/0a1b')),
      is: true,
    },
    { what: 'an alias less', served: asTold.slice(0, 2), is: false },
    { what: 'another name', served: [card('other')], is: false },
    { what: 'another checkpoint under its name', served: asTold.map(({ id }) => card(id, '/opt/other')), is: false },
    { what: 'nothing', served: [], is: false },
  ])('$what: $is', ({ served, is }) => expect(isAsTold(served, identity)).toBe(is));
});

describe('diagnoseIdentity', () => {
  const situation = { image: 'registry.example/vllm:mine', secrets: ['canary-of-a-variable'] };
  const evidence = (served: readonly ServedModel[]) => diagnoseIdentity(served, identity, situation).evidence;

  test('quotes what is served and names what is not, in one line and without secrets', () => {
    expect(evidence([card('other')])).toBe('/v1/models lists other, and not qwen3-coder-next, coder, gpt-4o');
    expect(evidence([])).toBe('/v1/models lists no model, and not qwen3-coder-next, coder, gpt-4o');
    expect(evidence(asTold.map(({ id }) => card(id, '/opt/other')))).toBe(
      '/v1/models says that qwen3-coder-next is /opt/other, not Qwen/Qwen3-Coder-Next-FP8',
    );
    expect(evidence([card('a\ncanary-of-a-variable')])).toBe(
      '/v1/models lists a ***, and not qwen3-coder-next, coder, gpt-4o',
    );
  });

  test('names the image as what is to be corrected, and no other try as a remedy', () => {
    const { reason, remedy, isFinal } = diagnoseIdentity([], identity, situation);
    expect({ reason, isFinal }).toEqual({ reason: 'WrongModelServed', isFinal: true });
    expect(remedy).toContain('correct spec.engine.image, which is registry.example/vllm:mine');
  });
});
