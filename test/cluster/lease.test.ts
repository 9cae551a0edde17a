import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Cluster } from './cluster.ts';
import type { CandidateLine } from './lease-candidate.ts';

/** A process that competes, with the times 6, 4 and 1 seconds. */
class Candidate {
  readonly identity: string;
  readonly child: ChildProcess;
  readonly lines: CandidateLine[] = [];
  readonly #listeners = new Set<() => void>();

  constructor(cluster: Cluster, lease: string, identity: string) {
    this.identity = identity;
    const program = new URL('lease-candidate.ts', import.meta.url).pathname;
    this.child = spawn(process.execPath, [program, cluster.kubeconfigPath, 'default', lease, identity], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    createInterface({ input: this.child.stdout! }).on('line', (line) => {
      this.lines.push(JSON.parse(line) as CandidateLine);
      for (const listener of this.#listeners) listener();
    });
  }

  /** Resolves with the candidate when it has told of that event, be it in the past. */
  tells(event: CandidateLine['event']): Promise<Candidate> {
    return new Promise((resolve) => {
      const look = () => {
        if (!this.lines.some((line) => line.event === event)) return;
        this.#listeners.delete(look);
        resolve(this);
      };
      this.#listeners.add(look);
      look();
    });
  }

  get hasLed(): boolean {
    return this.lines.some(({ event }) => event === 'leads');
  }

  /** Versions of the ConfigMap that it wrote. */
  get versions(): bigint[] {
    return this.lines.flatMap((line) => (line.event === 'wrote' ? [BigInt(line.resourceVersion)] : []));
  }

  async end(signal: NodeJS.Signals): Promise<number | null> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return this.child.exitCode;
    const exit = once(this.child, 'exit');
    this.child.kill(signal);
    const [code] = (await exit) as [number | null];
    return code;
  }
}

let cluster: Cluster;
let candidates: Candidate[] = [];
let leases = 0;

beforeAll(async () => {
  cluster = await Cluster.start();
});
afterAll(() => cluster.stop());
afterEach(async () => {
  await Promise.all(candidates.map((candidate) => candidate.end('SIGKILL')));
});

/** Three processes of which one leads and has written. */
async function elect(): Promise<{ leader: Candidate; others: Candidate[] }> {
  const lease = `lease-${leases++}`;
  candidates = ['a', 'b', 'c'].map((identity) => new Candidate(cluster, lease, identity));
  const leader = await firstToLead(candidates);
  await leader.tells('wrote');
  const others = candidates.filter((candidate) => candidate !== leader);
  await Promise.all(others.map((other) => other.tells('refused')));
  return { leader, others };
}

const firstToLead = (among: readonly Candidate[]) => Promise.race(among.map((candidate) => candidate.tells('leads')));

/** No write of the earlier leader came after the first of the later. */
function expectNoInterleaving(earlier: Candidate, later: Candidate): void {
  const last = earlier.versions.at(-1)!;
  const first = later.versions[0]!;
  expect(last < first, `${earlier.identity} wrote ${last}, ${later.identity} wrote ${first}`).toBe(true);
}

describe('LeaseElection among three processes', () => {
  test('one leads; the fence refuses the writes of the others', async () => {
    const { leader, others } = await elect();
    expect(leader.versions.length).toBeGreaterThan(0);
    expect(others.map(({ hasLed, versions }) => [hasLed, versions])).toEqual([
      [false, []],
      [false, []],
    ]);
  });

  test('after SIGTERM another leads within seconds, and the one asked to stop exits with 0', async () => {
    const { leader, others } = await elect();
    const exitCode = await leader.end('SIGTERM');
    const since = performance.now();
    const next = await firstToLead(others);
    expect(performance.now() - since).toBeLessThan(2_200 + 1_500);
    expect(exitCode).toBe(0);
    await next.tells('wrote');
    expectNoInterleaving(leader, next);
  });

  test('after SIGKILL another leads when the lease has expired', async () => {
    const { leader, others } = await elect();
    const since = performance.now();
    await leader.end('SIGKILL');
    const next = await firstToLead(others);
    const takeOverMs = performance.now() - since;
    expect(takeOverMs).toBeGreaterThan(6_000 - 1_500);
    expect(takeOverMs).toBeLessThan(6_000 + 2_200 + 250 + 1_500);
    await next.tells('wrote');
    expectNoInterleaving(leader, next);
  });

  test('a leader that was stopped meanwhile finds that it has lost, writes nothing more and exits with 1', async () => {
    const { leader, others } = await elect();
    leader.child.kill('SIGSTOP');
    const next = await firstToLead(others);
    await next.tells('wrote');
    const written = leader.versions.length;
    const exit = once(leader.child, 'exit');
    leader.child.kill('SIGCONT');
    await Promise.all([leader.tells('lost'), leader.tells('refused')]);
    expect(await exit).toEqual([1, null]);
    expect(leader.lines.find(({ event }) => event === 'lost')).toMatchObject({
      why: expect.stringMatching(/^Leadership lost: no renewal for \d+ ms$/),
    });
    expect(leader.versions.length).toBe(written);
    expectNoInterleaving(leader, next);
    expect(next.lines.filter(({ event }) => event === 'lost')).toEqual([]);
  });
});
