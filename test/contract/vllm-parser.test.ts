import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { planServing, vllmArgs } from '../../src/serving/index.ts';
import { spec } from '../serving/builders.ts';
import { CLUSTERS } from '../serving/clusters.ts';

/**
 * vLLM's own parsers, which need Python packages of hundreds of megabytes: QWEN_CODER_VLLM_PARSERS is JSON of version → command. The
 * command gets `parse -- ARGS…`, what stands behind `vllm serve`, and ends with 0 when vLLM takes them. `vllm-parser.sh` fetches what it
 * takes and runs this test.
 */
const parsers = Object.entries(
  JSON.parse(process.env['QWEN_CODER_VLLM_PARSERS'] ?? '{}') as Record<string, readonly string[]>,
);

/** The arguments of every golden plan, had it that version of vLLM; the same ones once, under the name of the first. */
function argumentLists(version: string): readonly (readonly [string, readonly string[]])[] {
  const lists = CLUSTERS.flatMap(({ name, spec: input = {}, nodes }) => {
    const asked = spec({ ...input, engine: { ...input.engine, version } });
    const outcome = planServing({ spec: asked, nodes });
    return outcome.fits ? [{ name, list: vllmArgs(outcome.plan, asked, outcome.plan.repository) }] : [];
  });
  const alike = Map.groupBy(lists, ({ list }) => JSON.stringify(list));
  return [...alike.values()].map(([first, ...others]) => [
    others.length === 0 ? first!.name : `${first!.name}, and ${others.length} more`,
    first!.list,
  ]);
}

describe.runIf(parsers.length > 0)("vLLM's own parser takes the arguments of every golden plan", () => {
  describe.each(parsers)('%s', (version, [command, ...args]) => {
    test.each(argumentLists(version))('%s', { timeout: 60_000 }, async (_name, list) => {
      // Kubernetes puts the pod's address in.
      const given = list.map((argument) => argument.replace('$(POD_IP)', '127.0.0.1'));
      await expect(promisify(execFile)(command!, [...args, 'parse', '--', ...given])).resolves.toBeDefined();
    });
  });
});
