import { ENGINE_PORT } from '../serving/index.ts';
import { COMPONENT, type Component, GATEWAY_PORTS } from '../render/index.ts';

/** A type, not an interface: values of the chart are open records. */
type EgressRule = {
  readonly to?: { readonly namespaceSelector: object; readonly podSelector: object }[];
  readonly ports: readonly { readonly port: number }[];
};

/** Pods of one kind, whichever namespace they serve in. */
const childPods = (component: Component, port: number): EgressRule => ({
  to: [{ namespaceSelector: {}, podSelector: { matchLabels: { [COMPONENT]: component } } }],
  ports: [{ port }],
});

/** What the operator reaches: the API server by its usual ports, engines to read what they measured, gateways to tell them of engines. */
export const EGRESS: readonly EgressRule[] = [
  { ports: [{ port: 443 }, { port: 6443 }] },
  childPods('engine', ENGINE_PORT),
  childPods('gateway', GATEWAY_PORTS.control),
];
