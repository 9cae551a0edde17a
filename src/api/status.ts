import * as z from 'zod';
import { type Condition, MAX_MESSAGE_LENGTH } from './conditions.ts';
import { listMap } from './rule.ts';

const text = (max: number) => z.string().max(max);
const count = z.int32().min(0);
const mebibytes = z.int32().min(0);

const ConditionSchema: z.ZodType<Condition> = z.strictObject({
  type: z.string().min(1).max(316).describe('What the condition is about.'),
  status: z.enum(['True', 'False', 'Unknown']).describe('Whether it holds.'),
  reason: z.string().min(1).max(1024).describe('One word of the closed list of reasons.'),
  message: text(MAX_MESSAGE_LENGTH).describe('What is the case, with names and numbers, and what to do.'),
  lastTransitionTime: z.string().max(64).meta({ format: 'date-time' }).describe('When the status last changed.'),
  observedGeneration: z.int().min(0).optional().describe('The metadata.generation that this was said about.'),
});

const Rejected = z.strictObject({
  candidate: text(253).describe(
    'Quantization, GPUs and parallelism that were looked at, for example "BF16 on 2x H100-80GB".',
  ),
  reason: text(1024).describe('Why it cannot serve, with the number that breaks it.'),
});

const Memory = z
  .strictObject({
    total: mebibytes.describe('Memory of one GPU.'),
    usable: mebibytes.describe('What the engine may use of it.'),
    weights: mebibytes.describe('Weights on one GPU.'),
    overhead: mebibytes.describe('Activations, CUDA graphs and what else is not weights and not KV cache.'),
    kvCache: mebibytes.describe('What is left for the KV cache.'),
  })
  .describe('Where the memory of one GPU goes, in MiB.');

const Plan = z
  .strictObject({
    engine: text(32).describe('What runs the model.'),
    engineVersion: text(32).describe('Its version; flags are rendered for it.'),
    quantization: text(63).describe('Number format of the weights.'),
    repository: text(253).describe('Hugging Face repository; absent for other sources.'),
    revision: text(253).optional().describe('Commit, tag or branch of the repository.'),
    gpus: text(128).describe('GPUs of one replica, for example "4x H100-80GB".'),
    gpuProduct: text(63).optional().describe('GPU product label that the engine pods require.'),
    tensorParallelSize: count.describe('GPUs that share one replica.'),
    maxModelLen: count.describe('Longest request, prompt and answer, in tokens.'),
    maxNumSeqs: count.describe('Most requests decoded together.'),
    kvCacheDtype: text(16).describe('Number format of the KV cache.'),
    gpuMemoryUtilizationPercent: count.describe('Part of GPU memory that the engine may use.'),
    concurrency: count
      .optional()
      .describe('Requests of the full length that fit at once; absent without GPU memory facts.'),
    memoryMiB: Memory,
    rejected: z.array(Rejected).max(5).describe('Candidates that cannot serve, and why.'),
  })
  // Where nothing fits, there is nothing but what was rejected.
  .partial()
  .describe('What the planner chose.');

const TuningAttempt = z.strictObject({
  maxModelLen: count.describe('Context length that was tried.'),
  outcome: z.enum(['Fits', 'DoesNotFit', 'OutOfMemory', 'Trying']).describe('What came of it.'),
  configuration: text(253)
    .optional()
    .describe('What was tried at that length: a length that failed is not tried again on it.'),
  kvBlocks: count.optional().describe('KV blocks of one GPU that the engine had, or would have had.'),
  message: text(1024).optional().describe('Why it failed, in the words of the engine.'),
  time: z.string().max(64).meta({ format: 'date-time' }).describe('When it was tried.'),
});

/**
 * The status of a resource. Every write of it goes to all watchers, so nothing here moves by itself: no load, no
 * progress, no time since.
 */
export const Status = z.strictObject({
  observedGeneration: z.int().min(0).optional().describe('The metadata.generation that this status is about.'),
  conditions: listMap(z.array(ConditionSchema).max(32), 'type')
    .optional()
    .describe('What is the case, one entry for each question.'),
  plan: Plan.optional(),
  tuning: z.array(TuningAttempt).max(10).optional().describe('Context lengths that were tried, newest last.'),
  revisions: z
    .strictObject({
      current: text(253).optional().describe('ControllerRevision that serves.'),
      target: text(253).optional().describe('ControllerRevision that the engines are brought to.'),
    })
    .optional()
    .describe('Rendered engine templates.'),
  replicas: count.optional().describe('Engine pods that exist; read by the scale subresource.'),
  readyReplicas: count.optional().describe('Engine pods that answer.'),
  replicasSummary: text(32).optional().describe('Ready and wanted replicas, for example "1/2".'),
  selector: text(1024).optional().describe('Label selector of the engine pods; read by the scale subresource.'),
  scaling: z
    .strictObject({ desiredReplicas: count.optional().describe('Replicas that are wanted.') })
    .optional()
    .describe('What scaling decided.'),
  endpoint: z
    .strictObject({
      url: text(512).optional().describe('Base URL of the API within the cluster.'),
      externalUrl: text(512).optional().describe('Base URL of the API by the Ingress.'),
      apiKeys: z
        .strictObject({
          secretName: text(253).describe('In the namespace of the resource.'),
          key: text(253).describe('In the Secret; one API key a line.'),
        })
        .optional()
        .describe('Where the API keys are; absent where the endpoint asks for none.'),
    })
    .optional()
    .describe('Where the API is.'),
});

export type QwenCoderStatus = z.output<typeof Status>;
