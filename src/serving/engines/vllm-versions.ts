/** What the operator has to know about one vLLM version. */
export interface VllmVersionFacts {
  /** Sampled version that the facts were read from. */
  readonly since: string;
  /** `--gpu-memory-utilization` when it is not given, in percent. */
  readonly utilizationPercent: number;
  /** Whether prefix caching is on for hybrid models when no flag says so. */
  readonly prefixCachingByDefault: boolean;
  /** KV blocks of the pool that no request can have. */
  readonly reservedBlocks: number;
  /** Whether the engine refuses to start when `--max-num-seqs` exceeds the KV block pool. */
  readonly seqsBoundByPool: boolean;
  /**
   * Whether the engine's own memory check and `--max-model-len auto` hold for this model. Without it the engine accepts lengths that
   * no request can ever have, and only a logged concurrency below 1 tells.
   */
  readonly kvVerdictTrusted: boolean;
  /** Oldest NVIDIA driver that the official image's CUDA runs on: R525 for CUDA 12, R580 for CUDA 13. */
  readonly leastDriver: number;
  /** Name of the tool parser that understands Qwen3-Coder's calls. */
  readonly toolParser: string;
  /** User that the official image can run as; undefined where it needs root. */
  readonly nonRoot: { readonly uid: number; readonly gid: number } | undefined;
}

/** A supported version: the facts of the nearest sampled version that is not younger, and its official image. */
export interface VllmVersion extends VllmVersionFacts {
  readonly version: string;
  readonly image: string;
}

export const DEFAULT_VLLM_VERSION = '0.33.0';

const facts0151: VllmVersionFacts = {
  since: '0.15.1',
  utilizationPercent: 90,
  prefixCachingByDefault: false,
  reservedBlocks: 0,
  seqsBoundByPool: false,
  kvVerdictTrusted: false,
  leastDriver: 525,
  toolParser: 'qwen3_coder',
  nonRoot: undefined,
};
const facts0191: VllmVersionFacts = { ...facts0151, since: '0.19.1', kvVerdictTrusted: true };
const facts0202: VllmVersionFacts = {
  ...facts0191,
  since: '0.20.2',
  utilizationPercent: 92,
  seqsBoundByPool: true,
  leastDriver: 580,
};
const facts0260: VllmVersionFacts = { ...facts0202, since: '0.26.0', prefixCachingByDefault: true };
const facts0290: VllmVersionFacts = { ...facts0260, since: '0.29.0', reservedBlocks: 1 };
const facts0330: VllmVersionFacts = { ...facts0290, since: '0.33.0', nonRoot: { uid: 2000, gid: 0 } };

/**
 * Sampled versions, oldest first, read from their wheels, CUDA by what these require (0.20.2 by its torch, which is that of 0.22.1);
 * the image's user from vLLM's `docs/deployment/docker.md`; drivers from NVIDIA's table of CUDA minor version compatibility. 0.15.0 to 0.18.1
 * count only the KV group of layer 0, a GDN group, when they check memory.
 */
const SAMPLED: readonly VllmVersionFacts[] = [
  facts0151,
  { ...facts0151, since: '0.16.0' },
  { ...facts0151, since: '0.17.1' },
  { ...facts0151, since: '0.18.1' },
  facts0191,
  facts0202,
  { ...facts0202, since: '0.22.1' },
  { ...facts0202, since: '0.24.0' },
  facts0260,
  facts0290,
  { ...facts0290, since: '0.31.0' },
  facts0330,
];

/** Sampled versions, oldest first. */
export const SAMPLED_VLLM_VERSIONS: readonly string[] = SAMPLED.map((facts) => facts.since);

/** Oldest and newest supported version, both included. */
export const SUPPORTED_VLLM = { oldest: '0.15.1', newest: '0.33.0' } as const;

/** The facts of a version; undefined outside the supported range. */
export function findVllmVersion(version: string): VllmVersion | undefined {
  const index = sampledIndex(version);
  const facts = index === undefined ? undefined : SAMPLED[index];
  return facts && { ...facts, version, image: `vllm/vllm-openai:v${version}` };
}

/**
 * The facts of a version that a plan names.
 *
 * Fails when: the version is not supported, which `planServing` rules out.
 */
export function vllmVersion(version: string): VllmVersion {
  const found = findVllmVersion(version);
  if (found === undefined)
    throw new RangeError(`vLLM ${version} is not supported (${SUPPORTED_VLLM.oldest} to ${SUPPORTED_VLLM.newest})`);
  return found;
}

/** Index into `SAMPLED_VLLM_VERSIONS` of the nearest version that is not younger; undefined outside the supported range. */
export function sampledIndex(version: string): number | undefined {
  if (!/^\d+\.\d+\.\d+$/.test(version)) return undefined;
  if (compareVersions(version, SUPPORTED_VLLM.oldest) < 0 || compareVersions(version, SUPPORTED_VLLM.newest) > 0)
    return undefined;
  return SAMPLED_VLLM_VERSIONS.findLastIndex((sampled) => compareVersions(sampled, version) <= 0);
}

/** Order of two `x.y.z` versions: negative when the first is older. */
export function compareVersions(left: string, right: string): number {
  const [a, b] = [left, right].map((version) => version.split('.').map(Number));
  for (let part = 0; part < 3; part += 1) {
    const difference = a![part]! - b![part]!;
    if (difference !== 0) return difference;
  }
  return 0;
}
