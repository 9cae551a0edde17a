import { readFile } from 'node:fs/promises';
import type { GatewayFlags } from '../options.ts';
import { type Log, Metrics, Probes, systemClock } from '../runtime/index.ts';
import { AccessLog } from './access-log.ts';
import { parseApiKeys } from './api-keys.ts';
import { Balancer } from './balancer.ts';
import type { State } from './control/protocol.ts';
import { ControlServer } from './control/server.ts';
import { type Knowledge, endpointsBy } from './endpoints.ts';
import { discoverEngines } from './engine-discovery.ts';
import { Gateway } from './gateway.ts';
import { useMountedFiles } from './mounted-file.ts';

/** A stream that waits is begun after so long; a status can say what is wrong until then. */
const COMMENT_AFTER_MS = 5000;
/** Proxies cut a connection that is silent for a minute, some for half of it. */
const SILENCE_MS = 15_000;
const BLOCKED_MS = 120_000;
/** Load balancers go on sending for a moment after the pod has been taken out. */
const LEAVING_MS = 5000;

/**
 * Runs a gateway until `signal` aborts, then lets what is under way finish.
 *
 * @param writeAccess Takes the lines of the access log.
 *
 * **Fails when** a file cannot be read or used, or a port is taken.
 */
export async function runGateway(
  flags: GatewayFlags,
  log: Log,
  writeAccess: (lines: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const clock = systemClock;
  const metrics = new Metrics({ process: true });
  const read = async (path: string | undefined): Promise<string | undefined> =>
    path === undefined ? undefined : readFile(path, 'utf8');
  const keysFile = flags['api-keys-file'];
  const [cert, key] = await Promise.all([read(flags['tls-cert-file']), read(flags['tls-key-file'])]);
  const keys = await read(keysFile);
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
      waitingBytes: flags['max-held-bytes'],
      waitMs: flags['hold-seconds'] * 1000,
      perHolder: flags['requests-per-key'],
      bodyBytes: flags['max-body-bytes'],
      commentAfterMs: COMMENT_AFTER_MS,
      silenceMs: SILENCE_MS,
      blockedMs: BLOCKED_MS,
    },
    keys: keys === undefined ? undefined : parseApiKeys(keys),
    certificate: cert === undefined || key === undefined ? undefined : { cert, key },
    engineKey: (await read(flags['engine-key-file']))?.trim(),
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
  const probes = new Probes({
    port: flags['http-port'],
    // Clients are held while no engine is ready, so a gateway without engines is ready all the same.
    readiness: [{ name: 'stopping', check: () => (signal.aborted ? 'the gateway is about to end' : undefined) }],
    metrics: { contentType: metrics.contentType, text: () => metrics.text() },
    pages: { '/metrics/engines': { contentType: metrics.contentType, text: () => gateway.engineMetrics() } },
  });
  await probes.start();
  const port = await gateway.start(flags.port);
  log.info('the gateway listens', { port, tls: cert !== undefined, anonymous: flags.anonymous });
  let knowledge: Knowledge = { told: undefined, discovered: [], isLinked: false };
  let state: State = { endpoints: [] };
  const learn = (news: Partial<Knowledge>): void => {
    knowledge = { ...knowledge, ...news };
    gateway.tell({ ...state, endpoints: [...endpointsBy(knowledge)] });
  };
  const controlKey = (await read(flags['control-key-file']))?.trim();
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
    await control.listen(flags['control-port']);
    closing.push(() => control.close());
  }
  await discoverEngines(
    {
      clock,
      log,
      engines: flags.engines,
      slots: flags['slots-per-engine'],
      tell: (discovered) => learn({ discovered }),
    },
    signal,
  );
  log.info('the gateway ends', { drainSeconds: flags['drain-seconds'] });
  await clock.sleep(LEAVING_MS);
  await gateway.stop(flags['drain-seconds'] * 1000);
  accessLog.flush();
  for (const close of closing) close();
  await probes.stop();
}
