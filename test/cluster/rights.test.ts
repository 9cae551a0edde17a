import { readFile, readdir } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { rbac } from '../../src/install/rbac.ts';
import { type Rule, notedRights, rbacUsage } from '../history/rights.ts';
import { OPERATOR_NAME, OPERATOR_NAMESPACE } from './operator-process.ts';

// Which rights a run uses depends on what happens in it, such as an Event that repeats; asked for, not part of every run.
describe.runIf(process.env['QWEN_CODER_CHECK_RIGHTS'])('the rights of the operator', () => {
  test('are all used by the tests of the whole run', async ({ skip }) => {
    const { used, testFiles } = await notedRights();
    const missing = (await filesWithOperator()).filter((file) => !testFiles.has(file));
    skip(missing.length > 0, `no rights were noted by ${missing.join(', ')}`);
    const roles = rbac(OPERATOR_NAMESPACE, OPERATOR_NAME) as readonly { readonly rules?: readonly Rule[] }[];
    const unused = rbacUsage(
      used,
      roles.flatMap(({ rules }) => rules ?? []),
    );
    expect(unused).toEqual([]);
  });
});

/** The test files in which an operator runs under an eye. */
async function filesWithOperator(): Promise<string[]> {
  const names = (await readdir(import.meta.dirname)).filter((name) => name.endsWith('.test.ts'));
  const texts = await Promise.all(names.map((name) => readFile(`${import.meta.dirname}/${name}`, 'utf8')));
  return names.filter((_, index) => /await (World\.start|judge)\(/.test(texts[index]!));
}
