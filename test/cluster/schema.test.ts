import * as fc from 'fast-check';
import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { resourceSchema } from '../../src/api/crd.ts';
import {
  customResourceDefinition,
  NOT_EFFECTIVE,
  parseResource,
  parseSpec,
  type QwenCoderStatus,
  Spec,
} from '../../src/api/index.ts';
import type { StructuralSchema } from '../../src/api/structural.ts';
import { ASKING_FOR } from '../api/asking-for.ts';
import { randomSpec } from '../contract/schema-judge/random-spec.ts';
import { SchemaJudge, type Verdict } from '../contract/schema-judge/schema-judge.ts';

// The judge runs the API server's own code for CRDs; what it says is what a cluster would say.

let judge: SchemaJudge;
beforeAll(async () => {
  judge = await SchemaJudge.start(customResourceDefinition());
});
afterAll(() => judge[Symbol.asyncDispose]());

const resource = (spec: unknown, more: object = {}) => ({
  apiVersion: 'qwencoder.dev/v1alpha1',
  kind: 'QwenCoderDeployment',
  metadata: { name: 'coder', namespace: 'team-a' },
  spec,
  ...more,
});
const isAccepted = ({ errors, unknown }: Verdict): boolean => errors.length + unknown.length === 0;

describe('the CRD', () => {
  test('is accepted by the API server', () => {
    expect(judge.crd).toEqual({ unknown: [], errors: [] });
  });

  test('is not accepted when it breaks a rule of the API server', async () => {
    const broken = structuredClone(customResourceDefinition());
    broken.spec.versions[0]!.schema.openAPIV3Schema.properties!['spec']!['x-kubernetes-validations']!.push({
      rule: 'self.nothing',
      message: 'never',
    });
    await using other = await SchemaJudge.start(broken);
    expect(other.crd.errors).toMatchObject([{ message: expect.stringContaining("undefined field 'nothing'") }]);
  });
});

describe('the API server', () => {
  test.each([[{}], [null], [undefined]])('fills the spec %s in exactly as zod does', async (spec) => {
    const verdict = await judge.about(resource(spec));
    expect(verdict).toMatchObject({ unknown: [], errors: [] });
    expect(verdict.object!['spec']).toEqual(Spec.parse({}));
  });

  test('drops an unknown field, and names it under strict validation', async () => {
    const { errors, object, unknown } = await judge.about(resource({ modle: {}, model: { sourec: {} } }));
    expect({ errors, unknown }).toEqual({ errors: [], unknown: ['spec.model.sourec', 'spec.modle'] });
    expect(object!['spec']).toEqual(Spec.parse({}));
  });

  test.each(['coder', 'a'.repeat(40), 'a'.repeat(41), 'Coder', 'team.coder', '4coder', 'coder-', 'c4-x'])(
    'takes the name %s if zod does',
    async (name) => {
      const named = resource({}, { metadata: { name, namespace: 'team-a' } });
      expect(isAccepted(await judge.about(named))).toBe(parseResource(named).ok);
    },
  );

  test.each(NOT_EFFECTIVE)('refuses $path by name, since it is not effective', async ({ message, path }) => {
    const { errors } = await judge.about(resource(ASKING_FOR[path]));
    expect(errors).toMatchObject([{ field: `spec.${path}`, message: expect.stringContaining(message) }]);
  });

  const examples = new URL('../../examples/', import.meta.url);
  test.each(readdirSync(examples).filter((name) => name.endsWith('.yaml')))('accepts examples/%s', async (name) => {
    const object = parse(readFileSync(new URL(name, examples), 'utf8')) as { metadata: object };
    const verdict = await judge.about({ ...object, metadata: { ...object.metadata, namespace: 'team-a' } });
    expect(verdict).toMatchObject({ unknown: [], errors: [] });
  });

  test('keeps every field of a status', async () => {
    const { errors, object, unknown } = await judge.about(resource({}, { status: STATUS }));
    expect({ errors, unknown, status: object!['status'] }).toEqual({ errors: [], unknown: [], status: STATUS });
  });
});

describe('zod and the API server', () => {
  test('say the same of 4000 random specs', { timeout: 300_000 }, async () => {
    const schema = resourceSchema().properties!['spec']!;
    const refused = NOT_EFFECTIVE.filter(({ cel }) => cel.startsWith('has(')).map(({ path }) => `spec.${path}`);
    const rules = [...new Set(rulesOf(schema))];
    const unbroken = new Set(rules);
    const count = { accepted: 0, refused: 0, refusedByRules: 0 };

    await fc.assert(
      fc.asyncProperty(randomSpec(schema, refused), async (spec) => {
        const parsed = parseSpec(spec);
        const verdict = await judge.about(resource(spec));
        const broken = verdict.errors.map((error) => ruleIn(error.message, rules));
        for (const rule of broken) unbroken.delete(rule);

        const [kind, ofZod, ofServer] = ((): [keyof typeof count, unknown, unknown] => {
          if (isAccepted(verdict)) return ['accepted', parsed, { ok: true, value: verdict.object!['spec'] }];
          // Rules are the last thing that the API server looks at: where it blames nothing else, zod blames the same.
          if (verdict.unknown.length === 0 && broken.every((rule) => rules.includes(rule) && !isOfUnion(rule))) {
            const blamed = parsed.ok ? [] : parsed.errors.map((error) => ruleIn(error, rules));
            return ['refusedByRules', blamed.toSorted(), broken.toSorted()];
          }
          return ['refused', parsed.ok, false];
        })();
        count[kind]++;
        expect(JSON.parse(JSON.stringify({ spec, says: ofZod }))).toEqual(
          JSON.parse(JSON.stringify({ spec, says: ofServer })),
        );
      }),
      { numRuns: 4000, seed: 20_260_801 },
    );
    // A generator that drifts to one side, or never breaks a rule, would test nothing.
    expect([...unbroken]).toEqual([]);
    for (const part of Object.values(count)) expect(part).toBeGreaterThan(400);
  });
});

/** The rule that a message ends with, or the message itself. */
const ruleIn = (message: string, rules: readonly string[]): string =>
  rules.find((rule) => message.endsWith(rule)) ?? message;

/** What belongs to which branch of a union is a rule over there and a matter of types here. */
const isOfUnion = (rule: string): boolean => rule.includes(' of type ');

function* rulesOf(schema: StructuralSchema): Generator<string> {
  for (const { message } of schema['x-kubernetes-validations'] ?? []) yield message;
  for (const child of Object.values(schema.properties ?? {})) yield* rulesOf(child);
  if (schema.items) yield* rulesOf(schema.items);
  if (schema.additionalProperties) yield* rulesOf(schema.additionalProperties);
}

const TIME = '2026-01-01T00:00:00Z';
const STATUS: QwenCoderStatus = {
  observedGeneration: 3,
  conditions: [
    { type: 'Ready', status: 'True', reason: 'Serving', message: '', lastTransitionTime: TIME, observedGeneration: 3 },
  ],
  plan: {
    engine: 'VLLM',
    engineVersion: '0.33.0',
    quantization: 'FP8',
    repository: 'Qwen/Qwen3-Coder-Next-FP8',
    revision: 'main',
    gpus: '2x H100-80GB',
    gpuProduct: 'NVIDIA-H100-80GB-HBM3',
    tensorParallelSize: 2,
    maxModelLen: 262144,
    maxNumSeqs: 256,
    kvCacheDtype: 'BF16',
    gpuMemoryUtilizationPercent: 92,
    concurrency: 10,
    memoryMiB: { total: 81559, usable: 75034, weights: 38369, overhead: 4096, kvCache: 32569 },
    rejected: [{ candidate: 'BF16 on 2x H100-80GB', reason: 'needs 74.3 GiB of weights a GPU, 73.3 GiB are usable' }],
  },
  tuning: [{ maxModelLen: 32768, outcome: 'Fits', message: 'fits', time: TIME }],
  revisions: { current: 'coder-5f6d7c8b9a', target: 'coder-5f6d7c8b9a' },
  replicas: 2,
  readyReplicas: 1,
  replicasSummary: '1/2',
  selector: 'qwencoder.dev/resource=coder,app.kubernetes.io/component=engine',
  scaling: { desiredReplicas: 2 },
  endpoint: { url: 'http://coder.team-a.svc/v1' },
};
