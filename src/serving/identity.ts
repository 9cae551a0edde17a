import type { Diagnosis } from './diagnosis.ts';
import type { ServedModel } from './engine-report.ts';
import type { Situation } from './failure-remedies.ts';
import { quotable } from './log-findings.ts';

/** What an engine was told to be. */
export interface Identity {
  /** Repository or folder of its checkpoint. */
  readonly model: string;
  /** Names that clients may use, its own first. */
  readonly names: readonly string[];
}

const NAMES_FLAG = '--served-model-name';

/** What an engine with these arguments is to be; undefined of arguments that are none of ours. */
export function identityOf(args: readonly string[] = []): Identity | undefined {
  const [model] = args;
  const from = args.indexOf(NAMES_FLAG) + 1;
  if (model === undefined || from === 0) return undefined;
  const rest = args.slice(from);
  const end = rest.findIndex((word) => word.startsWith('-'));
  return { model, names: end < 0 ? rest : rest.slice(0, end) };
}

/** Whether an engine serves what it was told to, by every name that it was given; further names do no harm. */
export const isAsTold = (served: readonly ServedModel[], identity: Identity): boolean =>
  namesMissing(served, identity).length === 0 && otherRoot(served, identity) === undefined;

/** Why an engine that answers is of no use: it serves another model than it was told to. Assumes that `isAsTold` is false. */
export function diagnoseIdentity(
  served: readonly ServedModel[],
  identity: Identity,
  { image, secrets }: Pick<Situation, 'image' | 'secrets'>,
): Diagnosis<'WrongModelServed'> {
  const missing = namesMissing(served, identity);
  const listed = served.map(({ id }) => id).join(', ');
  const evidence =
    missing.length > 0
      ? `/v1/models lists ${listed === '' ? 'no model' : listed}, and not ${missing.join(', ')}`
      : `/v1/models says that ${identity.names[0]} is ${otherRoot(served, identity)}, not ${identity.model}`;
  return {
    reason: 'WrongModelServed',
    evidence: quotable(evidence, secrets),
    remedy: `It was told to serve ${identity.model} as ${identity.names.join(', ')}, and its image does otherwise: correct spec.engine.image, which is ${image}; its entry point must be vLLM's own, vllm serve, and take the arguments of the container.`,
    isFinal: true,
  };
}

const namesMissing = (served: readonly ServedModel[], { names }: Identity): string[] =>
  names.filter((name) => !served.some(({ id }) => id === name));

/** The checkpoint behind its first name, where that is another one. Offline, a repository may be named by its folder in the hub cache. */
function otherRoot(served: readonly ServedModel[], { model, names }: Identity): string | undefined {
  const root = served.find(({ id }) => id === names[0])?.root;
  if (root === undefined || root === model || root.includes(`models--${model.replaceAll('/', '--')}`)) return undefined;
  return root;
}
