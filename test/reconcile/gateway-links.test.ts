import { afterEach, expect, test } from 'vitest';
import { GatewayLinks } from '../../src/reconcile/gateway-links.ts';
import { CollectingLog } from '../runtime/collecting-log.ts';
import { gatewayPod } from '../support/builders.ts';
import { scaledClock } from '../support/scaled-clock.ts';
import { LoopbackGateways } from './loopback-gateways.ts';

const KEY = 'control-0123456789';
const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0).toReversed()) end();
});

function setUp() {
  const gateways = new LoopbackGateways(KEY);
  const log = new CollectingLog();
  const links = new GatewayLinks({ clock: scaledClock(100), log, epoch: () => 1 });
  ends.push(
    () => gateways.stop(),
    () => links.stop(),
  );
  return { gateways, log, links };
}

test('a gateway that was not ready when its link was opened, and still refuses once it is, is told of once', async () => {
  const { gateways, log, links } = setUp();
  const pod = gatewayPod({ ip: gateways.address(), ready: false });
  links.tell('team-a/coder', [pod], KEY, { endpoints: [] });
  // Tries of a gateway that starts.
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(log.entries).toEqual([]);
  links.tell('team-a/coder', [{ ...pod, ready: true }], KEY, { endpoints: [] });
  await expect.poll(() => log.lines()).toEqual(['warn a gateway is not linked; it is tried again']);
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(log.entries).toHaveLength(1);
});
