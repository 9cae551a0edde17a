import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { RIGHTS_DIRECTORY } from './rights.ts';

/** Gives the test files of a run a directory where they note the rights that they saw in use. */
export async function setup(): Promise<() => Promise<void>> {
  const directory = await mkdtemp(join(tmpdir(), 'qwen-coder-rights-'));
  process.env[RIGHTS_DIRECTORY] = directory;
  return () => rm(directory, { recursive: true, force: true });
}

/** Runs the check of the rights after all files that note some. */
export class RightsLast extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isCheck = ({ moduleId }: TestSpecification) => moduleId.endsWith('/cluster/rights.test.ts');
    const sorted = await super.sort(files);
    return [...sorted.filter((file) => !isCheck(file)), ...sorted.filter(isCheck)];
  }
}
