/** What an engine tells on `/metrics`. */
export interface EngineMetrics {
  /** `num_gpu_blocks` of `vllm:cache_config_info`; undefined where the engine does not say. */
  readonly kvBlocks: number | undefined;
  /** Tokens of one of these blocks, by the same line. */
  readonly blockTokens: number | undefined;
  /** Requests that run or wait. */
  readonly requests: number;
  /** Prompt and generated tokens since the engine started: grows whenever it worked. */
  readonly tokens: number;
}

/** Reads `/metrics`. Names that are not there count as nothing. */
export function readMetrics(text: string): EngineMetrics {
  const sum = (name: string): number =>
    [...text.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, 'gm'))].reduce(
      (all, [, value]) => all + Number(value),
      0,
    );
  const config = /^vllm:cache_config_info\{.*\}/m.exec(text)?.[0] ?? '';
  const label = (name: string): number | undefined => {
    const value = Number(new RegExp(`[{,]${name}="(\\d+)"`).exec(config)?.[1]);
    return value > 0 ? value : undefined;
  };
  return {
    kvBlocks: label('num_gpu_blocks'),
    blockTokens: label('block_size'),
    requests: sum('vllm:num_requests_running') + sum('vllm:num_requests_waiting'),
    tokens: sum('vllm:prompt_tokens_total') + sum('vllm:generation_tokens_total'),
  };
}

/** A name that requests may use, as `/v1/models` lists it. */
export interface ServedModel {
  readonly id: string;
  /** What the engine was given as its model: a repository or a folder; undefined where it does not say. */
  readonly root: string | undefined;
  /** Undefined where it does not say. */
  readonly maxModelLen: number | undefined;
}

/** Reads `/v1/models`. An answer of another form lists nothing. */
export function readServedModels(text: string): ServedModel[] {
  const data = fieldOf(parsed(text), 'data');
  return (Array.isArray(data) ? data : []).flatMap((card: unknown) => {
    const [id, root, length] = ['id', 'root', 'max_model_len'].map((name) => fieldOf(card, name));
    if (typeof id !== 'string') return [];
    return {
      id,
      root: typeof root === 'string' ? root : undefined,
      maxModelLen: typeof length === 'number' && length > 0 ? length : undefined,
    };
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const fieldOf = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
