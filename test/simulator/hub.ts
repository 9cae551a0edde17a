import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { join } from 'node:path';

/** One file of a repository. */
interface HubFile {
  readonly content: Buffer;
  readonly sha256: string;
  readonly lfs: boolean;
}

interface Repository {
  readonly commit: string;
  readonly files: ReadonlyMap<string, HubFile>;
  /** Further names of the commit, besides `main`. */
  readonly revisions: Set<string>;
}

/** Who may read a repository. */
export type Access = 'public' | 'gated' | 'private';

/** What a token opens: everything, nothing since it has run out, or what it was not made for. */
type TokenRights = 'all' | 'expired' | 'restricted';

const ARCHITECTURE = 'Qwen3NextForCausalLM';

const SHARD_BYTES = 64 * 1024;
const SHARDS = 3;

/**
 * A Hugging Face hub on loopback with stand-ins for the model's repositories: true metadata, tiny shards, real checksums.
 *
 * Guarantees: the same repository has the same commit and bytes in every run.
 */
export class Hub {
  readonly url: string;
  /** Requests by `METHOD path`, without host and query. */
  readonly requests = new Map<string, number>();
  readonly #http: Server;
  readonly #repositories = new Map<string, Repository>();
  readonly #access = new Map<string, Access>();
  readonly #tokens = new Map<string, TokenRights>();
  /** By repository; the empty name stands for all. */
  readonly #outages = new Map<string, number>();
  #corrupt: string | undefined;

  private constructor(http: Server, url: string) {
    this.#http = http;
    this.url = url;
    this.addRepository('Qwen/Qwen3-Coder-Next', 'BF16');
    this.addRepository('Qwen/Qwen3-Coder-Next-FP8', 'FP8');
  }

  static async start(): Promise<Hub> {
    const http = createServer();
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    const address = http.address();
    const hub = new Hub(http, `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`);
    http.on('request', (request, response) => hub.#handle(request, response));
    return hub;
  }

  /** The commit that `main` names. */
  commitOf(repository: string): string {
    const known = this.#repositories.get(repository);
    if (!known) throw new Error(`the hub has no ${repository}`);
    return known.commit;
  }

  /** Adds a repository, or gives it a new commit. */
  addRepository(name: string, quantization: 'BF16' | 'FP8', edition = 1, architecture = ARCHITECTURE): void {
    const files = repositoryFiles(name, quantization, edition, architecture);
    this.#repositories.set(name, { commit: sha1(`${name}@${edition}`), files, revisions: new Set(['main']) });
  }

  /** Writes a repository's files into a folder, as they lie in a checkpoint that somebody copied. */
  writeCheckpoint(repository: string, folder: string): void {
    const known = this.#repositories.get(repository);
    if (!known) throw new Error(`the hub has no ${repository}`);
    mkdirSync(folder, { recursive: true });
    for (const [path, { content }] of known.files) writeFileSync(join(folder, path), content);
  }

  /** `gated` and `private` repositories need a token that `allowToken` named. */
  setAccess(repository: string, access: Access): void {
    this.#access.set(repository, access);
  }

  allowToken(token: string): void {
    this.#tokens.set(token, 'all');
  }

  /** From now on it is refused, whatever it is shown for. */
  expireToken(token: string): void {
    this.#tokens.set(token, 'expired');
  }

  /** It is known, and was made for something else than reading repositories. */
  restrictToken(token: string): void {
    this.#tokens.set(token, 'restricted');
  }

  /** Answers every request, or those about one repository, with this status; undefined ends the outage. */
  setOutage(status: number | undefined, repository = ''): void {
    if (status === undefined) this.#outages.delete(repository);
    else this.#outages.set(repository, status);
  }

  /** Sends wrong bytes for this file name; undefined ends it. */
  setCorrupt(file: string | undefined): void {
    this.#corrupt = file;
  }

  get requestCount(): number {
    return [...this.requests.values()].reduce((sum, count) => sum + count, 0);
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#http.close(() => resolve()));
    this.#http.closeAllConnections();
    await closed;
  }

  #handle(request: IncomingMessage, response: ServerResponse): void {
    const path = decodeURIComponent(new URL(request.url ?? '/', this.url).pathname);
    const entry = `${request.method} ${path}`;
    this.requests.set(entry, (this.requests.get(entry) ?? 0) + 1);
    const info = /^\/api\/models\/([^/]+\/[^/]+)(?:\/(?:revision|tree)\/(.+))?$/.exec(path);
    const file = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(path);
    const name = info?.[1] ?? file?.[1];
    const outage = this.#outages.get('') ?? this.#outages.get(name ?? '');
    if (outage !== undefined) return refuse(response, outage, '', '');
    if (name === undefined) return refuse(response, 404, '', 'Not Found');
    const repository = this.#repositories.get(name);
    const token = request.headers.authorization?.replace(/^Bearer /i, '');
    const rights = this.#tokens.get(token ?? '');
    if (rights === 'expired') return refuse(response, 401, '', 'Invalid credentials in Authorization header');
    // Mirrors are known to quote what they refuse.
    if (rights === 'restricted') return refuse(response, 403, '', `Token ${token} has no permission to read ${name}`);
    const isAllowed = rights === 'all';
    const access = this.#access.get(name) ?? 'public';
    if (!repository || (access === 'private' && !isAllowed)) {
      return refuse(response, token === undefined ? 401 : 404, 'RepoNotFound', 'Repository not found');
    }
    if (access === 'gated' && !isAllowed) {
      const message =
        token === undefined
          ? `Access to model ${name} is restricted. You must have access to it and be authenticated to access it. Please log in.`
          : `Access to model ${name} is restricted and you are not in the authorized list. Visit the model page to ask for access.`;
      return refuse(response, token === undefined ? 401 : 403, 'GatedRepo', message);
    }
    const revision = info ? (info[2] ?? 'main') : file![2]!;
    if (revision !== repository.commit && !repository.revisions.has(revision)) {
      return refuse(response, 404, 'RevisionNotFound', `Invalid rev id: ${revision}`);
    }
    if (info && path.includes('/tree/')) return sendTree(response, repository);
    if (info) return this.#sendInfo(response, name, repository);
    this.#sendFile(request, response, repository, file![3]!);
  }

  #sendInfo(response: ServerResponse, name: string, { commit, files }: Repository): void {
    const siblings = [...files].map(([rfilename, { content, sha256, lfs }]) => ({
      rfilename,
      size: content.length,
      blobId: sha1(content),
      ...(lfs && { lfs: { sha256, size: content.length, pointerSize: 135 } }),
    }));
    const body = JSON.stringify({
      id: name,
      modelId: name,
      sha: commit,
      private: false,
      gated: this.#access.get(name) === 'gated',
      siblings,
    });
    response.writeHead(200, { 'content-type': 'application/json' }).end(body);
  }

  #sendFile(request: IncomingMessage, response: ServerResponse, { commit, files }: Repository, path: string): void {
    const file = files.get(path);
    if (!file) return refuse(response, 404, 'EntryNotFound', 'Entry not found');
    const isCorrupt = this.#corrupt !== undefined && path.endsWith(this.#corrupt);
    const content = isCorrupt ? Buffer.alloc(file.content.length, 1) : file.content;
    response.writeHead(200, {
      'x-repo-commit': commit,
      etag: `"${file.lfs ? file.sha256 : sha1(file.content)}"`,
      'content-length': content.length,
      'content-type': 'application/octet-stream',
      ...(file.lfs && { 'x-linked-size': content.length, 'x-linked-etag': `"${file.sha256}"` }),
    });
    response.end(request.method === 'HEAD' ? undefined : content);
  }
}

/** What huggingface_hub from 2.0 on asks for before it downloads. */
function sendTree(response: ServerResponse, { files }: Repository): void {
  const entries = [...files].map(([path, { content, sha256, lfs }]) => ({
    type: 'file',
    path,
    oid: sha1(content),
    size: content.length,
    ...(lfs && { lfs: { oid: sha256, size: content.length, pointerSize: 135 } }),
  }));
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(entries));
}

function refuse(response: ServerResponse, status: number, code: string, message: string): void {
  response.writeHead(status, {
    'content-type': 'application/json',
    ...(code && { 'x-error-code': code }),
    ...(message && { 'x-error-message': message }),
  });
  response.end(JSON.stringify({ error: message }));
}

const sha1 = (data: string | Buffer): string => createHash('sha1').update(data).digest('hex');

function repositoryFiles(
  name: string,
  quantization: 'BF16' | 'FP8',
  edition: number,
  architecture: string,
): Map<string, HubFile> {
  const files = new Map<string, HubFile>();
  const add = (path: string, content: Buffer, lfs = false) =>
    files.set(path, { content, sha256: createHash('sha256').update(content).digest('hex'), lfs });
  const json = (path: string, value: unknown) => add(path, Buffer.from(`${JSON.stringify(value, undefined, 2)}\n`));
  json('config.json', {
    architectures: [architecture],
    model_type: 'qwen3_next',
    hidden_size: 2048,
    num_hidden_layers: 48,
    num_attention_heads: 16,
    num_key_value_heads: 2,
    head_dim: 256,
    num_experts: 512,
    max_position_embeddings: 262_144,
    vocab_size: 151_936,
    torch_dtype: 'bfloat16',
    ...(quantization === 'FP8' && {
      quantization_config: {
        quant_method: 'fp8',
        fmt: 'e4m3',
        activation_scheme: 'dynamic',
        weight_block_size: [128, 128],
      },
    }),
  });
  json('generation_config.json', { do_sample: true, temperature: 1, top_p: 0.95, top_k: 40 });
  json('tokenizer_config.json', { tokenizer_class: 'Qwen2Tokenizer', model_max_length: 1_048_576 });
  const shards = Array.from({ length: SHARDS }, (_, index) => `model-0000${index + 1}-of-0000${SHARDS}.safetensors`);
  json('model.safetensors.index.json', {
    metadata: {},
    weight_map: Object.fromEntries(shards.map((shard, index) => [`layer.${index}`, shard])),
  });
  for (const shard of shards) {
    const seed = createHash('sha256').update(`${name}@${edition}/${shard}`).digest();
    add(shard, Buffer.alloc(SHARD_BYTES, seed), true);
  }
  return files;
}
