import type { Plugin } from 'rolldown';

const ID = '\0node-http';
const NAMES = [
  'METHODS',
  'STATUS_CODES',
  'Agent',
  'ClientRequest',
  'IncomingMessage',
  'OutgoingMessage',
  'Server',
  'ServerResponse',
  'createServer',
  'get',
  'globalAgent',
  'request',
];

/**
 * Takes Node's `http` without the client behind `fetch`: an `import` of it reads every export, one of which loads that client, 14 MiB that
 * nobody here uses. What is asked for by name does not.
 */
export const nodeHttp = (): Plugin => ({
  name: 'node-http',
  resolveId: (source, _importer, { kind }) =>
    kind === 'import-statement' && (source === 'http' || source === 'node:http') ? ID : undefined,
  load: (id) =>
    id === ID
      ? `const http = process.getBuiltinModule('node:http');
export default http;
export const { ${NAMES.join(', ')} } = http;`
      : undefined,
});
