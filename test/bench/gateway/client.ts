import { Agent, request } from 'undici';

/** What a load is; the argument of this process, as JSON. Its answer is one line of JSON, {@link Measured}. */
export interface Load {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly requests: number;
  /** Requests at once, one after another; or the rate of an open loop, whatever is still open. */
  readonly connections?: number;
  readonly perSecond?: number;
  /** The first so many are not measured: this process compiles what is hot meanwhile. */
  readonly unmeasured?: number;
}

export interface Measured {
  readonly failed: number;
  readonly seconds: number;
  readonly bytes: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const load = JSON.parse(process.argv[2]!) as Load;
const agent = new Agent({ connections: load.connections ?? 512, pipelining: 1, keepAliveTimeout: 30_000 });
const latencies: number[] = [];
let failed = 0;
let bytes = 0;

async function one(dueAt: number, isMeasured = true): Promise<void> {
  try {
    const { statusCode, body } = await request(load.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...load.headers },
      body: load.body,
      dispatcher: agent,
    });
    for await (const chunk of body) bytes += (chunk as Buffer).length;
    if (statusCode !== 200) failed += 1;
  } catch {
    failed += 1;
  }
  if (isMeasured) latencies.push(performance.now() - dueAt);
}

const start = performance.now();
if (load.perSecond === undefined) {
  let left = load.requests;
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await one(performance.now());
    }
  };
  await Promise.all(Array.from({ length: load.connections! }, worker));
} else {
  const { perSecond, unmeasured = 0 } = load;
  const requests = load.requests + unmeasured;
  const open: Promise<void>[] = [];
  await new Promise<void>((resolve) => {
    const tick = (): void => {
      const due = Math.min(requests, Math.floor(((performance.now() - start) / 1000) * perSecond));
      while (open.length < due)
        open.push(one(start + ((open.length + 1) / perSecond) * 1000, open.length >= unmeasured));
      if (open.length < requests) setTimeout(tick, 1);
      else resolve();
    };
    tick();
  });
  await Promise.all(open);
}
const seconds = (performance.now() - start) / 1000;
const sorted = latencies.toSorted((a, b) => a - b);
const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
const measured: Measured = { failed, seconds, bytes, p50Ms: at(0.5), p99Ms: at(0.99) };
process.stdout.write(`${JSON.stringify(measured)}\n`);
await agent.close();
