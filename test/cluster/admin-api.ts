import { Agent, request, type RequestOptions } from 'node:https';
import { KubeConfig } from '@kubernetes/client-node';

/** An answer of the API server that is not a success. */
export class AdminApiError extends Error {
  override readonly name = 'AdminApiError';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export interface Call {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly body?: unknown;
  /** For PATCH; server-side apply by default. */
  readonly contentType?: string;
  readonly signal?: AbortSignal;
}

/** The API as the cluster's administrator sees it: for setting scenes, not for the code under test. */
export class AdminApi {
  readonly server: string;
  /** The authority that signed the server's certificate, as PEM. */
  readonly authority: string;
  readonly #options: RequestOptions;

  private constructor(server: string, authority: string, options: RequestOptions) {
    this.server = server;
    this.authority = authority;
    this.#options = options;
  }

  static async open(kubeconfig: string): Promise<AdminApi> {
    const config = new KubeConfig();
    config.loadFromFile(kubeconfig);
    const cluster = config.getCurrentCluster();
    if (!cluster) throw new Error(`${kubeconfig} has no current cluster`);
    const options: RequestOptions = {};
    await config.applyToHTTPSOptions(options);
    const { ca, cert, key, rejectUnauthorized } = options;
    const agent = new Agent({
      keepAlive: true,
      ca,
      cert,
      key,
      ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
    });
    return new AdminApi(cluster.server, String(ca ?? ''), { headers: options.headers ?? {}, agent });
  }

  /** Answers the decoded body; text where it is not JSON. */
  async call<T = unknown>(
    path: string,
    { method = 'GET', body, contentType, signal = AbortSignal.timeout(30_000) }: Call = {},
  ): Promise<T> {
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const type = contentType ?? (method === 'PATCH' ? 'application/apply-patch+yaml' : 'application/json');
    const { status, text } = await new Promise<{ status: number; text: string }>((resolve, reject) => {
      const outgoing = request(
        new URL(path, this.server),
        {
          ...this.#options,
          method,
          signal,
          headers: {
            ...(this.#options.headers as Record<string, string>),
            accept: 'application/json',
            'content-type': type,
          },
        },
        (incoming) => {
          let text = '';
          incoming.setEncoding('utf8');
          incoming.on('data', (chunk: string) => (text += chunk));
          incoming.once('end', () => resolve({ status: incoming.statusCode ?? 0, text }));
          incoming.once('error', reject);
        },
      );
      outgoing.once('error', reject);
      outgoing.end(payload);
    });
    const isJson = text.startsWith('{');
    if (status === 429) {
      // The server asks for patience, as it does for the first moments of a new kind.
      await new Promise((resolve) => setTimeout(resolve, 100));
      return this.call<T>(path, { method, body, ...(contentType === undefined ? {} : { contentType }), signal });
    }
    if (status >= 400) {
      const message = isJson ? (JSON.parse(text) as { message?: string }).message : text;
      throw new AdminApiError(status, `${method} ${path}: ${status} ${message ?? ''}`.trim());
    }
    return (isJson ? JSON.parse(text) : text) as T;
  }

  /** `call`, with undefined where there is no such object. */
  async find<T>(path: string): Promise<T | undefined> {
    try {
      return await this.call<T>(path);
    } catch (error) {
      if (error instanceof AdminApiError && error.status === 404) return undefined;
      throw error;
    }
  }

  /** Creates an object unless it exists. Answers whether it was created. */
  async ensure(collection: string, object: unknown): Promise<boolean> {
    try {
      await this.call(collection, { method: 'POST', body: object });
      return true;
    } catch (error) {
      if (!(error instanceof AdminApiError && error.status === 409)) throw error;
      return false;
    }
  }

  close(): void {
    (this.#options.agent as Agent).destroy();
  }
}
