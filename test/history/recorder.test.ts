import { expect, onTestFinished, test } from 'vitest';
import { HTTPRoutes, KubeClient, pathOf } from '../../src/kube/index.ts';
import { systemClock } from '../../src/runtime/index.ts';
import { ScriptedApiServer, type ScriptedRequest, type ScriptedWatch, until } from '../support/scripted-api-server.ts';
import { Recorder } from './recorder.ts';

const ROUTES = pathOf(HTTPRoutes);
const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const SECRETS = '/api/v1/secrets';

const object = (name: string, resourceVersion: number, more: object = {}) => ({
  metadata: { name, uid: `uid-${name}`, resourceVersion: String(resourceVersion) },
  ...more,
});

/** A server that has nothing and watches in silence, but of kinds whose answers are given here. */
async function recording(answers: Record<string, (request: ScriptedRequest) => void>): Promise<{
  recorder: Recorder;
  watches: Map<string, ScriptedWatch>;
  log: readonly string[];
}> {
  const server = await ScriptedApiServer.start();
  const client = KubeClient.connect(server.config(), { clock: systemClock, userAgent: 'test' });
  const watches = new Map<string, ScriptedWatch>();
  server.always((request) => {
    if (request.path in answers) answers[request.path]!(request);
    else if (request.isWatch) watches.set(request.path, request.watch());
    else request.list('1', []);
  });
  const recorder = await Recorder.start(client);
  onTestFinished(async () => {
    await recorder.stop();
    await client.close();
    await server.stop();
  });
  return { recorder, watches, log: server.log };
}

const seen = (recorder: Recorder): string[] =>
  recorder.versions.map(
    ({ type, object: { kind, metadata } }) => `${type} ${kind} ${metadata.name} ${metadata.resourceVersion}`,
  );

test('a kind that nobody has installed is waited for in silence, and recorded once its definition is there', async () => {
  let isInstalled = false;
  const { recorder, watches, log } = await recording({
    [ROUTES]: (request) => {
      if (!isInstalled) request.fail(404, 'NotFound');
      else if (request.isWatch) request.watch();
      else request.list('3', [object('coder', 3)]);
    },
  });
  await recorder.catchUp();
  // Once at the start, and once to catch up.
  expect(log.filter((line) => line.startsWith(`GET ${ROUTES}`))).toHaveLength(2);
  isInstalled = true;
  await until(() => watches.has(DEFINITIONS));
  watches.get(DEFINITIONS)!.send('ADDED', object('httproutes.gateway.networking.k8s.io', 2));
  await until(() => seen(recorder).includes('ADDED HTTPRoute coder 3'));
});

/** A server that had one route at version 6, streams nothing of what came after that, and lists each version from there to 9 as told. */
const forgetful = (listExactly: (request: ScriptedRequest, version: number) => void) => {
  let isForgotten = false;
  return recording({
    [ROUTES]: (request) => {
      const { resourceVersion, resourceVersionMatch } = request.query;
      if (resourceVersionMatch === 'Exact') return listExactly(request, Number(resourceVersion));
      if (!request.isWatch) return request.list(isForgotten ? '9' : '6', isForgotten ? [] : [object('coder', 5)]);
      const watch = request.watch();
      if (resourceVersion !== '6') return;
      isForgotten = true;
      watch.error(410, 'Expired', 'too old resource version');
      watch.end();
    },
  });
};

test('what a server streams no more is told by its lists of each version', async () => {
  const { recorder, log } = await forgetful((request, version) => {
    const items = {
      6: [object('coder', 5)],
      7: [object('coder', 7, { spec: { hostnames: ['coder.example'] } })],
      8: [object('other', 8)],
      9: [],
    }[version];
    request.list(String(version), items ?? []);
  });
  await until(() => log.some((line) => line.startsWith(`GET ${ROUTES}?watch`) && line.includes('resourceVersion=9')));
  await recorder.catchUp();
  expect(seen(recorder)).toEqual([
    'ADDED HTTPRoute coder 5',
    'MODIFIED HTTPRoute coder 7',
    'DELETED HTTPRoute coder 8',
    'ADDED HTTPRoute other 8',
    'DELETED HTTPRoute other 9',
  ]);
});

test('what a server neither streams nor lists any more is lost', async () => {
  const { recorder, log } = await forgetful((request) => request.fail(410, 'Expired', 'compacted'));
  await until(() => log.some((line) => line.includes('resourceVersionMatch=Exact')));
  await expect(recorder.catchUp()).rejects.toThrow('the recorder lost httproutes');
});

test('each version of a Secret is recorded, and what is in it is known as what nobody may show only', async () => {
  const { recorder, watches } = await recording({});
  const holding = (text: string) => ({ data: { key: Buffer.from(text).toString('base64') } });
  await until(() => watches.has(SECRETS));
  watches.get(SECRETS)!.send('ADDED', object('keys', 2, holding('first-value')));
  watches.get(SECRETS)!.send('MODIFIED', object('keys', 3, holding('second-value')));
  await until(() => recorder.versions.length === 2);
  expect(seen(recorder)).toEqual(['ADDED Secret keys 2', 'MODIFIED Secret keys 3']);
  expect(JSON.stringify(recorder.versions)).not.toMatch(/-value|"data"/);
  expect(recorder.canaries.map(({ value }) => value)).toEqual(['first-value', 'second-value']);
});
