import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type ServingPlan, gpuFacts, suits } from '../../src/serving/index.ts';
import { newRevision, weightsJob } from '../../src/render/index.ts';
import { owner, plan, spec } from '../support/builders.ts';

const PRODUCT = 'nvidia.com/gpu.product';
const MEMORY = 'nvidia.com/gpu.memory';
const DRIVER = 'nvidia.com/cuda.driver-version.major';
const OLDER_DRIVER = 'nvidia.com/cuda.driver.major';

interface Requirement {
  readonly key: string;
  readonly operator: string;
  readonly values?: readonly string[];
}

type Terms = readonly { readonly matchExpressions?: readonly Requirement[] }[];

/** Of the engines and of the Job that fetches their weights, which go to the same nodes. */
function termsOf(made: ServingPlan): Terms | undefined {
  const engine = newRevision('coder', spec(), made, 'keys', 1).template.spec!.affinity;
  const job = weightsJob(owner(), spec(), made)!.spec!.template.spec!.affinity;
  expect(job).toEqual(engine);
  return engine?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
}

/** As the scheduler reads it: terms are alternatives, requirements of a term hold together, and an empty term matches nothing. */
const admits = (terms: Terms | undefined, labels: Readonly<Record<string, string>>): boolean =>
  terms === undefined ||
  terms.some(
    ({ matchExpressions = [] }) =>
      matchExpressions.length > 0 &&
      matchExpressions.every(({ key, operator, values = [] }) => {
        const value = labels[key];
        switch (operator) {
          case 'In':
            return value !== undefined && values.includes(value);
          case 'Gt':
            return value !== undefined && Number(value) > Number(values[0]);
          case 'DoesNotExist':
            return value === undefined;
          default:
            throw new Error(`${operator} is not read here`);
        }
      }),
  );

const labelled = fc.record(
  {
    [PRODUCT]: fc.constantFrom('NVIDIA-H100-80GB-HBM3', 'NVIDIA-L40S'),
    [MEMORY]: fc.constant('81559'),
    [DRIVER]: fc.constantFrom('525', '570', '579', '580', '581'),
    [OLDER_DRIVER]: fc.constantFrom('525', '579', '580'),
  },
  { requiredKeys: [] },
);
const plans = fc.record({
  leastDriver: fc.constantFrom(undefined, 525, 580),
  gpuMemoryBytes: fc.constantFrom(undefined, 81_559 * 2 ** 20),
});

describe('the affinity of a plan', () => {
  test('lets the scheduler choose from the very nodes that plans are made with', () => {
    fc.assert(
      fc.property(labelled, plans, (labels, over) => {
        const made = plan(over);
        const node = { ...gpuFacts(labels), name: 'node', gpus: 8, free: 8, exists: true };
        expect(admits(termsOf(made), labels)).toBe(suits(made, node));
      }),
    );
  });

  test('asks for the driver alone where no label tells the product, and for nothing where nothing is known', () => {
    const unlabelled = { gpuProduct: undefined, gpuMemoryBytes: undefined };
    const terms = termsOf(plan(unlabelled));
    expect([{}, { [DRIVER]: '580' }, { [DRIVER]: '570' }].map((labels) => admits(terms, labels))).toEqual([
      true,
      true,
      false,
    ]);
    expect(termsOf(plan({ ...unlabelled, leastDriver: undefined }))).toBeUndefined();
  });
});
