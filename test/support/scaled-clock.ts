import { type Clock, sleepOn } from '../../src/runtime/clock.ts';

/**
 * A clock whose durations pass `factor` times faster than real ones: five seconds of a probe period take 0.25 s at 20.
 *
 * Wall time stays real, so that what it stamps on objects agrees with the stamps of an API server.
 */
export function scaledClock(factor: number): Clock {
  const start = performance.now();
  const clock: Clock = {
    now: () => Date.now(),
    monotonic: () => (performance.now() - start) * factor,
    schedule(ms, callback) {
      const timer = setTimeout(callback, ms / factor);
      return () => clearTimeout(timer);
    },
    sleep: (ms, signal) => sleepOn(clock, ms, signal),
  };
  return clock;
}
