import { lookup } from 'node:dns/promises';
import { isIPv6 } from 'node:net';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Endpoint } from './replicas.ts';

/** The addresses of a host. **Fails when** it cannot be told whether there are any. */
export type AddressesOf = (host: string) => Promise<readonly string[]>;

export interface DiscoveryOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** `HOST:PORT`: of a headless Service, whose name has the addresses of all ready engines. */
  readonly engines: string;
  /** Requests that an engine works on at once. */
  readonly slots: number;
  /** Told at each look, whether or not they have changed. */
  readonly tell: (endpoints: readonly Endpoint[]) => void;
  readonly addressesOf?: AddressesOf;
}

/** DNS of a cluster is cached for 30 s, and nothing tells when it changes. */
const PERIOD_MS = 5000;

/**
 * The engines by DNS, for as long as nobody else tells of them.
 *
 * **Guarantees**: a name that cannot be resolved leaves the last engines in force; one that does not exist has none. It ends as soon as `signal`
 * aborts.
 */
export async function discoverEngines(options: DiscoveryOptions, signal: AbortSignal): Promise<void> {
  const { clock, log, engines, slots, tell, addressesOf = addressesByDns } = options;
  const colon = engines.lastIndexOf(':');
  const host = engines.slice(0, colon);
  const port = engines.slice(colon + 1);
  let known = '';
  while (!signal.aborted) {
    try {
      const addresses = [...(await unlessAborted(addressesOf(host), signal))].toSorted();
      const endpoints = addresses
        .map((ip) => `${isIPv6(ip) ? `[${ip}]` : ip}:${port}`)
        .map((address): Endpoint => ({ id: address, address, state: 'Ready', slots }));
      const found = addresses.join(' ');
      if (found !== known) {
        known = found;
        log.info('the engines by DNS have changed', { host, addresses });
      }
      tell(endpoints);
    } catch (error) {
      if (signal.aborted) return;
      log.warn('the name of the engines could not be resolved', { host, error });
    }
    await clock.sleep(PERIOD_MS, signal).catch(() => {});
  }
}

/** The answer, or the signal's reason where that comes first: a look-up cannot be stopped and may take as long as a grace period. */
async function unlessAborted<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason as Error);
  signal.addEventListener('abort', onAbort);
  try {
    return await Promise.race([answer, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

async function addressesByDns(host: string): Promise<string[]> {
  try {
    const found = await lookup(host, { all: true });
    return found.map(({ address }) => address);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOTFOUND') return [];
    throw error;
  }
}
