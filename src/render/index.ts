export { type Wanted, children } from './children.ts';
export { canonicalJson, digest } from './digest.ts';
export * from './labels.ts';
export type { Owner } from './metadata.ts';
export { type Revision, engineInputs, newRevision, planInputs, readRevision } from './revision.ts';
export type { Slot } from './slot.ts';
export { type LiveVolume, claimSize, weightsClaimName, weightsJob } from './weights.ts';
export { engineImage } from './engine-template.ts';
export type { WeightsAccess } from './weights-access.ts';
