import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { request } from 'undici';
import { type Program, type ProgramContext, scriptOption } from './kubelet/program.ts';
import type { Exit } from './vllm/process.ts';
import { FAULTS, type FaultScript } from './vllm/faults.ts';
import { imageVersion, isNewWording } from './vllm/version.ts';

interface ModelInfo {
  readonly sha: string;
  readonly siblings: readonly {
    readonly rfilename: string;
    readonly size: number;
    readonly lfs?: { readonly sha256: string };
  }[];
}

/** An uncaught exception of the script: its text ends the log, and the exit code is 1. */
class ScriptError extends Error {}

/**
 * The operator's `fetch-weights` script, run for real against a hub: the hub cache on the volume as huggingface_hub lays it out, every
 * file checked, and the manifest last.
 */
export function fetchWeights(context: ProgramContext, args: readonly string[]): Program {
  const fault: FaultScript | undefined = context.fault && FAULTS[context.fault];
  if (fault?.at === 'kernel') return { exited: Promise.resolve(fault), signal: () => {} };
  const { promise, resolve } = Promise.withResolvers<Exit>();
  const stop = new AbortController();
  run(context, args, stop.signal).then(
    () => resolve({ exitCode: 0 }),
    (error: unknown) => {
      if (stop.signal.aborted) return;
      context.write('stderr', error instanceof ScriptError ? error.message : String(error));
      resolve({ exitCode: 1 });
    },
  );
  return {
    exited: promise,
    signal(name) {
      stop.abort(new Error(name));
      resolve(name === 'SIGKILL' ? { exitCode: 137, signal: 'SIGKILL' } : { exitCode: 143 });
    },
  };
}

async function run(context: ProgramContext, args: readonly string[], signal: AbortSignal): Promise<void> {
  const { env, hostPath, write } = context;
  const repository = scriptOption(args, 'repository');
  const revision = scriptOption(args, 'revision');
  if (repository === undefined || revision === undefined) {
    throw new ScriptError('fetch-weights: error: the following arguments are required: --repository, --revision');
  }
  const endpoint = env['HF_ENDPOINT'] ?? context.hubUrl;
  const hub = new HubClient(endpoint, env['HF_TOKEN'], hasNewWording(context), signal);
  const info = await hub.modelInfo(repository, revision);
  const cache = hostPath(`${env['HF_HOME'] ?? '/root/.cache/huggingface'}/hub`, true);
  if (cache === undefined)
    throw new ScriptError(`OSError: [Errno 30] Read-only file system: '${env['HF_HOME'] ?? '/root'}'`);
  const root = join(cache, `models--${repository.replaceAll('/', '--')}`);
  const snapshot = join(root, 'snapshots', info.sha);
  const total = info.siblings.reduce((sum, { size }) => sum + size, 0);
  let done = 0;
  const files: { path: string; bytes: number; sha256: string | null }[] = [];
  for (const { rfilename, size, lfs } of info.siblings) {
    const link = join(snapshot, rfilename);
    if (context.fault === 'disk-full' && lfs) throw new ScriptError('OSError: [Errno 28] No space left on device');
    if (!existsSync(link)) await fetchFile(hub, repository, info.sha, rfilename, root, link);
    const content = readFileSync(link);
    if (content.length !== size)
      throw new ScriptError(`${rfilename}: ${content.length} bytes on the volume, ${size} on the hub`);
    if (lfs && createHash('sha256').update(content).digest('hex') !== lfs.sha256) {
      rmSync(link);
      throw new ScriptError(`${rfilename}: SHA-256 differs from the hub's; the file was removed and is fetched again`);
    }
    files.push({ path: rfilename, bytes: size, sha256: lfs?.sha256 ?? null });
    done += size;
    write('stdout', `verified ${done} of ${total} bytes`);
  }
  if (revision !== info.sha) {
    mkdirSync(join(root, 'refs'), { recursive: true });
    writeFileSync(join(root, 'refs', revision), info.sha);
  }
  const manifestPath = scriptOption(args, 'manifest');
  const manifest = manifestPath === undefined ? undefined : hostPath(manifestPath, true);
  if (manifest !== undefined) {
    mkdirSync(dirname(manifest), { recursive: true });
    writeFileSync(`${manifest}.tmp`, JSON.stringify({ repository, revision, commit: info.sha, files }));
    renameSync(`${manifest}.tmp`, manifest);
  }
  context.terminationMessage(JSON.stringify({ commit: info.sha, bytes: total }));
}

async function fetchFile(
  hub: HubClient,
  repository: string,
  commit: string,
  file: string,
  root: string,
  link: string,
): Promise<void> {
  const { etag, content } = await hub.file(repository, commit, file);
  const blob = join(root, 'blobs', etag);
  mkdirSync(dirname(blob), { recursive: true });
  writeFileSync(`${blob}.incomplete`, content);
  renameSync(`${blob}.incomplete`, blob);
  mkdirSync(dirname(link), { recursive: true });
  symlinkSync(relative(dirname(link), blob), link);
}

/** What huggingface_hub asks a hub, and the exceptions it makes of the answers. */
class HubClient {
  readonly #endpoint: string;
  readonly #headers: Record<string, string>;
  readonly #isNew: boolean;
  readonly #signal: AbortSignal;

  constructor(endpoint: string, token: string | undefined, isNew: boolean, signal: AbortSignal) {
    this.#isNew = isNew;
    this.#endpoint = endpoint.replace(/\/$/, '');
    this.#headers = token ? { authorization: `Bearer ${token}` } : {};
    this.#signal = signal;
  }

  async modelInfo(repository: string, revision: string): Promise<ModelInfo> {
    const { content } = await this.#get(
      `${this.#endpoint}/api/models/${repository}/revision/${encodeURIComponent(revision)}?blobs=true`,
    );
    return JSON.parse(content.toString('utf8')) as ModelInfo;
  }

  file(repository: string, commit: string, file: string): Promise<{ etag: string; content: Buffer }> {
    return this.#get(`${this.#endpoint}/${repository}/resolve/${commit}/${file}`);
  }

  async #get(url: string): Promise<{ etag: string; content: Buffer }> {
    let response;
    try {
      response = await request(url, { headers: this.#headers, signal: this.#signal });
    } catch (error) {
      throw new ScriptError(`httpx.ConnectError: [Errno 111] Connection refused: ${String(error)}`);
    }
    const { statusCode, headers, body } = response;
    const content = Buffer.from(await body.arrayBuffer());
    if (statusCode === 200) return { etag: String(headers['etag'] ?? '').replaceAll('"', ''), content };
    const refusal = {
      url,
      status: statusCode,
      code: String(headers['x-error-code'] ?? ''),
      message: String(headers['x-error-message'] ?? ''),
    };
    throw new ScriptError(`huggingface_hub.errors.${exceptionOf(refusal, this.#isNew)}`);
  }
}

/** The image of a version holds the huggingface_hub of its time. */
function hasNewWording({ image, defaultVersion }: ProgramContext): boolean {
  return isNewWording(imageVersion(image) ?? defaultVersion);
}

interface Refusal {
  readonly url: string;
  readonly status: number;
  readonly code: string;
  readonly message: string;
}

const REQUEST = '(Request ID: Root=1-simulated)';
const REASONS: Readonly<Record<number, string>> = {
  401: 'Unauthorized',
  503: 'Service Unavailable',
};

/** As huggingface_hub 0.36 and 2.4 print them; from 1.0 on it stands on httpx, which words statuses otherwise. */
function exceptionOf({ url, status, code, message }: Refusal, isNew: boolean): string {
  const head = `${status} Client Error. ${REQUEST}`;
  switch (code) {
    case 'GatedRepo':
      return `GatedRepoError: ${head}\n\nCannot access gated repo for url ${url}.\n${message}`;
    case 'RevisionNotFound':
      return `RevisionNotFoundError: ${head}\n\nRevision Not Found for url: ${url}.\n${message}`;
    case 'RepoNotFound':
      return (
        `RepositoryNotFoundError: ${head}\n\nRepository Not Found for url: ${url}.\n` +
        'Please make sure you specified the correct `repo_id` and `repo_type`.\n' +
        'If you are trying to access a private or gated repo, make sure you are authenticated.'
      );
  }
  if (status === 403) {
    return (
      `HfHubHTTPError: ${REQUEST}\n\n403 Forbidden: ${message}.\nCannot access content at: ${url}.\n` +
      'Make sure your token has the correct permissions.'
    );
  }
  const side = status < 500 ? 'Client' : 'Server';
  const said = isNew
    ? `${side} error '${status} ${REASONS[status] ?? ''}' for url '${url}' ${REQUEST}\n` +
      `For more information check: https://developer.mozilla.org/en-US/docs/Web/HTTP/Status/${status}`
    : `${status} ${side} Error: ${REASONS[status] ?? ''} for url: ${url} ${REQUEST}`;
  return `HfHubHTTPError: ${said}${message && `\n\n${message}`}`;
}
