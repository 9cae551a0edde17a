import { cp, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { InvariantId } from './checker.ts';

/** One mistake in the operator's source. */
export interface Mutation {
  /** What the operator does wrong. */
  readonly name: string;
  /** Folder of `src/`. */
  readonly within: string;
  /** Text that occurs once in that folder, however it is broken into lines. */
  readonly search: string;
  readonly replacement: string;
  readonly caughtBy: InvariantId;
  /** Kind of the object that it is caught at; whichever, where none is named. */
  readonly at?: string;
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/**
 * A copy of the operator's source with a mistake in it, or with none.
 *
 * **Fails when** the mistake does not fit the source any more.
 */
export async function mutate(mutation?: Mutation): Promise<{ readonly main: string; remove(): Promise<void> }> {
  const directory = await mkdtemp(join(tmpdir(), 'qwen-coder-mutant-'));
  const remove = () => rm(directory, { recursive: true, force: true });
  try {
    await cp(join(ROOT, 'src'), join(directory, 'src'), { recursive: true });
    await cp(join(ROOT, 'package.json'), join(directory, 'package.json'));
    await symlink(join(ROOT, 'node_modules'), join(directory, 'node_modules'));
    if (mutation) await seed(join(directory, 'src', mutation.within), mutation);
  } catch (error) {
    await remove();
    throw error;
  }
  return { main: join(directory, 'src/main.ts'), remove };
}

async function seed(folder: string, { within, search, replacement }: Mutation): Promise<void> {
  const words = search.split(/\s+/).map((word) => word.replaceAll(/[$()*+.?[\\\]^{|}]/g, '\\$&'));
  const pattern = new RegExp(words.join('\\s+'), 'g');
  const places: { readonly path: string; readonly text: string; readonly found: string }[] = [];
  for (const name of await readdir(folder, { recursive: true })) {
    const path = join(folder, name);
    const text = name.endsWith('.ts') ? await readFile(path, 'utf8') : '';
    for (const found of text.match(pattern) ?? []) places.push({ path, text, found });
  }
  const [place] = places;
  if (place === undefined || places.length > 1) {
    throw new Error(`src/${within} has ${places.length} places, not one, for the mistake in: ${search}`);
  }
  await writeFile(
    place.path,
    place.text.replace(place.found, () => replacement),
  );
}
