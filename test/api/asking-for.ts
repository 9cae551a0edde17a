import type { QwenCoderSpecInput } from '../../src/api/index.ts';

/** For each entry of NOT_EFFECTIVE a spec that asks for it and for nothing else. */
export const ASKING_FOR: Readonly<Record<string, QwenCoderSpecInput>> = {
  'engine.type': { engine: { type: 'LlamaCpp' } },
  'parallelism.pipelineParallelSize': { parallelism: { pipelineParallelSize: 2 } },
  'scaling.maxReplicas': { scaling: { maxReplicas: 2 } },
  'scaling.minReplicas': { scaling: { mode: 'External', minReplicas: 2, maxReplicas: 2 } },
  'scaling.maxGPUs': { scaling: { maxGPUs: 8 } },
  'scaling.slo': { scaling: { slo: { ttftBaseSeconds: 2, ttftPerKTokenMs: 200, attainmentPercent: 99 } } },
  'scaling.scaleToZero': {
    scaling: { scaleToZero: { idleSeconds: 1800, wake: 'Hold', holdSeconds: 900, prewarm: true } },
  },
  'scaling.warm': {
    scaling: { warm: [{ days: ['Mon', 'Fri'], from: '08:00', to: '18:30', timeZone: 'Europe/Berlin', replicas: 2 }] },
  },
  'scaling.profile': { scaling: { profile: { learn: true, weeks: 4 } } },
  'scaling.dryRun': { scaling: { dryRun: true } },
  'rollout.strategy': { rollout: { strategy: 'Surge' } },
  'rollout.rollback': { rollout: { rollback: true } },
};
