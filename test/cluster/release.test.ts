import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { downloadRelease, type ReleaseSources } from './release.ts';

let scratch: string;
let server: Server;
let sources: ReleaseSources;
const files = new Map<string, string | Buffer>();
const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
const digest = (algorithm: string, bytes: string | Buffer) => createHash(algorithm).update(bytes).digest('hex');

beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'release-'));
  server = createServer((request, response) => {
    const file = files.get(request.url!);
    response.statusCode = file === undefined ? 404 : 200;
    response.end(file);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const at = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  sources = { envtestIndex: `${at}/index.yaml`, kubernetes: `${at}/release`, kwok: `${at}/kwok.json` };

  const layout = join(scratch, 'controller-tools/envtest');
  await mkdir(layout, { recursive: true });
  for (const program of ['etcd', 'kube-apiserver', 'kubectl'])
    await writeFile(join(layout, program), program, { mode: 0o755 });
  spawnSync('tar', ['-czf', 'envtest.tar.gz', 'controller-tools'], { cwd: scratch });
  const archive = await readFile(join(scratch, 'envtest.tar.gz'));
  const release = (version: string) =>
    `  ${version}:\n    envtest-${version}-linux-${architecture}.tar.gz:\n      hash: ${digest('sha512', archive)}\n      selfLink: ${at}/envtest.tar.gz\n`;
  files.clear();
  files.set('/index.yaml', `releases:\n${release('v1.36.10')}${release('v1.36.9')}${release('v1.37.0-alpha.1')}`);
  files.set('/envtest.tar.gz', archive);
  for (const program of ['kube-controller-manager', 'kube-scheduler']) {
    files.set(`/release/v1.36.10/bin/linux/${architecture}/${program}`, program);
    files.set(`/release/v1.36.10/bin/linux/${architecture}/${program}.sha256`, digest('sha256', program));
  }
  const asset = {
    name: `kwok-linux-${architecture}`,
    digest: `sha256:${digest('sha256', 'kwok')}`,
    browser_download_url: `${at}/kwok`,
  };
  files.set('/kwok.json', JSON.stringify({ assets: [asset] }));
  files.set('/kwok', 'kwok');
});

afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await rm(scratch, { recursive: true, force: true });
});

test('the newest patch of the minor is fetched whole', async () => {
  const target = join(scratch, 'cache/released');
  await downloadRelease(target, '1.36', () => {}, sources);
  expect((await readdir(target)).sort()).toEqual([
    'etcd',
    'kube-apiserver',
    'kube-controller-manager',
    'kube-scheduler',
    'kubectl',
    'kwok',
  ]);
});

test.each(['/envtest.tar.gz', `/release/v1.36.10/bin/linux/${architecture}/kube-scheduler`, '/kwok'])(
  'nothing is kept when %s is not what was published',
  async (path) => {
    files.set(path, 'something else');
    const target = join(scratch, 'cache/released');
    await expect(downloadRelease(target, '1.36', () => {}, sources)).rejects.toThrow(
      'does not have its published digest',
    );
    expect(existsSync(target)).toBe(false);
    expect(await readdir(join(scratch, 'cache'))).toEqual([]);
  },
);

test('a network without the releases says so at once', async () => {
  const nowhere = { ...sources, envtestIndex: 'http://127.0.0.1:9/index.yaml' };
  await expect(downloadRelease(join(scratch, 'cache/released'), '1.36', () => {}, nowhere)).rejects.toThrow(
    'fetch failed',
  );
});
