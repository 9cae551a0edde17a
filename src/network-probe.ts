import { connect } from 'node:net';
import type { Clock } from './runtime/index.ts';

/** A try takes so long at most. */
const TRY_MS = 3000;
const BETWEEN_MS = 2000;
/** A network plugin may need seconds until the rules of a new pod hold. */
const RULES_MS = 18_000;
/** A target that starts anew answers nobody either, and so does a network that comes late: only what lasts is a wall. */
const ENOUGH_MS = 20_000;

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

/** Whether a target can be reached, given the time that network rules need to take hold, and the time that a target may be away. */
export async function getsOut(reach: Reach, clock: Clock): Promise<boolean> {
  const beganMs = clock.monotonic();
  let reachedMs = beganMs;
  for (;;) {
    const isReached = await reach(TRY_MS).then(
      () => true,
      () => false,
    );
    const nowMs = clock.monotonic();
    if (isReached) reachedMs = nowMs;
    if (reachedMs - beganMs >= RULES_MS) return true;
    if (nowMs - reachedMs >= ENOUGH_MS) return false;
    await clock.sleep(BETWEEN_MS);
  }
}
