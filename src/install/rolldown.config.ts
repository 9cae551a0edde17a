import { defineConfig } from 'rolldown';
import { nodeHttp } from './node-http.ts';
import { notices } from './notices.ts';

/** The program of the image: one file that needs Node and nothing else. The same sources give the same bytes. */
export default defineConfig({
  input: new URL('../main.ts', import.meta.url).pathname,
  platform: 'node',
  // The client library says nothing about side effects and has none: of its 1.2 MB only the reading of kubeconfigs stays.
  treeshake: { moduleSideEffects: (id) => !id.includes('/node_modules/@kubernetes/client-node/') },
  plugins: [nodeHttp(), notices()],
  output: {
    file: new URL('../../dist/qwen-coder.mjs', import.meta.url).pathname,
    format: 'esm',
    // Not minified: what Node prints of an uncaught error is then a line that one can read.
    sourcemap: true,
    sourcemapExcludeSources: true,
  },
});
