import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Cluster } from './cluster.ts';
import { Component } from './component.ts';
import { until } from './control-plane.ts';
import { freePort } from './ports.ts';

interface Pod {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly nodeName?: string };
  readonly status: {
    readonly phase: string;
    readonly conditions?: readonly { readonly type: string; readonly reason?: string; readonly message?: string }[];
  };
}

function gpuPod(name: string, gpus: number, options: { readonly tolerates?: boolean } = {}) {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: {
      ...(options.tolerates === false
        ? {}
        : { tolerations: [{ key: 'nvidia.com/gpu', operator: 'Exists', effect: 'NoSchedule' }] }),
      containers: [{ name: 'engine', image: 'engine', resources: { limits: { 'nvidia.com/gpu': String(gpus) } } }],
    },
  };
}

async function pods(cluster: Cluster, namespace: string): Promise<Pod[]> {
  return (await cluster.api.call<{ items: Pod[] }>(`/api/v1/namespaces/${namespace}/pods`)).items;
}

async function namespace(cluster: Cluster, name: string): Promise<string> {
  await cluster.kubectl(['create', 'namespace', name]);
  await until(
    `the service account of ${name}`,
    10_000,
    undefined,
    async () => (await cluster.api.find(`/api/v1/namespaces/${name}/serviceaccounts/default`)) !== undefined,
  );
  return name;
}

const whyPending = (pod: Pod) => pod.status.conditions?.find(({ type }) => type === 'PodScheduled')?.message ?? '';

describe('Cluster', () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await Cluster.start({ nodes: '8xH100-80GB*3,CPU', users: { dana: ['team-a'] }, auditLog: true });
  });
  afterAll(() => cluster?.stop());

  test('of 13 pods with 2 GPUs, 3 nodes of 8 take 12, and the last says what it waits for', async () => {
    const at = await namespace(cluster, 'count');
    for (let n = 0; n < 13; n++) {
      await cluster.api.call(`/api/v1/namespaces/${at}/pods`, { method: 'POST', body: gpuPod(`engine-${n}`, 2) });
    }
    await until('12 pods to be scheduled and one to be refused', 20_000, undefined, async () => {
      const all = await pods(cluster, at);
      return (
        all.filter((pod) => pod.spec.nodeName).length === 12 &&
        all.some((pod) => whyPending(pod).includes('Insufficient'))
      );
    });
    const all = await pods(cluster, at);
    const perNode = Map.groupBy(
      all.filter((pod) => pod.spec.nodeName),
      (pod) => pod.spec.nodeName!,
    );
    expect(Object.fromEntries([...perNode].map(([node, list]) => [node, list.length]))).toEqual({
      'h100-80gb-0': 4,
      'h100-80gb-1': 4,
      'h100-80gb-2': 4,
    });
    expect(whyPending(all.find((pod) => !pod.spec.nodeName)!)).toMatch(
      /3 Insufficient nvidia.com\/gpu|4 Insufficient nvidia.com\/gpu/,
    );
    await cluster.kubectl(['delete', 'pods', '--all', '--force', '--grace-period=0', '-n', at]);
  });

  test('a pod that does not tolerate the GPU taint stays Pending', async () => {
    const at = await namespace(cluster, 'taint');
    await cluster.api.call(`/api/v1/namespaces/${at}/pods`, {
      method: 'POST',
      body: gpuPod('engine', 1, { tolerates: false }),
    });
    await until('the refusal', 10_000, undefined, async () =>
      (await pods(cluster, at)).some((pod) => whyPending(pod) !== ''),
    );
    expect(whyPending((await pods(cluster, at))[0]!)).toContain('untolerated taint');
  });

  test('nobody runs pods but who writes their status; kubectl logs and port-forward reach what it names', async () => {
    const at = await namespace(cluster, 'run');
    await cluster.api.call(`/api/v1/namespaces/${at}/pods`, { method: 'POST', body: gpuPod('engine', 1) });
    await until(
      'the pod to be scheduled',
      10_000,
      undefined,
      async () => (await pods(cluster, at))[0]?.spec.nodeName !== undefined,
    );
    expect((await pods(cluster, at))[0]!.status.phase).toBe('Pending');

    const podIP = '127.10.7.9';
    const engine = createServer((_, response) => response.end('hello from the engine'));
    engine.listen(0, podIP);
    await once(engine, 'listening');
    const target = { address: podIP, port: (engine.address() as AddressInfo).port };
    const logsFile = join(cluster.directory, 'engine.log');
    await writeFile(logsFile, '2026-11-23T19:00:00.000000000Z stdout F INFO: Started server process\n');
    const now = new Date().toISOString();
    await cluster.api.call(`/api/v1/namespaces/${at}/pods/engine/status`, {
      method: 'PATCH',
      contentType: 'application/merge-patch+json',
      body: {
        status: {
          phase: 'Running',
          podIP,
          podIPs: [{ ip: podIP }],
          hostIP: '127.0.0.1',
          conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: now }],
          containerStatuses: [
            {
              name: 'engine',
              image: 'engine',
              imageID: '',
              ready: true,
              restartCount: 0,
              state: { running: { startedAt: now } },
            },
          ],
        },
      },
    });
    for (const [kind, plural, spec] of [
      ['Logs', 'logs', { logs: [{ containers: ['engine'], logsFile, follow: true }] }],
      ['PortForward', 'portforwards', { forwards: [{ ports: [8000], target }] }],
    ] as const) {
      await cluster.api.call(`/apis/kwok.x-k8s.io/v1alpha1/namespaces/${at}/${plural}`, {
        method: 'POST',
        body: { apiVersion: 'kwok.x-k8s.io/v1alpha1', kind, metadata: { name: 'engine' }, spec },
      });
    }
    try {
      const logs = async () => cluster.kubectl(['logs', 'engine', '-n', at]).catch((error: Error) => error.message);
      await until('the first line', 10_000, undefined, async () => (await logs()) === 'INFO: Started server process\n');
      await appendFile(logsFile, '2026-11-23T19:00:01.000000000Z stdout F INFO: Application startup complete.\n');
      expect(await logs()).toBe('INFO: Started server process\nINFO: Application startup complete.\n');

      const localPort = await freePort();
      const forward = new Component(
        'port-forward',
        {
          program: cluster.kubectlPath,
          args: ['port-forward', 'pod/engine', `${localPort}:8000`, '-n', at],
          env: cluster.kubectlEnv(),
          logPath: join(cluster.directory, 'port-forward.log'),
        },
        () => {},
      );
      forward.start();
      await until('the forward', 10_000, undefined, () => canConnect(localPort));
      expect(await (await fetch(`http://127.0.0.1:${localPort}/`)).text()).toBe('hello from the engine');
      await forward.kill();
    } finally {
      engine.closeAllConnections();
      engine.close();
    }
  });

  test('a service account has its own rights and no more', async () => {
    const at = await namespace(cluster, 'rights');
    await cluster.kubectl(['create', 'role', 'reader', '--verb=list', '--resource=pods', '-n', at]);
    await cluster.kubectl([
      'create',
      'rolebinding',
      'reader',
      '--role=reader',
      `--serviceaccount=${at}:default`,
      '-n',
      at,
    ]);
    const account = await cluster.serviceAccountKubeconfig(at, 'default');
    const as = { kubeconfig: account.kubeconfigPath };
    expect(await cluster.kubectl(['auth', 'whoami', '-o', 'jsonpath={.status.userInfo.username}'], as)).toBe(
      `system:serviceaccount:${at}:default`,
    );
    expect(await cluster.kubectl(['get', 'pods', '-o', 'name'], as)).toBe('');
    await expect(cluster.kubectl(['get', 'secrets'], as)).rejects.toThrow('forbidden');
  });

  test('a user named at the start is who their token says, and is audited', async () => {
    const dana = await cluster.userKubeconfig('dana');
    const groups = await cluster.kubectl(['auth', 'whoami', '-o', 'jsonpath={.status.userInfo.groups}'], {
      kubeconfig: dana.kubeconfigPath,
    });
    expect(JSON.parse(groups)).toEqual(['team-a', 'system:authenticated']);
    expect(await readFile(cluster.auditLogPath!, 'utf8')).toContain('"username":"dana"');
  });

  test('nodes come and go', async () => {
    expect(await cluster.addNodes('8xH100-80GB,4xUNLABELLED')).toEqual(['h100-80gb-3', 'gpu-0']);
    await cluster.applyNodes('8xH100-80GB*2,CPU');
    expect((await cluster.kubectl(['get', 'nodes', '-o', 'name'])).trim().split('\n')).toEqual([
      'node/cpu-0',
      'node/h100-80gb-0',
      'node/h100-80gb-1',
    ]);
  });

  test('the default StorageClass waits for a pod', async () => {
    expect(
      await cluster.kubectl(['get', 'storageclass', 'local', '-o', 'jsonpath={.provisioner} {.volumeBindingMode}']),
    ).toBe('simulator.qwencoder.dev/local WaitForFirstConsumer');
  });

  test('a program that is killed and started again goes on where it was', async () => {
    const scheduler = cluster.component('kube-scheduler');
    await scheduler.kill();
    expect(scheduler.isRunning).toBe(false);
    scheduler.start();
    const server = cluster.component('kube-apiserver');
    await server.kill();
    server.start();
    await until('the API server', 30_000, undefined, () =>
      cluster.api.call<string>('/readyz').then(
        (text) => text === 'ok',
        () => false,
      ),
    );
    expect(await cluster.kubectl(['get', 'namespace', 'rights', '-o', 'name'])).toBe('namespace/rights\n');
  });
});

test('with podsRun: kwok, pods run at once, Jobs complete, and deleted pods go', async () => {
  await using cluster = await Cluster.start({ nodes: '8xH100-80GB,CPU', podsRun: 'kwok' });
  await cluster.kubectl(['create', 'deployment', 'web', '--image=web', '--replicas=3']);
  await cluster.kubectl(['create', 'job', 'once', '--image=once']);
  await cluster.kubectl(['wait', 'deployment/web', '--for=condition=Available', '--timeout=20s']);
  await cluster.kubectl(['wait', 'job/once', '--for=condition=Complete', '--timeout=20s']);
  await cluster.kubectl(['delete', 'deployment/web', '--timeout=20s', '--cascade=foreground']);
  expect(await cluster.kubectl(['get', 'pods', '-l', 'app=web', '-o', 'name'])).toBe('');
});

test('an existing cluster is used through its kubeconfig, and gets back what was put there', async () => {
  await using owned = await Cluster.start({ podsRun: 'kwok' });
  await owned.component('kwok').kill();
  await owned.kubectl(['delete', 'crd', 'logs.kwok.x-k8s.io', 'portforwards.kwok.x-k8s.io']);
  const adopted = await Cluster.start({ kubeconfig: owned.kubeconfigPath, nodes: '2xL4-24GB' });
  expect(await adopted.kubectl(['get', 'nodes', '-o', 'name'])).toBe('node/l4-24gb-0\n');
  await adopted.stop();
  // A definition goes when its last object has.
  await expect.poll(() => owned.kubectl(['get', 'nodes,crd', '-o', 'name']), { timeout: 20_000 }).toBe('');
});

test('two clusters side by side know nothing of each other', async () => {
  const [one, two] = await Promise.all([Cluster.start({ nodes: 'CPU' }), Cluster.start({ nodes: '2xL4-24GB' })]);
  try {
    const names = async (cluster: Cluster) => cluster.kubectl(['get', 'nodes', '-o', 'name']);
    expect([await names(one), await names(two)]).toEqual(['node/cpu-0\n', 'node/l4-24gb-0\n']);
  } finally {
    await Promise.all([one.stop(), two.stop()]);
  }
});

test('a program that dies by itself is reported with the end of its log', async () => {
  const failure = Promise.withResolvers<Error>();
  await using cluster = await Cluster.start({ onFailure: failure.resolve });
  process.kill(cluster.component('etcd').pid!, 'SIGKILL');
  const { message } = await failure.promise;
  expect(message).toMatch(/^etcd ended by itself/);
});

test('when the owner is killed with SIGKILL, its programs and its directory go', async () => {
  const script = `
    const { Cluster } = await import(${JSON.stringify(new URL('cluster.ts', import.meta.url).href)});
    const cluster = await Cluster.start({ nodes: 'CPU' });
    const names = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kwok'];
    console.log(JSON.stringify({ directory: cluster.directory, pids: names.map((name) => cluster.component(name).pid) }));
    setInterval(() => {}, 1000);`;
  const owner = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(createInterface(owner.stdout), 'line')) as [string];
  const { directory, pids } = JSON.parse(line) as { directory: string; pids: number[] };
  expect(pids.every(isAlive)).toBe(true);

  owner.kill('SIGKILL');
  await until('the programs to be gone', 5000, undefined, async () => !pids.some(isAlive));
  await until('the directory to be gone', 5000, undefined, async () => !existsSync(directory));
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
