import { Events, type KubeClient } from '../kube/index.ts';
import type { Run } from './engine-logs.ts';

/** Of a log, from its end: a start of vLLM with the traceback of every worker. */
const TAIL_LINES = 400;
/** The API server cuts from the end of what the lines hold; these are several times as long as 400 lines are. */
const LIMIT_BYTES = 512 * 1024;
/** A node that does not answer costs one request so long. */
const DEADLINE_MS = 10_000;

/** Reads the end of the log of a run; needs the right to get `pods/log`. */
export const logTail =
  (client: KubeClient) =>
  ({ namespace, pod, container, isPrevious }: Run, signal: AbortSignal): Promise<string | undefined> =>
    client.podLogs(
      { namespace, name: pod },
      {
        container,
        ...(isPrevious && { previous: true }),
        tailLines: TAIL_LINES,
        limitBytes: LIMIT_BYTES,
        deadlineMs: DEADLINE_MS,
        signal,
      },
    );

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
