import { renderOptions, planOptions } from '../../src/options.ts';
import { plan, render } from '../../src/preview/command.ts';

/** What a run of a command left behind. */
export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly complaints: string;
}

/** Runs `plan` or `render` as the program would, with `files` instead of a disk. */
export async function run(
  args: readonly string[],
  files: Readonly<Record<string, string>> = {},
  takesColours = false,
): Promise<Ran> {
  let [out, complaints] = ['', ''];
  const surroundings = {
    read: async (path: string) => {
      const text = files[path];
      if (text === undefined) throw new Error(`ENOENT: no such file or directory, open '${path}'`);
      return text;
    },
    write: (text: string) => void (out += text),
    complain: (text: string) => void (complaints += text),
    takesColours,
    userAgent: 'test',
  };
  const [command, ...rest] = args;
  const code =
    command === 'render'
      ? await render(renderOptions(rest), surroundings)
      : await plan(planOptions(rest), surroundings);
  return { code, out, complaints };
}

/** A resource as a user writes it: its name, and the YAML of its spec on one line. */
export const resource = (name: string, spec = '{}', meta = ''): string =>
  `apiVersion: qwencoder.dev/v1alpha1\nkind: QwenCoderDeployment\nmetadata: {name: ${name}${meta}}\nspec: ${spec}\n`;
