import type { Clock } from '../../src/runtime/clock.ts';
import { Engine } from '../simulator/vllm/engine.ts';
import { GIB, kvGeometry, type KvLayout } from '../simulator/vllm/memory.ts';
import { EngineMetrics } from '../simulator/vllm/metrics.ts';
import { type ServerOptions, VllmServer } from '../simulator/vllm/server.ts';

export interface LoadedEngineOptions extends Partial<ServerOptions> {
  readonly clock: Clock;
  /** Of one decode step. */
  readonly stepSeconds?: number;
  readonly port?: number;
}

/** A simulated vLLM that has loaded: 8,192 tokens of context, on loopback. */
export async function loadedEngine({ clock, stepSeconds = 0.01, port = 0, ...over }: LoadedEngineOptions) {
  const { blockTokens, blocksFor } = kvGeometry(2, 2, true);
  const layout: KvLayout = {
    weightsBytes: 37 * GIB,
    kvBytes: 30 * GIB,
    blockTokens,
    blocks: 1000,
    maxModelLen: 8192,
    maxNumSeqs: 8,
    prefixCaching: true,
    concurrency: 40,
    blocksFor,
    autoFitFrom: undefined,
  };
  const metrics = new EngineMetrics({
    modelName: 'coder',
    maxModelLen: 8192,
    waitingByReason: true,
    cacheConfig: { num_gpu_blocks: '1000', block_size: `${blockTokens}` },
  });
  const speed = { prefillTokensPerSecond: 100_000, decodeStepSeconds: () => stepSeconds };
  const engine = new Engine({ clock, layout, batchedTokens: 8192, speed, metrics });
  const server = new VllmServer({
    clock,
    engine,
    version: '0.33.0',
    layout,
    model: 'Qwen/Qwen3-Coder-Next-FP8',
    servedNames: ['coder', 'gpt-4'],
    toolsEnabled: true,
    apiKeys: [],
    loadTracking: false,
    maxQueued: null,
    ...over,
  });
  const listening = await server.listen('127.0.0.1', port);
  return { address: `127.0.0.1:${listening}`, url: `http://127.0.0.1:${listening}`, engine, server };
}
