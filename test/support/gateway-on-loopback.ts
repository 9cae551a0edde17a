import { AccessLog } from '../../src/gateway/access-log.ts';
import { Balancer, Gateway, type GatewayOptions } from '../../src/gateway/index.ts';
import { Metrics, silentLog, systemClock } from '../../src/runtime/index.ts';

export const GATEWAY_LIMITS: GatewayOptions['limits'] = {
  waiting: 1000,
  waitMs: 60_000,
  perHolder: 1000,
  bodyBytes: 2 ** 20,
  bodiesBytes: 64 * 2 ** 20,
  commentAfterMs: 5000,
  silenceMs: 15_000,
  blockedMs: 60_000,
};

/** A gateway that serves whoever asks, unless told otherwise; it knows no engine yet. */
export async function gatewayOnLoopback(over: Partial<GatewayOptions> = {}) {
  const metrics = new Metrics();
  const clock = over.clock ?? systemClock;
  let logged = '';
  const gateway = new Gateway({
    clock,
    log: silentLog,
    accessLog: new AccessLog({ clock, write: (lines) => void (logged += lines) }),
    metrics,
    balancer: new Balancer({ clock, policy: 'LeastLoad', cacheBlockTokens: 544, cacheBlocks: 1000, gateways: 1 }),
    limits: GATEWAY_LIMITS,
    keys: undefined,
    certificate: undefined,
    engineKey: undefined,
    models: ['coder'],
    ...over,
  });
  const url = `http://127.0.0.1:${await gateway.start(0, '127.0.0.1')}`;
  return { gateway, url, metrics, logged: () => logged };
}
