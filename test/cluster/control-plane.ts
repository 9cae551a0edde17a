import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AdminApi } from './admin-api.ts';
import type { Binaries } from './binaries.ts';
import { type Authority, makeAuthority, makePrivateKey, publicHalf } from './certificates.ts';
import { Component } from './component.ts';
import { kubeconfigFor } from './kubeconfig.ts';
import { kwokAnnotation, kwokStages } from './kwok.ts';
import { freePort } from './ports.ts';

export type ComponentName = 'etcd' | 'kube-apiserver' | 'kube-controller-manager' | 'kube-scheduler' | 'kwok';

export interface ControlPlaneOptions {
  readonly users: Readonly<Record<string, readonly string[]>>;
  /** Rules of the audit policy besides the one that logs the metadata of everything; no audit log when undefined. */
  readonly auditRules: readonly object[] | undefined;
  readonly apiServerArgs: readonly string[];
  readonly controllerManagerArgs: readonly string[];
  readonly podsRun: 'simulator' | 'kwok';
}

/** How to reach what runs. */
export interface ControlPlane {
  readonly api: AdminApi;
  readonly authorityPath: string;
  readonly kubeconfigPath: string;
  readonly kubeconfig: string;
  readonly auditLogPath: string | undefined;
  readonly tokens: ReadonlyMap<string, string>;
}

/** A program ended because another process had taken its port. */
export class PortTakenError extends Error {
  override readonly name = 'PortTakenError';
}

export function endOf(component: Component): Error {
  const tail = component.logTail();
  const message = `${component.name} ended by itself. The end of its log:\n${tail}`;
  return /address already in use/.test(tail) ? new PortTakenError(message) : new Error(message);
}

/**
 * Starts etcd, the API server, the controller manager and the scheduler, and puts them into `components`; KWOK too, for the
 * caller to start once its definitions are there. Resolves when the API server is ready.
 */
export async function startControlPlane(
  binaries: Binaries,
  directory: string,
  options: ControlPlaneOptions,
  components: Map<ComponentName, Component>,
  onUnexpectedExit: (component: Component) => void,
  signal: AbortSignal,
): Promise<ControlPlane> {
  const file = (name: string) => join(directory, name);
  const port = {
    etcd: await freePort(),
    etcdPeer: await freePort(),
    apiServer: await freePort(),
  };
  const serverUrl = `https://127.0.0.1:${port.apiServer}`;

  const authority = makeAuthority('qwen-coder-operator local cluster');
  const serving = authority.issue(
    'kube-apiserver',
    ['localhost', 'kubernetes', 'kubernetes.default', 'kubernetes.default.svc', 'kubernetes.default.svc.cluster.local'],
    ['127.0.0.1', '10.96.0.1'],
  );
  const serviceAccountKey = makePrivateKey();
  const groups: Record<string, readonly string[]> = {
    ...options.users,
    admin: ['system:masters'],
    'system:kube-controller-manager': [],
    'system:kube-scheduler': [],
    kwok: ['system:masters'],
  };
  const tokens = new Map(Object.keys(groups).map((user) => [user, randomBytes(16).toString('hex')]));
  const kubeconfig = (user: string) =>
    kubeconfigFor({ server: serverUrl, authority: authority.certificate, user, token: tokens.get(user)! });

  const files: Record<string, string> = {
    'ca.crt': authority.certificate,
    'ca.key': authority.key,
    'apiserver.crt': serving.certificate,
    'apiserver.key': serving.key,
    'service-accounts.key': serviceAccountKey,
    'service-accounts.pub': publicHalf(serviceAccountKey),
    'tokens.csv': Object.entries(groups)
      .map(([user, memberOf]) => `${tokens.get(user)},${user},${user},"${memberOf.join(',')}"\n`)
      .join(''),
    'audit-policy.yaml': JSON.stringify({
      apiVersion: 'audit.k8s.io/v1',
      kind: 'Policy',
      omitStages: ['RequestReceived'],
      rules: [...(options.auditRules ?? []), { level: 'Metadata' }],
    }),
    'admin.kubeconfig': kubeconfig('admin'),
    'kube-controller-manager.kubeconfig': kubeconfig('system:kube-controller-manager'),
    'kube-scheduler.kubeconfig': kubeconfig('system:kube-scheduler'),
    'kwok.kubeconfig': kubeconfig('kwok'),
  };
  await mkdir(file('etcd'), { recursive: true, mode: 0o700 });
  await Promise.all(Object.entries(files).map(([name, text]) => writeFile(file(name), text, { mode: 0o600 })));

  const auditLogPath = options.auditRules ? file('audit.log') : undefined;
  const args: Record<Exclude<ComponentName, 'kwok'>, readonly string[]> = {
    etcd: [
      `--data-dir=${file('etcd')}`,
      `--listen-client-urls=http://127.0.0.1:${port.etcd}`,
      `--advertise-client-urls=http://127.0.0.1:${port.etcd}`,
      `--listen-peer-urls=http://127.0.0.1:${port.etcdPeer}`,
      `--initial-advertise-peer-urls=http://127.0.0.1:${port.etcdPeer}`,
      `--initial-cluster=default=http://127.0.0.1:${port.etcdPeer}`,
      // The data dies with the cluster: nothing is worth waiting for the disk.
      '--unsafe-no-fsync',
      '--log-level=warn',
    ],
    'kube-apiserver': [
      `--etcd-servers=http://127.0.0.1:${port.etcd}`,
      '--bind-address=127.0.0.1',
      '--advertise-address=127.0.0.1',
      // An Endpoints object may not hold a loopback address, so nobody may try to write ours.
      '--endpoint-reconciler-type=none',
      `--secure-port=${port.apiServer}`,
      `--tls-cert-file=${file('apiserver.crt')}`,
      `--tls-private-key-file=${file('apiserver.key')}`,
      `--client-ca-file=${file('ca.crt')}`,
      '--authorization-mode=RBAC',
      `--token-auth-file=${file('tokens.csv')}`,
      '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
      `--service-account-key-file=${file('service-accounts.pub')}`,
      `--service-account-signing-key-file=${file('service-accounts.key')}`,
      '--service-cluster-ip-range=10.96.0.0/16',
      `--kubelet-certificate-authority=${file('ca.crt')}`,
      '--kubelet-preferred-address-types=InternalIP',
      '--allow-privileged=true',
      '--profiling=false',
      ...(auditLogPath
        ? [
            `--audit-log-path=${auditLogPath}`,
            `--audit-policy-file=${file('audit-policy.yaml')}`,
            '--audit-log-mode=blocking',
            // In megabytes: readers want one file.
            '--audit-log-maxsize=100000',
          ]
        : []),
      ...options.apiServerArgs,
    ],
    'kube-controller-manager': [
      `--kubeconfig=${file('kube-controller-manager.kubeconfig')}`,
      '--use-service-account-credentials',
      `--service-account-private-key-file=${file('service-accounts.key')}`,
      `--root-ca-file=${file('ca.crt')}`,
      `--cluster-signing-cert-file=${file('ca.crt')}`,
      `--cluster-signing-key-file=${file('ca.key')}`,
      '--leader-elect=false',
      // Pods have loopback addresses, which the API server accepts in a Pod and refuses in Endpoints and EndpointSlices:
      // these controllers could only fail, with a Warning on every Service.
      '--controllers=*,-endpoints-controller,-endpointslice-controller',
      // Nobody asks it anything, so it needs no port.
      '--secure-port=0',
      '--kube-api-qps=100',
      '--kube-api-burst=200',
      ...options.controllerManagerArgs,
    ],
    'kube-scheduler': [`--kubeconfig=${file('kube-scheduler.kubeconfig')}`, '--leader-elect=false', '--secure-port=0'],
  };

  const add = (name: ComponentName, options: { program: string; args: readonly string[] }) =>
    components.set(name, new Component(name, { ...options, logPath: file(`${name}.log`) }, onUnexpectedExit));
  for (const name of ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler'] as const) {
    add(name, { program: binaries[name], args: args[name] });
  }
  add('kwok', await prepareKwok(binaries.kwok, directory, file('kwok.kubeconfig'), authority, options.podsRun));

  components.get('etcd')!.start();
  components.get('kube-apiserver')!.start();
  const api = await AdminApi.open(file('admin.kubeconfig'));
  await until('the API server to be ready', 60_000, signal, () =>
    api.call<string>('/readyz').then(
      (text) => text === 'ok',
      () => false,
    ),
  );
  components.get('kube-controller-manager')!.start();
  components.get('kube-scheduler')!.start();

  return {
    api,
    kubeconfigPath: file('admin.kubeconfig'),
    kubeconfig: files['admin.kubeconfig']!,
    authorityPath: file('ca.crt'),
    auditLogPath,
    tokens,
  };
}

/** Writes what KWOK reads, and says how to start it. */
export async function prepareKwok(
  program: string,
  directory: string,
  kubeconfigPath: string,
  authority: Authority,
  podsRun: 'simulator' | 'kwok',
): Promise<{ program: string; args: readonly string[] }> {
  const file = (name: string) => join(directory, name);
  const serving = authority.issue('kwok', ['localhost'], ['127.0.0.1']);
  await Promise.all([
    writeFile(file('kwok.crt'), serving.certificate),
    writeFile(file('kwok.key'), serving.key, { mode: 0o600 }),
    writeFile(file('stages.yaml'), kwokStages(podsRun === 'kwok')),
  ]);
  const port = await freePort();
  return {
    program,
    args: [
      `--kubeconfig=${kubeconfigPath}`,
      `--config=${file('stages.yaml')}`,
      `--manage-nodes-with-annotation-selector=${kwokAnnotation.key}=${kwokAnnotation.value}`,
      '--manage-all-nodes=false',
      '--enable-crds=Logs,PortForward',
      '--cidr=127.10.0.0/16',
      '--node-ip=127.0.0.1',
      `--node-port=${port}`,
      `--server-address=127.0.0.1:${port}`,
      `--tls-cert-file=${file('kwok.crt')}`,
      `--tls-private-key-file=${file('kwok.key')}`,
      '--node-lease-duration-seconds=40',
    ],
  };
}

/** Polls until it is so. */
export async function until(
  what: string,
  withinMs: number,
  signal: AbortSignal | undefined,
  isSo: () => Promise<boolean>,
): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await isSo())) {
    signal?.throwIfAborted();
    if (performance.now() > deadline) throw new Error(`waited ${withinMs / 1000} s for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
