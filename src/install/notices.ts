import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Plugin } from 'rolldown';

interface Package {
  readonly name: string;
  readonly version: string;
  readonly license?: string;
}

/** Files in which packages keep what their licence asks to be passed on. */
const NOTICE = /^(licen[cs]e|copying|notice)(\.|$|-)/i;

/** A comment that asks to be passed on, as those who shorten programs know it. */
const KEPT_COMMENT = /\/\*!([^]*?)\*\//g;

/**
 * Writes `THIRD-PARTY.txt` beside the bundle, which has no comments: every package of which a module is in it, with its licence and with
 * what its modules say of whom they have parts from.
 *
 * **Fails when** such a package says nothing of a licence.
 */
export const notices = (): Plugin => ({
  name: 'notices',
  generateBundle(_options, bundle) {
    const comments = new Map<string, Set<string>>();
    for (const chunk of Object.values(bundle)) {
      if (chunk.type !== 'chunk') continue;
      for (const [id, { renderedLength }] of Object.entries(chunk.modules)) {
        const path = pathOf(id);
        const folder = renderedLength > 0 ? packageOf(path) : undefined;
        if (folder === undefined) continue;
        if (!comments.has(folder)) comments.set(folder, new Set());
        for (const comment of keptComments(path)) comments.get(folder)!.add(comment);
      }
    }
    const texts = [...new Set(Array.from(comments, ([folder, kept]) => noticeOf(folder, [...kept])))].toSorted();
    this.emitFile({ type: 'asset', fileName: 'THIRD-PARTY.txt', source: texts.join(`\n${'='.repeat(80)}\n\n`) });
  },
});

const pathOf = (id: string): string => id.replace(/^\0/, '').split('?', 1)[0]!;

/** The folder of the package that a module belongs to; undefined for our own. */
function packageOf(path: string): string | undefined {
  if (!path.includes('/node_modules/')) return undefined;
  for (let folder = dirname(path); folder.includes('/node_modules/'); folder = dirname(folder)) {
    const manifest = join(folder, 'package.json');
    // Some have nested ones without a name, which only say what kind of modules they hold.
    if (existsSync(manifest) && (JSON.parse(readFileSync(manifest, 'utf8')) as Partial<Package>).name !== undefined)
      return folder;
  }
  return undefined;
}

function keptComments(path: string): string[] {
  return Array.from(readFileSync(path, 'utf8').matchAll(KEPT_COMMENT), ([, text]) => text!.trim());
}

function noticeOf(folder: string, comments: readonly string[]): string {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Package;
  const files = readdirSync(folder).filter((file) => NOTICE.test(file));
  if (files.length === 0 && license === undefined) throw new Error(`${name} says nothing of its licence`);
  const texts = files.toSorted().map((file) => readFileSync(join(folder, file), 'utf8').trim());
  return `${name} ${version} (${license ?? 'see below'})\n\n${[...texts, ...comments.toSorted()].join('\n\n')}\n`;
}
