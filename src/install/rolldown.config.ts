import { defineConfig } from 'rolldown';
import { nodeHttp } from './node-http.ts';
import { notices } from './notices.ts';
import { undiciConnections } from './undici-connections.ts';

/** The program of the image: one file that needs Node and nothing else. The same sources give the same bytes. */
export default defineConfig({
  input: new URL('../main.ts', import.meta.url).pathname,
  platform: 'node',
  // The client library says nothing about side effects and has none: of its 1.2 MB only the reading of kubeconfigs stays.
  treeshake: { moduleSideEffects: (id) => !id.includes('/node_modules/@kubernetes/client-node/') },
  plugins: [nodeHttp(), undiciConnections(), notices()],
  output: {
    file: new URL('../../dist/qwen-coder.mjs', import.meta.url).pathname,
    format: 'esm',
    // V8 keeps the text of what it runs, with two bytes a character where one of them is not ASCII. The notices are a file of their own.
    comments: false,
    // Nothing else is made shorter: what Node prints of an uncaught error is then a line that one can read.
    minify: {
      compress: false,
      mangle: false,
      codegen: { removeWhitespace: false, asciiOnly: true, legalComments: 'none' },
    },
    sourcemap: true,
    sourcemapExcludeSources: true,
  },
});
