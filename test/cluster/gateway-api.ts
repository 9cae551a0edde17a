import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { HTTPRoutes, pathOf } from '../../src/kube/index.ts';
import type { Cluster } from './cluster.ts';
import { until } from './control-plane.ts';

const MODULE = 'sigs.k8s.io/gateway-api@v1.4.1';
const ROUTES = 'config/crd/standard/gateway.networking.k8s.io_httproutes.yaml';

/** Puts the definition of HTTPRoute into a cluster, out of its Go module. **Fails when** there is no Go. */
export async function installHttpRoutes(cluster: Cluster): Promise<void> {
  const { stdout } = await promisify(execFile)('go', ['mod', 'download', '-json', MODULE], { cwd: tmpdir() });
  const { Dir: directory } = JSON.parse(stdout) as { readonly Dir: string };
  await cluster.kubectl(['apply', '--server-side', '-f', join(directory, ROUTES)]);
  const isServed = async () => (await cluster.api.find(pathOf(HTTPRoutes))) !== undefined;
  await until('HTTPRoutes to be served', 30_000, undefined, isServed);
}
