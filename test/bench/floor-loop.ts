// The bare loop: a process of its own, so that its CPU time and memory compare with the operator's.
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { KubeConfig } from '@kubernetes/client-node';
import { KubeClient, type KubeObject, type Resource, Secrets } from '../../src/kube/index.ts';
import { CHILD_KINDS, Resources } from '../../src/reconcile/apply.ts';
import { systemClock } from '../../src/runtime/index.ts';
import { processFigures } from './process-figures.ts';

/** What the loop answers on standard output. */
export interface FloorAnswer {
  readonly applies: number;
  readonly seconds: number;
  readonly startedAtMs: number;
  readonly cpuSeconds: number;
  readonly peakRssMiB: number;
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      kubeconfig: { type: 'string' },
      objects: { type: 'string' },
      workers: { type: 'string' },
      'requests-per-second': { type: 'string' },
      burst: { type: 'string' },
    },
  });
  const config = new KubeConfig();
  config.loadFromFile(values.kubeconfig!);
  const client = KubeClient.connect(config, {
    clock: systemClock,
    userAgent: 'floor',
    requestsPerSecond: Number(values['requests-per-second']),
    burst: Number(values.burst),
  });
  const resources: ReadonlyMap<string, Resource> = new Map(CHILD_KINDS.map((it) => [it.kind, it]));

  /** One line a resource: its children in order, then itself with its status. */
  const lines = (await readFile(values.objects!, 'utf8')).split('\n').filter((line) => line !== '');
  const before = processFigures(process.pid);
  const startedAt = performance.now();
  const startedAtMs = Date.now();
  let next = 0;
  let applies = 0;
  const work = async (): Promise<void> => {
    for (let line = lines[next++]; line !== undefined; line = lines[next++]) {
      for (const object of JSON.parse(line) as KubeObject[]) {
        const resource = resources.get(object.kind!);
        if (object.kind === Secrets.kind) await client.create(Secrets, object);
        else if (resource) await client.apply(resource, object, { fieldManager: 'floor' });
        else await client.applyStatus(Resources, object, { fieldManager: 'floor-status' });
        applies += 1;
      }
    }
  };
  await Promise.all(Array.from({ length: Number(values.workers) }, work));
  const seconds = (performance.now() - startedAt) / 1000;
  const { cpuSeconds, peakRssMiB } = processFigures(process.pid);
  await client.close();
  const answer: FloorAnswer = { applies, seconds, startedAtMs, cpuSeconds: cpuSeconds - before.cpuSeconds, peakRssMiB };
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
