import { randomUUID } from 'node:crypto';
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { History } from './history.ts';

/** A rule as RBAC writes it. */
export interface Rule {
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly verbs: readonly string[];
}

/** One verb on one resource: `patch qwencoder.dev/qwencoderdeployments/status`. */
export type Right = string;

const right = (verb: string, group: string, resource: string): Right =>
  `${verb} ${group === '' ? '' : `${group}/`}${resource}`;

/** Every right that rules give. */
export const grantedRights = (rules: readonly Rule[]): Right[] =>
  rules.flatMap(({ apiGroups = [], resources = [], verbs }) =>
    apiGroups.flatMap((group) => resources.flatMap((resource) => verbs.map((verb) => right(verb, group, resource)))),
  );

/** Every right that the operator's requests needed and had. */
export function usedRights({ requests, operator }: Pick<History, 'requests' | 'operator'>): ReadonlySet<Right> {
  const used = new Set<Right>();
  for (const { user, code, verb, group, resource, subresource } of requests) {
    if (user !== operator || code === 403) continue;
    const what = subresource === undefined ? resource : `${resource}/${subresource}`;
    used.add(right(verb, group, what));
    // An apply that makes its object is authorized twice: as a patch and as a create.
    if (verb === 'patch' && code === 201) used.add(right('create', group, what));
  }
  return used;
}

/** Rights that were given and never used. */
export function rbacUsage(used: ReadonlySet<Right>, rules: readonly Rule[]): Right[] {
  return grantedRights(rules).filter((granted) => !used.has(granted));
}

/** Directory where test files leave the rights that they saw in use; set for a whole run. */
export const RIGHTS_DIRECTORY = 'QWEN_CODER_TEST_RIGHTS';

/** Leaves the rights that a test file saw in use for the check at the end of the run. Does nothing where there is none. */
export async function noteRights(testFile: string, used: ReadonlySet<Right>): Promise<void> {
  const directory = process.env[RIGHTS_DIRECTORY];
  if (directory === undefined) return;
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, `${basename(testFile)}.${randomUUID()}`), JSON.stringify([...used]));
}

/** What all test files of the run saw in use, and which they were. */
export async function notedRights(): Promise<{ used: ReadonlySet<Right>; testFiles: ReadonlySet<string> }> {
  const directory = process.env[RIGHTS_DIRECTORY];
  const used = new Set<Right>();
  const testFiles = new Set<string>();
  if (directory === undefined) return { used, testFiles };
  for (const name of await readdir(directory).catch(() => [])) {
    for (const one of JSON.parse(await readFile(join(directory, name), 'utf8')) as Right[]) used.add(one);
    testFiles.add(name.slice(0, name.lastIndexOf('.')));
  }
  return { used, testFiles };
}
