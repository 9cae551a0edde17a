#!/usr/bin/env node
import packageJson from '../package.json' with { type: 'json' };
import { customResourceDefinition } from './api/index.ts';
import { rbac } from './install/rbac.ts';
import { PROGRAM, runOperator } from './operator.ts';
import { UsageError, operatorHelp, operatorOptions } from './options.ts';
import { jsonLog } from './runtime/index.ts';
import { toYaml } from './yaml.ts';

const HELP = `qwen-coder ${packageJson.version}: serves Qwen3-Coder-Next on your own GPUs.

  qwen-coder operator [flags]   run the operator
  qwen-coder crd                print the CustomResourceDefinition
  qwen-coder rbac [namespace]   print namespace, ServiceAccount and rights of the operator

Flags of operator, or QWEN_CODER_<FLAG> in the environment:
${operatorHelp()}
`;

/** Exit codes: 0 asked to stop, 1 could not go on, 2 asked for something that does not exist. */
async function main([command, ...args]: readonly string[]): Promise<number> {
  if (command === undefined || command === 'help' || [command, ...args].includes('--help')) {
    process.stdout.write(HELP);
    return 0;
  }
  switch (command) {
    case 'operator': {
      const options = operatorOptions(args, process.env);
      const stop = new AbortController();
      for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort());
      const log = jsonLog({ level: options['log-level'] });
      return runOperator(options, packageJson.version, log, stop.signal).then(
        () => 0,
        () => 1,
      );
    }
    case 'crd':
      process.stdout.write(toYaml([customResourceDefinition()]));
      return 0;
    case 'rbac':
      process.stdout.write(toYaml(rbac(args[0] ?? 'qwen-coder-system', PROGRAM)));
      return 0;
    default:
      process.stderr.write(`there is no command ${command}\n\n${HELP}`);
      return 2;
  }
}

try {
  const code = await main(process.argv.slice(2));
  // A reconcile that never ends must not keep a process alive that has lost its term.
  process.stdout.write('', () => process.exit(code));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}
