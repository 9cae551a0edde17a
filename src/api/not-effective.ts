import type { SpecFields } from './v1alpha1.ts';

/** A field, or a value of one, that is declared and not obeyed yet. */
export interface NotEffective {
  /** The field to blame, without `spec`. */
  readonly path: string;
  /** When a spec asks for it, as the API server reads it: CEL over the spec. */
  readonly cel: string;
  /** The same, as zod reads it. */
  readonly isAskedFor: (spec: SpecFields) => boolean;
  /** Names the field and the remedy. */
  readonly message: string;
}

const NOT_YET = 'not effective in this version of the operator';

/** A field that counts as asked for when it is there at all; it must not have a default. */
function field(path: string): NotEffective {
  const keys = path.split('.');
  const cel = keys.map((_, index) => `has(self.${keys.slice(0, index + 1).join('.')})`).join(' && ');
  const isAskedFor = (spec: SpecFields): boolean => {
    let value: unknown = spec;
    for (const key of keys) value = (value as Record<string, unknown> | undefined)?.[key];
    return value !== undefined;
  };
  return { path, cel, isAskedFor, message: `spec.${path} is ${NOT_YET}; remove it` };
}

/**
 * What is refused at admission because nothing would obey it: an API that accepts a wish and ignores it lies.
 *
 * To make a field effective, delete its entry and give the field its default in v1alpha1.ts.
 */
export const NOT_EFFECTIVE: readonly NotEffective[] = [
  {
    path: 'engine.type',
    cel: "self.engine.type != 'VLLM'",
    isAskedFor: ({ engine }) => engine.type !== 'VLLM',
    message: `spec.engine.type other than VLLM is ${NOT_YET}; remove it`,
  },
  {
    path: 'parallelism.pipelineParallelSize',
    cel: 'self.parallelism.pipelineParallelSize > 1',
    isAskedFor: ({ parallelism }) => parallelism.pipelineParallelSize > 1,
    message: `spec.parallelism.pipelineParallelSize above 1 is ${NOT_YET}; remove it`,
  },
  {
    path: 'scaling.maxReplicas',
    cel: "self.scaling.mode == 'Builtin' && self.scaling.minReplicas < self.scaling.maxReplicas",
    isAskedFor: ({ scaling }) => scaling.mode === 'Builtin' && scaling.minReplicas < scaling.maxReplicas,
    message: `spec.scaling.maxReplicas above minReplicas is ${NOT_YET}; set both to the same number, or spec.scaling.mode External and let an autoscaler write spec.replicas`,
  },
  {
    path: 'scaling.minReplicas',
    cel: "self.scaling.mode != 'Builtin' && (self.scaling.minReplicas != 1 || self.scaling.maxReplicas != 1)",
    isAskedFor: ({ scaling }) => scaling.mode !== 'Builtin' && (scaling.minReplicas !== 1 || scaling.maxReplicas !== 1),
    message: `spec.scaling.minReplicas and maxReplicas are ${NOT_YET} in mode External or None; remove them and set spec.replicas, or bounds in the autoscaler that writes it`,
  },
  field('scaling.maxGPUs'),
  field('scaling.slo'),
  field('scaling.scaleToZero'),
  field('scaling.warm'),
  field('scaling.profile'),
  field('scaling.dryRun'),
  field('rollout.strategy'),
  field('rollout.rollback'),
];
