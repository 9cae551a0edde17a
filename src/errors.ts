/**
 * How a reconcile may end other than well. The controller is the only place that catches these.
 *
 * - `RetryError`: something passing went wrong; try again with back-off.
 * - `WaitError`: nothing is wrong, the world is not ready; look again after `afterMs`.
 * - `TerminalError`: trying again cannot help until the resource changes; it becomes `Stalled=True`.
 */
export abstract class ReconcileError extends Error {
  /** Stable UpperCamel code; a condition reason where the error reaches a user. */
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.name = new.target.name;
  }
}

export class RetryError extends ReconcileError {}

export class WaitError extends ReconcileError {
  /** Milliseconds until the next look. */
  readonly afterMs: number;
  constructor(code: string, message: string, afterMs: number, options?: ErrorOptions) {
    super(code, message, options);
    this.afterMs = afterMs;
  }
}

export class TerminalError extends ReconcileError {}
