import type { Addon } from '../cluster/up.ts';
import { Simulator } from './simulator.ts';

/** `npm run cluster -- --addon test/simulator/addon.ts`: a cluster whose engines answer. */
export const addon: Addon = {
  name: 'simulator',
  async start(cluster) {
    const simulator = await Simulator.start({ kubeconfigPath: cluster.kubeconfigPath, directory: cluster.directory });
    return () => simulator.stop();
  },
};
