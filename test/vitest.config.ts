import { defineConfig } from 'vitest/config';
import { RightsLast } from './history/rights-setup.ts';

export default defineConfig({
  test: {
    reporters: ['default', './test/support/closing-line.ts'],
    sequence: { sequencer: RightsLast },
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/cluster/**'],
          isolate: false,
          root: new URL('..', import.meta.url).pathname,
        },
      },
      {
        test: {
          name: 'cluster',
          include: ['test/cluster/**/*.test.ts'],
          globalSetup: ['test/history/rights-setup.ts'],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 1_500_000,
          root: new URL('..', import.meta.url).pathname,
        },
      },
    ],
  },
});
