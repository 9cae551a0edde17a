import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import type { QwenCoderDeployment } from '../../src/api/index.ts';
import type { KubeClient } from '../../src/kube/index.ts';
import { ControllerRevisions, Deployments, Informer, type KubeObject, Namespaces, Pods } from '../../src/kube/index.ts';
import { operatorOptions } from '../../src/options.ts';
import { CHILD_KINDS, Resources } from '../../src/reconcile/apply.ts';
import { COMPONENT, MANAGED_SELECTOR } from '../../src/render/index.ts';
import { systemClock } from '../../src/runtime/index.ts';
import { Cluster } from '../cluster/cluster.ts';
import { OPERATOR_NAMESPACE, installOperator } from '../cluster/operator-process.ts';
import { AuditLog, type Write, countByKind, isLease } from './audit-log.ts';
import type { FloorAnswer } from './floor-loop.ts';
import { watchLoad } from './load.ts';
import { MeasuredOperator, type Program, findProgram } from './measured-operator.ts';
import { PodEnds } from './pod-ends.ts';
import { quantile } from './quantile.ts';
import { GPUS_PER_ENGINE, measuredSpec, renderedChildren, servedRevision } from './rendered.ts';
import { StatusWatch } from './status-watch.ts';
import { unlimitedClient } from '../cluster/unlimited-client.ts';

const usage = `Resources to converged children on a real control plane, against a bare loop of the same applies, statuses included.

  npm run bench -- reconcile [options]

  --resources <n>       how many resources (1000)
  --pods <how>          running: engine pods are Running and Ready at once (default); pending: GPUs for one engine only
  --namespaces <n>      namespaces that they are spread over (10)
  --edits <n>           single edits whose way to the Deployment is timed (100)
  --idle-minutes <n>    how long writes are counted while nothing changes (1)
  --flags <text>        flags of the operator, separated by spaces; the floor gets the same limits
  --node-flags <text>   options of Node besides those in the Dockerfile, separated by spaces
  --program <path>      what to measure (dist/qwen-coder.mjs where it was built, else src/main.ts)
  --only-convergence    leave out edits, idle time, restart and floor
`;

interface Options {
  readonly resources: number;
  readonly running: boolean;
  readonly namespaces: number;
  readonly edits: number;
  readonly idleMinutes: number;
  readonly flags: readonly string[];
  readonly nodeFlags: readonly string[];
  readonly program: Program;
  readonly onlyConvergence: boolean;
}

/** Figures of one convergence. */
interface Round {
  readonly wallSeconds: number;
  readonly [figure: string]: unknown;
}

/** H100s a node. */
const GPUS_PER_NODE = 8;
/** Pods of a resource that need no GPU: two gateways, and the network probe. */
const SMALL_PODS = 3;
/** Of the 110 that a kubelet takes. */
const PODS_PER_NODE = 100;
/** Creates of resources that are under way at once. */
const CREATORS = 32;
/** Nothing written for so long, with an empty queue, is the end of the work: what was asked in vain is asked again after ten seconds. */
const QUIET_MS = 15_000;
const OPERATOR_USER = `system:serviceaccount:${OPERATOR_NAMESPACE}:qwen-coder-operator`;

export async function run(args: readonly string[]): Promise<void> {
  const options = readOptions(args);
  if (options === undefined) {
    process.stdout.write(usage);
    return;
  }
  const bench = await ReconcileBench.start(options);
  try {
    await bench.converge();
    if (!options.onlyConvergence) {
      await bench.floor();
      await bench.convergeAgain();
      await bench.edit();
      await bench.idle();
      await bench.restart();
    }
    bench.print();
  } finally {
    await bench.stop();
  }
}

function readOptions(args: readonly string[]): Options | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      resources: { type: 'string', default: '1000' },
      pods: { type: 'string', default: 'running' },
      namespaces: { type: 'string', default: '10' },
      edits: { type: 'string', default: '100' },
      'idle-minutes': { type: 'string', default: '1' },
      flags: { type: 'string', default: '' },
      'node-flags': { type: 'string', default: '' },
      program: { type: 'string' },
      'only-convergence': { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  if (values.pods !== 'running' && values.pods !== 'pending') throw new Error('--pods is running or pending');
  const words = (text: string) => text.split(' ').filter((word) => word !== '');
  const { program } = values;
  return {
    resources: Number(values.resources),
    running: values.pods === 'running',
    namespaces: Number(values.namespaces),
    edits: Number(values.edits),
    idleMinutes: Number(values['idle-minutes']),
    flags: words(values.flags),
    nodeFlags: words(values['node-flags']),
    program: program === undefined ? findProgram(say) : { path: program, bundled: program.endsWith('.mjs') },
    onlyConvergence: values['only-convergence'],
  };
}

class ReconcileBench {
  readonly #options: Options;
  readonly #cluster: Cluster;
  readonly #client: KubeClient;
  readonly #kubeconfig: string;
  readonly #audit: AuditLog;
  readonly #results: Record<string, unknown> = {};
  /** A name that comes again takes the place of the one before. */
  readonly #rows = new Map<string, string>();
  /** What each convergence was. */
  readonly #rounds: Round[] = [];
  readonly #ends: PodEnds;
  #operator: MeasuredOperator;
  #statuses: StatusWatch | undefined;
  /** What the floor has to send: applies of statuses and of revisions until everything had converged, and one resource with each status of its. */
  #applied: { statuses: number; revisions: number; ofOne: readonly QwenCoderDeployment[] } | undefined;
  #floorSeconds: number | undefined;

  private constructor(
    options: Options,
    cluster: Cluster,
    client: KubeClient,
    kubeconfig: string,
    operator: MeasuredOperator,
    ends: PodEnds,
  ) {
    this.#ends = ends;
    this.#options = options;
    this.#cluster = cluster;
    this.#client = client;
    this.#kubeconfig = kubeconfig;
    this.#operator = operator;
    this.#audit = new AuditLog(cluster.auditLogPath!, OPERATOR_USER);
  }

  static async start(options: Options): Promise<ReconcileBench> {
    const gpuNodes = Math.ceil((options.resources * GPUS_PER_ENGINE) / GPUS_PER_NODE);
    const cpuNodes = Math.ceil((options.resources * SMALL_PODS) / PODS_PER_NODE);
    const cluster = await Cluster.start({
      podsRun: 'kwok',
      nodes: `${options.running ? `${GPUS_PER_NODE}xH100-80GB*${gpuNodes}` : `${GPUS_PER_ENGINE}xH100-80GB`},CPU*${cpuNodes}`,
      auditLog: true,
      log: say,
    });
    try {
      const client = unlimitedClient(cluster.kubeconfigPath, 'bench');
      const kubeconfig = await installOperator(cluster);
      const ends = await PodEnds.start();
      const operator = await startOperator(options, kubeconfig);
      await operator.entered('leading');
      return new ReconcileBench(options, cluster, client, kubeconfig, operator, ends);
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  /** From the first create until every child is there and every status speaks of it. */
  async converge(): Promise<void> {
    const { resources, running, program, flags } = this.#options;
    const namespaces = await this.#makeNamespaces('bench');
    this.#statuses = await StatusWatch.start(this.#client, namespaces, { ready: running });
    await systemClock.sleep(2000);
    const empty = this.#operator.figures();

    say(`creating ${resources} resources`);
    const load = watchLoad(this.#cluster);
    const requestsBefore = await this.#audit.requests();
    const startedAtMs = Date.now();
    await this.#createResources(namespaces);
    const createSeconds = (Date.now() - startedAtMs) / 1000;
    await this.#statuses.converged(resources, 60_000 + resources * 1000);
    const statusSeconds = (this.#statuses.lastConvergedAtMs - startedAtMs) / 1000;
    const { planeCpuSeconds, strangersPercent } = load(this.#operator.figures().cpuSeconds - empty.cpuSeconds);
    say(`all statuses after ${statusSeconds.toFixed(1)} s; waiting for quiet`);
    await this.#quiet();
    const full = this.#operator.figures();
    const metrics = await this.#operator.metrics();
    await this.#assertChildren(namespaces);

    const writes = (await this.#writesSince(startedAtMs)).filter((write) => !isLease(write));
    const made = writes.filter(({ resource, code }) => code === 201 && resource !== 'events');
    const childrenSeconds = (Math.max(...made.map(({ answeredAtMs }) => answeredAtMs)) - startedAtMs) / 1000;
    const wallSeconds = Math.max(childrenSeconds, statusSeconds);
    const statusWrites = writes.filter(isStatus).length;
    const { transitions, quietVersions } = this.#statuses;
    const inTime = writes.filter(({ answeredAtMs }) => answeredAtMs <= startedAtMs + wallSeconds * 1000);
    this.#applied ??= {
      statuses: inTime.filter(isStatus).length,
      revisions: inTime.filter(({ resource }) => resource === ControllerRevisions.plural).length,
      ofOne: [...this.#statuses.versionsOfOne],
    };
    const requests = (await this.#audit.requests()) - requestsBefore;
    this.#record({
      bundled: program.bundled,
      pods: running ? 'running' : 'pending',
      resources,
      flags: flags.join(' '),
    });
    this.#rounds.push({
      wallSeconds: round(wallSeconds),
      createSeconds: round(createSeconds),
      childrenSeconds: round(childrenSeconds),
      statusSeconds: round(statusSeconds),
      writes: writes.length,
      writesByKind: countByKind(writes),
      requests,
      statusWrites,
      statusWritesWithoutTransition: quietVersions,
      conditionTransitions: transitions,
      clientCpuSeconds: round(full.cpuSeconds - empty.cpuSeconds),
      planeCpuSeconds: round(planeCpuSeconds),
      strangersPercent,
      rssMiB: Math.round(full.rssMiB),
      peakRssMiB: Math.round(full.peakRssMiB),
      emptyRssMiB: Math.round(empty.rssMiB),
      eventLoopP99Ms: round((metrics.get('nodejs_eventloop_lag_p99_seconds') ?? 0) * 1000),
      reconciles: metrics.get('controller_runtime_reconcile_total') ?? 0,
      reconcileErrors: metrics.get('controller_runtime_reconcile_errors_total') ?? 0,
    });
    this.#row('operator', `${program.bundled ? 'bundle' : 'sources'}, flags: ${flags.join(' ') || 'defaults'}`);
    this.#row('resources', `${resources}, engine pods ${running ? 'running' : 'pending'}`);
    this.#row(
      this.#rounds.length === 1 ? 'first create → children and statuses' : 'the same after the floor',
      `${wallSeconds.toFixed(1)} s (resources created in ${createSeconds.toFixed(1)} s, last child at ${childrenSeconds.toFixed(1)} s)`,
    );
    this.#row(
      'writes',
      `${writes.length}: ${Object.entries(countByKind(writes))
        .map(([kind, count]) => `${count} ${kind}`)
        .join(', ')}`,
    );
    this.#row('requests of any kind', String(requests));
    this.#row(
      'status writes',
      `${statusWrites}, condition transitions ${transitions}; ${quietVersions} writes changed no condition's status`,
    );
    this.#row('reconciles', String(metrics.get('controller_runtime_reconcile_total')));
    this.#row(
      'CPU',
      `operator ${(full.cpuSeconds - empty.cpuSeconds).toFixed(1)} s, control plane ${planeCpuSeconds.toFixed(1)} s; strangers used ${strangersPercent} % of the machine`,
    );
    this.#row(
      'operator memory',
      `${Math.round(full.rssMiB)} MiB, peak ${Math.round(full.peakRssMiB)}, without resources ${Math.round(empty.rssMiB)}`,
    );
    this.#row(
      'event-loop delay p99',
      `${((metrics.get('nodejs_eventloop_lag_p99_seconds') ?? 0) * 1000).toFixed(0)} ms`,
    );
  }

  /** One edit at a time: from the answer to the edit until the watch shows the slot's changed Deployment. */
  async edit(): Promise<void> {
    const { edits, resources, namespaces } = this.#options;
    const statuses = this.#statuses!;
    const changed = new Map<string, () => void>();
    const deployments = new Informer<KubeObject>({
      client: this.#client,
      resource: Deployments,
      labelSelector: MANAGED_SELECTOR,
      project: ({ metadata }) => ({ metadata: metadata! }),
      onChange: ({ object, previous }) => {
        if (object.metadata!.generation === previous?.metadata!.generation) return;
        changed.get(`${object.metadata!.namespace}/${object.metadata!.name}`)?.();
      },
    });
    deployments.start();
    await deployments.whenSynced();
    const took: number[] = [];
    for (let edit = 0; edit < edits; edit += 1) {
      // 7919 is prime: every resource is met before one is met again.
      const { namespace, name } = keyAt((edit * 7919) % resources, namespaces);
      const seen = Promise.withResolvers<number>();
      changed.set(`${namespace}/${name}-engine-0`, () => seen.resolve(performance.now()));
      const { metadata } = await this.#client.patch(
        Resources,
        { namespace, name },
        { type: 'merge', body: { spec: { sampling: { seed: edit + 1 } } } },
      );
      const answeredAt = performance.now();
      // The watch may be faster than the answer.
      took.push(
        Math.max(0, (await within(10_000, seen.promise, `the Deployment of ${namespace}/${name}`)) - answeredAt),
      );
      changed.clear();
      await statuses.settled(namespace, name, metadata.generation, 60_000);
      await systemClock.sleep(50);
    }
    await deployments.stop();
    await this.#quiet();
    const [p50, p99] = [quantile(took, 0.5), quantile(took, 0.99)];
    this.#record({ editP50Ms: round(p50), editP99Ms: round(p99), editMaxMs: round(Math.max(...took)) });
    this.#row('edit → changed Deployment', `p50 ${p50.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms, of ${edits}`);
    this.#row('operator memory after edits', `${Math.round(this.#operator.figures().rssMiB)} MiB`);
  }

  async idle(): Promise<void> {
    const { idleMinutes } = this.#options;
    say(`idle for ${idleMinutes} min`);
    const startedAtMs = Date.now();
    const before = this.#operator.figures();
    await systemClock.sleep(idleMinutes * 60_000);
    const after = this.#operator.figures();
    const writes = await this.#writesSince(startedAtMs);
    const leases = writes.filter(isLease).length;
    this.#record({
      idleMinutes,
      idleWrites: writes.length - leases,
      idleLeaseWrites: leases,
      idleRssMiB: Math.round(after.rssMiB),
      idleCpuSeconds: round(after.cpuSeconds - before.cpuSeconds),
    });
    this.#row(
      `${idleMinutes} min idle`,
      `${writes.length - leases} writes besides ${leases} of the Lease, ${(after.cpuSeconds - before.cpuSeconds).toFixed(1)} s of CPU, ${Math.round(after.rssMiB)} MiB`,
    );
  }

  /** A crash: the Lease runs out, nothing was released. */
  async restart(): Promise<void> {
    await this.#operator.stop('SIGKILL');
    const killedAtMs = Date.now();
    this.#operator = await startOperator(this.#options, this.#kubeconfig);
    const { startedAt } = this.#operator;
    const syncedAt = await this.#operator.entered('standby');
    const leadingAt = await this.#operator.entered('leading');
    while (!(await this.#operator.isIdle())) await systemClock.sleep(100);
    const drainedAt = performance.now();
    await this.#quiet();
    const writes = await this.#writesSince(killedAtMs);
    const restartWrites = writes.filter((write) => !isLease(write));
    const { rssMiB, cpuSeconds } = this.#operator.figures();
    this.#record({
      restartWrites: restartWrites.length,
      ...(restartWrites.length > 0 && { restartWritesByKind: countByKind(restartWrites) }),
      restartSyncedSeconds: round((syncedAt - startedAt) / 1000),
      restartLeadingSeconds: round((leadingAt - startedAt) / 1000),
      restartDrainSeconds: round((drainedAt - leadingAt) / 1000),
      restartRssMiB: Math.round(rssMiB),
      restartCpuSeconds: round(cpuSeconds),
    });
    this.#row(
      'restart after SIGKILL',
      `${restartWrites.length} writes; caches synced after ${((syncedAt - startedAt) / 1000).toFixed(1)} s, leading after ${((leadingAt - startedAt) / 1000).toFixed(1)} s (a Lease lasts 15 s), all looked at ${((drainedAt - leadingAt) / 1000).toFixed(1)} s later; ${Math.round(rssMiB)} MiB`,
    );
  }

  /** The same applies by a bare loop, on the same cluster, with the operator and its resources gone. */
  async floor(): Promise<void> {
    const { resources, running, flags } = this.#options;
    const { statuses, revisions, ofOne } = this.#applied!;
    await this.#operator.stop('SIGTERM');
    await this.#statuses!.stop();
    say('taking the resources away');
    await this.#removeAll('bench');

    const namespaces = await this.#makeNamespaces('floor');
    const made = await this.#createResources(namespaces);
    const part = (all: number, index: number): number =>
      Math.floor(((index + 1) * all) / resources) - Math.floor((index * all) / resources);
    const lines = made.map((resource, index) => {
      const { apiVersion, kind, metadata } = resource;
      const { namespace, name, uid } = metadata;
      const versions = ofOne.slice(0, part(statuses, index)).map(({ metadata: of, status }) => ({
        apiVersion,
        kind,
        metadata: { namespace, name, uid },
        status: JSON.parse(JSON.stringify(status).replaceAll(of.namespace, namespace)) as object,
      }));
      const again = part(revisions, index) > 1 ? [servedRevision(resource)] : [];
      return JSON.stringify([...renderedChildren(resource), ...versions.slice(0, 1), ...again, ...versions.slice(1)]);
    });
    const objects = join(this.#cluster.directory, 'floor.jsonl');
    await writeFile(objects, lines.join('\n'));
    const ready = running ? await this.#countReadyPods() : undefined;
    await systemClock.sleep(3000);

    say('the floor');
    const load = watchLoad(this.#cluster);
    const limits = operatorOptions(flags, {});
    const { stdout } = await promisify(execFile)(process.execPath, [
      new URL('floor-loop.ts', import.meta.url).pathname,
      '--kubeconfig',
      this.#kubeconfig,
      '--objects',
      objects,
      '--workers',
      String(limits.workers),
      '--requests-per-second',
      String(limits['requests-per-second']),
      '--burst',
      String(limits.burst),
    ]);
    const answer = JSON.parse(stdout) as FloorAnswer;
    const readyAtMs = await ready?.(resources);
    const floorReadySeconds = readyAtMs === undefined ? undefined : (readyAtMs - answer.startedAtMs) / 1000;
    const { planeCpuSeconds, strangersPercent } = load(answer.cpuSeconds);
    const floorSeconds = Math.max(answer.seconds, floorReadySeconds ?? 0);
    this.#floorSeconds = floorSeconds;
    this.#record({
      floorSeconds: round(floorSeconds),
      floorLoopSeconds: round(answer.seconds),
      floorApplies: answer.applies,
      floorCpuSeconds: round(answer.cpuSeconds),
      floorPlaneCpuSeconds: round(planeCpuSeconds),
      floorStrangersPercent: strangersPercent,
      floorPeakRssMiB: Math.round(answer.peakRssMiB),
    });
    const end = floorReadySeconds === undefined ? '' : `, their pods ready after ${floorReadySeconds.toFixed(1)} s`;
    this.#row(
      'floor',
      `${answer.applies} applies in ${answer.seconds.toFixed(1)} s${end}; loop ${answer.cpuSeconds.toFixed(1)} s of CPU, control plane ${planeCpuSeconds.toFixed(1)} s; strangers used ${strangersPercent} % of the machine`,
    );
    await this.#removeAll('floor');
  }

  /** The same once more by a new operator: the floor stands between two rounds, since a machine may change its speed in the meantime. */
  async convergeAgain(): Promise<void> {
    this.#operator = await startOperator(this.#options, this.#kubeconfig);
    await this.#operator.entered('leading');
    await this.converge();
  }

  /** Figures of the last round, the wall time alone being the mean of both. */
  print(): void {
    const walls = this.#rounds.map(({ wallSeconds }) => wallSeconds);
    const wallSeconds = walls.reduce((sum, wall) => sum + wall, 0) / walls.length;
    if (this.#floorSeconds !== undefined) {
      const ratio = wallSeconds / this.#floorSeconds;
      this.#record({ ratioToFloor: round(ratio) });
      this.#row('ratio to floor', `${ratio.toFixed(2)}, of the mean of both`);
    }
    const width = Math.max(...Array.from(this.#rows.keys(), (name) => name.length));
    const rows = Array.from(this.#rows, ([name, value]) => `${name.padEnd(width)}  ${value}`);
    process.stdout.write(`\n${rows.join('\n')}\n\n`);
    const results = { ...this.#results, ...this.#rounds.at(-1), wallSeconds: round(wallSeconds), rounds: this.#rounds };
    process.stdout.write(`${JSON.stringify(results)}\n`);
  }

  async stop(): Promise<void> {
    // A profile is written by a process that ends in good order.
    await this.#operator.stop('SIGTERM');
    await this.#statuses?.stop();
    await this.#audit.close();
    await this.#client.close();
    await this.#cluster.stop();
    this.#ends.stop();
  }

  #record(results: Readonly<Record<string, unknown>>): void {
    Object.assign(this.#results, results);
  }

  #row(name: string, value: string): void {
    this.#rows.set(name, value);
  }

  async #writesSince(ms: number): Promise<Write[]> {
    return (await this.#audit.writes()).filter(({ answeredAtMs }) => answeredAtMs >= ms);
  }

  /** Resolves when the operator has had nothing to do and has written nothing for a while. */
  async #quiet(): Promise<void> {
    let quietSince = performance.now();
    let count = -1;
    // Metrics are asked for last: of a thousand resources they are long.
    while (performance.now() - quietSince < QUIET_MS || !(await this.#operator.isIdle())) {
      await systemClock.sleep(500);
      const writes = (await this.#audit.writes()).filter((write) => !isLease(write)).length;
      if (writes !== count) quietSince = performance.now();
      count = writes;
    }
  }

  async #makeNamespaces(prefix: string): Promise<string[]> {
    const names = Array.from({ length: this.#options.namespaces }, (_, index) => `${prefix}-${index}`);
    await Promise.all(names.map((name) => this.#client.create(Namespaces, { metadata: { name } })));
    // Pods are refused until their namespace has its account.
    await systemClock.sleep(2000);
    return names;
  }

  async #createResources(namespaces: readonly string[]): Promise<QwenCoderDeployment[]> {
    const { resources } = this.#options;
    const made: QwenCoderDeployment[] = [];
    let next = 0;
    const create = async (): Promise<void> => {
      for (let index = next++; index < resources; index = next++) {
        const metadata = { namespace: namespaces[index % namespaces.length]!, name: `coder-${index}` };
        made.push(await this.#client.create(Resources, { metadata, spec: measuredSpec } as never));
      }
    };
    await Promise.all(Array.from({ length: CREATORS }, create));
    return made;
  }

  /** Each resource has exactly the children that it is rendered with. */
  async #assertChildren(namespaces: readonly string[]): Promise<void> {
    const { resources } = this.#options;
    const someone = {
      apiVersion: '',
      kind: '',
      metadata: { namespace: '', name: 'coder', uid: '' },
    } as unknown as QwenCoderDeployment;
    const expected = countBy(renderedChildren(someone).map(({ kind }) => kind!));
    for (const resource of CHILD_KINDS.filter(({ mayBeAbsent }) => !mayBeAbsent)) {
      let count = 0;
      for (const namespace of namespaces) {
        const { items } = await this.#client.list(resource, { namespace, labelSelector: MANAGED_SELECTOR });
        count += items.length;
      }
      const wanted = (expected[resource.kind] ?? 0) * resources;
      if (count !== wanted) throw new Error(`there are ${count} ${resource.plural}, not ${wanted}`);
    }
  }

  /** Deletes what is in the namespaces of a prefix, faster than owner references would. */
  async #removeAll(prefix: string): Promise<void> {
    const names = Array.from({ length: this.#options.namespaces }, (_, index) => `${prefix}-${index}`);
    const paths = (namespace: string) => [
      `/apis/qwencoder.dev/v1alpha1/namespaces/${namespace}/qwencoderdeployments`,
      `/apis/apps/v1/namespaces/${namespace}/deployments`,
      `/apis/apps/v1/namespaces/${namespace}/replicasets`,
      `/api/v1/namespaces/${namespace}/pods?gracePeriodSeconds=0`,
      `/api/v1/namespaces/${namespace}/services`,
      `/apis/batch/v1/namespaces/${namespace}/jobs?propagationPolicy=Background`,
      `/apis/networking.k8s.io/v1/namespaces/${namespace}/networkpolicies`,
      `/apis/policy/v1/namespaces/${namespace}/poddisruptionbudgets`,
      `/apis/apps/v1/namespaces/${namespace}/controllerrevisions`,
      `/apis/events.k8s.io/v1/namespaces/${namespace}/events`,
    ];
    for (const namespace of names) {
      for (const path of paths(namespace))
        await this.#cluster.api.call(path, { method: 'DELETE', signal: AbortSignal.timeout(300_000) });
      await this.#cluster.api.call(`/api/v1/namespaces/${namespace}`, { method: 'DELETE' });
    }
    while (
      (await this.#client.list(Namespaces)).items.some(({ metadata }) => metadata!.name!.startsWith(`${prefix}-`))
    ) {
      await systemClock.sleep(1000);
    }
    await systemClock.sleep(5000);
  }

  /** Watches engine pods from now on; the answer resolves with the moment at which that many are ready. */
  async #countReadyPods(): Promise<(count: number) => Promise<number>> {
    const ready = new Set<string>();
    let wake: () => void = () => {};
    let lastAtMs = 0;
    const pods = new Informer<KubeObject & { status?: { conditions?: { type: string; status: string }[] } }>({
      client: this.#client,
      resource: Pods,
      labelSelector: `${MANAGED_SELECTOR},${COMPONENT}=engine`,
      onChange: ({ object }) => {
        if (!object.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True')) return;
        ready.add(object.metadata!.uid!);
        lastAtMs = Date.now();
        wake();
      },
    });
    pods.start();
    await pods.whenSynced();
    return async (count) => {
      while (ready.size < count) await new Promise<void>((resolve) => (wake = resolve));
      await pods.stop();
      return lastAtMs;
    };
  }
}

const startOperator = ({ program, flags, nodeFlags }: Options, kubeconfig: string): Promise<MeasuredOperator> =>
  MeasuredOperator.start({ program: program.path, kubeconfig, flags, nodeFlags });

const isStatus = ({ resource }: Write): boolean => resource === 'qwencoderdeployments/status';

/** Where the resource of an index is. */
const keyAt = (index: number, namespaces: number) => ({
  namespace: `bench-${index % namespaces}`,
  name: `coder-${index}`,
});

function countBy(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}

const round = (value: number): number => Math.round(value * 100) / 100;

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

async function within<T>(ms: number, promise: Promise<T>, what: string): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`waited ${ms / 1000} s for ${what}`)), ms);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
