import { type PlanOptions, type RenderOptions, UsageError, weightsAccess } from '../options.ts';
import { calibrationsName, type Installation, type WeightsAccess } from '../render/index.ts';
import { type NodeGroup, parseNodes } from '../serving/index.ts';
import { toYaml } from '../yaml.ts';
import { openCluster } from './cluster.ts';
import { presumedInstallation } from './presumed-installation.ts';
import { type Preview, preview } from './preview.ts';
import type { Report } from './report.ts';
import { idleCluster } from './snapshot.ts';
import { COLOURED, PLAIN } from './terminal.ts';
import { textOf } from './text.ts';
import { emptyWish, readWishes, type Wish } from './wish.ts';

/** What a command gets from the process that runs it. */
export interface Surroundings {
  /** The text of a file; of standard input for `-`. Rejects with what the system says. */
  readonly read: (path: string) => Promise<string>;
  readonly write: (text: string) => void;
  /** For what is no result. */
  readonly complain: (text: string) => void;
  /** Whether results go to a terminal that takes colours. */
  readonly takesColours: boolean;
  /** `<program>/<version>`; appears in audit logs. */
  readonly userAgent: string;
}

/**
 * Prints what would run where, and what would restart, of each resource.
 *
 * Answers the exit code: 0, or 1 when a resource fits nowhere. Fails with a `UsageError` where it cannot tell.
 */
export async function plan(options: PlanOptions, surroundings: Surroundings): Promise<0 | 1> {
  const installation = presumedInstallation({ namespace: options['lease-namespace'] });
  const previews = await lookAhead(options, surroundings, { installation });
  const reports = previews.map(({ report }) => report);
  surroundings.write(printed(options.output, reports, surroundings));
  return reports.every(({ fits }) => fits) ? 0 : 1;
}

function printed(output: PlanOptions['output'], plans: readonly Report[], { takesColours }: Surroundings): string {
  switch (output) {
    case 'text':
      return plans.map((report) => `${textOf(report, takesColours ? COLOURED : PLAIN)}\n`).join('\n');
    case 'json':
      return `${JSON.stringify({ plans }, undefined, 2)}\n`;
    case 'yaml':
      return toYaml([{ plans }]);
  }
}

/**
 * Prints the children of each resource as they are once its weights are verified and every engine has answered, in the order in which the
 * operator applies them.
 *
 * Answers the exit code: 0, or 1 when a resource fits nowhere; of that one nothing is printed. Fails with a `UsageError` where it cannot
 * tell.
 */
export async function render(options: RenderOptions, surroundings: Surroundings): Promise<0 | 1> {
  const how = {
    installation: presumedInstallation({ image: options.image, namespace: options['lease-namespace'] }),
    image: options.image,
    access: weightsAccess(options),
  };
  const previews = await lookAhead(options, surroundings, how);
  const objects = previews.flatMap(({ report, ahead }) => (report.fits ? ahead.children : []));
  if (objects.length > 0) {
    const list = { apiVersion: 'v1', kind: 'List', items: objects };
    surroundings.write(options.output === 'json' ? `${JSON.stringify(list, undefined, 2)}\n` : toYaml(objects));
  }
  const misfits = previews.flatMap(({ report }) => (report.fits ? [] : [report]));
  for (const { name, reason, message, remedy } of misfits) {
    surroundings.complain(`${name}: ${reason}: ${message} ${remedy}\n`);
  }
  return misfits.length === 0 ? 0 : 1;
}

type LookOptions = Omit<PlanOptions, 'output'>;

/** What only the operator itself knows. */
interface OperatorsOwn {
  readonly installation: Installation;
  /** Of gateways, where somebody said which. */
  readonly image?: string | undefined;
  readonly access?: WeightsAccess;
}

/** Decides about every resource, each as if it were the only one, and carries it out in thought. */
async function lookAhead(
  options: LookOptions,
  { read, complain, userAgent }: Surroundings,
  own: OperatorsOwn,
): Promise<Preview[]> {
  const wishes = inNamespace(await readFiles(options.file, read), options.namespace);
  if (options.gpus !== undefined) {
    const groups = nodeGroups(options.gpus, options);
    return wishes.map((wish) => {
      // Whatever the selector asks, the described nodes are meant.
      const cluster = idleCluster(groups, wish.spec.placement.nodeSelector);
      return preview(wish, { cluster, namespace: wish.namespace ?? 'default', ...own, isLive: false });
    });
  }
  const { namespace: contextual, read: readCluster } = openCluster(
    { kubeconfig: options.kubeconfig, context: options.context },
    userAgent,
  );
  const namespaced = wishes.map((wish) => ({ wish, namespace: wish.namespace ?? contextual }));
  const { snapshot: cluster, notes } = await readCluster({
    resources: namespaced
      .filter(({ wish }) => wish.isNamed)
      .map(({ wish: { name }, namespace }) => ({ namespace, name })),
    namespaces: namespaced.map(({ namespace }) => namespace),
    calibrations: { namespace: options['lease-namespace'], name: calibrationsName(options['lease-name']) },
  });
  for (const note of notes) complain(`${note}\n`);
  return namespaced.map(({ wish, namespace }) => preview(wish, { cluster, namespace, ...own, isLive: wish.isNamed }));
}

async function readFiles(files: readonly string[], read: Surroundings['read']): Promise<Wish[]> {
  if (files.length === 0) return [emptyWish()];
  const wishes: Wish[] = [];
  for (const file of files) {
    const text = await read(file).catch((error: unknown) => {
      throw new UsageError(
        `--file ${file}: ${(error as Error).message}; name a file that can be read, or - for standard input`,
      );
    });
    wishes.push(...readWishes(text, file === '-' ? 'standard input' : file));
  }
  return wishes;
}

/** As kubectl has it: the flag is for resources without a namespace, and must not contradict those with one. */
function inNamespace(wishes: readonly Wish[], namespace: string | undefined): Wish[] {
  const other = wishes.find((wish) => namespace !== undefined && (wish.namespace ?? namespace) !== namespace);
  if (other) {
    throw new UsageError(
      `--namespace ${namespace}: ${other.name} has metadata.namespace ${other.namespace}; leave one of the two out`,
    );
  }
  return wishes.map((wish) => ({ ...wish, namespace: wish.namespace ?? namespace }));
}

function nodeGroups(gpus: string, { kubeconfig, context }: LookOptions): NodeGroup[] {
  const other = kubeconfig !== undefined ? '--kubeconfig' : context !== undefined ? '--context' : undefined;
  if (other)
    throw new UsageError(`--gpus: plans without a cluster, so ${other} is not obeyed; leave one of the two out`);
  try {
    return parseNodes(gpus);
  } catch (error) {
    throw new UsageError(`--gpus: ${(error as Error).message}`, { cause: error });
  }
}
