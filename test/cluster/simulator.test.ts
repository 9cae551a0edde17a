import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { PersistentVolume } from '../../src/kube/resources.ts';
import type { Pod } from '../../src/kube/wire.ts';
import { Simulator } from '../simulator/simulator.ts';
import { scaledClock } from '../support/scaled-clock.ts';
import { Cluster } from './cluster.ts';

const FP8 = 'Qwen/Qwen3-Coder-Next-FP8';
const within = { timeout: 30_000, interval: 50 };

describe('Simulator', () => {
  let cluster: Cluster;
  let simulator: Simulator;
  beforeAll(async () => {
    cluster = await Cluster.start({ nodes: '8xH100-80GB*2,CPU' });
    simulator = await Simulator.start({
      kubeconfigPath: cluster.kubeconfigPath,
      clock: scaledClock(20),
      loadSeconds: 10,
    });
    // Every engine below reads what this Job fetches.
    await cluster.kubectl(['apply', '-f', '-'], {
      input: JSON.stringify(list(claimOf('weights', 'ReadWriteOnce'), weightsJob('fetch-weights', 'weights', FP8))),
    });
    await cluster.kubectl(['wait', '--for=condition=Complete', 'job/fetch-weights', '--timeout=60s']);
  });
  afterAll(async () => {
    await simulator?.stop();
    await cluster?.stop();
  });

  const apply = (...items: object[]) =>
    cluster.kubectl(['apply', '-f', '-'], { input: JSON.stringify(list(...items)) });
  const podsOf = async (app: string): Promise<Pod[]> =>
    (await cluster.api.call<{ items: Pod[] }>(`/api/v1/namespaces/default/pods?labelSelector=app%3D${app}`)).items;
  const podOf = async (app: string): Promise<Pod | undefined> => (await podsOf(app))[0];
  const containerOf = async (app: string) => (await podOf(app))?.status?.containerStatuses?.[0];
  const isReady = async (app: string) =>
    (await podOf(app))?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true;
  const remove = async (app: string) => {
    await cluster.kubectl(['delete', 'deployment', app, '--wait=false']);
    await expect.poll(async () => (await podsOf(app)).length, within).toBe(0);
  };
  const chat = (podIP: string, body: object) =>
    fetch(`http://${podIP}:8000/v1/chat/completions`, {
      method: 'POST',
      body: JSON.stringify({ model: 'coder', ...body }),
    });

  test('a Job fetches weights onto a volume that Kubernetes bound, and completes', async () => {
    const job = JSON.parse(await cluster.kubectl(['get', 'job', 'fetch-weights', '-o', 'json'])) as {
      status: { conditions: { type: string }[] };
    };
    expect(job.status.conditions.map(({ type }) => type)).toContain('Complete');
    const pod = (await podOf('fetch-weights'))!;
    expect(pod.status!.phase).toBe('Succeeded');
    expect(JSON.parse(pod.status!.containerStatuses![0]!.state!.terminated!.message!)).toEqual({
      commit: simulator.hub.commitOf(FP8),
      bytes: expect.any(Number),
    });
    expect(await cluster.kubectl(['logs', 'job/fetch-weights', '--tail=1'])).toMatch(/^verified (\d+) of \1 bytes/);
  });

  test('a hub that says no fails the Job, with its words in the log', async () => {
    await apply(claimOf('nothing', 'ReadWriteOnce'), weightsJob('fetch-nothing', 'nothing', 'Qwen/Nothing'));
    await expect.poll(async () => (await podOf('fetch-nothing'))?.status?.phase, within).toBe('Failed');
    expect(await cluster.kubectl(['logs', (await podOf('fetch-nothing'))!.metadata!.name!])).toContain(
      'RepositoryNotFoundError: 401 Client Error.',
    );
    await expect
      .poll(
        () => cluster.kubectl(['get', 'job', 'fetch-nothing', '-o', 'jsonpath={.status.conditions[*].type}']),
        within,
      )
      .toContain('Failed');
    await cluster.kubectl(['delete', 'job,pvc', '-l', 'app=fetch-nothing']);
  });

  test('a ReadWriteOnce volume stays where its first pod was put; ReadWriteMany goes anywhere; both go with their claims', async () => {
    const user = (claim: string) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: `user-of-${claim}`, labels: { app: `user-of-${claim}` } },
      spec: {
        restartPolicy: 'Never',
        containers: [
          { name: 'c', image: 'busybox', command: ['true'], volumeMounts: [{ name: 'v', mountPath: '/v' }] },
        ],
        volumes: [{ name: 'v', persistentVolumeClaim: { claimName: claim } }],
      },
    });
    await apply(claimOf('one', 'ReadWriteOnce'), claimOf('many', 'ReadWriteMany'), user('one'), user('many'));
    const volumeOf = async (claim: string) =>
      (await cluster.api.call<{ items: PersistentVolume[] }>('/api/v1/persistentvolumes')).items.find(
        ({ spec }) => spec?.claimRef?.name === claim,
      );
    for (const claim of ['one', 'many']) {
      await expect.poll(async () => (await podOf(`user-of-${claim}`))?.status?.phase, within).toBe('Succeeded');
    }
    const [one, many] = [(await volumeOf('one'))!, (await volumeOf('many'))!];
    const node = (await podOf('user-of-one'))!.spec!.nodeName;
    expect(one.spec!.nodeAffinity!.required!.nodeSelectorTerms[0]!.matchExpressions).toEqual([
      { key: 'kubernetes.io/hostname', operator: 'In', values: [node] },
    ]);
    expect(many.spec!.nodeAffinity).toBeUndefined();
    await cluster.kubectl(['delete', 'pod/user-of-one', 'pod/user-of-many', 'pvc/one', 'pvc/many']);
    await expect
      .poll(async () => [await volumeOf('one'), await volumeOf('many')], within)
      .toEqual([undefined, undefined]);
    expect(existsSync(one.spec!.hostPath!.path)).toBe(false);
  });

  test('an engine becomes Ready; its log, a forwarded port and a tool call work', async () => {
    await apply(deployment('coder'));
    await expect.poll(() => isReady('coder'), within).toBe(true);
    const pod = (await podOf('coder'))!;
    expect(pod.status!.podIP!.startsWith(`${simulator.addressPrefix}.`)).toBe(true);
    const log = await cluster.kubectl(['logs', 'deployment/coder']);
    expect(log).toContain('Available KV cache memory: 33.21 GiB');
    expect(log).toContain('Application startup complete.');

    const response = await chat(pod.status!.podIP!, {
      messages: [{ role: 'user', content: 'read "main.ts"' }],
      tools: [
        { type: 'function', function: { name: 'read_file', parameters: { type: 'object', required: ['path'] } } },
      ],
    });
    expect(await response.json()).toMatchObject({
      choices: [
        {
          finish_reason: 'tool_calls',
          message: { tool_calls: [{ function: { name: 'read_file', arguments: '{"path":"main.ts"}' } }] },
        },
      ],
    });
    expect(simulator.engines().filter(({ pod: name }) => name === pod.metadata!.name)).toMatchObject([
      { version: '0.33.0', isServing: true, maxModelLen: 131_072, served: 1 },
    ]);

    const forward = spawn(cluster.kubectlPath, ['port-forward', 'deployment/coder', ':8000'], {
      env: { PATH: process.env['PATH'], ...cluster.kubectlEnv() },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(forward.stdout.setEncoding('utf8'), 'data')) as [string];
    const port = /127\.0\.0\.1:(\d+)/.exec(line)![1];
    expect(await (await fetch(`http://127.0.0.1:${port}/v1/models`)).json()).toMatchObject({ data: [{ id: 'coder' }] });
    forward.kill();
    await remove('coder');
    await expect
      .poll(async () => cluster.kubectl(['get', 'logs.kwok.x-k8s.io', '-o', 'name']), within)
      .not.toContain('coder');
  });

  test('a pod that is deleted ends its requests first', async () => {
    await apply(deployment('drained'));
    await expect.poll(() => isReady('drained'), within).toBe(true);
    const { podIP } = (await podOf('drained'))!.status!;
    // 2000 tokens: about 20 s of the engine's time, less than the 60 s that preStop waits.
    const answer = chat(podIP!, { messages: [{ role: 'user', content: 'go' }], max_tokens: 2000, ignore_eos: true });
    await expect.poll(() => simulator.engines().find((engine) => engine.podIP === podIP)?.load.running, within).toBe(1);
    await remove('drained');
    expect(await (await answer).json()).toMatchObject({ usage: { completion_tokens: 2000 } });
  });

  test('a pod whose hook takes longer than its grace is killed when the grace is over', async () => {
    await apply(deployment('hasty', { graceSeconds: 20 }));
    await expect.poll(() => isReady('hasty'), within).toBe(true);
    const { podIP } = (await podOf('hasty'))!.status!;
    const answer = chat(podIP!, {
      messages: [{ role: 'user', content: 'go' }],
      max_tokens: 100_000,
      ignore_eos: true,
    }).then(
      () => 'answered',
      () => 'cut off',
    );
    await expect.poll(() => simulator.engines().find((engine) => engine.podIP === podIP)?.load.running, within).toBe(1);
    const startedAt = performance.now();
    await remove('hasty');
    // 20 s of grace and 2 s for SIGTERM, at twenty times the speed.
    expect(performance.now() - startedAt).toBeGreaterThan(900);
    expect(await answer).toBe('cut off');
  });

  test('an engine that does not fit goes into CrashLoopBackOff, and its last log tells why', async () => {
    await apply(deployment('misfit', { fault: 'does-not-fit' }));
    await expect
      .poll(async () => (await containerOf('misfit'))?.state?.waiting?.reason, within)
      .toBe('CrashLoopBackOff');
    const container = (await containerOf('misfit'))!;
    expect(container).toMatchObject({ ready: false, lastState: { terminated: { exitCode: 1, reason: 'Error' } } });
    expect(container.state!.waiting!.message).toMatch(
      /^back-off \d+m?\d*s restarting failed container=engine pod=misfit-/,
    );
    const name = (await podOf('misfit'))!.metadata!.name!;
    await expect
      .poll(() => cluster.kubectl(['logs', name, '--previous']), within)
      .toContain('ValueError: To serve at least one request');
    await remove('misfit');
  });

  test('an engine that crashes after it was ready restarts; healed by the simulator it stays', async () => {
    simulator.setFault(({ metadata }) => metadata?.labels?.['app'] === 'crashing', 'crash-after-ready');
    await apply(deployment('crashing'));
    await expect.poll(async () => (await containerOf('crashing'))?.restartCount ?? 0, within).toBeGreaterThan(0);
    // The watchdog's exit: no failure by its code.
    expect((await containerOf('crashing'))!.lastState!.terminated).toMatchObject({ exitCode: 0, reason: 'Completed' });
    simulator.setFault(({ metadata }) => metadata?.labels?.['app'] === 'crashing', undefined);
    await expect
      .poll(
        async () =>
          simulator.engines().some(({ pod, isServing }) => pod.startsWith('crashing-') && isServing) &&
          isReady('crashing'),
        within,
      )
      .toBe(true);
    const before = (await containerOf('crashing'))!.restartCount;
    simulator.crash(({ metadata }) => metadata?.labels?.['app'] === 'crashing');
    await expect.poll(async () => (await containerOf('crashing'))?.restartCount, within).toBe(before + 1);
    await remove('crashing');
  });

  test('a startup probe that never succeeds restarts the container', async () => {
    await apply(deployment('stuck', { fault: 'never-ready', startupFailures: 4 }));
    await expect.poll(async () => (await containerOf('stuck'))?.restartCount ?? 0, within).toBeGreaterThan(0);
    await expect
      .poll(() => cluster.kubectl(['get', 'events', '-o', 'jsonpath={.items[*].message}']), within)
      .toContain('Container engine failed startup probe, will be restarted');
    await remove('stuck');
  });

  test('an image that nobody has keeps the pod waiting', async () => {
    await apply(deployment('imageless', { image: 'vllm/vllm-openai:v9.9.9' }));
    await expect
      .poll(async () => (await containerOf('imageless'))?.state?.waiting?.reason, within)
      .toBe('ImagePullBackOff');
    await remove('imageless');
  });

  test('init containers come first, and a Secret that comes late is waited for', async () => {
    const spec = {
      initContainers: [{ name: 'first', image: 'busybox', command: ['sh', '-c', 'sleep 10'] }],
      containers: [
        {
          name: 'main',
          image: 'busybox',
          command: ['sleep', 'infinity'],
          env: [{ name: 'X', valueFrom: { secretKeyRef: { name: 'late', key: 'x' } } }],
        },
      ],
    };
    await apply({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'late', labels: { app: 'late' } }, spec });
    await expect
      .poll(async () => (await podOf('late'))?.status?.initContainerStatuses?.[0]?.state?.running !== undefined, within)
      .toBe(true);
    expect((await podOf('late'))!.status).toMatchObject({
      phase: 'Pending',
      containerStatuses: [{ state: { waiting: { reason: 'PodInitializing' } } }],
    });
    await expect
      .poll(async () => (await containerOf('late'))?.state?.waiting, within)
      .toEqual({
        reason: 'CreateContainerConfigError',
        message: 'secret "late" not found',
      });
    await apply({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'late' }, stringData: { x: 'y' } });
    await expect.poll(() => isReady('late'), within).toBe(true);
    await cluster.kubectl(['delete', 'pod/late', 'secret/late']);
  });

  test('a machine that is lost takes its engine with it', async () => {
    const [node] = await cluster.addNodes('2xH100-80GB');
    simulator.seedClaim('default', 'copied', { repository: FP8, path: 'checkpoint' });
    await apply(
      claimOf('copied', 'ReadWriteOnce'),
      deployment('lost', { node: node!, claim: 'copied', model: '/models/checkpoint' }),
    );
    await expect.poll(() => isReady('lost'), within).toBe(true);
    const { podIP } = (await podOf('lost'))!.status!;
    await cluster.removeNode(node!);
    await expect
      .poll(
        () =>
          chat(podIP!, {}).then(
            () => 'answers',
            () => 'is gone',
          ),
        within,
      )
      .toBe('is gone');
    await cluster.kubectl(['delete', 'deployment/lost', 'pvc/copied', '--wait=false']);
    await cluster.kubectl(['delete', 'pods', '-l', 'app=lost', '--grace-period=0', '--force']);
  });

  test('an image volume brings a checkpoint', async () => {
    await apply(deployment('packed', { checkpointImage: 'registry.local/coder-fp8:1', model: '/models' }));
    await expect.poll(() => isReady('packed'), within).toBe(true);
    await remove('packed');
  });

  test('sixty pods come up, each at its own address, and go', async () => {
    const nodes = await cluster.addNodes('8xH100-80GB*15');
    await apply(deployment('many', { claim: undefined, image: 'busybox' }));
    await cluster.kubectl(['scale', 'deployment/many', '--replicas=60']);
    await expect
      .poll(async () => (await podsOf('many')).filter(({ status }) => status?.phase === 'Running').length, {
        timeout: 60_000,
        interval: 200,
      })
      .toBe(60);
    const addresses = new Set((await podsOf('many')).map(({ status }) => status!.podIP));
    expect(addresses.size).toBe(60);
    await remove('many');
    for (const node of nodes) await cluster.removeNode(node);
  });
});

const list = (...items: object[]) => ({ apiVersion: 'v1', kind: 'List', items });

const claimOf = (name: string, accessMode: string) => ({
  apiVersion: 'v1',
  kind: 'PersistentVolumeClaim',
  metadata: { name, labels: { app: `fetch-${name}` } },
  spec: { accessModes: [accessMode], resources: { requests: { storage: '1Gi' } } },
});

const tolerations = [{ key: 'nvidia.com/gpu', operator: 'Exists' }];

function weightsJob(name: string, claim: string, repository: string) {
  const command = [
    'python3',
    '-c',
    'pass',
    'fetch-weights',
    `--repository=${repository}`,
    '--revision=main',
    '--manifest=/models/qwen-coder/x.json',
  ];
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name, labels: { app: name } },
    spec: {
      backoffLimit: 0,
      template: {
        metadata: { labels: { app: name } },
        spec: {
          restartPolicy: 'Never',
          tolerations,
          containers: [
            {
              name: 'weights',
              image: 'vllm/vllm-openai:v0.33.0',
              command,
              env: [{ name: 'HF_HOME', value: '/models/huggingface' }],
              resources: { limits: { 'nvidia.com/gpu': '2' } },
              volumeMounts: [{ name: 'weights', mountPath: '/models' }],
            },
          ],
          volumes: [{ name: 'weights', persistentVolumeClaim: { claimName: claim } }],
        },
      },
    },
  };
}

interface EngineOptions {
  readonly fault?: string;
  readonly graceSeconds?: number;
  readonly startupFailures?: number;
  readonly image?: string;
  readonly node?: string;
  /** What holds the weights: a claim, an image, or nothing. */
  readonly claim?: string | undefined;
  readonly checkpointImage?: string;
  readonly model?: string;
}

/** A Deployment of one vLLM, written by hand. */
function deployment(name: string, options: EngineOptions = {}) {
  const {
    fault,
    graceSeconds = 120,
    startupFailures = 100,
    image = 'vllm/vllm-openai:v0.33.0',
    node,
    checkpointImage,
    model = FP8,
  } = options;
  const claim = 'claim' in options ? options.claim : 'weights';
  const source =
    checkpointImage === undefined
      ? { persistentVolumeClaim: { claimName: claim } }
      : { image: { reference: checkpointImage } };
  const hasVolume = claim !== undefined || checkpointImage !== undefined;
  const health = { httpGet: { path: '/health', port: 'http' } };
  const isVllm = image.includes('vllm');
  const container = {
    name: 'engine',
    image,
    args: [
      model,
      '--host=$(POD_IP)',
      '--port=8000',
      '--tensor-parallel-size=2',
      '--max-model-len=131072',
      '--max-num-seqs=64',
    ].concat(['--served-model-name=coder', '--enable-auto-tool-choice', '--tool-call-parser=qwen3_coder']),
    env: [
      { name: 'POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
      { name: 'HF_HOME', value: '/models/huggingface' },
      { name: 'HF_HUB_OFFLINE', value: '1' },
    ],
    ports: [{ name: 'http', containerPort: 8000 }],
    resources: { limits: { 'nvidia.com/gpu': '2' } },
    ...(isVllm && {
      startupProbe: { ...health, periodSeconds: 5, failureThreshold: startupFailures },
      readinessProbe: { ...health, periodSeconds: 5 },
      livenessProbe: { ...health, periodSeconds: 10, failureThreshold: 6 },
      lifecycle: {
        preStop: { exec: { command: ['python3', '-c', 'pass', 'wait-for-idle', '--port=8000', '--seconds=60'] } },
      },
    }),
    ...(hasVolume && { volumeMounts: [{ name: 'weights', mountPath: '/models', readOnly: true }] }),
  };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: {
      replicas: 1,
      strategy: { type: 'Recreate' },
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name }, ...(fault && { annotations: { 'simulator.qwencoder.dev/fault': fault } }) },
        spec: {
          enableServiceLinks: false,
          terminationGracePeriodSeconds: graceSeconds,
          tolerations,
          ...(node !== undefined && { nodeSelector: { 'kubernetes.io/hostname': node } }),
          containers: [container],
          ...(hasVolume && { volumes: [{ name: 'weights', ...source }] }),
        },
      },
    },
  };
}
