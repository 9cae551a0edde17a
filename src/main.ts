#!/usr/bin/env node
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { text } from 'node:stream/consumers';
import packageJson from '../package.json' with { type: 'json' };
import { customResourceDefinition } from './api/index.ts';
import { toStandardOutput } from './gateway/access-log.ts';
import { UnusableFileError, runGateway } from './gateway/run.ts';
import { rbac } from './install/rbac.ts';
import { byTcp, getsOut } from './network-probe.ts';
import { PROGRAM, runOperator } from './operator.ts';
import {
  GatewayFlags,
  NetworkProbeFlags,
  Options,
  PlanOptions,
  RenderOptions,
  UsageError,
  flagsHelp,
  gatewayFlags,
  networkProbeTarget,
  operatorOptions,
  planOptions,
  renderOptions,
  wantsNoColor,
} from './options.ts';
import { plan, render, type Surroundings } from './preview/command.ts';
import { GOT_OUT } from './render/index.ts';
import { Metrics, jsonLog, systemClock } from './runtime/index.ts';
import { toYaml } from './yaml.ts';

/** kubectl runs `kubectl qwencoder …` as `kubectl-qwencoder …`. */
const CALLED = basename(process.argv[1] ?? '') === 'kubectl-qwencoder' ? 'kubectl qwencoder' : 'qwen-coder';

interface Command {
  /** What comes after the program's name. */
  readonly synopsis: string;
  readonly summary: string;
  /** What `--help` tells besides. */
  readonly help: string;
  /** Exit codes: 0 done, 1 could not go on or fits nowhere, 2 asked for something that does not exist. */
  readonly run: (args: readonly string[]) => Promise<number>;
}

const COMMANDS: Readonly<Record<string, Command>> = {
  operator: {
    synopsis: 'operator [flags]',
    summary: 'run the operator',
    help: `Each flag may come from the environment, as QWEN_CODER_<FLAG>.

${flagsHelp(Options)}`,
    run: async (args) => {
      const options = operatorOptions(args, process.env);
      const log = jsonLog({ level: options['log-level'] });
      return runOperator(options, packageJson.version, log, untilStopped()).then(
        () => 0,
        () => 1,
      );
    },
  },
  gateway: {
    synopsis: 'gateway --models NAMES --engines HOST:PORT [flags]',
    summary: 'run the proxy in front of the engines',
    help: `Serves the APIs of OpenAI and Anthropic: /v1/chat/completions, /v1/completions,
/v1/responses, /v1/messages, /v1/messages/count_tokens, /v1/models and /health.
Each flag may come from the environment, as QWEN_CODER_<FLAG>.

${flagsHelp(GatewayFlags)}`,
    run: async (args) => {
      const flags = gatewayFlags(args, process.env);
      const log = jsonLog({ level: flags['log-level'] });
      const metrics = new Metrics({ process: true });
      await runGateway(flags, { log, metrics, writeAccess: toStandardOutput }, untilStopped());
      return 0;
    },
  },
  'network-probe': {
    synopsis: 'network-probe [--target HOST:PORT]',
    summary: 'tell whether something gets out of this pod',
    help: `Exit code: 0 when nothing gets out, ${GOT_OUT} when the target was reached.

${flagsHelp(NetworkProbeFlags)}`,
    run: async (args) => {
      const target = networkProbeTarget(args, process.env);
      const isOut = await getsOut(byTcp(target), systemClock);
      process.stdout.write(`${target.host}:${target.port} ${isOut ? 'was reached' : 'cannot be reached'}\n`);
      return isOut ? GOT_OUT : 0;
    },
  },
  plan: {
    synopsis: 'plan [-f FILE] [--gpus NODES] [flags]',
    summary: 'tell which checkpoint, GPUs and context a resource gets, and what restarts',
    help: `Nothing is written. Each resource is planned as if it were the only new one. The nodes
of --gpus are idle, and labelled as the nodeSelector of the resource asks. In the
cluster, the resource is compared with what is there of it.

Exit code: 0 when every resource fits, 1 when one fits nowhere, 2 when it cannot be told.

${flagsHelp(PlanOptions)}`,
    run: (args) => plan(planOptions(args), surroundings()),
  },
  render: {
    synopsis: 'render [-f FILE] [--gpus NODES] [flags]',
    summary: 'print the objects that the operator makes of a resource',
    help: `Nothing is written. The objects are those at the end, once the weights are verified
and every engine has answered, in the order in which the operator applies them. A
Job that exists is left as it is, whatever is printed. Without a cluster the uid
of the owner is that of the file, or zeros.

Exit code: 0 when every resource fits, 1 when one fits nowhere, 2 when it cannot be told.

${flagsHelp(RenderOptions)}`,
    run: (args) => render(renderOptions(args), surroundings()),
  },
  crd: {
    synopsis: 'crd',
    summary: 'print the CustomResourceDefinition',
    help: 'For kubectl apply --server-side -f -',
    run: async () => {
      process.stdout.write(toYaml([customResourceDefinition()]));
      return 0;
    },
  },
  rbac: {
    synopsis: 'rbac [NAMESPACE]',
    summary: 'print namespace, ServiceAccount and rights of the operator',
    help: 'NAMESPACE is qwen-coder-system when left out. For kubectl apply --server-side -f -',
    run: async ([namespace = 'qwen-coder-system']) => {
      process.stdout.write(toYaml(rbac(namespace, PROGRAM)));
      return 0;
    },
  },
};

const HELP = `qwen-coder ${packageJson.version}: serves Qwen3-Coder-Next on your own GPUs.

${Object.values(COMMANDS)
  .map(({ synopsis, summary }) => `  ${CALLED} ${synopsis.split(' ')[0]!.padEnd(13)} ${summary}`)
  .join('\n')}

Flags of a command: ${CALLED} COMMAND --help
`;

const helpOf = ({ synopsis, summary, help }: Command): string => `  ${CALLED} ${synopsis}

${summary}

${help}
`;

const surroundings = (): Surroundings => ({
  read: (path) => (path === '-' ? text(process.stdin) : readFile(path, 'utf8')),
  write: (result) => process.stdout.write(result),
  complain: (sentence) => process.stderr.write(sentence),
  takesColours: process.stdout.isTTY && !wantsNoColor(process.env),
  userAgent: `qwen-coder/${packageJson.version}`,
});

/** Aborts when the process is asked to end. */
function untilStopped(): AbortSignal {
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort());
  return stop.signal;
}

async function main([name, ...args]: readonly string[]): Promise<number> {
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    process.stdout.write(HELP);
    return 0;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) {
    process.stderr.write(`there is no command ${name}\n\n${HELP}`);
    return 2;
  }
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(helpOf(command));
    return 0;
  }
  return command.run(args);
}

try {
  const code = await main(process.argv.slice(2));
  // A reconcile that never ends must not keep a process alive that has lost its term.
  process.stdout.write('', () => process.exit(code));
} catch (error) {
  if (!(error instanceof UsageError || error instanceof UnusableFileError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
