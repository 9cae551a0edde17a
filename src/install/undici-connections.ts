import { createRequire } from 'node:module';
import type { Plugin } from 'rolldown';

const ID = '\0undici-connections';

/** Where undici keeps what is used of it. */
const PARTS = {
  Agent: 'lib/dispatcher/agent.js',
  Pool: 'lib/dispatcher/pool.js',
  ProxyAgent: 'lib/dispatcher/proxy-agent.js',
};

const { resolve } = createRequire(import.meta.url);
const importOf = (name: string, path: string): string =>
  `import ${name} from ${JSON.stringify(resolve(`undici/${path}`))};`;

/**
 * Takes of undici its connections alone: its entry loads `fetch` of its own, WebSockets, caches and mocks, which nobody here uses. The API
 * classes of the client library, which come with what reads kubeconfigs, would use Node's `fetch` if they were called.
 *
 * **Fails when** something else is imported from it: the bundler finds no such export.
 */
export const undiciConnections = (): Plugin => ({
  name: 'undici-connections',
  resolveId: (source) => (source === 'undici' ? ID : undefined),
  load: (id) =>
    id === ID
      ? [
          importOf('Dispatcher', 'lib/dispatcher/dispatcher.js'),
          importOf('api', 'lib/api/index.js'),
          ...Object.entries(PARTS).map(([name, path]) => importOf(name, path)),
          // As undici's entry does: `dispatcher.request` and its like.
          'Object.assign(Dispatcher.prototype, api);',
          `export { ${Object.keys(PARTS).join(', ')} };`,
          'export const fetch = (...args) => globalThis.fetch(...args);',
        ].join('\n')
      : undefined,
});
