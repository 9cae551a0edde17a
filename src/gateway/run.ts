import { readFile } from 'node:fs/promises';
import type { GatewayFlags } from '../options.ts';
import { type Log, type Metrics, Probes, systemClock } from '../runtime/index.ts';
import { AccessLog } from './access-log.ts';
import { parseApiKeys } from './api-keys.ts';
import { Balancer } from './balancer.ts';
import { usableCertificate, usableChain } from './certificate.ts';
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
  /** What a file says; undefined where none is given. **Fails when** it cannot be read or used: a sentence that names it. */
  const read = async <T>(flag: FileFlag, use: (text: string) => T): Promise<T | undefined> => {
    const path = flags[flag];
    if (path === undefined) return undefined;
    try {
      return use(await readFile(path, 'utf8'));
    } catch (error) {
      const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
      const why = isMissing ? 'there is no such file' : (error as Error).message;
      throw new UnusableFileError(`--${flag} ${path}: ${why}`, { cause: error });
    }
  };
  const chain = await read('tls-cert-file', usableChain);
  const certificate =
    chain === undefined ? undefined : await read('tls-key-file', (key) => usableCertificate(chain, key));
  const keys = await read('api-keys-file', parseApiKeys);
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
    keys,
    certificate,
    engineKey: await read('engine-key-file', trimmed),
    models: flags.models,
  });
  const closing: (() => void)[] = [];
  if (flags['api-keys-file'] !== undefined) {
    const paths = [flags['api-keys-file']];
    const use = ([text]: readonly string[]): void => gateway.useKeys(parseApiKeys(text!));
    closing.push(await useMountedFiles({ clock, log, paths, use }));
  }
  if (flags['tls-cert-file'] !== undefined) {
    const paths = [flags['tls-cert-file'], flags['tls-key-file']!];
    const use = ([cert, key]: readonly string[]): void =>
      gateway.useCertificate(usableCertificate(usableChain(cert!), key!));
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
  log.info('the gateway listens', { port, tls: certificate !== undefined, anonymous: flags.anonymous });
  let knowledge: Knowledge = { told: undefined, discovered: [], leftMs: undefined };
  let state: State = { endpoints: [] };
  const learn = (news: Partial<Knowledge>): void => {
    knowledge = { ...knowledge, ...news };
    gateway.tell({ ...state, endpoints: [...endpointsBy(knowledge, clock.monotonic())] });
  };
  const controlKey = await read('control-key-file', trimmed);
  if (controlKey !== undefined) {
    const control = new ControlServer({
      clock,
      log,
      key: controlKey,
      tell: (told) => {
        state = told;
        learn({ told: told.endpoints, leftMs: undefined });
      },
      // A new one is there once it has spoken.
      onLink: (isLinked) => {
        if (!isLinked) learn({ leftMs: clock.monotonic() });
      },
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

const trimmed = (text: string): string => text.trim();
