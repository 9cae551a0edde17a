export { Apply } from './apply.ts';
export { InformerCaches } from './caches.ts';
export { CalibrationStore } from './calibration-store.ts';
export { EngineReports, getText } from './engine-reports.ts';
export { OperatorMetrics, collectFrom } from './metrics.ts';
export { Reconciler } from './reconciler.ts';
export { Tuner } from './tuner.ts';
