import type { LogPattern } from './log-pattern.ts';

/** What the things under an engine say when they fail: argparse, pydantic, Python, CUDA, NCCL, the driver's container hook, the hub's client. */
export const PLATFORM_LOG_PATTERNS = [
  // argparse, by vLLM's parser and by the program that holds it.
  { id: 'bad_argument', role: 'cause', regex: /^(?:\S+ )*?(?:vllm(?: serve)?|api_server\.py): error: (?<error>.+)/ },
  { id: 'bad_argument', role: 'cause', regex: /TypeError: Error: (?<error>--\S+ .+)/ },
  { id: 'bad_argument', role: 'cause', regex: /KeyError: '(?<error>invalid tool call parser: .+)'/ },
  // pydantic: vLLM's checks of its configuration. Those with numbers have patterns of their own.
  { id: 'bad_argument', role: 'general-cause', regex: /^\s*Value error, (?<error>.+)/ },

  // torch/cuda/__init__.py; the number is major * 1000 + minor * 10.
  {
    id: 'driver_old',
    role: 'cause',
    regex: /The NVIDIA driver on your system is too old \(found version (?<found>\d+)\)/,
  },
  { id: 'driver_old', role: 'cause', regex: /CUDA driver version is insufficient for CUDA runtime version/ },
  // nvidia-container-cli, in the message of a container that cannot start.
  { id: 'driver_old', role: 'cause', regex: /unsatisfied condition: (?:cuda|driver) ?>= ?(?<needed>[\d.]+)/ },
  {
    id: 'no_gpu',
    role: 'cause',
    regex: /Failed to infer device type|No CUDA GPUs are available|Found no NVIDIA driver on your system/,
  },

  { id: 'cuda_oom', role: 'general-cause', regex: /CUDA error: out of memory/ },
  { id: 'cuda_error', role: 'general-cause', regex: /CUDA error: (?<error>.+)/ },

  { id: 'shm_full', role: 'cause', regex: /Error while creating shared memory segment \/dev\/shm\/.*/ },
  {
    id: 'shm_full',
    role: 'cause',
    regex: /No space left on device.*\/dev\/shm.*|\/dev\/shm.*No space left on device.*/,
  },
  // torch/utils/data and the kernel's SIGBUS: a page of /dev/shm that could not be had.
  { id: 'shm_full', role: 'cause', regex: /Unexpected bus error encountered in worker|Fatal Python error: Bus error/ },
  {
    id: 'nccl',
    role: 'general-cause',
    regex:
      /(?:NCCL error in: |NCCL error: |nccl(?:System|Internal|Remote|UnhandledCuda)Error|DistBackendError: |collective operation timeout).*/,
  },
  { id: 'disk_full', role: 'general-cause', regex: /No space left on device(?:: '(?<path>[^']+)')?/ },

  {
    id: 'no_checkpoint',
    role: 'cause',
    regex: /Cannot find an appropriate cached snapshot folder for the specified revision/,
  },
  { id: 'no_checkpoint', role: 'cause', regex: /does not appear to have a file named (?<file>\S+\.json)/ },
  {
    id: 'other_model',
    role: 'cause',
    regex: /Model architectures \[(?<architecture>[^\]]+)\] (?:are not supported for now|failed to be inspected)/,
  },
  // Logged by every start; another model than ours is the cause of whatever comes after it.
  { id: 'other_model', role: 'cause', regex: /Resolved architecture: (?!Qwen3NextForCausalLM\b)(?<architecture>\w+)/ },

  // huggingface_hub/errors.py.
  { id: 'hub_gated', role: 'cause', regex: /GatedRepoError: (?<status>\d+)/, linesMore: 2 },
  { id: 'hub_revision', role: 'cause', regex: /RevisionNotFoundError: (?<status>\d+)/, linesMore: 2 },
  { id: 'hub_repository', role: 'cause', regex: /RepositoryNotFoundError: (?<status>\d+)/, linesMore: 2 },
  // On requests before 1.0, on httpx since: "401 Client Error", "Client error '401 Unauthorized'". What it words itself stands alone on a
  // line below the name of the error: "403 Forbidden: …", "429 Too Many Requests for url: …".
  {
    id: 'hub_refused',
    role: 'cause',
    regex: /HfHubHTTPError: (?:Client error ')?(?<status>401|403)\b|^403 Forbidden: /,
  },
  {
    id: 'hub_away',
    role: 'cause',
    regex: /HfHubHTTPError: (?:(?:Client|Server) error ')?(?<status>429|5\d\d)\b|^429 .* for url/,
  },
  {
    id: 'hub_away',
    role: 'general-cause',
    regex:
      /(?:ConnectError|ConnectTimeout|ReadTimeout|ProxyError|MaxRetryError|ConnectionError|SSLError)\b.*|Name or service not known|Temporary failure in name resolution|check your internet connection/,
  },
] as const satisfies readonly LogPattern[];
