import { styleText } from 'node:util';

/** A measurement by name. It prints a table, and as its last line one JSON object. */
interface Bench {
  readonly about: string;
  readonly run: (args: readonly string[]) => Promise<void>;
}

const benches: Readonly<Record<string, Bench>> = {
  reconcile: {
    about: 'resources to converged children on a real control plane, against a bare loop of the same applies',
    run: async (args) => (await import('./reconcile.ts')).run(args),
  },
  gateway: {
    about: 'the gateway against direct access and nginx, per CPU second of the proxy',
    run: async (args) => (await import('./gateway.ts')).run(args),
  },
  planner: {
    about: "what a plan costs, and whether the memory model answers as vLLM's own KV planner does",
    run: async (args) => (await import('./planner.ts')).run(args),
  },
  routing: {
    about: 'how much of the caches routing uses and how evenly it spreads work, on traces of requests',
    run: async (args) => (await import('./routing.ts')).run(args),
  },
};

const usage = `Measures the operator. The last line of a bench is one JSON object.

  npm run bench -- <name> [options]

${Object.entries(benches)
  .map(([name, { about }]) => `  ${name.padEnd(12)} ${about}`)
  .join('\n')}

  npm run bench -- <name> --help tells the options of one.
`;

const [name = '', ...args] = process.argv.slice(2);
if (Object.hasOwn(benches, name)) {
  await benches[name]!.run(args);
} else {
  if (name !== '' && name !== '--help') process.stderr.write(styleText('red', `There is no bench "${name}".\n\n`));
  process.stdout.write(usage);
  process.exitCode = name === '' || name === '--help' ? 0 : 2;
}
