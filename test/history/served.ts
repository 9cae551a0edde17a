import type { QwenCoderDeployment } from '../../src/api/index.ts';
import type { Pod } from '../../src/kube/index.ts';
import { COMPONENT, RESOURCE, REVISION } from '../../src/render/labels.ts';
import type { SeenObject } from './history.ts';
import { type Life, type Timeline, isLeaving } from './timeline.ts';

/** Engine pods labelled as a resource's, of whatever revision. */
export const enginesOf = (timeline: Timeline, { metadata: { namespace, name } }: QwenCoderDeployment): Life[] =>
  timeline
    .livesOf('Pod', namespace)
    .filter(
      ({ first: { metadata } }) => metadata.labels?.[RESOURCE] === name && metadata.labels[COMPONENT] === 'engine',
    );

/** Whether an engine pod takes requests. */
export const answers = (object: SeenObject): boolean =>
  !isLeaving(object) &&
  ((object as Pod).status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false);

/**
 * What of a spec a running engine does not show; undefined when it shows everything that the spec says outright. It knows the fields by
 * what users would look for in the pod, not by how the operator renders them.
 */
export function missingFrom(pod: Pod, { spec, status, metadata }: QwenCoderDeployment): string | undefined {
  const target = status?.revisions?.target;
  const revision = pod.metadata?.labels?.[REVISION];
  if (target !== undefined && target !== `${metadata.name}-${revision}`)
    return `it is of revision ${revision}, not ${target}`;
  const engine = pod.spec?.containers.find(({ name }) => name === 'engine');
  const args = engine?.args ?? [];
  const { model, context, parallelism, engine: wanted, podMetadata } = spec;
  const flags: [string, number | undefined][] = [
    ['--max-model-len', context?.maxModelLen],
    ['--max-num-seqs', context?.maxNumSeqs],
    ['--tensor-parallel-size', parallelism?.tensorParallelSize],
  ];
  const words = [
    ...flags.flatMap(([flag, value]) => (value === undefined ? [] : [`${flag}=${value}`])),
    ...(model?.servedName === undefined ? [] : [model.servedName]),
    ...(model?.aliases ?? []),
    ...(wanted?.args ?? []),
  ];
  const missing = words.find((word) => !args.includes(word));
  if (missing !== undefined) return `its arguments lack ${missing}`;
  if (wanted?.image !== undefined && engine?.image !== wanted.image)
    return `its image is ${engine?.image}, not ${wanted.image}`;
  const variable = wanted?.env?.find(({ name }) => !engine?.env?.some((has) => has.name === name));
  if (variable !== undefined) return `its environment lacks ${variable.name}`;
  const annotation = Object.entries(podMetadata?.annotations ?? {}).find(
    ([key, value]) => pod.metadata?.annotations?.[key] !== value,
  );
  return annotation && `it lacks the annotation ${annotation[0]}`;
}
