import { type Gpus, gib, GIB, outOfMemory } from './memory.ts';

/** What an error message has its numbers from. */
export interface FaultScene {
  readonly gpus: Gpus;
  /** `--gpu-memory-utilization`. */
  readonly utilization: number;
}

/** What goes wrong in a process of vLLM, where, and what it says of it. */
export type FaultScript =
  /** Something in `vllm/process.ts` is otherwise; it fails, or does not, by itself. */
  | { readonly at: 'configuration' }
  /** An exception in the process that drives the GPU: before the weights are read, on the way, or as kernels are compiled. */
  | {
      readonly at: 'device' | 'weights' | 'warm-up';
      readonly error: (scene: FaultScene) => string;
      /** What a library under it prints first, without vLLM's prefix. */
      readonly before?: string;
    }
  /** The kernel ends it while it reads the weights, without a word. */
  | { readonly at: 'kernel'; readonly exitCode: number; readonly reason?: 'OOMKilled' }
  /** It serves what its image holds, whatever its arguments say. */
  | { readonly at: 'listening'; readonly name?: string; readonly checkpoint?: string }
  /** The engine dies some seconds after it was ready; without an error its log has no cause. */
  | { readonly at: 'serving'; readonly error?: (scene: FaultScene) => string }
  /** Its server stops to answer, to hear signals and to say anything. */
  | { readonly at: 'serving'; readonly hangs: true };

const capacity = ({ memoryBytes }: Gpus): string => gib(memoryBytes);

const ncclError = (what: string, more: string): string =>
  'torch.distributed.DistBackendError: NCCL error in: /pytorch/torch/csrc/distributed/c10d/NCCLUtils.cpp:94, ' +
  `unhandled ${what} error (run with NCCL_DEBUG=INFO for details), NCCL version 2.27.3\n${more}`;

/** Faults that a pod may ask for, by name. The texts are vLLM's, PyTorch's, NCCL's and Python's own. */
export const FAULTS = {
  'bad-flag': { at: 'configuration' },
  'does-not-fit': { at: 'configuration' },
  'gpu-not-visible': { at: 'configuration' },
  'never-ready': { at: 'configuration' },
  'other-checkpoint': { at: 'listening', checkpoint: '/opt/Qwen2.5-Coder-7B-Instruct' },
  'other-name': { at: 'listening', name: 'Qwen2.5-Coder-7B-Instruct' },
  'driver-too-old': {
    at: 'device',
    error: () =>
      'RuntimeError: The NVIDIA driver on your system is too old (found version 12080). Please update your GPU driver by downloading ' +
      'and installing a new version from the URL: http://www.nvidia.com/Download/index.aspx Alternatively, go to: ' +
      'https://pytorch.org to install a PyTorch version that has been compiled with your version of the CUDA driver.',
  },
  'gpu-memory-taken': {
    at: 'device',
    error: ({ gpus, utilization }) =>
      `ValueError: Free memory on device cuda:0 (${gib(gpus.memoryBytes - 66 * GIB)}/${capacity(gpus)} GiB) on startup is less than desired ` +
      `GPU memory utilization (${utilization}, ${gib(gpus.memoryBytes * utilization)} GiB). Decrease GPU memory utilization or reduce GPU memory ` +
      'used by other processes.',
  },
  'nccl-failure': {
    at: 'device',
    error: () =>
      ncclError(
        'system',
        'ncclSystemError: System call (e.g. socket, malloc) or external library call failed or device error. \n' +
          'Last error:\nCall to connect to 10.0.0.7<40211> failed : Connection refused',
      ),
  },
  'shm-full': {
    at: 'device',
    before:
      'coder:300:300 [0] misc/shmutils.cc:72 NCCL WARN Error while creating shared memory segment /dev/shm/nccl-UbzKZ9 (size 9637888), ' +
      'error: No space left on device (28)',
    error: () =>
      ncclError(
        'system',
        'ncclSystemError: System call (e.g. socket, malloc) or external library call failed or device error. ',
      ),
  },
  'out-of-gpu-memory': { at: 'weights', error: ({ gpus }) => outOfMemory(gpus, 0.5 * GIB) },
  'disk-full': {
    at: 'warm-up',
    error: () => "OSError: [Errno 28] No space left on device: '/cache/torch_compile_cache/0a1b'",
  },
  'oom-killed': { at: 'kernel', exitCode: 137, reason: 'OOMKilled' },
  'bus-error': { at: 'kernel', exitCode: 135 },
  'segmentation-fault': { at: 'kernel', exitCode: 139 },
  'fp8-block': {
    at: 'weights',
    error: () =>
      "ValueError: The output_size of gate's and up's weight = 64 is not divisible by weight quantization block_n = 128.",
  },
  'crash-after-ready': { at: 'serving' },
  'hang-serving': { at: 'serving', hangs: true },
  'gpu-fault': {
    at: 'serving',
    error: () =>
      'torch.AcceleratorError: CUDA error: an illegal memory access was encountered\n' +
      'CUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might be incorrect.',
  },
  'out-of-gpu-memory-serving': { at: 'serving', error: ({ gpus }) => outOfMemory(gpus, 2 * GIB) },
} as const satisfies Readonly<Record<string, FaultScript>>;

export type Fault = keyof typeof FAULTS;

export const isFault = (name: string | undefined): name is Fault => name !== undefined && Object.hasOwn(FAULTS, name);
