import { parseArgs } from 'node:util';
import * as z from 'zod';

/** A flag as people type it; everything enters as text. */
const flag = {
  number: (min: number, max: number) => z.coerce.number().int().min(min).max(max),
  list: z
    .string()
    .min(1)
    .transform((text) => text.split(',').map((item) => item.trim())),
  proxy: z.url({ protocol: /^https?$/ }).refine((text) => !text.includes('@'), {
    // Flags are readable in the Deployment, and the URL in every weights Job.
    error:
      'is shown to everyone who may read Jobs, so it holds no user name and password; let the proxy tell clients apart by their address',
  }),
  entry: z.string().regex(/^[a-z0-9][a-z0-9.-]*\/[\w.-]+$/, 'is CONFIGMAP/KEY'),
};

/** Every flag of `qwen-coder operator`. */
export const Options = z.strictObject({
  kubeconfig: z.string().min(1).optional().describe('Path of a kubeconfig; in a pod its ServiceAccount is used.'),
  namespaces: flag.list.optional().describe('Comma-separated namespaces to serve; all when unset.'),
  'lease-namespace': z
    .string()
    .min(1)
    .default('qwen-coder-system')
    .describe("Namespace of the Lease: the operator's own."),
  'lease-name': z
    .string()
    .min(1)
    .default('qwen-coder-operator')
    .describe('Name of the Lease that elects the one active operator.'),
  'http-port': flag.number(0, 65535).default(8080).describe('Port of /healthz, /readyz and /metrics.'),
  workers: flag.number(1, 64).default(8).describe('Resources reconciled at once.'),
  'requests-per-second': flag.number(1, 10_000).default(200).describe('Most requests to the API server a second.'),
  burst: flag.number(1, 10_000).default(400).describe('Requests that may go at once.'),
  http1: z.stringbool().default(false).describe('Talk HTTP/1.1 to the API server.'),
  'weights-proxy': flag.proxy.optional().describe('HTTP proxy through which weights are fetched.'),
  'weights-no-proxy': z
    .string()
    .min(1)
    .optional()
    .describe('Comma-separated hosts that weights are fetched from without the proxy.'),
  'weights-ca-configmap': flag.entry
    .optional()
    .describe(
      'CONFIGMAP/KEY of a PEM bundle, in the namespace of each resource, that replaces the authorities trusted when weights are fetched.',
    ),
  'log-level': z
    .enum(['debug', 'info', 'warn', 'error'])
    .default('info')
    .describe('Least severe lines that are logged.'),
});

export type OperatorOptions = z.output<typeof Options>;

/** Environment variables stand in for flags that are not given: `QWEN_CODER_LOG_LEVEL` for `--log-level`. */
const environmentName = (name: string): string => `QWEN_CODER_${name.toUpperCase().replaceAll('-', '_')}`;

/** A flag that cannot be used, in a sentence for the terminal. */
export class UsageError extends Error {}

/** Reads and checks every flag once. The only place where the environment is read. */
export function operatorOptions(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): OperatorOptions {
  const names = Object.keys(Options.shape);
  const { values } = readFlags(args, names);
  const given = Object.fromEntries(
    names
      .map((name) => [name, values[name] ?? environment[environmentName(name)]] as const)
      .filter(([, value]) => value !== undefined),
  );
  const parsed = Options.safeParse(given);
  if (parsed.success) return parsed.data;
  throw new UsageError(parsed.error.issues.map(({ path, message }) => `--${path.join('.')}: ${message}`).join('\n'));
}

function readFlags(args: readonly string[], names: readonly string[]): { values: Record<string, string | undefined> } {
  try {
    return parseArgs({
      args: [...args],
      options: Object.fromEntries(names.map((name) => [name, { type: 'string' as const }])),
    });
  } catch (error) {
    throw new UsageError((error as Error).message, { cause: error });
  }
}

/** One line a flag, for `--help`. */
export const operatorHelp = (): string =>
  Object.entries(Options.shape)
    .map(([name, schema]) => `  --${name.padEnd(22)} ${schema.description ?? ''}`)
    .join('\n');
