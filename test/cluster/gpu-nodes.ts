import { parseNodes, type NodeGroup } from '../../src/serving/index.ts';
import { kwokAnnotation } from './kwok.ts';

/** A GPU product as drivers and label makers name it. */
export interface Gpu {
  readonly vendor: 'nvidia' | 'amd';
  /** `nvidia.com/gpu.product` or `amd.com/gpu.product-name`. */
  readonly product: string;
  /** What the driver reports, per GPU. */
  readonly memoryMib: number;
  readonly family: string;
  readonly compute: readonly [major: number, minor: number];
  readonly migCapable: boolean;
}

const nvidia = (
  product: string,
  memoryMib: number,
  family: string,
  major: number,
  minor: number,
  migCapable = false,
): Gpu => ({
  vendor: 'nvidia',
  product,
  memoryMib,
  family,
  compute: [major, minor],
  migCapable,
});

/** The products that a node specification may name. */
export const gpus = {
  'L4-24GB': nvidia('NVIDIA-L4', 23034, 'ada-lovelace', 8, 9),
  'RTX3090-24GB': nvidia('NVIDIA-GeForce-RTX-3090', 24576, 'ampere', 8, 6),
  'RTX4090-24GB': nvidia('NVIDIA-GeForce-RTX-4090', 24564, 'ada-lovelace', 8, 9),
  'RTX5090-32GB': nvidia('NVIDIA-GeForce-RTX-5090', 32607, 'blackwell', 12, 0),
  'A100-40GB': nvidia('NVIDIA-A100-SXM4-40GB', 40960, 'ampere', 8, 0, true),
  'L40S-48GB': nvidia('NVIDIA-L40S', 46068, 'ada-lovelace', 8, 9),
  'A100-80GB': nvidia('NVIDIA-A100-SXM4-80GB', 81920, 'ampere', 8, 0, true),
  'H100-80GB': nvidia('NVIDIA-H100-80GB-HBM3', 81559, 'hopper', 9, 0, true),
  'RTXPRO6000-96GB': nvidia('NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition', 97887, 'blackwell', 12, 0, true),
  'H200-141GB': nvidia('NVIDIA-H200', 143771, 'hopper', 9, 0, true),
  'B200-180GB': nvidia('NVIDIA-B200', 183359, 'blackwell', 10, 0, true),
  'MI300X-192GB': {
    vendor: 'amd',
    product: 'AMD_Instinct_MI300X_OAM',
    memoryMib: 196592,
    family: 'AI',
    compute: [9, 4],
    migCapable: false,
  },
} as const satisfies Readonly<Record<string, Gpu>>;

export type GpuName = keyof typeof gpus;

/** Tells the simulator what is really in a node, whatever its labels say. */
export const gpuAnnotation = 'simulator.qwencoder.dev/gpu';

/** The simulator's own word for a card of a node specification; undefined where the specification names none. */
function gpuNameOf({ gpu }: NodeGroup): GpuName | undefined {
  if (gpu === undefined || isGpuName(gpu.name)) return gpu?.name as GpuName | undefined;
  throw new Error(`${gpu.name} is not simulated: use one of ${Object.keys(gpus).join(', ')}`);
}

function isGpuName(name: string): name is GpuName {
  return Object.hasOwn(gpus, name);
}

/** A Node as it is posted by a kubelet that registers: with its capacity. */
export interface NodeObject {
  readonly apiVersion: 'v1';
  readonly kind: 'Node';
  readonly metadata: {
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  };
  readonly spec: { readonly taints: readonly { key: string; value: string; effect: 'NoSchedule' }[] };
  readonly status: {
    readonly capacity: Readonly<Record<string, string>>;
    readonly allocatable: Readonly<Record<string, string>>;
    readonly nodeInfo: Readonly<Record<string, string>>;
  };
}

/** The nodes of a specification, named after what is in them; names in `taken` are passed over. */
export function gpuNodes(specification: string, taken: ReadonlySet<string> = new Set()): NodeObject[] {
  const used = new Set(taken);
  return parseNodes(specification).flatMap((group) =>
    Array.from({ length: group.nodes }, () => {
      const stem = group.gpusPerNode === 0 ? 'cpu' : (gpuNameOf(group) ?? 'gpu').toLowerCase();
      let index = 0;
      while (used.has(`${stem}-${index}`)) index += 1;
      const name = `${stem}-${index}`;
      used.add(name);
      return gpuNode(name, group, index);
    }),
  );
}

function gpuNode(name: string, group: NodeGroup, index: number): NodeObject {
  const { gpusPerNode, isLabelled } = group;
  const gpuName = gpuNameOf(group);
  const gpu: Gpu | undefined = gpuName && gpus[gpuName];
  const resource = gpu?.vendor === 'amd' ? 'amd.com/gpu' : 'nvidia.com/gpu';
  const memoryGib =
    gpusPerNode === 0 ? 128 : gpusPerNode * Math.max(64, Math.round((gpu?.memoryMib ?? 81920) / 1024) * 2);
  const cpus = Math.max(32, gpusPerNode * 16);
  const rest = { pods: '110', ...(gpusPerNode > 0 ? { [resource]: String(gpusPerNode) } : {}) };
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name,
      labels: {
        'kubernetes.io/hostname': name,
        'kubernetes.io/arch': 'amd64',
        'kubernetes.io/os': 'linux',
        'topology.kubernetes.io/region': 'local',
        'topology.kubernetes.io/zone': `local-${'abc'.charAt(index % 3)}`,
        ...(gpu && isLabelled ? gpuLabels(gpu, gpusPerNode) : {}),
      },
      annotations: {
        [kwokAnnotation.key]: kwokAnnotation.value,
        ...(gpuName ? { [gpuAnnotation]: gpuName } : {}),
      },
    },
    spec: { taints: gpusPerNode > 0 ? [{ key: resource, value: 'present', effect: 'NoSchedule' }] : [] },
    status: {
      capacity: { cpu: String(cpus), memory: `${memoryGib}Gi`, 'ephemeral-storage': '3500Gi', ...rest },
      // A kubelet keeps something for itself.
      allocatable: { cpu: String(cpus - 1), memory: `${memoryGib - 4}Gi`, 'ephemeral-storage': '3200Gi', ...rest },
      nodeInfo: {
        architecture: 'amd64',
        operatingSystem: 'linux',
        osImage: 'Simulated Linux',
        kernelVersion: '6.8.0',
        kubeletVersion: 'v1.36.3',
        kubeProxyVersion: '',
        containerRuntimeVersion: 'simulator://1',
        bootID: name,
        machineID: name,
        systemUUID: name,
      },
    },
  };
}

const driver = { full: '580.82.07', major: '580', minor: '82', revision: '07' };
const cuda = { full: '13.0', major: '13', minor: '0' };

/** What NVIDIA's GPU feature discovery 0.17 and AMD's node labeller put on a node of whole, unshared GPUs. */
function gpuLabels(gpu: Gpu, count: number): Record<string, string> {
  const memory = String(gpu.memoryMib);
  if (gpu.vendor === 'amd') {
    return {
      'feature.node.kubernetes.io/amd-gpu': 'true',
      'amd.com/gpu.cu-count': '304',
      'amd.com/gpu.device-id': '74a1',
      'amd.com/gpu.family': gpu.family,
      'amd.com/gpu.product-name': gpu.product,
      'amd.com/gpu.simd-count': '1216',
      'amd.com/gpu.vram': `${Math.round(gpu.memoryMib / 1024)}G`,
    };
  }
  return {
    'feature.node.kubernetes.io/pci-10de.present': 'true',
    'nvidia.com/cuda.driver-version.full': driver.full,
    'nvidia.com/cuda.driver-version.major': driver.major,
    'nvidia.com/cuda.driver-version.minor': driver.minor,
    'nvidia.com/cuda.driver-version.revision': driver.revision,
    'nvidia.com/cuda.driver.major': driver.major,
    'nvidia.com/cuda.driver.minor': driver.minor,
    'nvidia.com/cuda.driver.rev': driver.revision,
    'nvidia.com/cuda.runtime-version.full': cuda.full,
    'nvidia.com/cuda.runtime-version.major': cuda.major,
    'nvidia.com/cuda.runtime-version.minor': cuda.minor,
    'nvidia.com/cuda.runtime.major': cuda.major,
    'nvidia.com/cuda.runtime.minor': cuda.minor,
    'nvidia.com/gpu.compute.major': String(gpu.compute[0]),
    'nvidia.com/gpu.compute.minor': String(gpu.compute[1]),
    'nvidia.com/gpu.count': String(count),
    'nvidia.com/gpu.family': gpu.family,
    'nvidia.com/gpu.machine': 'simulated',
    'nvidia.com/gpu.memory': memory,
    'nvidia.com/gpu.mode': 'compute',
    'nvidia.com/gpu.present': 'true',
    'nvidia.com/gpu.product': gpu.product,
    'nvidia.com/gpu.replicas': '1',
    'nvidia.com/gpu.sharing-strategy': 'none',
    'nvidia.com/mig.capable': String(gpu.migCapable),
    'nvidia.com/mig.strategy': 'single',
    'nvidia.com/mps.capable': 'false',
    'nvidia.com/vgpu.present': 'false',
  };
}
