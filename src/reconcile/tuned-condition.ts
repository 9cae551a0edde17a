import { type Fitting, type ServingPlan, asSentence, fittingText } from '../serving/index.ts';
import type { Update } from './conditions.ts';
import type { Outcome } from './outcome.ts';

/** How the context length stands towards what engines measured. */
export function tunedCondition({ target, tuning }: Outcome): Update {
  const type = 'Tuned';
  if (!target.planned) {
    return { type, status: 'Unknown', reason: 'NotPlanned', message: 'There is no plan with a context length.' };
  }
  const { plan } = target.revision;
  const verdict = tuning?.verdict;
  switch (verdict?.state) {
    case undefined:
    case 'Trying': {
      const unmeasured = verdict?.attempt?.message;
      if (unmeasured !== undefined) {
        return { type, status: 'Unknown', reason: 'NotMeasured', message: `What fits is not measured: ${unmeasured}.` };
      }
      const after = verdict?.failed;
      const why = after ? ` ${after.maxModelLen} tokens failed before: ${after.message ?? after.outcome}` : '';
      return {
        type,
        status: 'Unknown',
        reason: 'Trying',
        message: `${plan.maxModelLen} tokens are calculated; no engine of this plan has measured them yet.${why}`,
      };
    }
    case 'Tuned':
      return {
        type,
        status: 'True',
        reason: 'Tuned',
        message: `${plan.maxModelLen} tokens: ${fittingText(verdict.fits)}.`,
      };
    case 'Crowded':
      return {
        type,
        status: 'False',
        reason: 'FewerRequestsFit',
        message: `${plan.maxModelLen} tokens, the shortest context: ${fittingText(verdict.fits)}, fewer than spec.context.minConcurrency. Lower it, raise spec.parallelism.tensorParallelSize, or allow larger GPUs.`,
      };
    case 'Pinned':
      return pinned(plan, verdict.attempt.outcome === 'Fits', verdict.fits, verdict.attempt.message);
    case 'Step': {
      const { to, isUrgent, attempt } = verdict;
      if (isUrgent) {
        return {
          type,
          status: 'False',
          reason: 'SteppingBack',
          message: `${attempt.maxModelLen} tokens failed; next are ${described(to)}. ${attempt.message ?? ''}`.trim(),
        };
      }
      const isLonger = to.maxModelLen > plan.maxModelLen;
      return {
        type,
        status: 'False',
        reason: isLonger ? 'LongerContextFits' : 'ShorterContextFits',
        message: `${to.maxModelLen} tokens in place of ${plan.maxModelLen} at the next restart of an engine, or after ${duration(tuning!.idleMs)} without a request: the measured memory holds them.`,
      };
    }
    case 'Stuck':
      return {
        type,
        status: 'False',
        reason: 'NoLengthFits',
        message: `${plan.maxModelLen} tokens failed, and no shorter context would help: ${asSentence(verdict.attempt.message ?? verdict.attempt.outcome)} Allow larger or more GPUs a replica, or change spec.context.gpuMemoryUtilizationPercent.`,
      };
  }
}

const duration = (ms: number): string => (ms % 60_000 === 0 ? `${ms / 60_000} minutes` : `${ms / 1000} seconds`);

const described = ({ maxModelLen, gpuMemoryUtilizationPercent }: ServingPlan): string =>
  `${maxModelLen} tokens in ${gpuMemoryUtilizationPercent} % of GPU memory`;

function pinned(plan: ServingPlan, isServing: boolean, fits: Fitting | undefined, why: string | undefined): Update {
  const type = 'Tuned';
  const would = fits ? `; ${fits.maxModelLen} would fit for the requests that are asked for` : '';
  const said = `spec.context.maxModelLen is ${plan.maxModelLen}${would}.`;
  if (isServing) return { type, status: 'True', reason: 'LengthPinned', message: said };
  const remedy = fits && fits.maxModelLen > 0 ? ' Lower it, or leave it out.' : '';
  return {
    type,
    status: 'False',
    reason: 'LengthPinned',
    message: `${said} It failed: ${asSentence(why ?? 'out of memory')}${remedy}`,
  };
}
