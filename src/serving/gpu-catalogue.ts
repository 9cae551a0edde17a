import { GIB, MIB } from './model-profile.ts';

/** A GPU as it is sold. */
export interface GpuModel {
  /** Short name for people and for `placement.products`: `H100-80GB`. */
  readonly name: string;
  readonly vendor: 'NVIDIA' | 'AMD';
  /** Memory by the name of the card, in GiB: what a user means by "an 80 GB card". */
  readonly nominalGib: number;
  /** Memory that the driver reports, in MiB: less than nominal where ECC or firmware takes its part. */
  readonly memoryMib: number;
  /** CUDA compute capability times ten; undefined for AMD. */
  readonly computeCapability: number | undefined;
  /** Node label values that mean this card. */
  readonly labels: readonly string[];
}

const nvidia = (
  name: string,
  nominalGib: number,
  memoryMib: number,
  computeCapability: number,
  ...labels: readonly string[]
): GpuModel => ({ name, vendor: 'NVIDIA', nominalGib, memoryMib, computeCapability, labels });

/**
 * Cards that serve language models, smallest first.
 *
 * Labels as NVIDIA GPU feature discovery writes `nvidia.com/gpu.product` (product name, blanks as hyphens) and the AMD GPU operator
 * writes `amd.com/gpu.product-name`; memory as `nvidia-smi` and `rocm-smi` report it; compute capabilities from NVIDIA's table.
 * A node's own memory label wins over this table.
 */
export const GPU_MODELS: readonly GpuModel[] = [
  nvidia('T4-16GB', 16, 15_360, 75, 'Tesla-T4', 'NVIDIA-T4'),
  nvidia('V100-16GB', 16, 16_384, 70, 'Tesla-V100-SXM2-16GB', 'Tesla-V100-PCIE-16GB'),
  nvidia('V100-32GB', 32, 32_768, 70, 'Tesla-V100-SXM2-32GB', 'Tesla-V100-SXM3-32GB', 'Tesla-V100-PCIE-32GB'),
  nvidia('A10-24GB', 24, 23_028, 86, 'NVIDIA-A10'),
  nvidia('A10G-24GB', 24, 23_028, 86, 'NVIDIA-A10G'),
  nvidia('L4-24GB', 24, 23_034, 89, 'NVIDIA-L4'),
  nvidia('A30-24GB', 24, 24_576, 80, 'NVIDIA-A30'),
  nvidia('RTX3090-24GB', 24, 24_576, 86, 'NVIDIA-GeForce-RTX-3090'),
  nvidia('RTX4090-24GB', 24, 24_564, 89, 'NVIDIA-GeForce-RTX-4090'),
  nvidia('RTX5090-32GB', 32, 32_607, 120, 'NVIDIA-GeForce-RTX-5090'),
  nvidia(
    'A100-40GB',
    40,
    40_960,
    80,
    'NVIDIA-A100-SXM4-40GB',
    'NVIDIA-A100-PCIE-40GB',
    'A100-SXM4-40GB',
    'A100-PCIE-40GB',
  ),
  nvidia('A40-48GB', 48, 46_068, 86, 'NVIDIA-A40'),
  nvidia('L40-48GB', 48, 46_068, 89, 'NVIDIA-L40'),
  nvidia('L40S-48GB', 48, 46_068, 89, 'NVIDIA-L40S'),
  nvidia('RTXA6000-48GB', 48, 49_140, 86, 'NVIDIA-RTX-A6000'),
  nvidia('RTX6000Ada-48GB', 48, 49_140, 89, 'NVIDIA-RTX-6000-Ada-Generation'),
  nvidia('A100-80GB', 80, 81_920, 80, 'NVIDIA-A100-SXM4-80GB', 'NVIDIA-A100-80GB-PCIe', 'A100-SXM4-80GB'),
  nvidia('H100-80GB', 80, 81_559, 90, 'NVIDIA-H100-80GB-HBM3', 'NVIDIA-H100-PCIe'),
  nvidia('H100-94GB', 94, 95_830, 90, 'NVIDIA-H100-NVL'),
  nvidia('H20-96GB', 96, 97_871, 90, 'NVIDIA-H20'),
  nvidia('GH200-96GB', 96, 97_871, 90, 'NVIDIA-GH200-480GB'),
  nvidia(
    'RTXPRO6000-96GB',
    96,
    97_887,
    120,
    'NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition',
    'NVIDIA-RTX-PRO-6000-Blackwell-Workstation-Edition',
    'NVIDIA-RTX-PRO-6000-Blackwell-Max-Q-Workstation-Edition',
  ),
  nvidia('H20-141GB', 141, 143_771, 90, 'NVIDIA-H20-3e'),
  nvidia('H200-141GB', 141, 143_771, 90, 'NVIDIA-H200', 'NVIDIA-H200-NVL'),
  nvidia('B200-180GB', 180, 183_359, 100, 'NVIDIA-B200'),
  nvidia('GB200-186GB', 186, 189_471, 100, 'NVIDIA-GB200'),
  {
    name: 'MI300X-192GB',
    vendor: 'AMD',
    nominalGib: 192,
    memoryMib: 196_592,
    computeCapability: undefined,
    labels: ['AMD_Instinct_MI300X_OAM', 'AMD_Instinct_MI300X', 'AMD-Instinct-MI300X-OAM'],
  },
  nvidia('B300-288GB', 288, 275_040, 103, 'NVIDIA-B300-SXM6-AC', 'NVIDIA-B300'),
];

const BY_LABEL = new Map(
  GPU_MODELS.flatMap((model) => model.labels.map((label) => [label.toLowerCase(), model] as const)),
);
const BY_NAME = new Map(GPU_MODELS.map((model) => [model.name.toLowerCase(), model]));

/** The catalogue's entry for a node label or a short name, in any case; undefined when it knows neither. */
export const findGpu = (labelOrName: string): GpuModel | undefined =>
  BY_LABEL.get(labelOrName.toLowerCase()) ?? BY_NAME.get(labelOrName.toLowerCase());

/** Memory in bytes by the catalogue; undefined for a card that it does not know. */
export function catalogueMemoryBytes(label: string): number | undefined {
  const model = findGpu(label);
  return model && model.memoryMib * MIB;
}

/** Name for people: the catalogue's, else the label without its vendor, else `GPU` for a node without a product label. */
export function shortName(label: string | undefined): string {
  if (label === undefined) return 'GPU';
  return findGpu(label)?.name ?? label.replace(/^(NVIDIA|AMD)[-_]/i, '');
}

/** Whether an entry of `placement.products`, a label or a short name in any case, means the card with this label. */
export const isProduct = (entry: string, label: string): boolean =>
  [label, shortName(label)].some((name) => name.toLowerCase() === entry.trim().toLowerCase());

/**
 * Whether a label means whole cards. GPU feature discovery appends `-SHARED` where a GPU is shared by time or by MPS, and
 * `-MIG-<slice>` where the device plugin offers MIG slices as if they were GPUs.
 */
export const isWholeGpu = (label: string): boolean => !/-SHARED$|-MIG-/i.test(label);

/** Whether a card has at least the memory a user asked for; a card of the catalogue counts by the memory in its name. */
export function hasMemory(label: string | undefined, memoryBytes: number, leastBytes: number): boolean {
  const model = label === undefined ? undefined : findGpu(label);
  return Math.max(memoryBytes, (model?.nominalGib ?? 0) * GIB) >= leastBytes;
}
