import type { LogFindings } from './log-findings.ts';
import { GIB } from './model-profile.ts';

/** What a log tells of a start. */
export interface StartReport {
  /** Part of the checkpoint's files that are read, in percent. */
  readonly weightsPercent: number | undefined;
  /** What reading it took, in seconds; undefined while it goes on. */
  readonly weightsSeconds: number | undefined;
  /** Bytes for the KV cache on the GPU that has least. */
  readonly kvBytes: number | undefined;
}

/** Why an engine did not load that asked for too much memory. */
export interface MemoryFailure {
  readonly outcome: 'DoesNotFit' | 'OutOfMemory';
  /** The engine's own words. */
  readonly message: string;
  /** Bytes a GPU that were left for the KV cache, to be counted on; undefined where the engine had not measured them. */
  readonly kvBytes: number | undefined;
}

/** vLLM prints GiB with two decimals: the value may be half of the last one less. */
const ROUNDING_BYTES = 0.005 * GIB;

const bytesOf = (gib: string | undefined): number | undefined =>
  gib === undefined ? undefined : Number(gib) * GIB - ROUNDING_BYTES;

export function startReport({ facts }: LogFindings): StartReport {
  const percent = facts.weights_progress?.values['percent'];
  const loaded = facts.model_loaded?.values['seconds'];
  return {
    weightsPercent: percent === undefined ? undefined : Number(percent),
    weightsSeconds: loaded === undefined ? undefined : Number(loaded),
    kvBytes: bytesOf(facts.kv_memory?.values['gib']),
  };
}

/**
 * Why an engine did not load, where that was for want of memory of its own. Another process on the GPU is none: no other length would
 * help.
 */
export function memoryFailure({ cause, facts }: LogFindings): MemoryFailure | undefined {
  if (cause === undefined) return undefined;
  const { id, line: message, values } = cause;
  const kvBytes = bytesOf(facts.kv_memory?.values['gib']);
  switch (id) {
    case 'kv_too_small':
      return { outcome: 'DoesNotFit', message, kvBytes: kvBytes ?? bytesOf(values['available']) };
    case 'kv_none':
    case 'auto_fit_failed':
      return { outcome: 'DoesNotFit', message, kvBytes: kvBytes ?? 0 };
    case 'max_num_seqs_blocks':
      return { outcome: 'DoesNotFit', message, kvBytes };
    case 'cuda_oom':
    case 'sampler_oom': {
      // A log that is there from its beginning and has no loaded model: not even the weights fit.
      const isBeforeWeights = facts.loading !== undefined && facts.model_loaded === undefined;
      return { outcome: 'OutOfMemory', message, kvBytes: kvBytes ?? (isBeforeWeights ? 0 : undefined) };
    }
    default:
      return undefined;
  }
}
