import { readFile } from 'node:fs/promises';

/** How the image runs the program: options of Node before it, and the environment. */
export interface ImageRun {
  readonly nodeFlags: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** What the Dockerfile says; nothing else knows it. */
export async function imageRun(): Promise<ImageRun> {
  const dockerfile = await readFile(new URL('../../Dockerfile', import.meta.url), 'utf8');
  const [, entrypoint] = /^ENTRYPOINT (\[.*\])$/m.exec(dockerfile)!;
  const env = [...dockerfile.matchAll(/^ENV (\w+)=(\S+)$/gm)].map(([, name, value]) => [name!, value!]);
  return { nodeFlags: (JSON.parse(entrypoint!) as string[]).slice(1, -1), env: Object.fromEntries(env) };
}
