import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type GoBuild, type Log, builtDirectory, cacheRoot, goBuild, logToStderr } from './go-build.ts';
import { downloadRelease } from './release.ts';

export { logToStderr } from './go-build.ts';

/** The programs that make a cluster. */
export const programs = [
  'etcd',
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'kubectl',
  'kwok',
] as const;
export type Program = (typeof programs)[number];

/** Where each program is. */
export type Binaries = Readonly<Record<Program, string>>;

const kubernetesMinor = '1.36';

const controlPlane: GoBuild = {
  name: 'control plane',
  module: new URL('control-plane/', import.meta.url).pathname,
  sources: ['go.mod', 'go.sum', 'main.go', 'kwok/main.go'],
  programs: { 'control-plane': '.', kwok: './kwok' },
  // One file that looks at the name it was called by.
  links: Object.fromEntries(
    programs.filter((program) => program !== 'kwok').map((program) => [program, 'control-plane']),
  ),
  takes: 'about five minutes',
  withoutGo:
    'A local cluster needs the programs of Kubernetes. Install Go 1.26 or newer (they are built once, in about five ' +
    'minutes), or point QWEN_CODER_KUBECONFIG at an existing cluster.',
};

/**
 * Finds or makes the programs of a cluster: `KUBEBUILDER_ASSETS`, then the published releases, then a build from Go modules
 * for what is still missing. All but the first are kept under `~/.cache/qwen-coder-operator`.
 *
 * **Fails when** something must be built and there is no Go.
 */
export async function findBinaries(log: Log = logToStderr): Promise<Binaries> {
  const found = new Map<Program, string>();
  const addAllOf = (directory: string) => {
    for (const program of programs) {
      const path = join(directory, program);
      if (!found.has(program) && existsSync(path)) found.set(program, path);
    }
  };

  const assets = process.env['KUBEBUILDER_ASSETS'];
  if (assets) {
    addAllOf(assets);
    log(`control plane: ${[...found.keys()].join(', ') || 'nothing'} from KUBEBUILDER_ASSETS`);
  }
  addAllOf(await builtDirectory(controlPlane));
  if (found.size < programs.length) {
    const released = join(cacheRoot(), `released-${kubernetesMinor}`);
    // Most networks that cannot reach the releases can reach a Go module proxy, and the build says what it lacks.
    await downloadRelease(released, kubernetesMinor, log).catch(() => undefined);
    addAllOf(released);
  }
  if (found.size < programs.length) {
    addAllOf(await goBuild(controlPlane, log));
  }
  return Object.fromEntries(found) as Record<Program, string>;
}

/** Only `kubectl`: what an existing cluster needs. From the PATH if it is there. */
export async function findKubectl(log: Log = logToStderr): Promise<string> {
  for (const directory of (process.env['PATH'] ?? '').split(':')) {
    if (directory && existsSync(join(directory, 'kubectl'))) return join(directory, 'kubectl');
  }
  return (await findBinaries(log)).kubectl;
}
