import { expect, test } from 'vitest';
import { mutate } from './mutant.ts';
import { MUTATIONS } from './mutations.ts';

// What a mistake does is seen on a cluster, minutes later; that it can still be made is seen here.
test.each(MUTATIONS)('an operator that $name can be made of the source', async (mutation) => {
  const mutant = await mutate(mutation);
  await mutant.remove();
  expect(mutant.main).toMatch(/main\.ts$/);
});
