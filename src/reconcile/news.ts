import { type Condition, type ConditionType, type QwenCoderStatus, type ReasonOf, condition } from '../api/index.ts';

type Conditions = readonly Condition[] | undefined;

/** Where a failure stands that is not always the end. */
const BLAMED = ['EnginesReady', 'ModelAvailable', 'EndpointReady'] as const satisfies readonly ConditionType[];

/** What these conditions say on the way up and down; everything else is a failure. */
const ORDINARY: ReadonlySet<string> = new Set<ReasonOf<(typeof BLAMED)[number]>>([
  'Suspended',
  'NoReplicasWanted',
  'NotPlanned',
  'WaitingForWeights',
  'Starting',
  'Fetching',
  // A claim is bound and a node found within seconds of an ordinary start; alerts tell when they are not.
  'VolumePending',
  'FetchUnschedulable',
  'GatewayStarting',
  // Of the engines EnginesReady tells.
  'NoReadyEngine',
]);

/**
 * The conditions of a new status that people are told of by an Event: a plan, the weights, the first answer, and what went wrong.
 *
 * **Guarantees**: each has another status or reason than before; a failure is told once, whether it stalls the resource at once, later
 * or never, and not again in the words of what the operator does about it.
 */
export function newsOf(before: Pick<QwenCoderStatus, 'conditions'> | undefined, after: QwenCoderStatus): Condition[] {
  const [old, now] = [before?.conditions, after.conditions];
  const flips = (now ?? []).filter((one) => isNews(one, condition(old, one.type as ConditionType)?.status));
  const flipped = flips.filter((one) => !(one.type === 'Stalled' && isTold(one, old)));
  const failures = BLAMED.map((type) => condition(now, type)).filter(
    (one) => one !== undefined && isFailure(one) && !isSame(one, condition(old, one.type as ConditionType)),
  ) as Condition[];
  return [...flipped, ...failures.filter((failure) => !isToldBy(failure, flipped, old, now))];
}

const isFailure = ({ status, reason }: Condition): boolean => status === 'False' && !ORDINARY.has(reason);

const isSame = (one: Condition, other: Condition | undefined): boolean =>
  one.status === other?.status && one.reason === other.reason;

/** A failure that came back was told when it came first. */
const isTold = ({ status, reason }: Condition, old: Conditions): boolean =>
  status === 'True' && BLAMED.some((type) => isSame({ status: 'False', reason } as Condition, condition(old, type)));

/** Stalled tells it, now or already; or Tuned does, which quotes it and says what is tried next. */
function isToldBy(failure: Condition, flipped: readonly Condition[], old: Conditions, now: Conditions): boolean {
  const stalled = condition(now, 'Stalled');
  const isStalled = stalled?.status === 'True' && stalled.reason === failure.reason;
  if (isStalled && (flipped.includes(stalled) || isSame(stalled, condition(old, 'Stalled')))) return true;
  return flipped.some(({ type, reason }) => type === 'Tuned' && reason === 'SteppingBack');
}

function isNews({ type, status: now, reason }: Condition, before: Condition['status'] | undefined): boolean {
  if (before === now) return false;
  switch (type) {
    case 'Stalled':
      return now === 'True' || before === 'True';
    case 'Planned':
      return now === 'True';
    case 'ModelAvailable':
      // Weights that nobody fetches are no news.
      return reason === 'WeightsVerified';
    case 'Ready':
      return now === 'True' || before === 'True';
    case 'Placed':
      // What stalls besides is told by Stalled.
      return now === 'False' && reason !== 'PodRejected';
    case 'NetworkLocked':
      return reason === 'NotEnforced';
    case 'Tuned':
      return now === 'True' || reason === 'SteppingBack' || reason === 'NoLengthFits';
    default:
      return false;
  }
}
