import { GpuInventory } from '../../src/reconcile/inventory.ts';
import { OperatorMetrics, collectFrom } from '../../src/reconcile/index.ts';
import { Metrics, controllerMetrics, leaderMetric, queueMetrics, requestMetrics } from '../../src/runtime/index.ts';
import { gatewayOnLoopback } from './gateway-on-loopback.ts';
import { ManualClock } from './manual-clock.ts';

/** What an operator that has just started says at `/metrics`, without the process. */
export function exposition(): Promise<string> {
  const metrics = new Metrics();
  controllerMetrics(metrics, 'qwencoderdeployment', 8);
  queueMetrics(metrics, 'qwencoderdeployment');
  requestMetrics(metrics);
  leaderMetric(metrics, 'qwen-coder-operator');
  void new OperatorMetrics(metrics, new ManualClock(), { version: '1.2.3', node: 'v24.0.0' });
  collectFrom(metrics, { resources: () => [], watches: () => [], inventory: new GpuInventory() });
  return metrics.text();
}

/** What a gateway that nobody has asked says at `/metrics`, without the process. */
export async function gatewayExposition(): Promise<string> {
  const { gateway, metrics } = await gatewayOnLoopback();
  await gateway.stop(0);
  return metrics.text();
}

/** Names of the metrics in an exposition. */
export const metricNames = (text: string): string[] => [...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name!);
