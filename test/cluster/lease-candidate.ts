/**
 * One process that competes for a Lease and tries to write a ConfigMap ten times a second, all the time: only the fence keeps it from
 * writing while another leads. Tells on standard output, one JSON line each, when it leads, has lost, wrote, and when the fence refused.
 *
 *     node lease-candidate.ts <kubeconfig> <namespace> <lease> <identity>
 */
import { KubeConfig } from '@kubernetes/client-node';
import { ConfigMaps, KubeClient, LeadershipLost, LeaseElection, leaseStore } from '../../src/kube/index.ts';
import { systemClock } from '../../src/runtime/index.ts';

export type CandidateLine =
  | { readonly event: 'leads' | 'refused' }
  | { readonly event: 'lost' | 'failed'; readonly why: string }
  | { readonly event: 'wrote'; readonly resourceVersion: string };

const [kubeconfig, namespace, name, identity] = process.argv.slice(2) as [string, string, string, string];
const tell = (line: CandidateLine) => process.stdout.write(`${JSON.stringify(line)}\n`);

const config = new KubeConfig();
config.loadFromFile(kubeconfig);
const client = KubeClient.connect(config, {
  clock: systemClock,
  userAgent: 'lease-candidate',
  fence: () => election.fence(),
});
const election = new LeaseElection({
  store: leaseStore(client),
  key: { namespace, name },
  identity,
  clock: systemClock,
  random: Math.random,
  leaseDurationMs: 6_000,
  renewDeadlineMs: 4_000,
  retryPeriodMs: 1_000,
  onFailure: (error) => tell({ event: 'failed', why: String(error) }),
});

let wasRefused = false;
async function write(): Promise<void> {
  try {
    const { metadata } = await client.apply(
      ConfigMaps,
      { metadata: { namespace, name }, data: { writer: identity, at: String(performance.now()) } },
      { fieldManager: 'candidate' },
    );
    wasRefused = false;
    tell({ event: 'wrote', resourceVersion: metadata!.resourceVersion! });
  } catch (error) {
    if (!(error instanceof LeadershipLost)) tell({ event: 'failed', why: String(error) });
    else if (!wasRefused) {
      wasRefused = true;
      tell({ event: 'refused' });
    }
  }
}

const stop = new AbortController();
process.once('SIGTERM', () => {
  stop.abort();
  void election.release(AbortSignal.timeout(2_000)).then(() => process.exit(0));
});
setInterval(() => void write(), 100);
const term = await election.campaign(stop.signal);
tell({ event: 'leads' });
term.addEventListener('abort', () => {
  if (stop.signal.aborted) return;
  tell({ event: 'lost', why: (term.reason as Error).message });
  // Long enough for a write that the fence did not stop to be seen.
  setTimeout(() => process.exit(1), 1_000);
});
