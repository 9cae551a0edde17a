import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { request } from 'undici';
import { type Program, type ProgramContext, scriptOption } from './kubelet/program.ts';
import type { Exit } from './vllm/process.ts';

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
  const hub = new HubClient(env['HF_ENDPOINT'] ?? context.hubUrl, env['HF_TOKEN'], signal);
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
  readonly #signal: AbortSignal;

  constructor(endpoint: string, token: string | undefined, signal: AbortSignal) {
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
    throw new ScriptError(
      exceptionOf(url, statusCode, String(headers['x-error-code'] ?? ''), String(headers['x-error-message'] ?? '')),
    );
  }
}

function exceptionOf(url: string, status: number, code: string, message: string): string {
  const head = `${status} ${status < 500 ? 'Client' : 'Server'} Error. (Request ID: Root=1-simulated)`;
  switch (code) {
    case 'GatedRepo':
      return `huggingface_hub.errors.GatedRepoError: ${head}\n\nCannot access gated repo for url ${url}.\n${message}`;
    case 'RevisionNotFound':
      return `huggingface_hub.errors.RevisionNotFoundError: ${head}\n\nRevision Not Found for url: ${url}.\n${message}`;
    case 'RepoNotFound':
      return (
        `huggingface_hub.errors.RepositoryNotFoundError: ${head}\n\nRepository Not Found for url: ${url}.\n` +
        'Please make sure you specified the correct `repo_id` and `repo_type`.\n' +
        'If you are trying to access a private or gated repo, make sure you are authenticated.'
      );
    default:
      return `huggingface_hub.errors.HfHubHTTPError: ${head} for url: ${url}`;
  }
}
