/**
 * A Kubernetes client for operators: pooled transport, raw JSON objects, server-side apply, and informers that never give up.
 * Knows nothing of what it is used for.
 */
export * from './api-error.ts';
export * from './client.ts';
export * from './events.ts';
export type { Change, IndexFunction } from './informer-store.ts';
export { InformerStore } from './informer-store.ts';
export { Informer, type InformerOptions } from './informer.ts';
export * from './lease.ts';
export * from './resource-version.ts';
export * from './resources.ts';
export { SharedParts } from './shared-parts.ts';
export type { RequestReport, TransportOptions, Verb } from './transport.ts';
export { Transport } from './transport.ts';
export type { WatchEvent, WatchStream } from './watch.ts';
export type * from './wire.ts';
