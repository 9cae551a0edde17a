export { type ApiKeys, parseApiKeys } from './api-keys.ts';
export { Balancer, type BalancerOptions } from './balancer.ts';
export { ControlClient, type ControlClientOptions } from './control/client.ts';
export type { Load, State } from './control/protocol.ts';
export { Gateway, type GatewayOptions } from './gateway.ts';
export { useMountedFiles } from './mounted-file.ts';
export type { Endpoint, Replica } from './replicas.ts';
