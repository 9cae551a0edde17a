import { type ChildProcess, execFile, type SpawnOptions, type StdioOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { GATEWAY_NODE_OPTIONS } from '../../src/render/gateway.ts';
import { freePort } from '../cluster/ports.ts';
import { imageRun } from '../support/image.ts';
import type { Load, Measured } from './gateway/client.ts';
import { findNginx, nginxArguments } from './gateway/nginx.ts';
import { findProgram } from './measured-operator.ts';
import { forgetPeak, processFigures } from './process-figures.ts';
import { quantile } from './quantile.ts';

const usage = `The gateway against direct access and nginx as a plain reverse proxy, on loopback, per CPU second of the proxy.

  npm run bench -- gateway [options]

  --requests <n>      of each closed loop (40000)
  --seconds <n>       of the open loop at 500 requests a second, a turn each (40)
  --growth <n>        requests after which memory is looked at again (100000)
  --idle-streams <n>  streams that stay open meanwhile (1000)
  --nginx <path>      nginx (an installed one, else Debian's package)
`;

const KEY = 'sk-bench-0123456789';
const RATE = 500;
const STREAMS = 256;
const EVENTS = 400;
/** Requests after which V8 has compiled what is hot: a gateway runs for weeks. */
const WARM_UP = 20_000;
/** Proxies take turns, so that all of them meet the same moods of the machine. In the open loop a turn is a second, and there are more. */
const TURNS = 5;
/** Requests beside the idle streams, within which V8 has collected what became old as they were opened; that was after 400,000. */
const SETTLING = 500_000;

interface Proxy {
  readonly name: string;
  readonly port: number;
  /** Undefined for direct access. */
  readonly pid: number | undefined;
}

/** What one proxy did under one load, turn by turn. */
interface Turn extends Measured {
  /** Of the proxy. */
  readonly cpuSeconds: number;
}
type Row = readonly Turn[];

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      requests: { type: 'string', default: '40000' },
      seconds: { type: 'string', default: '40' },
      growth: { type: 'string', default: '100000' },
      'idle-streams': { type: 'string', default: '1000' },
      nginx: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return;
  }
  const folder = await mkdtemp(join(tmpdir(), 'qwen-coder-gateway-'));
  const children: ChildProcess[] = [];
  process.once('exit', () => {
    for (const child of children) child.kill('SIGKILL');
  });
  try {
    const nginx = await findNginx(values.nginx);
    const originPort = await freePort();
    const origin = here('origin.ts', [], [String(originPort)], ['ignore', 'pipe', 'inherit']);
    const client = startClient();
    children.push(origin, client.child);
    await once(origin.stdout!, 'data');
    const proxies: Proxy[] = [{ name: 'direct', port: originPort, pid: undefined }];

    const nginxPort = await freePort();
    const started = on(PROXY_CORE, nginx, await nginxArguments(folder, nginxPort, originPort), { stdio: 'ignore' });
    children.push(started);
    proxies.push({ name: 'nginx', port: nginxPort, pid: started.pid });

    const gateway = await startGateway(folder, originPort);
    children.push(gateway.child);
    proxies.push({ name: 'gateway', port: gateway.port, pid: gateway.child.pid });
    for (const { port } of proxies) await answers(port);

    const requests = Number(values.requests);
    const closed = { requests: requests / TURNS, connections: 64 };
    const small = await each(client, proxies, { body: chat(1024), ...closed }, WARM_UP);
    const large = await each(client, proxies, { body: chat(8192), ...closed }, WARM_UP);
    const stream = chat(1024, { stream: true, max_tokens: EVENTS, pace: 5, stream_options: { include_usage: true } });
    const streams = await each(client, proxies, { body: stream, requests: STREAMS, connections: STREAMS }, STREAMS);
    const rate = { body: chat(1024), requests: RATE, perSecond: RATE };
    for (const child of children) await freeWorkers(child, child === client.child ? OTHER_CORES : PROXY_CORE);
    const release = await keepAwake();
    const paced = await each(client, proxies, rate, WARM_UP, Number(values.seconds));
    await release();

    const idle = await idleStreams(gateway.port, Number(values['idle-streams']));
    const before = await mostMemory(client, proxies[2]!, SETTLING);
    const after = await mostMemory(client, proxies[2]!, Number(values.growth));
    idle();

    const perSecond = (rows: readonly Row[], index: number, things: number): number => things / cpuOf(rows[index]!);
    const ratio = (rows: readonly Row[]): number => round(cpuOf(rows[1]!) / cpuOf(rows[2]!));
    const added = (index: number, part: number): number =>
      round(latency(paced[index]!, part) - latency(paced[0]!, part));
    table([
      ['', 'nginx', 'gateway', 'gateway / nginx'],
      [
        'requests of 1 KiB a CPU second',
        whole(perSecond(small, 1, requests)),
        whole(perSecond(small, 2, requests)),
        ratio(small),
      ],
      [
        'requests of 8 KiB a CPU second',
        whole(perSecond(large, 1, requests)),
        whole(perSecond(large, 2, requests)),
        ratio(large),
      ],
      [
        `events of ${STREAMS} streams a CPU second`,
        whole(perSecond(streams, 1, TURNS * STREAMS * EVENTS)),
        whole(perSecond(streams, 2, TURNS * STREAMS * EVENTS)),
        ratio(streams),
      ],
      [`added at ${RATE} requests/s, p50, ms`, added(1, 0.5), added(2, 0.5), ''],
      [`added at ${RATE} requests/s, p99, ms`, added(1, 0.99), added(2, 0.99), ''],
      [`most RSS in ${SETTLING} requests, ${values['idle-streams']} idle streams, MiB`, '', whole(before), ''],
      [`the same in ${values.growth} further requests`, '', whole(after), ''],
    ]);
    const failed = sum([...small, ...large, ...streams, ...paced].flat().map(({ failed }) => failed));
    process.stdout.write(
      `${JSON.stringify({
        rpsRatioToNginx: ratio(small),
        rpsRatioToNginx8KiB: ratio(large),
        chunkRatioToNginx: ratio(streams),
        addedP50Ms: added(2, 0.5),
        addedP99Ms: added(2, 0.99),
        rssMiB: round(after),
        rssGrowthMiB: round(after - before),
        failed,
      })}\n`,
    );
  } finally {
    for (const child of children) child.kill('SIGKILL');
    await rm(folder, { recursive: true });
  }
}

/**
 * In closed loops a proxy has a processor of its own; the client and the engine have the others. In the open loop and after it the engine is on the proxy's,
 * so that direct access uses both sides as well: what stops a processor for milliseconds (a thread of the kernel, a hypervisor) stops each way alike.
 */
const PROXY_CORE = String(availableParallelism() - 1);
const OTHER_CORES = `0-${Math.max(0, availableParallelism() - 2)}`;

const on = (cores: string, program: string, args: readonly string[], options: SpawnOptions): ChildProcess =>
  spawn('taskset', ['--cpu-list', cores, program, ...args], options);

/** Client and engine collect their garbage in one thread: several that share a processor wait for each other in slices of 4 ms. */
const here = (file: string, flags: readonly string[], args: readonly string[], stdio: StdioOptions): ChildProcess =>
  on(
    OTHER_CORES,
    process.execPath,
    ['--single-threaded-gc', ...flags, new URL(`gateway/${file}`, import.meta.url).pathname, ...args],
    { stdio },
  );

/** Lets all threads of a process but the main one run on every processor: V8 compiles and collects garbage beside requests, not before them. */
async function freeWorkers({ pid }: ChildProcess, mainCores: string): Promise<void> {
  const taskset = (...args: string[]) => promisify(execFile)('taskset', [...args, String(pid)]);
  await taskset('--all-tasks', '--cpu-list', '--pid', `0-${availableParallelism() - 1}`);
  await taskset('--cpu-list', '--pid', mainCores);
}

interface Client {
  readonly child: ChildProcess;
  /** **Fails when** the client's process has ended. */
  readonly measured: (load: Load) => Promise<Measured>;
}

function startClient(): Client {
  const child = here('client.ts', ['--max-semi-space-size=64'], [], ['ignore', 'ignore', 'inherit', 'ipc']);
  const ended = new AbortController();
  child.once('exit', () => ended.abort());
  const measured = async (load: Load): Promise<Measured> => {
    child.send(load);
    const [answer] = (await once(child, 'message', { signal: ended.signal })) as [Measured];
    return answer;
  };
  return { child, measured };
}

async function startGateway(folder: string, originPort: number): Promise<{ child: ChildProcess; port: number }> {
  const program = findProgram((line) => process.stderr.write(`${line}\n`));
  const [port, httpPort] = [await freePort(), await freePort()];
  const keys = join(folder, 'keys');
  await writeFile(keys, `bench: ${KEY}\n`);
  const flags = {
    port: String(port),
    'http-port': String(httpPort),
    models: 'coder',
    'api-keys-file': keys,
    engines: `127.0.0.1:${originPort}`,
    'slots-per-engine': '4096',
    'requests-per-key': '100000',
  };
  const image = await imageRun();
  const args = [
    ...image.nodeFlags,
    program.path,
    'gateway',
    ...Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]),
  ];
  const child = on(PROXY_CORE, process.execPath, args, {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, ...image.env, NODE_OPTIONS: GATEWAY_NODE_OPTIONS },
  });
  return { child, port };
}

/** A conversation whose body has about so many bytes. */
const chat = (bytes: number, over: object = {}): string => {
  const body = (content: string) => JSON.stringify({ model: 'coder', messages: [{ role: 'user', content }], ...over });
  return body('x'.repeat(Math.max(0, bytes - body('').length)));
};

const headers = { authorization: `Bearer ${KEY}` };

async function measure(client: Client, { port, pid }: Proxy, load: Omit<Load, 'url' | 'headers'>): Promise<Turn> {
  const url = `http://127.0.0.1:${port}/v1/chat/completions`;
  const before = pid === undefined ? 0 : processFigures(pid).cpuSeconds;
  const measured = await client.measured({ ...load, url, headers });
  return { ...measured, cpuSeconds: pid === undefined ? 0 : processFigures(pid).cpuSeconds - before };
}

/** Most memory that a proxy has during requests: what it has at one moment depends on how long ago V8 collected garbage. */
async function mostMemory(client: Client, proxy: Proxy, requests: number): Promise<number> {
  forgetPeak(proxy.pid!);
  await measure(client, proxy, { body: chat(1024), requests, connections: 64 });
  return processFigures(proxy.pid!).peakRssMiB;
}

/**
 * Processors that have nothing to do wait awake until the answer is called: one of a virtual machine that fell asleep takes longer to wake up than a
 * proxy to pass a request on. The kernel keeps to it while the file is open.
 */
async function keepAwake(): Promise<() => Promise<void>> {
  try {
    const latency = await open('/dev/cpu_dma_latency', 'w');
    await latency.write(Buffer.alloc(4));
    return () => latency.close();
  } catch (error) {
    process.stderr.write(`processors fall asleep between requests: ${String(error)}\n`);
    return async () => {};
  }
}

/** All proxies in turn, after a warm-up of each. */
async function each(
  client: Client,
  proxies: readonly Proxy[],
  load: Omit<Load, 'url' | 'headers'>,
  warmUpRequests: number,
  turns = TURNS,
): Promise<Row[]> {
  for (const proxy of proxies) await measure(client, proxy, { ...load, requests: warmUpRequests });
  const rows = proxies.map((): Turn[] => []);
  for (let turn = 0; turn < turns; turn += 1) {
    for (const [index, proxy] of proxies.entries()) rows[index]!.push(await measure(client, proxy, load));
  }
  for (const [index, { name }] of proxies.entries()) {
    process.stderr.write(
      `${name}: ${cpuOf(rows[index]!).toFixed(2)} CPU s, ${sum(rows[index]!.map(({ failed }) => failed))} failed\n`,
    );
  }
  return rows;
}

/** Opens streams that say nothing after their first event; the answer closes them. */
async function idleStreams(port: number, count: number): Promise<() => void> {
  const leave = new AbortController();
  const body = chat(1024, { stream: true, max_tokens: 2, pace: 3_600_000 });
  const answers = Array.from({ length: count }, () =>
    fetch(`http://127.0.0.1:${port}/v1/chat/completions`, { method: 'POST', headers, body, signal: leave.signal }),
  );
  for (const answer of await Promise.all(answers)) {
    if (!answer.ok) throw new Error(`a stream was answered ${answer.status}`);
  }
  return () => leave.abort();
}

async function answers(port: number): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    try {
      const answer = await fetch(`http://127.0.0.1:${port}/health`);
      await answer.text();
      if (answer.ok) return;
    } catch (error) {
      if (tries > 100) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const latency = (row: Row, part: number): number =>
  quantile(
    row.flatMap(({ latenciesMs }) => latenciesMs),
    part,
  );
const sum = (values: readonly number[]): number => values.reduce((all, value) => all + value, 0);
const cpuOf = (row: Row): number => sum(row.map(({ cpuSeconds }) => cpuSeconds));
const round = (value: number): number => Math.round(value * 1000) / 1000;
const whole = (value: number): string => Math.round(value).toLocaleString('en');

function table(rows: readonly (readonly (string | number)[])[]): void {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => String(row[column]).length)));
  for (const row of rows) {
    const cells = row.map((cell, column) =>
      column === 0 ? String(cell).padEnd(widths[0]!) : String(cell).padStart(widths[column]!),
    );
    process.stdout.write(`${cells.join('  ')}\n`);
  }
}
