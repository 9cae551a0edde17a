import { Agent, request } from 'undici';

/** What a load is: a message to this process, which answers each with {@link Measured}. */
export interface Load {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly requests: number;
  /** Requests at once, one after another; or the rate of an open loop, whatever is still open. */
  readonly connections?: number;
  readonly perSecond?: number;
}

export interface Measured {
  readonly failed: number;
  /** Of each request, from when it was due to the last byte of its answer. */
  readonly latenciesMs: readonly number[];
}

/** One for all loads: what is hot here is compiled once, and connections stay. */
const agent = new Agent({ connections: 512, pipelining: 1, keepAliveTimeout: 30_000 });

process.on('message', (load: Load) => void measured(load).then((answer) => process.send!(answer)));
process.once('disconnect', () => process.exit());

async function measured(load: Load): Promise<Measured> {
  const latenciesMs: number[] = [];
  let failed = 0;

  const one = async (dueAt: number): Promise<void> => {
    try {
      const { statusCode, body } = await request(load.url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...load.headers },
        body: load.body,
        dispatcher: agent,
      });
      await body.arrayBuffer();
      if (statusCode !== 200) failed += 1;
    } catch {
      failed += 1;
    }
    latenciesMs.push(performance.now() - dueAt);
  };

  if (load.perSecond === undefined) await closedLoop(load, one);
  else await openLoop(load, load.perSecond, one);
  return { failed, latenciesMs };
}

type One = (dueAt: number) => Promise<void>;

async function closedLoop({ requests, connections = 1 }: Load, one: One): Promise<void> {
  let left = requests;
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await one(performance.now());
    }
  };
  await Promise.all(Array.from({ length: connections }, worker));
}

async function openLoop({ requests }: Load, perSecond: number, one: One): Promise<void> {
  const open: Promise<void>[] = [];
  const start = performance.now();
  await new Promise<void>((resolve) => {
    const tick = (): void => {
      const due = Math.min(requests, Math.floor(((performance.now() - start) / 1000) * perSecond));
      while (open.length < due) open.push(one(start + ((open.length + 1) / perSecond) * 1000));
      if (open.length < requests) setTimeout(tick, 1);
      else resolve();
    };
    tick();
  });
  await Promise.all(open);
}
