import { connect } from 'node:net';
import type { Clock } from './runtime/index.ts';

/** A try takes so long at most. */
const TRY_MS = 3000;
const BETWEEN_MS = 2000;
/** A network plugin may need seconds until the rules of a new pod hold. */
const MOST_TRIES = 10;
/** One failure may be that of a network which is not there yet. */
const ENOUGH_FAILURES = 3;

/** Resolves when a connection stands, and fails when there is none within `ms`. */
export type Reach = (ms: number) => Promise<void>;

/** A TCP connection, closed as soon as it stands. */
export const byTcp =
  ({ host, port }: { readonly host: string; readonly port: number }): Reach =>
  (ms) =>
    new Promise((resolve, reject) => {
      const socket = connect({ host, port, timeout: ms });
      const end = (error?: Error): void => {
        socket.destroy();
        if (error) reject(error);
        else resolve();
      };
      socket.once('connect', () => end());
      socket.once('timeout', () => end(new Error(`no answer within ${ms} ms`)));
      socket.once('error', end);
    });

/** Whether a target can be reached, given the time that network rules need to take hold. */
export async function getsOut(reach: Reach, clock: Clock): Promise<boolean> {
  let failures = 0;
  for (let tries = 0; tries < MOST_TRIES && failures < ENOUGH_FAILURES; tries += 1) {
    if (tries > 0) await clock.sleep(BETWEEN_MS);
    failures = await reach(TRY_MS).then(
      () => 0,
      () => failures + 1,
    );
  }
  return failures < ENOUGH_FAILURES;
}
