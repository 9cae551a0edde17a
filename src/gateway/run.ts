import { readFile } from 'node:fs/promises';
import type { GatewayFlags } from '../options.ts';
import { type Log, type Metrics, Probes, systemClock } from '../runtime/index.ts';
import { AccessLog } from './access-log.ts';
import { parseApiKeys } from './api-keys.ts';
import { Balancer } from './balancer.ts';
import type { State } from './control/protocol.ts';
import { ControlServer } from './control/server.ts';
import { type Knowledge, endpointsBy } from './endpoints.ts';
import { type AddressesOf, discoverEngines } from './engine-discovery.ts';
import { Gateway } from './gateway.ts';
import { useMountedFiles } from './mounted-file.ts';

/** A stream that waits is begun after so long; a status can say what is wrong until then. */
const COMMENT_AFTER_MS = 5000;
/** Proxies cut a connection that is silent for a minute, some for half of it. */
const SILENCE_MS = 15_000;
const BLOCKED_MS = 120_000;
/** Load balancers go on sending for a moment after the pod has been taken out. */
const LEAVING_MS = 5000;

/** A file that the gateway was given cannot be read or used; the message is one line, for whoever wrote the file. */
export class UnusableFileError extends Error {}

/** What a gateway is given by the process that it runs in. */
export interface Process {
  readonly log: Log;
  readonly metrics: Metrics;
  /** Takes the lines of the access log. */
  readonly writeAccess: (lines: string) => void;
  /** Addresses that a host has at the moment; by DNS when absent. */
  readonly addressesOf?: AddressesOf;
}

type FileFlag = Extract<keyof GatewayFlags, `${string}-file`>;

/**
 * Runs a gateway until `signal` aborts, then lets what is under way finish.
 *
 * **Fails when** a file cannot be read or used, with an `UnusableFileError`, or a port is taken.
 */
export async function runGateway(
  flags: GatewayFlags,
  { log, metrics, writeAccess, addressesOf }: Process,
  signal: AbortSignal,
): Promise<void> {
  const clock = systemClock;
  const read = async (flag: FileFlag): Promise<string | undefined> =>
    flags[flag] === undefined ? undefined : usable(flag, flags[flag], readFile(flags[flag], 'utf8'));
  const keysFile = flags['api-keys-file'];
  const [cert, key] = await Promise.all([read('tls-cert-file'), read('tls-key-file')]);
  const keys = await read('api-keys-file');
  const accessLog = new AccessLog({ clock, write: writeAccess });
  const gateway = new Gateway({
    clock,
    log,
    accessLog,
    metrics,
    balancer: new Balancer({
      clock,
      policy: flags.policy,
      cacheBlockTokens: flags['cache-block-tokens'],
      cacheBlocks: flags['cache-blocks'],
      gateways: flags.gateways,
    }),
    limits: {
      waiting: flags['max-held'],
      waitMs: flags['hold-seconds'] * 1000,
      perHolder: flags['requests-per-key'],
      bodyBytes: flags['max-body-bytes'],
      bodiesBytes: flags['max-bodies-bytes'],
      commentAfterMs: COMMENT_AFTER_MS,
      silenceMs: SILENCE_MS,
      blockedMs: BLOCKED_MS,
    },
    keys: keys === undefined ? undefined : await usable('api-keys-file', keysFile!, (async () => parseApiKeys(keys))()),
    certificate: cert === undefined || key === undefined ? undefined : { cert, key },
    engineKey: (await read('engine-key-file'))?.trim(),
    models: flags.models,
  });
  const closing: (() => void)[] = [];
  if (keysFile !== undefined) {
    const use = ([text]: readonly string[]): void => gateway.useKeys(parseApiKeys(text!));
    closing.push(await useMountedFiles({ clock, log, paths: [keysFile], use }));
  }
  if (flags['tls-cert-file'] !== undefined) {
    const paths = [flags['tls-cert-file'], flags['tls-key-file']!];
    const use = ([cert, key]: readonly string[]): void => gateway.useCertificate({ cert: cert!, key: key! });
    closing.push(await useMountedFiles({ clock, log, paths, use }));
  }
  const { host } = flags;
  const probes = new Probes({
    ...(host !== undefined && { host }),
    port: flags['http-port'],
    // Clients are held while no engine is ready, so a gateway without engines is ready all the same.
    readiness: [{ name: 'stopping', check: () => (signal.aborted ? 'the gateway is about to end' : undefined) }],
    metrics: { contentType: metrics.contentType, text: () => metrics.text() },
    pages: { '/metrics/engines': { contentType: metrics.contentType, text: () => gateway.engineMetrics() } },
  });
  await probes.start();
  const port = await gateway.start(flags.port, host);
  log.info('the gateway listens', { port, tls: cert !== undefined, anonymous: flags.anonymous });
  let knowledge: Knowledge = { told: undefined, discovered: [], isLinked: false };
  let state: State = { endpoints: [] };
  const learn = (news: Partial<Knowledge>): void => {
    knowledge = { ...knowledge, ...news };
    gateway.tell({ ...state, endpoints: [...endpointsBy(knowledge)] });
  };
  const controlKey = (await read('control-key-file'))?.trim();
  if (controlKey !== undefined) {
    const control = new ControlServer({
      clock,
      log,
      key: controlKey,
      tell: (told) => {
        state = told;
        learn({ told: told.endpoints });
      },
      onLink: (isLinked) => learn({ isLinked }),
      load: () => gateway.load(),
    });
    await control.listen(flags['control-port'], host);
    closing.push(() => control.close());
  }
  await discoverEngines(
    {
      clock,
      log,
      engines: flags.engines,
      slots: flags['slots-per-engine'],
      tell: (discovered) => learn({ discovered }),
      ...(addressesOf && { addressesOf }),
    },
    signal,
  );
  log.info('the gateway ends', { drainSeconds: flags['drain-seconds'] });
  gateway.leave();
  await clock.sleep(LEAVING_MS);
  await gateway.stop(flags['drain-seconds'] * 1000);
  accessLog.flush();
  for (const close of closing) close();
  await probes.stop();
}

/** What is read from a file, or a sentence that says which one is at fault. */
async function usable<T>(flag: FileFlag, path: string, content: Promise<T>): Promise<T> {
  try {
    return await content;
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    const why = isMissing ? 'there is no such file' : (error as Error).message;
    throw new UnusableFileError(`--${flag} ${path}: ${why}`, { cause: error });
  }
}
