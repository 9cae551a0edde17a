import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';

/** Where the programs are published. */
export interface ReleaseSources {
  /** envtest's list of archives with their SHA-512: etcd, kube-apiserver and kubectl. */
  readonly envtestIndex: string;
  /** The Kubernetes release server, for what envtest leaves out; it has a `.sha256` beside each file. */
  readonly kubernetes: string;
  /** GitHub's description of one KWOK release, with the digest of each file. */
  readonly kwok: string;
}

const official: ReleaseSources = {
  envtestIndex: 'https://raw.githubusercontent.com/kubernetes-sigs/controller-tools/HEAD/envtest-releases.yaml',
  kubernetes: 'https://dl.k8s.io/release',
  kwok: 'https://api.github.com/repos/kubernetes-sigs/kwok/releases/tags/v0.8.0',
};

interface EnvtestIndex {
  readonly releases: Readonly<
    Record<string, Readonly<Record<string, { readonly hash: string; readonly selfLink: string }>>>
  >;
}

interface GitHubRelease {
  readonly assets: readonly {
    readonly name: string;
    readonly digest?: string;
    readonly browser_download_url: string;
  }[];
}

/**
 * Fetches the released programs of a Kubernetes minor into `target`, each checked against its published digest.
 *
 * **Fails when** the network does not reach them, within three seconds if it reaches nothing; then `target` is not made.
 */
export async function downloadRelease(
  target: string,
  minor: string,
  log: (line: string) => void,
  sources: ReleaseSources = official,
): Promise<void> {
  if (existsSync(target)) return;
  // One short answer tells whether this network reaches outside; only then may the rest take its time.
  const index = parse((await get(sources.envtestIndex, 2500)).toString()) as EnvtestIndex;
  const version = Object.keys(index.releases)
    .filter((name) => name.startsWith(`v${minor}.`) && !name.includes('-'))
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    .at(-1);
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
  const archive = version && index.releases[version]?.[`envtest-${version}-linux-${architecture}.tar.gz`];
  if (!archive) throw new Error(`no envtest release of Kubernetes ${minor} for linux/${architecture}`);

  log(`control plane: downloading the released Kubernetes ${version}`);
  await mkdir(join(target, '..'), { recursive: true });
  const directory = await mkdtemp(`${target}.downloading-`);
  try {
    const path = join(directory, 'envtest.tar.gz');
    await writeFile(path, await verified(archive.selfLink, 'sha512', archive.hash));
    await unpack(path, directory);
    await rm(path);
    for (const program of ['kube-controller-manager', 'kube-scheduler']) {
      const url = `${sources.kubernetes}/${version}/bin/linux/${architecture}/${program}`;
      const digest = (await get(`${url}.sha256`)).toString().trim().slice(0, 64);
      await writeProgram(join(directory, program), await verified(url, 'sha256', digest));
    }
    const { assets } = JSON.parse((await get(sources.kwok)).toString()) as GitHubRelease;
    const kwok = assets.find(({ name }) => name === `kwok-linux-${architecture}`);
    if (!kwok?.digest?.startsWith('sha256:')) throw new Error('the KWOK release names no digest');
    await writeProgram(
      join(directory, 'kwok'),
      await verified(kwok.browser_download_url, 'sha256', kwok.digest.slice('sha256:'.length)),
    );
    await rename(directory, target);
  } catch (error) {
    await rm(directory, { recursive: true, force: true });
    if (!existsSync(target)) throw error; // Otherwise another process was first.
  }
}

async function get(url: string, timeoutMs = 300_000): Promise<Buffer> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) });
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  return Buffer.from(await answer.arrayBuffer());
}

async function verified(url: string, algorithm: 'sha256' | 'sha512', digest: string): Promise<Buffer> {
  const bytes = await get(url);
  if (createHash(algorithm).update(bytes).digest('hex') !== digest)
    throw new Error(`${url} does not have its published digest`);
  return bytes;
}

async function writeProgram(path: string, bytes: Buffer): Promise<void> {
  await writeFile(path, bytes);
  await chmod(path, 0o755);
}

function unpack(archive: string, directory: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('tar', ['-xzf', archive, '-C', directory, '--strip-components=2'], { stdio: 'ignore' });
    child.once('error', reject);
    child.once('close', (code) => (code === 0 ? resolve() : reject(new Error(`tar: exit code ${code}`))));
  });
}
