import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { KubeClient } from '../../src/kube/index.ts';
import { AUDIT_RULES } from '../history/audit-log.ts';
import { check, report } from '../history/checker.ts';
import { Eye } from '../history/eye.ts';
import type { History } from '../history/history.ts';
import { type Mutation, mutate } from '../history/mutant.ts';
import { MUTATIONS } from '../history/mutations.ts';
import { SCENE_LIMITS, SCENE_NODES, clear, play } from '../history/scene.ts';
import { Cluster } from './cluster.ts';
import { installHttpRoutes } from './gateway-api.ts';
import { OperatorProcess, installOperator } from './operator-process.ts';
import { unlimitedClient } from './unlimited-client.ts';

let cluster: Cluster;
let client: KubeClient;
let kubeconfig: string;
let scenes = 0;

beforeAll(async () => {
  cluster = await Cluster.start({ nodes: SCENE_NODES, podsRun: 'kwok', auditLog: AUDIT_RULES });
  client = unlimitedClient(cluster.kubeconfigPath, 'test');
  await installHttpRoutes(cluster);
  kubeconfig = await installOperator(cluster);
});

afterAll(async () => {
  await client?.close();
  await cluster?.stop();
});

afterEach(() => clear(client, scene()));

describe('the checker', () => {
  test('finds nothing wrong with the operator as it is', async () => {
    const { history, unfinished } = await watch(undefined, () => false);
    expect(unfinished).toEqual([]);
    expect(report(history, check(history, SCENE_LIMITS))).toBe('');
  });

  test.each(MUTATIONS)('catches an operator that $name, by $caughtBy', async (mutation) => {
    const caught = (seen: History) =>
      check(seen, SCENE_LIMITS)
        .filter(({ object }) => object.startsWith(mutation.at ?? ''))
        .map(({ invariant }) => invariant);
    const { history } = await watch(mutation, (seen) => caught(seen).includes(mutation.caughtBy));
    expect(caught(history)).toContain(mutation.caughtBy);
  });
});

const scene = (): string => `scene-${scenes}`;

/** What earlier scenes have left behind is not held against this one. */
function ofScene(history: History): History {
  const others = Array.from({ length: scenes - 1 }, (_, index) => `scene-${index + 1}`);
  const isOthers = (namespace: string | undefined) => namespace !== undefined && others.includes(namespace);
  return {
    ...history,
    versions: history.versions.filter(({ object }) => !isOthers(object.metadata.namespace)),
    requests: history.requests.filter(({ namespace }) => !isOthers(namespace)),
  };
}

/** Plays the scene to an operator until enough was seen of it. */
async function watch(
  mutation: Mutation | undefined,
  isEnough: (seen: History) => boolean,
): Promise<{ history: History; unfinished: string[] }> {
  scenes += 1;
  const mutant = await mutate(mutation);
  const eye = await Eye.open(cluster);
  const start = () => OperatorProcess.start({ ...eye.on(kubeconfig), main: mutant.main });
  let operator = start();
  // A mistake may well be an endless loop, which no signal but this one ends.
  const patience = setTimeout(() => void operator.stop('SIGKILL'), 60_000);
  try {
    await operator.leads();
    const unfinished = await play({
      client,
      namespace: scene(),
      async restart() {
        await operator.stop();
        operator = start();
        await operator.leads();
      },
      isOver: async () => isEnough(ofScene(await eye.look())),
    });
    return { history: ofScene(await eye.close(operator)), unfinished };
  } catch (error) {
    await eye.close(operator).catch(() => {
      // Only the first error tells what went wrong.
    });
    throw error;
  } finally {
    clearTimeout(patience);
    await mutant.remove();
  }
}
