import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { parseApiKeys } from '../../src/gateway/index.ts';
import { gatewayOnLoopback } from '../support/gateway-on-loopback.ts';
import { loadedEngine } from '../support/loaded-engine.ts';
import { scaledClock } from '../support/scaled-clock.ts';

// Aider itself, which QWEN_CODER_AIDER names: a script of the Python environment that it is installed in.
const aider = process.env['QWEN_CODER_AIDER'];
const KEY = 'sk-alice-0123456789';
/** What the model says: an edit in aider's words. */
const EDIT = `greeting.py
\`\`\`python
<<<<<<< SEARCH
print("hello")
=======
print("good morning")
>>>>>>> REPLACE
\`\`\`
`;

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

describe.runIf(aider)('aider', () => {
  test('makes an edit through the gateway', async () => {
    const { address, server } = await loadedEngine({
      clock: scaledClock(20),
      answer: () => ({ kind: 'text', text: EDIT }),
    });
    ends.push(() => server.close());
    const { gateway, url, metrics } = await gatewayOnLoopback({ keys: parseApiKeys(`alice: ${KEY}`) });
    ends.push(() => gateway.stop(0));
    gateway.tell({ endpoints: [{ id: 'a', address, state: 'Ready', slots: 8 }], maxModelLen: 8192 });

    const folder = mkdtempSync(join(tmpdir(), 'qwen-coder-aider-'));
    ends.push(() => rmSync(folder, { recursive: true }));
    writeFileSync(join(folder, 'greeting.py'), 'print("hello")\n');
    const args = ['--model', 'openai/coder', '--edit-format', 'diff', '--message', 'say good morning', '--yes-always'];
    const quiet = ['--no-git', '--no-check-update', '--analytics-disable', '--no-show-model-warnings', '--no-pretty'];
    const child = spawn(aider!, [...args, ...quiet, '--no-show-release-notes', '--no-detect-urls', 'greeting.py'], {
      cwd: folder,
      env: {
        PATH: process.env['PATH']!,
        HOME: folder,
        OPENAI_API_BASE: `${url}/v1`,
        OPENAI_API_KEY: KEY,
        LITELLM_LOCAL_MODEL_COST_MAP: 'True',
      },
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stdin.end();
    await new Promise((resolve) => child.once('close', resolve));
    expect([readFileSync(join(folder, 'greeting.py'), 'utf8'), output]).toEqual([
      'print("good morning")\n',
      expect.stringContaining('Applied edit to greeting.py') as string,
    ]);
    expect(await metrics.text()).toContain('{key="alice",model="coder",operation="chat",code="200"} 1');
  }, 120_000);
});
