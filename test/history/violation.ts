import { type SeenObject, titleOf } from './history.ts';

export type InvariantId = 'I1' | 'I3' | 'I9' | 'I10' | 'I11' | 'I12' | 'I13' | 'I15';

/** Something that must never be, and was. */
export interface Violation {
  readonly invariant: InvariantId;
  /** `Pod team-a/coder-0`, or where else it was seen. */
  readonly object: string;
  /** `resourceVersion` of the state that breaks the invariant, where it is one. */
  readonly version?: string;
  readonly why: string;
}

export const violation = (invariant: InvariantId, object: SeenObject, why: string): Violation => ({
  invariant,
  object: titleOf(object),
  version: object.metadata.resourceVersion,
  why,
});
