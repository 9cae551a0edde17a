import { parseAllDocuments } from 'yaml';
import { KIND, type QwenCoderDeployment, type QwenCoderSpec, parseResource, parseSpec } from '../api/index.ts';
import { UsageError } from '../options.ts';

/** A resource that somebody may apply. */
export interface Wish {
  readonly name: string;
  /** Undefined where the file names none. */
  readonly namespace: string | undefined;
  /** What the API server gave it, where it was read from there. */
  readonly uid: string | undefined;
  readonly spec: QwenCoderSpec;
  /** False for the empty spec that stands in where no file is given: nothing in a cluster is compared with it. */
  readonly isNamed: boolean;
}

/** What is planned when no file is given. */
export function emptyWish(): Wish {
  const spec = parseSpec({});
  if (!spec.ok) throw new Error(spec.errors.join('; '));
  return { name: 'coder', namespace: undefined, uid: undefined, spec: spec.value, isNamed: false };
}

/**
 * The resources of a file: YAML or JSON, one or several documents, lists too. Other kinds are passed over.
 *
 * Fails when: the text cannot be read, a resource breaks a rule, or there is none. The `UsageError` has a line for each reason, with file
 * and field.
 */
export function readWishes(text: string, file: string): Wish[] {
  // As kubectl reads it: YAML 1.1, where a bare `Off` is a boolean.
  const documents = parseAllDocuments(text, { version: '1.1', prettyErrors: false });
  const broken = [...documents].flatMap(({ errors }) => errors);
  if (broken.length > 0) {
    throw new UsageError(broken.map(({ message, pos }) => `${file}:${lineAt(text, pos[0])}: ${message}`).join('\n'));
  }
  const objects = [...documents].flatMap((document) => itemsOf(document.toJS()));
  const ours = objects.filter((object) => kindOf(object) === KIND);
  if (ours.length === 0) {
    const kinds = [...new Set(objects.map(kindOf))].join(', ');
    throw new UsageError(
      `${file}: has no ${KIND}${kinds === '' ? '' : `, only ${kinds}`}; name a file with one, or leave --file out for an empty spec`,
    );
  }
  const errors: string[] = [];
  const wishes: Wish[] = [];
  for (const [index, object] of ours.entries()) {
    const where = ours.length > 1 ? `${file}, ${KIND} ${index + 1}` : file;
    const parsed = parseResource(object);
    if (!parsed.ok) errors.push(...parsed.errors.map((error) => `${where}: ${error}`));
    else {
      const { namespace, uid } = (object as QwenCoderDeployment).metadata as Partial<QwenCoderDeployment['metadata']>;
      wishes.push({ ...parsed.value, namespace: textOf(namespace), uid: textOf(uid), isNamed: true });
    }
  }
  if (errors.length > 0) throw new UsageError(errors.join('\n'));
  return wishes;
}

const textOf = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);

const lineAt = (text: string, position: number): number => text.slice(0, position).split('\n').length;

/** The objects of a document: none in an empty one, several in a list. */
function itemsOf(document: unknown): unknown[] {
  if (document === null || document === undefined) return [];
  const { kind, items } = document as { kind?: unknown; items?: unknown };
  return typeof kind === 'string' && kind.endsWith('List') && Array.isArray(items) ? items : [document];
}

function kindOf(object: unknown): string {
  const { kind } = (object ?? {}) as { kind?: unknown };
  return typeof kind === 'string' ? kind : 'something without a kind';
}
