export { type ApiKeys, parseApiKeys } from './api-keys.ts';
export type { Routing } from './exchanges.ts';
export { Gateway, type GatewayOptions, type State } from './gateway.ts';
export { useMountedFiles } from './mounted-file.ts';
export type { Endpoint, Replica } from './replicas.ts';
