import { Events, type KubeClient, Pods } from '../kube/index.ts';
import type { Run } from './engine-logs.ts';

/** Of a log, from its end: a start of vLLM with the traceback of every worker. */
const TAIL_LINES = 400;
/** The API server cuts from the end of what the lines hold; these are several times as long as 400 lines are. */
const LIMIT_BYTES = 512 * 1024;
/** A node that does not answer costs one request so long. */
const DEADLINE_MS = 10_000;

/**
 * Reads the end of the log of a run; needs the rights to get `pods/log` and to list pods.
 *
 * Guarantees: it is the log of that run, or of one that ended after it. The API names logs `current` and `previous`, and a kubelet starts
 * the next run within a second: what was current may have become previous while it was asked for.
 */
export const logTail =
  (client: Pick<KubeClient, 'podLogs' | 'list'>) =>
  async (run: Run, signal: AbortSignal): Promise<string | undefined> => {
    const read = (previous: boolean): Promise<string | undefined> =>
      client.podLogs(
        { namespace: run.namespace, name: run.pod },
        {
          container: run.container,
          ...(previous && { previous: true }),
          tailLines: TAIL_LINES,
          limitBytes: LIMIT_BYTES,
          deadlineMs: DEADLINE_MS,
          signal,
        },
      );
    if (run.isPrevious) return read(true);
    const log = await read(false);
    return run.isRunning || !(await hasNextRun(client, run, signal)) ? log : read(true);
  };

/** Whether the container was started again since that run, by the API server's word and not by a cache. */
async function hasNextRun(client: Pick<KubeClient, 'list'>, run: Run, signal: AbortSignal): Promise<boolean> {
  const { items } = await client.list(Pods, {
    namespace: run.namespace,
    fieldSelector: `metadata.name=${run.pod}`,
    deadlineMs: DEADLINE_MS,
    signal,
  });
  const pod = items.find(({ metadata }) => metadata?.uid === run.uid);
  const status = pod?.status?.containerStatuses?.find(({ name }) => name === run.container);
  return status !== undefined && status.restartCount >= run.ended;
}

/** Reads why the API server takes no pods of a Job, which its controller tells in Events alone; needs the right to list them. */
export const jobRefusal =
  (client: KubeClient) =>
  async ({ namespace, uid }: { namespace: string; uid: string }, signal: AbortSignal): Promise<string | undefined> => {
    const { items } = await client.list(Events, {
      namespace,
      fieldSelector: `regarding.uid=${uid},reason=FailedCreate`,
      deadlineMs: DEADLINE_MS,
      signal,
    });
    return items.toSorted((a, b) =>
      (b.metadata?.creationTimestamp ?? '').localeCompare(a.metadata?.creationTimestamp ?? ''),
    )[0]?.note;
  };
