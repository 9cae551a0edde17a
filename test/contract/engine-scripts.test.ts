import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FETCH_WEIGHTS, WAIT_FOR_IDLE } from '../../src/render/scripts.ts';
import { readLog } from '../../src/serving/index.ts';
import { Hub } from '../simulator/hub.ts';

// The simulator only imitates what these scripts do; here they run for real. QWEN_CODER_PYTHON names a Python that has huggingface_hub.
const python = process.env['QWEN_CODER_PYTHON'];
const REPOSITORY = 'Qwen/Qwen3-Coder-Next-FP8';
const TOKEN = 'hf_canaryOfThisTest';

interface Ended {
  readonly code: number | null;
  readonly output: string;
}

function run(script: string, args: readonly string[], env: Record<string, string>): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(python!, ['-c', script, ...args], { env: { PATH: process.env['PATH']!, ...env } });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.once('close', (code) => resolve({ code, output }));
  });
}

describe.runIf(python)('fetch-weights with the real huggingface_hub', { timeout: 20_000 }, () => {
  let hub: Hub;
  let folder: string;
  const fetchWeights = () =>
    run(
      FETCH_WEIGHTS,
      ['fetch-weights', `--repository=${REPOSITORY}`, '--revision=main', `--manifest=${folder}/qwen-coder/x.json`],
      {
        HF_HOME: `${folder}/huggingface`,
        HF_ENDPOINT: hub.url,
        HF_HUB_DISABLE_TELEMETRY: '1',
        HF_TOKEN: TOKEN,
      },
    );

  beforeEach(async () => {
    hub = await Hub.start();
    folder = mkdtempSync(join(tmpdir(), 'qwen-coder-weights-'));
  });

  afterEach(async () => {
    await hub.stop();
    rmSync(folder, { recursive: true });
  });

  test('the manifest names the commit and every file once all are there and right', async () => {
    expect(await fetchWeights()).toMatchObject({ code: 0 });
    const manifest = JSON.parse(readFileSync(`${folder}/qwen-coder/x.json`, 'utf8')) as {
      commit: string;
      files: { path: string }[];
    };
    expect(manifest.commit).toBe(hub.commitOf(REPOSITORY));
    expect(manifest.files.map(({ path }) => path)).toContain('model-00003-of-00003.safetensors');
  });

  test('a second run downloads nothing', async () => {
    await fetchWeights();
    hub.requests.clear();
    expect(await fetchWeights()).toMatchObject({ code: 0 });
    expect(
      [...hub.requests.keys()].filter((request) => request.startsWith('GET') && request.includes('/resolve/')),
    ).toEqual([]);
  });

  test('a file with wrong bytes leaves no manifest, and the next run mends it', async () => {
    hub.setCorrupt('model-00002-of-00003.safetensors');
    const broken = await fetchWeights();
    expect(broken).toMatchObject({ code: 1 });
    expect(broken.output).toContain("model-00002-of-00003.safetensors: SHA-256 differs from the hub's");
    expect(existsSync(`${folder}/qwen-coder/x.json`)).toBe(false);
    hub.setCorrupt(undefined);
    expect(await fetchWeights()).toMatchObject({ code: 0 });
  });

  test.each([
    ['gated', 'hub_gated', (it: Hub) => it.setAccess(REPOSITORY, 'gated')],
    ['private', 'hub_repository', (it: Hub) => it.setAccess(REPOSITORY, 'private')],
    ['closed to this token', 'hub_refused', (it: Hub) => it.restrictToken(TOKEN)],
    ['closed since the token has run out', 'hub_refused', (it: Hub) => it.expireToken(TOKEN)],
    ['away', 'hub_away', (it: Hub) => it.setOutage(503)],
    ['busy', 'hub_away', (it: Hub) => it.setOutage(429)],
  ] as const)(
    'a hub that is %s ends it, in words that a diagnosis knows',
    async (_name, id, refuse) => {
      refuse(hub);
      const { code, output } = await fetchWeights();
      expect(code).not.toBe(0);
      expect(readLog(output).cause?.id).toBe(id);
      expect(JSON.stringify(readLog(output))).not.toContain(TOKEN);
    },
    20_000,
  );
});

describe.runIf(python)('wait-for-idle', () => {
  let server: Server;
  let scrapes: number;

  beforeEach(async () => {
    scrapes = 0;
    server = createServer((_request, response) => {
      scrapes += 1;
      response.end(
        `vllm:num_requests_running{engine="0"} ${scrapes < 3 ? 2 : 0}\nvllm:num_requests_waiting{engine="0"} 0\n`,
      );
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });

  afterEach(() => {
    server.close();
  });

  const wait = (port: number, seconds: number) =>
    run(WAIT_FOR_IDLE, ['wait-for-idle', `--port=${port}`, `--seconds=${seconds}`], { POD_IP: '127.0.0.1' });

  test('it returns once nothing runs or waits', async () => {
    expect(await wait((server.address() as AddressInfo).port, 60)).toEqual({ code: 0, output: '' });
    expect(scrapes).toBe(3);
  }, 20_000);

  test('it returns at the deadline', async () => {
    expect(await wait((server.address() as AddressInfo).port, 1)).toEqual({ code: 0, output: '' });
    expect(scrapes).toBeLessThan(3);
  });

  test('an engine that refuses connections has nothing to wait for', async () => {
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    expect(await wait(port, 60)).toEqual({ code: 0, output: '' });
  }, 20_000);
});
