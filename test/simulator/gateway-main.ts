import { toStandardOutput } from '../../src/gateway/access-log.ts';
import { UnusableFileError, runGateway } from '../../src/gateway/run.ts';
import { gatewayFlags } from '../../src/options.ts';
import { Metrics, jsonLog } from '../../src/runtime/index.ts';

// What `qwen-coder gateway` is in a container: the same gateway, without the rest of the program, which takes a second to load. It gets
// the names of Services from the simulator.
const [nameServer, ...args] = process.argv.slice(2);
const stop = new AbortController();
process.once('SIGTERM', () => stop.abort());
// Nothing outlives the simulator.
process.once('disconnect', () => process.exit());

async function addressesOf(host: string): Promise<string[]> {
  const response = await fetch(`${nameServer}/${host}`);
  if (!response.ok) throw new Error(`the name server answers ${response.status}`);
  return (await response.json()) as string[];
}

try {
  const flags = gatewayFlags(args, process.env);
  const log = jsonLog({ level: flags['log-level'] });
  const metrics = new Metrics({ process: true });
  await runGateway(flags, { log, metrics, writeAccess: toStandardOutput, addressesOf }, stop.signal);
  process.exit(0);
} catch (error) {
  if (!(error instanceof UnusableFileError)) throw error;
  process.stderr.write(`${error.message}\n`, () => process.exit(1));
}
