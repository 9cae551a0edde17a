/** A controller runtime: queue, controller, manager, clock, metrics, logs, probes. It knows nothing of Qwen. */
export { type Backoff, backoffMs, defaultBackoff, fullJitterMs, RetryBucket } from './backoff.ts';
export { type Clock, sleepOn, systemClock, timestamp } from './clock.ts';
export {
  Controller,
  type ControllerOptions,
  defaultGraceMs,
  defaultWorkers,
  type Reconcile,
  type ReconcileContext,
  type ReconcileOutcome,
} from './controller.ts';
export {
  jsonLog,
  type Log,
  type LogFields,
  type LogLevel,
  type LogOptions,
  redacted,
  redactedText,
  silentLog,
} from './log.ts';
export { type Component, Manager, type ManagerOptions, type ManagerPhase } from './manager.ts';
export {
  type ControllerMetrics,
  controllerMetrics,
  leaderMetric,
  queueMetrics,
  type ReconcileResult,
  requestMetrics,
} from './controller-metrics.ts';
export {
  type Counter,
  type Gauge,
  type Histogram,
  type Labels,
  type LabelValues,
  type MetricOptions,
  Metrics,
  type MetricsOptions,
} from './metrics.ts';
export { type Check, Probes, type ProbesOptions } from './probes.ts';
export {
  type AddOptions,
  highsPerLow,
  type Priority,
  type QueueMetrics,
  type QueueState,
  WorkQueue,
  type WorkQueueOptions,
} from './work-queue.ts';
