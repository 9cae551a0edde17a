import { type FSWatcher, watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';

export interface MountedFilesOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Files of one volume; they change together. */
  readonly paths: readonly string[];
  /** Takes their texts over. **Fails when** they are not what they should be: then the last ones stay in force. */
  readonly use: (texts: readonly string[]) => void;
}

/** The kubelet moves a link, then removes the old folder: several events for one change. */
const SETTLE_MS = 100;

/**
 * Files of a Secret that is mounted, read again when they change: a rotation needs no restart.
 *
 * **Fails when** they cannot be read or used at the start.
 */
export async function useMountedFiles(options: MountedFilesOptions): Promise<() => void> {
  const { clock, log, paths, use } = options;
  const read = async (): Promise<void> => use(await Promise.all(paths.map((path) => readFile(path, 'utf8'))));
  await read();
  let cancel: (() => void) | undefined;
  const again = (): void => {
    cancel?.();
    cancel = clock.schedule(SETTLE_MS, () => {
      read().then(
        () => log.info('mounted files were taken over', { paths }),
        (error: unknown) => log.error('mounted files changed and cannot be used; the last ones stay', { paths, error }),
      );
    });
  };
  // The folder, not the file: what changes is a link in it.
  const watchers: FSWatcher[] = [...new Set(paths.map((path) => dirname(path)))].map((folder) => watch(folder, again));
  return () => {
    cancel?.();
    for (const watcher of watchers) watcher.close();
  };
}
