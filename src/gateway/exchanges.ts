import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Account, Accounts } from './accounts.ts';
import type { Admission, Entry } from './admission.ts';
import { type ApiKeys, presentedKey } from './api-keys.ts';
import type { Balancer, Route } from './balancer.ts';
import { type Generation, readGeneration } from './generation.ts';
import { type Operation, dialectAt, operationAt } from './operations.ts';
import { Refusal, errorBody } from './refusal.ts';
import { Answer, type RelayEnd } from './relay.ts';
import type { Replica, Replicas } from './replicas.ts';
import { readBody } from './request-body.ts';

/** What the gateway knows of the endpoint besides its replicas. */
export interface Surroundings {
  /** Names that the model is asked by, the first of them its own. */
  readonly models: readonly string[];
  /** Tokens of context; undefined while nobody knows. */
  readonly maxModelLen: number | undefined;
  /** Why no engine is ready, when none is, for those who wait: "the engines are starting: weights 40 %, 9 of 14 min". */
  readonly notice: string | undefined;
  /** Nobody is served: no engine will come. */
  readonly isSuspended: boolean;
}

/** What those hear that ask while nobody is to be served. */
export const suspended = (): Refusal =>
  new Refusal('Suspended', 'The endpoint is suspended: its owner has stopped the engines.', 60);

export interface ExchangeLimits {
  readonly bodyBytes: number;
  /** A stream that waits is begun, and kept alive, after so long. Until then a status can still say what is wrong. */
  readonly commentAfterMs: number;
  /** Longest time without a byte on a stream. */
  readonly silenceMs: number;
  /** A client that reads nothing for so long is let go: it holds a place at an engine. */
  readonly blockedMs: number;
}

export interface ExchangesOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly accounts: Accounts;
  readonly admission: Admission;
  readonly replicas: Replicas;
  readonly balancer: Balancer;
  /** Undefined where anybody may ask. */
  readonly keys: () => ApiKeys | undefined;
  /** Key that engines ask for. */
  readonly engineKey: string | undefined;
  readonly surroundings: () => Surroundings;
  readonly limits: ExchangeLimits;
}

/** Who asks where everybody may. */
const ANYBODY = 'anybody';
const REQUEST_ID = /^[\w.-]{1,64}$/;
/** One other engine is tried; a request that two refused is likely at fault itself. */
const MOST_TRIES = 2;

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly operation: Operation;
  readonly requestId: string;
  readonly startMs: number;
}

/** What became of an exchange, filled in as it goes. */
interface Progress {
  holder: string;
  model: string;
  replica: string | undefined;
  retries: number;
  heldMs: number;
  answer: Answer | undefined;
}

/**
 * Requests from their head to their end: known operation, key, body, place, replica, answer, account.
 *
 * **Guarantees**: every request is answered or its connection broken; nothing of a request reaches an engine before its key is known; the
 * client's credentials never do; one retry at another engine, and none once an engine has answered.
 */
export class Exchanges {
  readonly #options: ExchangesOptions;
  readonly #streams = new Set<Answer>();
  #underWay = 0;
  #onIdle: (() => void) | undefined;

  constructor(options: ExchangesOptions) {
    this.#options = options;
  }

  /** Requests between head and end. */
  get underWay(): number {
    return this.#underWay;
  }

  /** Resolves when nothing is under way. */
  idle(): Promise<void> {
    if (this.#underWay === 0) return Promise.resolve();
    return new Promise((resolve) => (this.#onIdle = resolve));
  }

  readonly handle = (request: IncomingMessage, response: ServerResponse): void => {
    void this.#handle(request, response);
  };

  /** Keeps silent streams alive and lets go of clients that do not read. To be called every few seconds. */
  readonly beat = (): void => {
    const { silenceMs, blockedMs } = this.#options.limits;
    for (const answer of this.#streams) {
      if (answer.blockedMs() >= blockedMs) answer.cut();
      else if (answer.silentMs() >= silenceMs) answer.beat(this.#options.surroundings().notice ?? 'working');
    }
  };

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { clock, accounts, balancer, log } = this.#options;
    const startMs = clock.monotonic();
    const given = request.headers['x-request-id'];
    const requestId = typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
    const target = request.url ?? '';
    const operation = operationAt(target);
    const progress: Progress = { holder: '', model: '', replica: undefined, retries: 0, heldMs: 0, answer: undefined };
    this.#underWay += 1;
    let status: number | undefined;
    try {
      if (operation === undefined) throw new Refusal('NotFound', 'There is nothing at this path.');
      const exchange: Exchange = { request, response, operation, requestId, startMs };
      const end = await this.#serve(exchange, progress);
      status = end === 'Left' ? 499 : end === 'Broken' ? 0 : response.statusCode;
    } catch (error) {
      const hasLeft = response.destroyed || (request.destroyed && !request.complete);
      if (!(error instanceof Refusal) && !hasLeft) log.error('a request failed by a defect', { requestId, error });
      const refusal =
        error instanceof Refusal
          ? error
          : new Refusal('EngineFailed', 'The gateway failed; this is a defect of its own.');
      status = hasLeft ? 499 : refusal.status;
      if (!hasLeft)
        refuse(request, response, operation?.dialect ?? dialectAt(target), refusal, requestId, progress.answer);
    } finally {
      if (progress.answer) this.#streams.delete(progress.answer);
      this.#underWay -= 1;
      if (this.#underWay === 0) this.#onIdle?.();
    }
    const { answer } = progress;
    const usage = operation?.kind === 'Generation' ? answer?.usage() : undefined;
    if (usage) balancer.learn(usage.generatedTokens);
    // The kubelet and load balancers ask for health all the time.
    if (operation?.kind === 'Health') return;
    const account: Account = {
      requestId,
      operation: operation?.name ?? 'unknown',
      holder: progress.holder,
      model: progress.model,
      status,
      replica: progress.replica,
      retries: progress.retries,
      milliseconds: Math.round(clock.monotonic() - startMs),
      heldMs: progress.heldMs,
      ...answer?.times(startMs),
      usage,
    };
    accounts.book(account);
  }

  async #serve(exchange: Exchange, progress: Progress): Promise<RelayEnd['state']> {
    const { request, response, operation, requestId } = exchange;
    if (request.method !== operation.method) {
      response.setHeader('allow', operation.method);
      throw new Refusal('MethodNotAllowed', `${operation.path} takes ${operation.method} only.`);
    }
    if (operation.kind === 'Health') {
      const isServing = this.#options.replicas.slots > 0;
      send(
        response,
        isServing ? 200 : 503,
        isServing ? '{"status":"ok"}' : '{"status":"no engine is ready"}',
        requestId,
      );
      return 'Done';
    }
    progress.holder = this.#holder(request);
    if (operation.kind === 'Models') {
      send(response, 200, this.#models(), requestId);
      return 'Done';
    }
    const bytes = await readBody(request, this.#options.limits.bodyBytes);
    const generation = readGeneration(operation, bytes);
    const { models, isSuspended } = this.#options.surroundings();
    if (isSuspended) throw suspended();
    if (generation.model !== undefined && models.includes(generation.model)) progress.model = generation.model;
    return this.#generate(exchange, progress, generation);
  }

  /** **Fails when** there is no key, or one that is none: a `Refusal`. */
  #holder({ headers }: IncomingMessage): string {
    const keys = this.#options.keys();
    if (keys === undefined) return ANYBODY;
    const presented = presentedKey(headers);
    if (presented === undefined) {
      throw new Refusal(
        'Unauthorized',
        'There is no API key. Send one as "Authorization: Bearer KEY" or as "x-api-key: KEY".',
      );
    }
    const holder = keys.holder(presented);
    if (holder === undefined) throw new Refusal('Unauthorized', 'The API key is not one of this endpoint.');
    return holder;
  }

  #models(): string {
    const { models, maxModelLen } = this.#options.surroundings();
    const data = models.map((id) => ({
      id,
      object: 'model',
      created: 0,
      owned_by: 'qwen-coder',
      root: models[0],
      parent: null,
      ...(maxModelLen !== undefined && { max_model_len: maxModelLen }),
    }));
    return JSON.stringify({ object: 'list', data });
  }

  async #generate(exchange: Exchange, progress: Progress, generation: Generation): Promise<RelayEnd['state']> {
    const { response, operation, requestId } = exchange;
    const { clock, admission, balancer, limits } = this.#options;
    const now = (): number => clock.monotonic();
    const answer = new Answer({
      response,
      dialect: operation.dialect,
      requestId,
      hidesUsage: !generation.wantsUsage,
      now,
    });
    progress.answer = answer;
    if (generation.isStream) this.#streams.add(answer);
    const heldSince = now();
    const stopComments = generation.isStream
      ? clock.schedule(limits.commentAfterMs, () =>
          answer.hold(this.#options.surroundings().notice ?? 'all engines are busy'),
        )
      : undefined;
    let leave: (() => void) | undefined;
    try {
      const route = balancer.route(generation);
      const entry = { holder: progress.holder, work: route.work, bytes: generation.bytes.length };
      leave = admission.tryEnter(entry) ?? (await this.#wait(entry, response));
      stopComments?.();
      progress.heldMs = Math.round(now() - heldSince);
      return await this.#ask(exchange, progress, generation, answer, route);
    } catch (error) {
      if (answer.hasLeft) return 'Left';
      throw error;
    } finally {
      stopComments?.();
      leave?.();
    }
  }

  /** Waits for a place as long as the client does. */
  async #wait(entry: Entry, response: ServerResponse): Promise<() => void> {
    const left = new AbortController();
    const onClose = (): void => left.abort(new Error('the client has left'));
    response.once('close', onClose);
    try {
      return await this.#options.admission.enter(entry, left.signal);
    } finally {
      response.off('close', onClose);
    }
  }

  async #ask(
    { operation, requestId }: Exchange,
    progress: Progress,
    generation: Generation,
    answer: Answer,
    route: Route,
  ): Promise<RelayEnd['state']> {
    const { replicas, engineKey } = this.#options;
    const headers = ['content-type', 'application/json', 'x-request-id', requestId];
    if (engineKey !== undefined) headers.push('authorization', `Bearer ${engineKey}`);
    const tried = new Set<Replica>();
    let why = '';
    for (let tries = 0; tries < MOST_TRIES; tries += 1) {
      const ready = replicas.ready().filter((replica) => !tried.has(replica));
      if (ready.length === 0) break;
      const { replica, work } = route.choose(ready);
      tried.add(replica);
      progress.replica = replica.id;
      progress.retries = tries;
      replica.inFlight += 1;
      replica.work += work;
      const upstream = { method: operation.method, path: operation.path, headers, body: generation.bytes };
      let end: RelayEnd;
      try {
        end = await answer.relay(replica.connections, upstream);
      } finally {
        replica.inFlight -= 1;
        replica.work -= work;
      }
      switch (end.state) {
        case 'Done':
        case 'Left':
          return end.state;
        case 'Broken':
          this.#options.log.warn('an engine broke off an answer', { requestId, replica: replica.id, why: end.why });
          answer.fail(new Refusal('EngineFailed', 'The engine ended in the middle of its answer. Try again.'));
          return 'Broken';
        case 'NotBegun':
          why = end.why;
          if (end.isAway) replicas.lost(replica);
      }
    }
    this.#options.log.warn('no engine took a request', { requestId, tried: tried.size, why });
    throw new Refusal('NoEngine', 'No engine takes the request at the moment. Try again.', 5);
  }
}

function send(response: ServerResponse, status: number, body: string, requestId: string): void {
  const length = String(Buffer.byteLength(body));
  response
    .writeHead(status, ['content-type', 'application/json', 'content-length', length, 'x-request-id', requestId])
    .end(body);
}

function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  dialect: Operation['dialect'],
  refusal: Refusal,
  requestId: string,
  answer: Answer | undefined,
): void {
  if (response.headersSent) {
    answer?.fail(refusal);
    return;
  }
  if (refusal.retryAfterSeconds !== undefined) response.setHeader('retry-after', refusal.retryAfterSeconds);
  if (refusal.status === 401) response.setHeader('www-authenticate', 'Bearer');
  // The rest of a body that nobody reads would be taken for the next request.
  if (!request.complete) response.setHeader('connection', 'close');
  const body = errorBody(dialect, refusal, requestId);
  response.setHeader('content-type', 'application/json');
  response.setHeader('content-length', Buffer.byteLength(body));
  response.setHeader('x-request-id', requestId);
  response.writeHead(refusal.status).end(body);
}
