import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import * as z from 'zod';
import packageJson from '../package.json' with { type: 'json' };

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
  image: z
    .string()
    .min(1)
    .default(`qwen-coder-operator:${packageJson.version}`)
    .describe("The operator's own image, which gateways run too."),
  'http-port': flag.number(0, 65535).default(8080).describe('Port of /healthz, /readyz and /metrics.'),
  workers: flag.number(1, 64).default(8).describe('Resources reconciled at once.'),
  'requests-per-second': flag.number(1, 10_000).default(200).describe('Most requests to the API server a second.'),
  burst: flag.number(1, 10_000).default(400).describe('Requests that may go at once.'),
  'tuning-idle-seconds': flag
    .number(5, 7 * 86_400)
    .default(1800)
    .describe(
      'Without a request for so long, an engine is restarted for a context that its measured memory holds better.',
    ),
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

/** Every flag of `qwen-coder gateway`. */
export const GatewayFlags = z.strictObject({
  host: z.string().min(1).optional().describe('Address to listen at; all of the machine when unset.'),
  port: flag.number(0, 65535).default(8000).describe('Port that clients talk to.'),
  'http-port': flag
    .number(0, 65535)
    .default(8080)
    .describe('Port of /healthz, /readyz, /metrics and /metrics/engines.'),
  'control-port': flag.number(0, 65535).default(8001).describe('Port that the operator connects to.'),
  'control-key-file': z
    .string()
    .min(1)
    .optional()
    .describe('File with the key that the operator shows; without it nobody is listened for.'),
  models: flag.list.describe('Comma-separated names that the model is asked by, its own first.'),
  'api-keys-file': z
    .string()
    .min(1)
    .optional()
    .describe('File with the API keys, one a line, as "name: key"; read again when it changes.'),
  anonymous: z.stringbool().default(false).describe('Serve whoever asks; refused together with --api-keys-file.'),
  'engine-key-file': z.string().min(1).optional().describe('File with the key that engines ask for.'),
  'tls-cert-file': z.string().min(1).optional().describe('Certificate chain as PEM; read again when it changes.'),
  'tls-key-file': z.string().min(1).optional().describe('Private key of the certificate as PEM.'),
  engines: z
    .string()
    .min(1)
    .describe('HOST:PORT of the engines; every address of the host is one, as long as the operator says nothing else.'),
  'slots-per-engine': flag
    .number(1, 4096)
    .default(256)
    .describe('Requests that an engine works on at once; the others wait, in turns by key.'),
  policy: z
    .enum(['PrefixAffinity', 'LeastLoad', 'RoundRobin'])
    .default('PrefixAffinity')
    .describe(
      'How an engine is chosen: where the beginning of the prompt is cached, where least is to do, or in turn.',
    ),
  'cache-block-tokens': flag
    .number(16, 65_536)
    .default(2096)
    .describe("Tokens of a block of the engines' prefix cache; beginnings that are shorter are not told apart."),
  'cache-blocks': flag.number(1, 10_000_000).default(1000).describe('Blocks that the cache of one engine holds.'),
  gateways: flag.number(1, 100).default(2).describe('Gateways that share the engines.'),
  'max-body-bytes': flag
    .number(1024, 2 ** 30)
    .default(8 * 2 ** 20)
    .describe('Largest body of a request.'),
  'max-held': flag.number(0, 100_000).default(1000).describe('Requests that wait for an engine at once.'),
  'max-bodies-bytes': flag
    .number(1024, 2 ** 32)
    .default(256 * 2 ** 20)
    .describe('Bytes of all bodies together, from their first byte to the end of the answer.'),
  'hold-seconds': flag.number(1, 7200).default(900).describe('Longest wait for an engine.'),
  'requests-per-key': flag
    .number(1, 100_000)
    .default(256)
    .describe(
      'Answers of one key at once, waiting ones included; a request asks for one, or for more with n or a list of prompts.',
    ),
  'drain-seconds': flag.number(0, 3600).default(540).describe('Time for requests under way when the gateway ends.'),
  'log-level': z
    .enum(['debug', 'info', 'warn', 'error'])
    .default('info')
    .describe('Least severe lines that are logged.'),
});
export type GatewayFlags = z.output<typeof GatewayFlags>;

/** Every flag of `qwen-coder network-probe`. */
export const NetworkProbeFlags = z.strictObject({
  target: z
    .string()
    .regex(/:[0-9]+$/, 'is HOST:PORT')
    .optional()
    .describe('HOST:PORT that must not be reached; the API server of the cluster when unset.'),
});

/** Where the probe tries to get to. Every pod of a cluster knows where the API server is. */
export function networkProbeTarget(
  args: readonly string[],
  environment: Environment,
): { readonly host: string; readonly port: number } {
  const { target } = checked(NetworkProbeFlags, readFlags(NetworkProbeFlags, args));
  const { KUBERNETES_SERVICE_HOST: server, KUBERNETES_SERVICE_PORT: port } = environment;
  if (target === undefined && (server === undefined || port === undefined))
    throw new UsageError('this is no pod of a cluster; name HOST:PORT with --target');
  const colon = target?.lastIndexOf(':') ?? 0;
  return target === undefined
    ? { host: server!, port: Number(port) }
    : { host: target.slice(0, colon).replace(/^\[(.*)\]$/, '$1'), port: Number(target.slice(colon + 1)) };
}

/** What `plan` and `render` look at. */
const looking = {
  file: z
    .array(z.string().min(1))
    .default([])
    .describe('File with resources, - for standard input; may be repeated. A resource with an empty spec when unset.'),
  gpus: z
    .string()
    .min(1)
    .optional()
    .describe('GPU nodes to plan for, as 4xL40S-48GB,8xH100-80GB*2; without it, those of the cluster.'),
  namespace: z
    .string()
    .min(1)
    .optional()
    .describe("Namespace of resources that name none; the kubeconfig's own when unset."),
  kubeconfig: z.string().min(1).optional().describe('Path of a kubeconfig; the one that kubectl uses when unset.'),
  context: z.string().min(1).optional().describe('Context of the kubeconfig; its current one when unset.'),
  ...Options.pick({ 'lease-namespace': true, 'lease-name': true }).shape,
};

/** Every flag of `qwen-coder plan`. */
export const PlanOptions = z.strictObject({
  ...looking,
  output: z.enum(['text', 'json', 'yaml']).default('text').describe('How the plan is printed: text, json or yaml.'),
});
export type PlanOptions = z.output<typeof PlanOptions>;

/** Every flag of `qwen-coder render`. */
export const RenderOptions = z.strictObject({
  ...looking,
  output: z.enum(['yaml', 'json']).default('yaml').describe('How objects are printed: yaml or json.'),
  image: Options.shape.image
    .unwrap()
    .optional()
    .describe("Image of gateways; that of those that run, or the operator's own of this version, when unset."),
  ...Options.pick({
    'weights-proxy': true,
    'weights-no-proxy': true,
    'weights-ca-configmap': true,
  }).shape,
});
export type RenderOptions = z.output<typeof RenderOptions>;

/** How weights Jobs reach the hub, as the flags about it say. */
export function weightsAccess(
  options: Pick<RenderOptions, 'weights-proxy' | 'weights-no-proxy' | 'weights-ca-configmap'>,
) {
  const [configMap, key] = options['weights-ca-configmap']?.split('/') ?? [];
  return {
    proxy: options['weights-proxy'],
    noProxy: options['weights-no-proxy'],
    authorities: configMap !== undefined && key !== undefined ? { configMap, key } : undefined,
  };
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Environment variables stand in for flags that are not given: `QWEN_CODER_LOG_LEVEL` for `--log-level`. */
const environmentName = (name: string): string => `QWEN_CODER_${name.toUpperCase().replaceAll('-', '_')}`;

/** Whether output must do without colours: https://no-color.org. */
export const wantsNoColor = (environment: Environment): boolean => (environment['NO_COLOR'] ?? '') !== '';

/** Something that the user asked for and that cannot be done, in a sentence for the terminal. */
export class UsageError extends Error {}

/** Reads and checks every flag of the operator once; the environment stands in for what is not given. */
export function operatorOptions(args: readonly string[], environment: Environment): OperatorOptions {
  const fromEnvironment = Object.keys(Options.shape).map((name) => [name, environment[environmentName(name)]]);
  return checked(Options, { ...Object.fromEntries(fromEnvironment), ...readFlags(Options, args) });
}

/** Reads and checks every flag of a gateway once; the environment stands in for what is not given. */
export function gatewayFlags(args: readonly string[], environment: Environment): GatewayFlags {
  const fromEnvironment = Object.keys(GatewayFlags.shape).map((name) => [name, environment[environmentName(name)]]);
  const flags = checked(GatewayFlags, { ...Object.fromEntries(fromEnvironment), ...readFlags(GatewayFlags, args) });
  if (flags.anonymous === (flags['api-keys-file'] !== undefined)) {
    throw new UsageError('name the keys with --api-keys-file, or say --anonymous=true to serve whoever asks');
  }
  if ((flags['tls-cert-file'] === undefined) !== (flags['tls-key-file'] === undefined))
    throw new UsageError('--tls-cert-file and --tls-key-file belong together');
  return flags;
}

export const planOptions = (args: readonly string[]): PlanOptions => checked(PlanOptions, readFlags(PlanOptions, args));

export const renderOptions = (args: readonly string[]): RenderOptions =>
  checked(RenderOptions, readFlags(RenderOptions, args));

/** The flags of a command by name, each with its schema. */
export type Flags = z.ZodObject<Readonly<Record<string, z.ZodType>>>;

function checked<S extends Flags>(schema: S, given: Readonly<Record<string, unknown>>): z.output<S> {
  const parsed = schema.safeParse(Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)));
  if (parsed.success) return parsed.data;
  throw new UsageError(parsed.error.issues.map(({ path, message }) => `--${path.join('.')}: ${message}`).join('\n'));
}

/** As kubectl abbreviates them. */
const SHORT: Readonly<Record<string, string>> = { file: 'f', namespace: 'n', output: 'o' };

/** Flags that may be given more than once. */
const MULTIPLE = new Set(['file']);

function readFlags({ shape }: Flags, args: readonly string[]): Record<string, unknown> {
  const flags = Object.keys(shape).map((name) => {
    const short = SHORT[name];
    return [name, { type: 'string' as const, multiple: MULTIPLE.has(name), ...(short !== undefined && { short }) }];
  });
  try {
    return { ...parseArgs({ args: [...args], options: Object.fromEntries(flags) as ParseArgsOptionsConfig }).values };
  } catch (error) {
    // Node goes on about other ways to write what was not meant.
    const [what] = (error as Error).message.split('. ');
    throw new UsageError(
      `${what}; flags are ${Object.keys(shape)
        .map((name) => `--${name}`)
        .join(', ')}`,
      {
        cause: error,
      },
    );
  }
}

/** As one types it: `-f, --file`. */
export function flagName(name: string): string {
  const short = SHORT[name];
  return `${short === undefined ? '' : `-${short}, `}--${name}`;
}

/** One line a flag, for `--help`. */
export const flagsHelp = ({ shape }: Flags): string =>
  Object.entries(shape)
    .map(([name, schema]) => `  ${flagName(name).padEnd(24)} ${schema.description ?? ''}`)
    .join('\n');
