import { vllmVersion } from './engines/vllm-versions.ts';
import { GPU_MODELS, findGpu } from './gpu-catalogue.ts';
import type { Finding, LogFindings } from './log-findings.ts';
import {
  kvGeometry,
  maxTokens,
  overheadBytesPerGpu,
  poolBlocks,
  tensorParallelSizes,
  weightBytesPerGpu,
} from './memory.ts';
import { GIB } from './model-profile.ts';
import type { ServingPlan } from './plan.ts';
import { quantityBytes } from './quantity.ts';
import type { StartPhase } from './start-budget.ts';
import { anyOf, gib } from './words.ts';

/** What the numbers of a remedy come from. */
export interface Situation {
  readonly plan: ServingPlan;
  /** `spec.engine.resources.limits.memory`, a quantity; undefined without a limit. */
  readonly memoryLimit: string | undefined;
  /** The claim of the weights as it is, a quantity; undefined where nothing is fetched. */
  readonly volumeSize: string | undefined;
  /** Size that the claim is given when nobody says otherwise, a quantity. */
  readonly plannedVolumeSize: string;
  readonly image: string;
  /** Whether `spec.model.source.secretRef` names a token. */
  readonly hasHubToken: boolean;
  /** Where the weights come from. */
  readonly source: 'HuggingFace' | 'Volume' | 'Image';
  /** Values that no text may show. */
  readonly secrets: readonly string[];
}

type Values = Finding['values'];

/** Most of a GPU's memory that is suggested; the rest is for the driver and for what else runs there. */
const MOST_UTILIZATION_PERCENT = 95;
/** Least of it that is suggested. */
const LEAST_UTILIZATION_PERCENT = 70;

const sentence = (changes: readonly string[], otherwise: string): string =>
  changes.length === 0 ? otherwise : `Set ${anyOf(changes)}.`;

/** Changes of the plan that give a GPU `shortBytes` more for what the engine needs, each alone. */
function moreGpuMemory({ plan }: Situation, shortBytes: number, mayRaiseUtilization: boolean): string[] {
  const { quantization, tensorParallelSize: size, gpuMemoryBytes: total, gpuMemoryUtilizationPercent: percent } = plan;
  const changes: string[] = [];
  if (mayRaiseUtilization && total !== undefined) {
    const enough = Math.ceil(percent + (shortBytes / total) * 100);
    if (enough <= MOST_UTILIZATION_PERCENT) changes.push(`spec.context.gpuMemoryUtilizationPercent to ${enough}`);
  }
  const weights = weightBytesPerGpu(quantization, size);
  const saves = (bytes: number): boolean => weights - bytes >= shortBytes;
  const wider = tensorParallelSizes(quantization).find(
    (wide) => wide > size && saves(weightBytesPerGpu(quantization, wide)),
  );
  if (wider !== undefined) {
    const each = gib(weightBytesPerGpu(quantization, wider));
    changes.push(
      `spec.parallelism.tensorParallelSize to ${wider} (${each} of weights a GPU instead of ${gib(weights)})`,
    );
  }
  if (quantization === 'BF16' && tensorParallelSizes('FP8').includes(size) && saves(weightBytesPerGpu('FP8', size)))
    changes.push('spec.model.quantization to FP8');
  return changes;
}

/** The smallest cards whose usable part holds so much; nothing where the present ones should, or by any other of their size. */
function largerCards({ plan }: Situation, neededBytes: number): string {
  const { gpuMemoryBytes: bytes = 0, gpuMemoryUtilizationPercent: percent } = plan;
  const usable = (total: number): number => (total * percent) / 100;
  if (usable(bytes) >= neededBytes) return '';
  const nominal = (plan.gpuProduct && findGpu(plan.gpuProduct)?.nominalGib) || bytes / GIB;
  const card = GPU_MODELS.filter(({ vendor, nominalGib }) => vendor === 'NVIDIA' && nominalGib > nominal)
    .toSorted((a, b) => a.nominalGib - b.nominalGib)
    .find(({ memoryMib }) => usable(memoryMib * 2 ** 20) >= neededBytes);
  return card === undefined ? '' : ` GPUs of ${card.nominalGib} GB would do as they are.`;
}

const bytesOf = (number: string | undefined, unit: string | undefined = 'GiB'): number | undefined =>
  number === undefined
    ? undefined
    : Number(number) * { KiB: 2 ** 10, MiB: 2 ** 20, GiB: GIB }[unit as 'GiB' | 'MiB' | 'KiB'];

/** Lower utilization, so that `bytes` more stay outside of the KV cache; undefined where that would leave too little of it. */
function lowerUtilization({ plan }: Situation, bytes: number): number | undefined {
  const { gpuMemoryBytes: total, gpuMemoryUtilizationPercent: percent } = plan;
  if (total === undefined) return percent - 5;
  const lower = Math.floor(percent - (bytes / total) * 100);
  return lower >= LEAST_UTILIZATION_PERCENT && lower < percent ? lower : undefined;
}

const fewerSequences = ({ plan }: Situation): string[] =>
  plan.maxNumSeqs > 1 ? [`spec.context.maxNumSeqs to ${Math.floor(plan.maxNumSeqs / 2)}`] : [];

export const kvRemedy = {
  tooSmall({ asked, needed, available, estimate }: Values, situation: Situation): string {
    const shortBytes = (bytesOf(needed) ?? 0) - (bytesOf(available) ?? 0);
    const fitting = Number(estimate ?? longestIn(bytesOf(available) ?? 0, situation));
    const numbers = `One request of ${asked} tokens needs ${needed} GiB of KV cache a GPU, ${available} GiB are there, ${gib(shortBytes)} short.`;
    const changes = [
      ...(fitting > 0 ? [`spec.context.maxModelLen to ${fitting} or less`] : []),
      ...moreGpuMemory(situation, shortBytes, true),
    ];
    return `${numbers} ${sentence(changes, 'Use larger GPUs.')}`;
  },

  none({ facts }: LogFindings, situation: Situation): string {
    const { plan } = situation;
    const { gpuMemoryBytes: total, gpuMemoryUtilizationPercent: percent } = plan;
    const left = bytesOf(facts.kv_memory?.values['gib']);
    const usable = total === undefined ? undefined : (total * percent) / 100;
    const guess =
      weightBytesPerGpu(plan.quantization, plan.tensorParallelSize) + overheadBytesPerGpu(plan.tensorParallelSize);
    const needed = usable !== undefined && left !== undefined && left <= 0 ? usable - left : guess;
    const oneBlock = kvGeometry(kvShape(plan)).blockBytes;
    // Room for nothing is no room: the pool has to hold a request's states at least.
    const shortBytes = Math.max(0, needed - (usable ?? needed)) + 8 * oneBlock;
    const numbers =
      usable === undefined
        ? `The model needs about ${gib(needed)} a GPU before any request.`
        : `The model needs ${gib(needed)} a GPU before any request; ${gib(usable)} of ${gib(total!)} are usable.`;
    return `${numbers} ${sentence(moreGpuMemory(situation, shortBytes, true), 'Use larger GPUs.')}${largerCards(situation, needed + 8 * oneBlock)}`;
  },

  stateBlocks({ seqs, blocks }: Values, situation: Situation): string {
    return `${seqs} sequences need as many state blocks, and the KV cache has ${blocks}. ${sentence(
      [
        `spec.context.maxNumSeqs to ${blocks} or less`,
        ...moreGpuMemory(situation, missingBlocks(seqs, blocks, situation), true),
      ],
      '',
    )}`;
  },
};

const missingBlocks = (seqs: string | undefined, blocks: string | undefined, { plan }: Situation): number =>
  Math.max(0, Number(seqs) - Number(blocks)) * kvGeometry(kvShape(plan)).blockBytes;

const kvShape = ({ engineVersion, tensorParallelSize, kvCacheDtype }: ServingPlan) => {
  const { prefixCachingByDefault, reservedBlocks } = vllmVersion(engineVersion);
  return { tensorParallelSize, kvCacheDtype, prefixCaching: prefixCachingByDefault, reservedBlocks };
};

/** Longest request that so much KV memory holds, for versions that do not say it. */
function longestIn(kvBytes: number, { plan }: Situation): number {
  const geometry = kvGeometry(kvShape(plan));
  return maxTokens(geometry, poolBlocks(geometry, kvBytes));
}

export const gpuMemoryRemedy = {
  taken: ({ free, total, wanted }: Values): string =>
    `${free} of ${total} GiB are free, and the engine wants ${wanted} GiB. Wait until the process that holds the rest has ended; if it stays, look for it with nvidia-smi on the node.`,

  outOfMemory({ id, values }: Finding, { facts }: LogFindings, hasServed: boolean, situation: Situation): string {
    const { plan } = situation;
    const tried = bytesOf(values['tried'], values['triedUnit']);
    const free = bytesOf(values['free'], values['freeUnit']) ?? 0;
    const shortBytes = tried === undefined ? GIB : Math.max(tried - free, 0.25 * GIB);
    if (id === 'sampler_oom' || hasServed || facts.model_loaded) {
      const when = hasServed ? 'while serving' : 'after the weights were loaded';
      // As much again: what was asked for is not all that will be.
      const lower = lowerUtilization(situation, 2 * shortBytes);
      const changes = [
        ...(lower === undefined ? [] : [`spec.context.gpuMemoryUtilizationPercent to ${lower}`]),
        ...fewerSequences(situation),
        ...moreGpuMemory(situation, shortBytes, false),
      ];
      return `A GPU was ${gib(shortBytes)} short ${when}, at ${plan.gpuMemoryUtilizationPercent} % and ${plan.maxNumSeqs} sequences. ${sentence(changes, 'Use larger GPUs.')}`;
    }
    const { quantization, tensorParallelSize: size, gpuMemoryBytes: total } = plan;
    const needed = weightBytesPerGpu(quantization, size) + overheadBytesPerGpu(size);
    const has = total === undefined ? '' : `; it has ${gib(total)}`;
    return `The model needs about ${gib(needed)} of a GPU before any request${has}. ${sentence(moreGpuMemory(situation, shortBytes, false), 'Use larger GPUs.')}${largerCards(situation, needed)}`;
  },
};

export const hostRemedy = {
  memory({ plan, memoryLimit }: Situation): string {
    const shm = 2 + plan.gpusPerReplica;
    const least = 16 + 4 * plan.gpusPerReplica + shm;
    if (memoryLimit === undefined) {
      return `Set spec.engine.resources.requests.memory to ${least}Gi or more, so that the node keeps it free, or use nodes with more memory.`;
    }
    const more = Math.max(least, Math.ceil((quantityBytes(memoryLimit) * 1.5) / GIB));
    return `The limit is ${memoryLimit}, of which /dev/shm may take ${shm}Gi. Set spec.engine.resources.limits.memory to ${more}Gi, or leave it out.`;
  },

  sharedMemory({ plan, memoryLimit }: Situation): string {
    const shm = 2 + plan.gpusPerReplica;
    const limit =
      memoryLimit === undefined ? '' : ` It counts as memory: spec.engine.resources.limits.memory is ${memoryLimit}.`;
    const narrower = tensorParallelSizes(plan.quantization).findLast((size) => size < plan.tensorParallelSize);
    const fewer = narrower === undefined ? '' : `, or spec.parallelism.tensorParallelSize to ${narrower}`;
    return `/dev/shm has ${shm}Gi for ${plan.gpusPerReplica} GPUs.${limit} Set NCCL_SHM_DISABLE=1 in spec.engine.env${fewer}.`;
  },

  nodeDisk: (): string =>
    'Free the disk of the node, or use nodes with more: images, logs, /tmp and, where nothing is fetched, the compile cache are on it.',

  disk(path: string | undefined, { volumeSize, plannedVolumeSize, source }: Situation): string {
    const isOnVolume = path === undefined || /^\/(models|cache)\b/.test(path);
    if (source !== 'HuggingFace' || volumeSize === undefined || !isOnVolume) {
      return this.nodeDisk();
    }
    const more = Math.max(quantityBytes(plannedVolumeSize), Math.ceil((quantityBytes(volumeSize) * 1.25) / GIB) * GIB);
    return `The volume has ${volumeSize}; weights and compile cache need ${plannedVolumeSize}. Set spec.storage.size to ${Math.ceil(more / GIB)}Gi; its storage class must allow expansion.`;
  },
};

export const containerRemedy = {
  image(evidence: string, { image }: Situation): string {
    if (/unauthorized|forbidden|denied|authentication|401|403/i.test(evidence)) {
      return `The registry wants credentials for ${image}: name their Secret in spec.imagePullSecrets.`;
    }
    if (/not found|404|manifest unknown/i.test(evidence)) {
      return `There is no ${image}: correct spec.engine.image or spec.engine.version.`;
    }
    return `Open the way of the nodes to the registry of ${image}, or set spec.engine.image to a mirror.`;
  },
  create(evidence: string): string {
    const missing = /(secret|configmap) "([^"]+)" not found/i.exec(evidence);
    if (missing)
      return `Create ${missing[1]} ${missing[2]} in the namespace of the resource, or correct its name in spec.`;
    const key = /couldn't find key (\S+) in (\S+) (\S+)/i.exec(evidence);
    if (key) return `Add key ${key[1]} to ${key[2]} ${key[3]}, or correct the key in spec.`;
    const driver = /unsatisfied condition: (\w+) ?>= ?([\d.]+)/i.exec(evidence);
    if (driver) return startRemedy.driver({ needed: driver[2] });
    return 'Correct what the kubelet names: spec.engine.env, spec.engine.image or spec.placement.runtimeClassName.';
  },
};

export const startRemedy = {
  argument({ id, values }: Finding, { plan }: Situation): string {
    const version = `vLLM ${plan.engineVersion}`;
    if (id === 'vllm_port_uri') return 'Remove VLLM_PORT from spec.engine.env; vLLM takes it for a port number.';
    if (id === 'len_over_model')
      return `spec.context.maxModelLen ${values['asked']} is more than the model has: set it to 262144 or less.`;
    const flag = /(--[\w-]+)/.exec(values['error'] ?? '')?.[1];
    const what = flag === undefined ? 'the argument that it names' : flag;
    return `Remove or correct ${what} in spec.engine.args; if it is not there, set spec.engine.version to what the image holds, since flags are rendered for ${version}.`;
  },
  parallelism({ plan }: Situation): string {
    const sizes = tensorParallelSizes(plan.quantization).map(String);
    return `Set spec.parallelism.tensorParallelSize to ${anyOf(sizes)} for ${plan.quantization}, or leave it out; it is ${plan.tensorParallelSize}.`;
  },
  gpus({ asked, seen }: Values, { plan }: Situation): string {
    return `The engine wants ${asked ?? plan.gpusPerReplica} GPUs and sees ${seen ?? 'none'}: check the device plugin of the node, and spec.placement.runtimeClassName (nvidia, on most clusters where it is not the default).`;
  },
  driver({ found, needed }: Values): string {
    const has =
      found === undefined
        ? ''
        : `The driver knows CUDA ${Math.floor(Number(found) / 1000)}.${Math.floor((Number(found) % 1000) / 10)}. `;
    const wants = needed === undefined ? '' : `The image needs CUDA ${needed}. `;
    return `${has}${wants}Update the driver of the nodes, or set spec.engine.version, or spec.engine.image, to one built for an older CUDA.`;
  },
  fault: (): string =>
    'It is started again. If it comes back on one node only, cordon that node and look for Xid errors in its kernel log.',
  communication({ plan }: Situation): string {
    const one = tensorParallelSizes(plan.quantization).findLast((size) => size < plan.tensorParallelSize);
    const fewer = one === undefined ? '' : ` Fewer GPUs a replica: spec.parallelism.tensorParallelSize ${one}.`;
    return `${plan.gpusPerReplica} GPUs talk through NCCL. Set NCCL_P2P_DISABLE=1 in spec.engine.env if their links are broken, and NCCL_DEBUG=INFO to see why in the log.${fewer}`;
  },
  checkpoint({ architecture }: Values, { plan, source }: Situation): string {
    const found =
      architecture === undefined ? '' : `It is ${architecture.replaceAll("'", '')}, not Qwen3NextForCausalLM. `;
    switch (source) {
      case 'HuggingFace':
        return `${found}Correct spec.model.repository, which is ${plan.repository}; if its files are damaged, delete the claim of the weights.`;
      case 'Volume':
        return `${found}Put the ${plan.quantization} checkpoint of Qwen3-Coder-Next where spec.model.source.claimName and path lead.`;
      case 'Image':
        return `${found}Correct spec.model.source.reference: the image must hold the ${plan.quantization} checkpoint of Qwen3-Coder-Next at its root.`;
    }
  },
  overdue({ plan }: Situation, phase: StartPhase): string {
    const nccl =
      plan.gpusPerReplica > 1 ? ' If its log stands still, set NCCL_DEBUG=INFO in spec.engine.env: NCCL may hang.' : '';
    switch (phase) {
      case 'Schedule':
        return 'Free or add GPUs; condition Placed quotes the scheduler.';
      case 'Image':
        return 'Look at the events of the pod: the way to the registry and the volumes; or pull the image to the nodes beforehand.';
      case 'Weights':
        return `It reads ${gib(plan.weightBytes)} of weights: compare that with what its volume delivers, and use a faster spec.storage.className.${nccl}`;
      case 'WarmUp':
        return `Look at the log of the pod; with --enforce-eager in spec.engine.args nothing is compiled or captured.${nccl}`;
    }
  },
  crashed: (): string => 'It is started again. If it comes back, read kubectl logs --previous of the pod.',
  hung: (): string =>
    'Its kubelet ends and restarts it, or does not answer itself. If it comes back on one node only, cordon that node and look for Xid errors in its kernel log; else read kubectl logs --previous of the pod.',
  unknown: (): string => 'Read kubectl logs --previous of the pod.',
};

export const hubRemedy = {
  gated: ({ plan, hasHubToken }: Situation): string =>
    hasHubToken
      ? `Ask for access to ${plan.repository} on its page, with the account of the token in spec.model.source.secretRef.`
      : `Ask for access to ${plan.repository} on its page, and name a token of that account in spec.model.source.secretRef.`,
  revision: ({ plan }: Situation): string =>
    `${plan.repository} has no ${plan.revision}: correct spec.model.revision, or leave it out for main.`,
  repository: ({ plan, hasHubToken }: Situation): string =>
    hasHubToken
      ? `Correct spec.model.repository ${plan.repository}, or use a token that may read it.`
      : `Correct spec.model.repository ${plan.repository}; if it is private, name a token in spec.model.source.secretRef.`,
  token: ({ plan, hasHubToken }: Situation): string =>
    hasHubToken
      ? `Put a valid token that may read ${plan.repository} into the Secret that spec.model.source.secretRef names.`
      : `Name a token that may read ${plan.repository} in spec.model.source.secretRef.`,
  away: (): string =>
    'It is tried again. Open the way to the hub for the weights Job (--weights-proxy of the operator), or set spec.model.source.endpoint to a mirror.',
};
