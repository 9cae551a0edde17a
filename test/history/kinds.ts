import * as table from '../../src/kube/resources.ts';
import { ConfigMaps, Events, type Resource, Secrets } from '../../src/kube/index.ts';
import { CHILD_KINDS, Resources } from '../../src/reconcile/apply.ts';

const isKind = (value: unknown): value is Resource => typeof value === 'object';

/** What the recorder watches: every kind that the program has a word for, so that none is forgotten. */
export const RECORDED: readonly Resource[] = [
  // An installation brings its definition, and may take it away.
  { ...Resources, mayBeAbsent: true },
  ...Object.values(table).filter(isKind),
];

/** What a resource owns. */
export const OWNED: readonly Resource[] = [...CHILD_KINDS, Secrets];

/** What the operator writes and everybody may read: the audit log holds the bodies of writes to it. */
export const LOGGED_IN_FULL: readonly Resource[] = [Resources, ...CHILD_KINDS, ConfigMaps, Events];
