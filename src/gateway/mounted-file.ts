import { watch } from 'node:fs';
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
  /** Tells when something in a folder changes; by the kernel when absent. **Fails when** nobody can tell. */
  readonly watching?: (folder: string, onChange: () => void) => { close: () => void };
}

/** The kubelet moves a link, then removes the old folder: several events for one change. */
const SETTLE_MS = 100;
/** The kubelet takes about a minute to bring a change. */
const LOOK_MS = 30_000;

/**
 * Files of a Secret that is mounted, read again when they change: a rotation needs no restart.
 *
 * **Guarantees**: no change is missed from the start on. Where the kernel has no watch left, files are looked at every 30 s, and the log says so.
 *
 * **Fails when** they cannot be read or used at the start.
 */
export async function useMountedFiles(options: MountedFilesOptions): Promise<() => void> {
  const { clock, log, paths, use, watching = watch } = options;
  let last: readonly string[] = [];
  /** Whether there was something new. */
  const read = async (): Promise<boolean> => {
    const texts = await Promise.all(paths.map((path) => readFile(path, 'utf8')));
    if (texts.every((text, at) => text === last[at])) return false;
    last = texts;
    use(texts);
    return true;
  };
  const again = async (): Promise<void> => {
    try {
      if (await read()) log.info('mounted files were taken over', { paths });
    } catch (error) {
      log.error('mounted files changed and cannot be used; the last ones stay', { paths, error });
    }
  };
  const closed = new AbortController();
  const look = async (): Promise<never> => {
    for (;;) {
      await clock.sleep(LOOK_MS, closed.signal);
      await again();
    }
  };
  let cancel: (() => void) | undefined;
  const settle = (): void => {
    cancel?.();
    cancel = clock.schedule(SETTLE_MS, () => void again());
  };
  const watchers: { close: () => void }[] = [];
  const close = (): void => {
    closed.abort();
    cancel?.();
    for (const watcher of watchers) watcher.close();
  };
  try {
    // The folder, not the file: what changes is a link in it.
    for (const folder of new Set(paths.map((path) => dirname(path)))) watchers.push(watching(folder, settle));
  } catch (error) {
    log.warn('mounted files cannot be watched; they are looked at every 30 s', { paths, error });
    look().catch(() => {});
  }
  try {
    // Only now, so that no change falls in between.
    await read();
  } catch (error) {
    close();
    throw error;
  }
  return close;
}
