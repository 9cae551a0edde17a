import { KubeConfig } from '@kubernetes/client-node';
import { KubeClient } from '../../src/kube/index.ts';
import { type Clock, systemClock } from '../../src/runtime/index.ts';

/** A client that no limit of its own holds back: what a test does must not wait for it. */
export function unlimitedClient(kubeconfigPath: string, userAgent: string, clock: Clock = systemClock): KubeClient {
  const config = new KubeConfig();
  config.loadFromFile(kubeconfigPath);
  return KubeClient.connect(config, { clock, userAgent, requestsPerSecond: 10_000, burst: 10_000 });
}
