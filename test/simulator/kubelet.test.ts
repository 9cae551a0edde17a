import { describe, expect, test } from 'vitest';
import type { Pod } from '../../src/kube/wire.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { environment, expand, serviceLinks } from './kubelet/environment.ts';
import { GpuDevices } from './kubelet/gpus.ts';
import { podStatus, type PodParts } from './kubelet/pod-status.ts';
import { runProbe } from './kubelet/probe.ts';
import { startProgram } from './kubelet/programs.ts';
import { imageVersion } from './vllm/version.ts';
import type { ProgramContext } from './kubelet/program.ts';

const pod: Pod = { metadata: { name: 'p', namespace: 'n', uid: 'u' }, spec: { nodeName: 'node', containers: [] } };

describe('environment', () => {
  const facts = { pod, podIP: '127.10.0.7', hostIP: '127.0.0.1' };
  const read = async (kind: 'Secret' | 'ConfigMap', name: string) =>
    kind === 'Secret' && name === 's' ? { token: 'hf_x' } : undefined;

  test('later variables see earlier ones, and facts of the pod', async () => {
    const env = [
      { name: 'POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
      { name: 'HF_TOKEN', valueFrom: { secretKeyRef: { name: 's', key: 'token' } } },
      { name: 'URL', value: 'http://$(POD_IP):8000/$(LATER)$$(POD_IP)' },
      { name: 'LATER', value: 'x' },
    ];
    expect(await environment({ name: 'c', env }, facts, read)).toEqual({
      POD_IP: '127.10.0.7',
      HF_TOKEN: 'hf_x',
      URL: 'http://127.10.0.7:8000/$(LATER)$(POD_IP)',
      LATER: 'x',
    });
  });

  test.each([
    { name: 's', key: 'other', message: "couldn't find key other in Secret n/s" },
    { name: 'gone', key: 'token', message: 'secret "gone" not found' },
  ])('a reference to $name/$key that leads nowhere: $message', async ({ name, key, message }) => {
    const env = [{ name: 'X', valueFrom: { secretKeyRef: { name, key } } }];
    await expect(environment({ name: 'c', env }, facts, read)).rejects.toThrow(message);
    const optional = [{ name: 'X', valueFrom: { secretKeyRef: { name, key, optional: true } } }];
    expect(await environment({ name: 'c', env: optional }, facts, read)).toEqual({});
  });

  test('names in arguments are expanded; unknown ones stay', () => {
    expect(expand('--host=$(POD_IP) $(NOT) $$(POD_IP)', { POD_IP: '1.2.3.4' })).toBe('--host=1.2.3.4 $(NOT) $(POD_IP)');
  });

  test('a Service named vllm becomes the variable that vLLM trips over', () => {
    const links = serviceLinks([{ name: 'vllm', clusterIP: '10.0.0.9', ports: [{ port: 8000 }] }]);
    expect(links['VLLM_PORT']).toBe('tcp://10.0.0.9:8000');
  });
});

describe('podStatus', () => {
  const container = (over: object) => ({
    name: 'engine',
    image: 'i',
    imageID: '',
    ready: false,
    started: false,
    restartCount: 0,
    ...over,
  });
  const running = container({ ready: true, started: true, state: { running: { startedAt: 't' } } });
  const parts = (over: Partial<PodParts> = {}): PodParts => ({
    init: [],
    main: [running],
    hasSandbox: true,
    isInitialized: true,
    podIP: '127.10.0.7',
    hostIP: '127.0.0.1',
    startTime: 't0',
    restartPolicy: 'Always',
    isOver: false,
    ...over,
  });
  const conditions = (status: ReturnType<typeof podStatus>) =>
    Object.fromEntries(
      (status.conditions ?? []).map(({ type, status, reason }) => [
        type,
        reason === undefined ? status : `${status} ${reason}`,
      ]),
    );

  test('Ready when every container is', () => {
    const status = podStatus(pod, parts(), undefined, 't1');
    expect([status.phase, status.podIP]).toEqual(['Running', '127.10.0.7']);
    expect(conditions(status)).toEqual({
      PodReadyToStartContainers: 'True',
      Initialized: 'True',
      Ready: 'True',
      ContainersReady: 'True',
    });
  });

  test('a readiness gate that nobody opened keeps it from Ready', () => {
    const gated = { ...pod, spec: { ...pod.spec!, readinessGates: [{ conditionType: 'x/y' }] } };
    expect(conditions(podStatus(gated, parts(), undefined, 't1'))).toMatchObject({
      Ready: 'False ReadinessGatesNotReady',
      ContainersReady: 'True',
    });
  });

  test('a condition keeps its time until it turns', () => {
    const first = podStatus(pod, parts(), undefined, 't1');
    const second = podStatus(pod, parts({ main: [{ ...running, ready: false }] }), first, 't2');
    const times = Object.fromEntries(
      second.conditions!.map(({ type, lastTransitionTime }) => [type, lastTransitionTime]),
    );
    expect(times).toEqual({ PodReadyToStartContainers: 't1', Initialized: 't1', Ready: 't2', ContainersReady: 't2' });
  });

  test.each([
    {
      name: 'waiting for the first start',
      main: [container({ state: { waiting: { reason: 'ContainerCreating' } } })],
      phase: 'Pending',
    },
    {
      name: 'between two crashes',
      main: [
        container({ state: { waiting: { reason: 'CrashLoopBackOff' } }, lastState: { terminated: { exitCode: 1 } } }),
      ],
      phase: 'Running',
    },
    {
      name: 'ended well for good',
      main: [container({ state: { terminated: { exitCode: 0 } } })],
      isOver: true,
      phase: 'Succeeded',
    },
    {
      name: 'ended badly for good',
      main: [container({ state: { terminated: { exitCode: 1 } } })],
      isOver: true,
      phase: 'Failed',
    },
  ])('$name is $phase', ({ main, isOver, phase }) => {
    expect(podStatus(pod, parts({ main, isOver: isOver ?? false }), undefined, 't').phase).toBe(phase);
  });
});

describe('runProbe', () => {
  test('reports at its thresholds, on its period', async () => {
    const clock = new ManualClock();
    const answers = [0, 1, 1, 0, 1, 1, 1];
    const seen: [number, boolean][] = [];
    const stop = new AbortController();
    const run = runProbe({
      probe: { exec: { command: ['x'] }, periodSeconds: 10, failureThreshold: 3, initialDelaySeconds: 5 },
      target: { podAddress: '', portOf: () => undefined, exec: async () => answers.shift() ?? 0 },
      clock,
      signal: stop.signal,
      onResult: (isSuccess) => seen.push([clock.monotonic(), isSuccess]),
      onFailure: () => {},
    });
    await clock.advance(70_000);
    stop.abort(new Error('enough'));
    await run;
    expect(seen).toEqual([
      [5000, true],
      [35_000, true],
      [65_000, false],
    ]);
  });
});

describe('GpuDevices', () => {
  test('a device is given once, and again when its pod is gone', () => {
    const devices = new GpuDevices();
    const node = { metadata: { name: 'node' }, status: { allocatable: { 'nvidia.com/gpu': '4' } } };
    const asking = (uid: string, gpus: string): Pod => ({
      metadata: { name: uid, uid },
      spec: { nodeName: 'node', containers: [{ name: 'c', resources: { limits: { 'nvidia.com/gpu': gpus } } }] },
    });
    expect(devices.allocate(asking('a', '3'), node)).toBeUndefined();
    expect(devices.allocate(asking('b', '2'), node)).toContain('Requested: 2, Available: 1');
    devices.release('a');
    expect(devices.allocate(asking('b', '2'), node)).toBeUndefined();
  });
});

describe('startProgram', () => {
  const context = (over: Partial<ProgramContext>): ProgramContext =>
    ({ clock: new ManualClock(), image: 'busybox', command: [], args: [], env: {}, ...over }) as ProgramContext;

  test.each([
    { command: ['true'], exitCode: 0 },
    { command: ['sh', '-c', 'exit 3'], exitCode: 3 },
    { command: ['false'], exitCode: 1 },
  ])('$command ends with $exitCode', async ({ command, exitCode }) => {
    const clock = new ManualClock();
    const { exited } = startProgram(context({ clock, command }));
    await clock.advance(0);
    expect(await exited).toEqual({ exitCode });
  });

  test('what nobody knows stays up until it is told to go', async () => {
    const program = startProgram(context({ command: ['/bin/manager', '--flag'] }));
    program.signal('SIGTERM');
    expect(await program.exited).toEqual({ exitCode: 0 });
  });

  test.each([
    { image: 'vllm/vllm-openai:v0.33.0', version: '0.33.0' },
    { image: 'mirror.local:5000/vllm-openai:0.29.0-cu130@sha256:aa', version: '0.29.0' },
    { image: 'vllm/vllm-openai@sha256:aa', version: undefined },
    { image: 'vllm/vllm-openai:latest', version: undefined },
  ])('$image is vLLM $version', ({ image, version }) => {
    expect(imageVersion(image)).toBe(version);
  });
});
