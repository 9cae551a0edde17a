import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { parseArgs } from 'node:util';
import { KubeConfig } from '@kubernetes/client-node';
import { parse } from 'yaml';
import type { QwenCoderDeployment } from '../../src/api/index.ts';
import { Informer, KubeClient } from '../../src/kube/index.ts';
import { Resources } from '../../src/reconcile/apply.ts';
import { systemClock } from '../../src/runtime/index.ts';
import { Cluster } from '../cluster/cluster.ts';
import { OperatorProcess, installOperator } from '../cluster/operator-process.ts';
import { Simulator } from '../simulator/simulator.ts';

const EXAMPLE = new URL('../../examples/quickstart.yaml', import.meta.url).pathname;

const usage = `From nothing to a served tool call, on simulated GPUs.

  npm run demo [-- --nodes 8xH100-80GB*2] [--keep]

  --nodes   GPU nodes to simulate, as <GPUs>x<product>[*<nodes>]; a CPU node comes with them
  --keep    leave everything up until Ctrl-C
`;

const startedAt = performance.now();
const say = (line: string): void => {
  process.stdout.write(`${((performance.now() - startedAt) / 1000).toFixed(1).padStart(6)} s  ${line}\n`);
};

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      nodes: { type: 'string', default: '8xH100-80GB*2' },
      keep: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return;
  }
  // Cluster, simulator and operator end with this process, however it ends.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

  const existing = process.env['QWEN_CODER_KUBECONFIG'];
  say(
    existing
      ? `using the cluster of ${existing}`
      : 'starting etcd, API server, controller manager, scheduler and GPU nodes',
  );
  await using cluster = await Cluster.start({ nodes: `${values.nodes},CPU`, log: (line) => say(`  ${line}`) });
  say(`GPU nodes: ${values.nodes}; engines on them are simulated, everything else is real`);
  const simulator = await Simulator.start({
    kubeconfigPath: cluster.kubeconfigPath,
    directory: cluster.directory,
    loadSeconds: 5,
  });
  const kubeconfig = await installOperator(cluster);
  const operator = OperatorProcess.start({ kubeconfig });
  try {
    await operator.leads();
    say('the operator leads, with the rights of its own ServiceAccount');
    const { metadata } = parse(await readFile(EXAMPLE, 'utf8')) as QwenCoderDeployment;
    say('$ kubectl apply -f examples/quickstart.yaml');
    await cluster.kubectl(['apply', '-f', EXAMPLE]);
    await becomesReady(cluster, metadata.name);
    say('$ kubectl get qcd -o wide');
    process.stdout.write(`${await cluster.kubectl(['get', 'qcd', '-o', 'wide'])}\n`);
    const key = await apiKey(cluster, metadata.name);
    await chat(cluster, metadata.name, key);
    say('done: a tool call was served through the endpoint');
    goOn(cluster, values.keep, existing !== undefined);
    if (values.keep) await new Promise<never>(() => setInterval(() => {}, 60_000));
  } finally {
    await operator.stop();
    await simulator.stop();
  }
}

/** Prints each condition as it turns, until the resource is Ready. */
async function becomesReady(cluster: Cluster, name: string): Promise<void> {
  const config = new KubeConfig();
  config.loadFromFile(cluster.kubeconfigPath);
  const client = KubeClient.connect(config, { clock: systemClock, userAgent: 'demo' });
  const shown = new Map<string, string>();
  const ready = Promise.withResolvers<void>();
  const informer = new Informer({
    client,
    resource: Resources,
    namespaces: ['default'],
    onChange: ({ object }) => {
      for (const { type, status, message } of object.metadata.name === name ? (object.status?.conditions ?? []) : []) {
        if (
          !['Planned', 'ModelAvailable', 'Placed', 'EnginesReady', 'EndpointReady', 'Ready'].includes(type) ||
          shown.get(type) === message
        )
          continue;
        shown.set(type, message);
        say(`${status === 'True' ? '✓' : '…'} ${type.padEnd(15)} ${message}`);
        if (type === 'Ready' && status === 'True') ready.resolve();
      }
    },
  });
  informer.start();
  try {
    await ready.promise;
  } finally {
    await informer.stop();
    await client.close();
  }
}

/** The generated key, as whoever may read the Secret gets it. */
async function apiKey(cluster: Cluster, name: string): Promise<string> {
  say(`$ kubectl get secret ${name}-api-key -o go-template='{{index .data "api-key" | base64decode}}'`);
  return cluster.kubectl([
    'get',
    'secret',
    `${name}-api-key`,
    '-o',
    `go-template={{index .data "api-key" | base64decode}}`,
  ]);
}

/** One streamed chat with a tool, the way a coding tool talks, through `kubectl port-forward`. */
async function chat(cluster: Cluster, name: string, key: string): Promise<void> {
  say(`$ kubectl port-forward svc/${name} :80`);
  const forward = spawn(cluster.kubectlPath, ['port-forward', `svc/${name}`, ':80'], {
    env: cluster.kubectlEnv(),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    const port = await forwardedPort(forward.stdout);
    const url = `http://127.0.0.1:${port}/v1/chat/completions`;
    say(`$ curl -N ${url} -H "Authorization: Bearer $KEY" -d …   # "List the TypeScript files in src", with a tool`);
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
      body: JSON.stringify(REQUEST),
    });
    if (!response.ok) throw new Error(`the endpoint answered ${response.status}: ${await response.text()}`);
    let tool = '';
    let input = '';
    for await (const line of createInterface({ input: Readable.fromWeb(response.body!) })) {
      if (!line.startsWith('data: ') || line === 'data: [DONE]') continue;
      const chunk = JSON.parse(line.slice('data: '.length)) as Chunk;
      for (const call of chunk.choices[0]?.delta.tool_calls ?? []) {
        tool += call.function?.name ?? '';
        input += call.function?.arguments ?? '';
      }
    }
    if (tool === '') throw new Error('the model called no tool');
    say(`the model calls ${tool}(${input})`);
  } finally {
    forward.kill();
  }
}

async function forwardedPort(output: NodeJS.ReadableStream): Promise<number> {
  for await (const line of createInterface({ input: output })) {
    const port = /127\.0\.0\.1:(\d+)/.exec(line)?.[1];
    if (port) return Number(port);
  }
  throw new Error('kubectl port-forward ended');
}

interface Chunk {
  readonly choices: readonly {
    readonly delta: {
      readonly tool_calls?: readonly { readonly function?: { readonly name?: string; readonly arguments?: string } }[];
    };
  }[];
}

const REQUEST = {
  model: 'qwen3-coder-next',
  stream: true,
  messages: [{ role: 'user', content: 'List the TypeScript files in src.' }],
  tools: [
    {
      type: 'function',
      function: {
        name: 'list_files',
        description: 'Lists files that match a glob.',
        parameters: { type: 'object', properties: { glob: { type: 'string' } }, required: ['glob'] },
      },
    },
  ],
};

function goOn(cluster: Cluster, isKept: boolean, isExisting: boolean): void {
  process.stdout.write(
    isKept
      ? `
Everything stays up until Ctrl-C. In another terminal:

  export KUBECONFIG=${cluster.kubeconfigPath}
  alias kubectl=${cluster.kubectlPath}
  kubectl explain qcd.spec.context
  kubectl get qcd coder -o yaml
  kubectl edit qcd coder
`
      : `
${isExisting ? 'The definition, the namespace qwen-coder-system and the resource stay in your cluster.' : 'Nothing stays.'} To look around:   npm run demo -- --keep
On your own cluster:             see README.md
`,
  );
}

await main();
// The simulated engines' sockets may still be open to a client that hangs.
process.exit();
