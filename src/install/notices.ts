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

/**
 * Writes `THIRD-PARTY.txt` beside the bundle: every package of which a module is in it, with its licence.
 *
 * **Fails when** such a package says nothing of a licence.
 */
export const notices = (): Plugin => ({
  name: 'notices',
  generateBundle(_options, bundle) {
    const folders = new Set<string>();
    for (const chunk of Object.values(bundle)) {
      if (chunk.type !== 'chunk') continue;
      for (const [id, { renderedLength }] of Object.entries(chunk.modules)) {
        const folder = renderedLength > 0 ? packageOf(id) : undefined;
        if (folder !== undefined) folders.add(folder);
      }
    }
    const texts = [...new Set([...folders].map(noticeOf))].toSorted();
    this.emitFile({ type: 'asset', fileName: 'THIRD-PARTY.txt', source: texts.join(`\n${'='.repeat(80)}\n\n`) });
  },
});

/** The folder of the package that a module belongs to; undefined for our own. */
function packageOf(id: string): string | undefined {
  const path = id.replace(/^\0/, '').split('?', 1)[0]!;
  if (!path.includes('/node_modules/')) return undefined;
  for (let folder = dirname(path); folder.includes('/node_modules/'); folder = dirname(folder)) {
    const manifest = join(folder, 'package.json');
    // Some have nested ones without a name, which only say what kind of modules they hold.
    if (existsSync(manifest) && (JSON.parse(readFileSync(manifest, 'utf8')) as Partial<Package>).name !== undefined)
      return folder;
  }
  return undefined;
}

function noticeOf(folder: string): string {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Package;
  const files = readdirSync(folder).filter((file) => NOTICE.test(file));
  if (files.length === 0 && license === undefined) throw new Error(`${name} says nothing of its licence`);
  const texts = files.toSorted().map((file) => readFileSync(join(folder, file), 'utf8').trim());
  return `${name} ${version} (${license ?? 'see below'})\n\n${texts.join('\n\n')}\n`;
}
