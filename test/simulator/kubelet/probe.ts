import { get as httpGet } from 'node:http';
import { get as httpsGet } from 'node:https';
import { connect } from 'node:net';
import type { V1Probe } from '@kubernetes/client-node';
import type { Wire } from '../../../src/kube/wire.ts';
import type { Clock } from '../../../src/runtime/clock.ts';

export type Probe = Wire<V1Probe>;

/** Where probes of a container go. */
export interface ProbeTarget {
  readonly podAddress: string;
  /** A container port by its name. */
  readonly portOf: (name: string) => number | undefined;
  readonly exec: (command: readonly string[], signal: AbortSignal) => Promise<number>;
}

/** However fast the clock: a busy machine needs this much real time to answer on loopback. */
const LEAST_REAL_MS = 2000;

/** One look. Undefined when it succeeded, else why not, as the kubelet words it. */
export async function probeOnce(
  probe: Probe,
  target: ProbeTarget,
  clock: Clock,
  signal: AbortSignal,
): Promise<string | undefined> {
  const timeoutMs = (probe.timeoutSeconds ?? 1) * 1000;
  const startedAt = performance.now();
  const stop = new AbortController();
  const onAbort = () => stop.abort(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  let cancelReal = () => {};
  const cancel = clock.schedule(timeoutMs, () => {
    const timer = setTimeout(
      () => stop.abort(new Error('timeout')),
      Math.max(0, LEAST_REAL_MS - (performance.now() - startedAt)),
    );
    cancelReal = () => clearTimeout(timer);
  });
  try {
    if (probe.httpGet) return await http(probe.httpGet, target, stop.signal);
    if (probe.tcpSocket)
      return await tcp(probe.tcpSocket.host ?? target.podAddress, numberOf(probe.tcpSocket.port, target), stop.signal);
    if (probe.exec) {
      const exitCode = await target.exec(probe.exec.command ?? [], stop.signal);
      return exitCode === 0 ? undefined : `command exited with code ${exitCode}`;
    }
    return undefined;
  } catch (error) {
    return stop.signal.aborted
      ? 'context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
      : String(error);
  } finally {
    cancel();
    cancelReal();
    signal.removeEventListener('abort', onAbort);
  }
}

function numberOf(port: unknown, target: ProbeTarget): number {
  if (typeof port === 'number') return port;
  const named = target.portOf(String(port)) ?? Number(port);
  if (!Number.isInteger(named)) throw new Error(`couldn't find port: ${String(port)}`);
  return named;
}

function http(
  action: NonNullable<Probe['httpGet']>,
  target: ProbeTarget,
  signal: AbortSignal,
): Promise<string | undefined> {
  const host = action.host ?? target.podAddress;
  const port = numberOf(action.port, target);
  const isHttps = action.scheme === 'HTTPS';
  const headers = Object.fromEntries((action.httpHeaders ?? []).map(({ name, value }) => [name, value]));
  return new Promise((resolve, reject) => {
    const options = {
      host,
      port,
      path: action.path ?? '/',
      headers: { 'user-agent': 'kube-probe/1.36', ...headers },
      agent: false,
      signal,
    };
    const outgoing = (isHttps ? httpsGet : httpGet)(
      { ...options, ...(isHttps && { rejectUnauthorized: false }) },
      (response) => {
        response.resume();
        const code = response.statusCode ?? 0;
        resolve(code >= 200 && code < 400 ? undefined : `HTTP probe failed with statuscode: ${code}`);
      },
    );
    outgoing.on('error', reject);
  });
}

function tcp(host: string, port: number, signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, signal });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.destroy();
      resolve(undefined);
    });
  });
}

export interface ProbeRun {
  readonly probe: Probe;
  readonly target: ProbeTarget;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Called when successes or failures in a row reach their threshold, with the last failure. */
  readonly onResult: (isSuccess: boolean, failure: string | undefined) => void;
  /** Called for every failure. */
  readonly onFailure: (failure: string) => void;
}

/** Repeats a probe until the signal aborts. */
export async function runProbe({ probe, target, clock, signal, onResult, onFailure }: ProbeRun): Promise<void> {
  const { initialDelaySeconds = 0, periodSeconds = 10, successThreshold = 1, failureThreshold = 3 } = probe;
  let inRow = 0;
  let last: boolean | undefined;
  try {
    if (initialDelaySeconds > 0) await clock.sleep(initialDelaySeconds * 1000, signal);
    while (!signal.aborted) {
      const failure = await probeOnce(probe, target, clock, signal);
      if (signal.aborted) return;
      const isSuccess = failure === undefined;
      inRow = isSuccess === last ? inRow + 1 : 1;
      last = isSuccess;
      if (!isSuccess) onFailure(failure);
      if (inRow >= (isSuccess ? successThreshold : failureThreshold)) onResult(isSuccess, failure);
      await clock.sleep(periodSeconds * 1000, signal);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
