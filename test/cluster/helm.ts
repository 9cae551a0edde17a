import { spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cluster } from './cluster.ts';
import { type GoBuild, goBuild } from './go-build.ts';

const tools: GoBuild = {
  name: 'helm',
  module: new URL('helm/', import.meta.url).pathname,
  sources: ['go.mod', 'go.sum'],
  programs: { helm: 'helm.sh/helm/v4/cmd/helm', kubeconform: 'github.com/yannh/kubeconform/cmd/kubeconform' },
  takes: 'about four minutes',
  withoutGo: 'The tests of the chart need Helm. Install Go 1.26 or newer: it is built once, in about four minutes.',
};

/** The real Helm, as administrator of a cluster, and kubeconform. */
export class Helm {
  readonly #directory: string;
  readonly #env: Record<string, string | undefined>;

  private constructor(directory: string, env: Record<string, string | undefined>) {
    this.#directory = directory;
    this.#env = env;
  }

  static async for(cluster: Cluster): Promise<Helm> {
    const home = join(cluster.directory, 'helm');
    await mkdir(home, { recursive: true });
    return new Helm(await goBuild(tools), {
      PATH: process.env['PATH'],
      KUBECONFIG: cluster.kubeconfigPath,
      HOME: home,
      HELM_CACHE_HOME: home,
      HELM_CONFIG_HOME: home,
      HELM_DATA_HOME: home,
    });
  }

  /** Answers what it printed; fails as it fails. */
  run(...args: readonly string[]): Promise<string> {
    return this.#run('helm', args);
  }

  /** Validates a stream of objects against a folder that `writeSchemas` filled. **Fails when** one is invalid. */
  kubeconform(schemas: string, objects: string): Promise<string> {
    const location = join(schemas, '{{ .ResourceKind }}{{ .KindSuffix }}.json');
    return this.#run('kubeconform', ['-summary', '-schema-location', location, '-'], objects);
  }

  #run(program: string, args: readonly string[], input = ''): Promise<string> {
    return new Promise((resolve, reject) => {
      const child = spawn(join(this.#directory, program), args, { env: this.#env, stdio: 'pipe' });
      let stdout = '';
      let stderr = '';
      child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk));
      child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
      child.once('error', reject);
      child.once('close', (code) => {
        if (code === 0) resolve(stdout);
        else reject(new Error(`${program} ${args.join(' ')}: exit code ${code}\n${stderr}${stdout}`));
      });
      child.stdin.on('error', () => {}); // It may end without reading; its exit code says why.
      child.stdin.end(input);
    });
  }
}
