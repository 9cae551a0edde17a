export { Apply } from './apply.ts';
export { InformerCaches } from './caches.ts';
export { OperatorMetrics, collectFrom } from './metrics.ts';
export { Reconciler } from './reconciler.ts';
