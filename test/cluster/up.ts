import { parseArgs } from 'node:util';
import { Cluster } from './cluster.ts';

/** Something that is put into a cluster after its start: definitions, a simulator, an operator. */
export interface Addon {
  readonly name: string;
  /** Resolves when it works; the answer ends it. */
  start(cluster: Cluster): Promise<() => Promise<void>>;
}

const usage = `Keeps a local cluster up until Ctrl-C.

  npm run cluster [-- --nodes 8xH100-80GB*2,CPU] [--pods simulator|kwok] [--addon ./module.ts]...

  --nodes   GPU nodes, as <GPUs>x<product>[*<nodes>], and CPU nodes (default: 8xH100-80GB*2,CPU)
  --pods    who runs pods: nobody but the simulator (default), or KWOK, which says at once that they are ready
  --addon   a module that exports \`addon: Addon\`, started in order and ended in reverse
`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      nodes: { type: 'string', default: '8xH100-80GB*2,CPU' },
      pods: { type: 'string', default: 'simulator' },
      addon: { type: 'string', multiple: true, default: [] },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return;
  }
  // Until the cluster is up, and when asked twice, the process ends at once: the cluster's watchers clean up after it.
  let onInterrupt: () => void = () => process.exit(130);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => onInterrupt());
  await using cluster = await Cluster.start({
    nodes: values.nodes,
    podsRun: values.pods === 'kwok' ? 'kwok' : 'simulator',
  });
  const ends: (() => Promise<void>)[] = [];
  for (const path of values.addon) {
    const { addon } = (await import(new URL(path, `file://${process.cwd()}/`).href)) as { addon: Addon };
    ends.push(await addon.start(cluster));
    process.stderr.write(`cluster: ${addon.name} works\n`);
  }
  process.stdout.write(
    `export KUBECONFIG=${cluster.kubeconfigPath}\n` +
      `alias kubectl=${cluster.kubectlPath}\n` +
      `# try: kubectl get nodes -L nvidia.com/gpu.product,nvidia.com/gpu.memory\n` +
      `# Ctrl-C ends the cluster; nothing stays.\n`,
  );
  await new Promise<void>((resolve) => {
    const alive = setInterval(() => {}, 60_000); // The cluster's own handles keep no process alive.
    onInterrupt = () => {
      clearInterval(alive);
      onInterrupt = () => process.exit(130);
      resolve();
    };
  });
  for (const end of ends.reverse()) await end();
}

await main();
