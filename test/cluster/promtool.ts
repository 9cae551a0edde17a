import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { type GoBuild, goBuild } from './go-build.ts';

const tool: GoBuild = {
  name: 'promtool',
  module: new URL('promtool/', import.meta.url).pathname,
  sources: ['go.mod', 'go.sum'],
  programs: { promtool: 'github.com/prometheus/prometheus/cmd/promtool' },
  // Rules need none of the clouds that Prometheus can discover targets in.
  tags: ['remove_all_sd'],
  takes: 'about three minutes',
  withoutGo:
    'The tests of the alerts need promtool. Install Go 1.26 or newer: it is built once, in about three minutes.',
};

/** Runs Prometheus' own tool for rules. Answers what it printed; fails as it fails. */
export async function promtool(...args: readonly string[]): Promise<string> {
  const directory = await goBuild(tool);
  return new Promise((resolve, reject) => {
    const child = spawn(join(directory, 'promtool'), args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve(output);
      else reject(new Error(`promtool ${args.join(' ')}: exit code ${code}\n${output}`));
    });
  });
}
