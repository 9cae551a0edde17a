import type { QwenCoderStatus } from '../api/index.ts';
import { type Owner, childNames } from '../render/index.ts';
import type { Log } from '../runtime/index.ts';
import { type Action, nameOf } from './diff.ts';
import type { Target } from './target.ts';

// What a reconcile changed, one line at level info each. A reconcile that changed nothing says nothing: whoever follows a resource reads
// its history and no heartbeat.

const WRITTEN = {
  create: 'child created',
  apply: 'child changed',
  delete: 'child deleted',
} as const satisfies Record<Action['do'], string>;

/** A child was written, and why. */
export function logWrite(log: Log, { do: verb, object, reason }: Action): void {
  log.info(WRITTEN[verb], { object: nameOf(object), reason });
}

/** The engines are to run something other than the status says. */
export function logTarget(log: Log, before: QwenCoderStatus | undefined, target: Target, owner: Owner): void {
  if (!target.planned) return;
  const to = childNames.revision(owner.name, target.revision.hash);
  const from = before?.revisions?.target;
  if (from === to) return;
  const { quantization, gpusPerReplica, gpuName, engineVersion, maxModelLen } = target.revision.plan;
  log.info('target revision changed', {
    from,
    to,
    plan: `${quantization} on ${gpusPerReplica}x ${gpuName}, ${maxModelLen} tokens, vLLM ${engineVersion}`,
  });
}

/** Conditions whose status or reason changed. Messages alone change with every count and are left out. */
export function logConditions(log: Log, before: QwenCoderStatus | undefined, after: QwenCoderStatus): void {
  for (const { type, status, reason, message } of after.conditions ?? []) {
    const was = before?.conditions?.find((condition) => condition.type === type);
    if (was?.status === status && was.reason === reason) continue;
    log.info('condition changed', {
      condition: type,
      from: was && `${was.status} ${was.reason}`,
      to: `${status} ${reason}`,
      message,
    });
  }
}
