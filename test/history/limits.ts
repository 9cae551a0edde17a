/** How long what an invariant forbids may last before it counts; the numbers are the catalogue's, tests of short scenes tighten them. */
export interface Limits {
  /** I1: a GPU pod may be without a living owner. */
  readonly ownerlessMs: number;
  /** I10: children may outlive their resource. */
  readonly goneMs: number;
  /** I12: writes may follow a change. */
  readonly settleMs: number;
  /** A change that is younger may not have reached the operator when it acted. */
  readonly reactionMs: number;
  /** I11: Ready may be True after the last engine ceased to serve, while the operator lives. */
  readonly staleReadyMs: number;
  /** I13: Events about one resource within any hour. */
  readonly eventsPerHour: number;
}

export const LIMITS: Limits = {
  ownerlessMs: 30_000,
  goneMs: 60_000,
  settleMs: 30_000,
  reactionMs: 5_000,
  staleReadyMs: 15_000,
  eventsPerHour: 10,
};
