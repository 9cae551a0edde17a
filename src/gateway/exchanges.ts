import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Account, Accounts } from './accounts.ts';
import type { Admission, Entry, Leave } from './admission.ts';
import { type ApiKeys, presentedKey } from './api-keys.ts';
import type { Balancer, Route } from './balancer.ts';
import type { BodyMemory } from './body-memory.ts';
import { type Generation, parseBody, readGeneration } from './generation.ts';
import { type Operation, dialectAt, operationAt } from './operations.ts';
import { Refusal, errorBody } from './refusal.ts';
import { Answer } from './relay.ts';
import type { Replica, Replicas } from './replicas.ts';
import { readBody } from './request-body.ts';
import type { Usage } from './usage.ts';

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
  readonly bodies: BodyMemory;
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
/**
 * An engine that says nothing for so long hangs. Of a stream that is neither a head nor a token: the longest prompt is read in minutes. What is
 * no stream comes when all of it is there.
 */
const STREAM_SILENCE_MS = 15 * 60_000;
const WHOLE_SILENCE_MS = 60 * 60_000;

/** Statuses of requests whose client left, and whose engine broke off. */
const LEFT = 499;
const BROKEN = 0;

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly operation: Operation;
  readonly requestId: string;
}

/** What became of an exchange, filled in as it goes. */
interface Progress {
  holder: string;
  model: string;
  bodyBytes: number;
  replica: Replica | undefined;
  retries: number;
  heldMs: number;
  answer: Answer | undefined;
  usage: Usage | undefined;
}

/**
 * Requests from their head to their end: known operation, key, body, place, replica, answer, account.
 *
 * **Guarantees**: every request is answered or its connection broken; nothing of a request reaches an engine before its key is known; the
 * client's credentials never do; one retry, at whichever engine is ready then, and none once an engine has answered.
 */
export class Exchanges {
  readonly #options: ExchangesOptions;
  /** Answers that may be silent or blocked. Not all: V8 would keep each beyond its time, a quarter more of memory under load. */
  readonly #watched = new Set<Answer>();
  #underWay = 0;
  #isLeaving = false;
  #onIdle: (() => void) | undefined;

  constructor(options: ExchangesOptions) {
    this.#options = options;
  }

  /** Requests between their head and the last byte of their answer. */
  get underWay(): number {
    return this.#underWay;
  }

  /** Resolves when nothing is under way. */
  idle(): Promise<void> {
    if (this.#underWay === 0) return Promise.resolve();
    return new Promise((resolve) => (this.#onIdle = resolve));
  }

  /** From now on each answer is the last one on its connection, so that clients go elsewhere and lose nothing. */
  leave(): void {
    this.#isLeaving = true;
  }

  readonly handle = (request: IncomingMessage, response: ServerResponse): void => {
    this.#underWay += 1;
    if (this.#isLeaving) response.shouldKeepAlive = false;
    response.once('close', () => {
      this.#underWay -= 1;
      if (this.#underWay === 0) this.#onIdle?.();
    });
    void this.#handle(request, response);
  };

  /** Keeps silent streams alive and lets go of clients that do not read. To be called every few seconds. */
  readonly beat = (): void => {
    const { silenceMs, blockedMs } = this.#options.limits;
    for (const answer of this.#watched) {
      if (answer.blockedMs() >= blockedMs) answer.cut();
      else if (answer.silentMs() >= silenceMs) answer.beat(this.#options.surroundings().notice ?? 'working');
    }
  };

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { clock, accounts, bodies, log } = this.#options;
    const startMs = clock.monotonic();
    const given = request.headers['x-request-id'];
    const requestId = typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
    const target = request.url ?? '';
    const operation = operationAt(target);
    const progress: Progress = {
      holder: '',
      model: '',
      bodyBytes: 0,
      replica: undefined,
      retries: 0,
      heldMs: 0,
      answer: undefined,
      usage: undefined,
    };
    let status: number;
    try {
      if (operation === undefined) throw new Refusal('NotFound', 'There is nothing at this path.');
      status = await this.#serve({ request, response, operation, requestId }, progress);
    } catch (error) {
      const hasLeft = response.destroyed || (request.destroyed && !request.complete);
      if (!(error instanceof Refusal) && !hasLeft) log.error('a request failed by a defect', { requestId, error });
      const refusal =
        error instanceof Refusal
          ? error
          : new Refusal('EngineFailed', 'The gateway failed; this is a defect of its own.');
      status = hasLeft ? LEFT : refusal.status;
      if (!hasLeft)
        refuse(request, response, operation?.dialect ?? dialectAt(target), refusal, requestId, progress.answer);
    } finally {
      bodies.give(progress.holder, progress.bodyBytes);
    }
    // The kubelet and load balancers ask for health all the time.
    if (operation?.kind === 'Health') return;
    const { holder, model, replica, retries, heldMs, answer, usage } = progress;
    const account: Account = {
      requestId,
      operation: operation?.name ?? 'unknown',
      holder,
      model,
      status,
      replica: replica?.id,
      retries,
      milliseconds: Math.round(clock.monotonic() - startMs),
      heldMs,
      ...answer?.times(startMs),
      usage,
    };
    accounts.book(account);
  }

  /** The status that the request ended with. */
  async #serve(exchange: Exchange, progress: Progress): Promise<number> {
    const { request, response, operation, requestId } = exchange;
    const { bodies, limits, replicas, surroundings } = this.#options;
    if (request.method !== operation.method) {
      response.setHeader('allow', operation.method);
      throw new Refusal('MethodNotAllowed', `${operation.path} takes ${operation.method} only.`);
    }
    if (operation.kind === 'Health') {
      return replicas.isServing
        ? send(response, 200, '{"status":"ok"}', requestId)
        : send(response, 503, '{"status":"no engine is ready"}', requestId);
    }
    progress.holder = this.#holder(request);
    if (operation.kind === 'Models') return send(response, 200, this.#models(), requestId);
    const bytes = await readBody(request, limits.bodyBytes, (more) => {
      bodies.take(progress.holder, more);
      progress.bodyBytes += more;
    });
    const { generation, route } = this.#read(operation, bytes);
    const { models, isSuspended } = surroundings();
    if (isSuspended) throw suspended();
    if (generation.model !== undefined && models.includes(generation.model)) progress.model = generation.model;
    return this.#generate(exchange, progress, generation, route);
  }

  /** In a function of its own, so that what was parsed is gone when it returns. */
  #read(operation: Operation, bytes: Buffer): { readonly generation: Generation; readonly route: Route } {
    const body = parseBody(bytes);
    return {
      generation: readGeneration(operation, bytes, body),
      route: this.#options.balancer.route(operation, body),
    };
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

  async #generate(
    { response, operation, requestId }: Exchange,
    progress: Progress,
    generation: Generation,
    route: Route,
  ): Promise<number> {
    const answer = new Answer({
      response,
      dialect: operation.dialect,
      requestId,
      hidesUsage: !generation.wantsUsage,
      isLast: () => this.#isLeaving,
      onBlocked: () => this.#watch(answer, response),
      now: () => this.#options.clock.monotonic(),
    });
    progress.answer = answer;
    if (generation.isStream) this.#watch(answer, response);
    try {
      for (;;) {
        const entry: Entry = {
          holder: progress.holder,
          work: route.work,
          sequences: route.sequences,
          isBack: progress.retries > 0,
          seat: () => this.#seat(route, progress),
        };
        const leave =
          this.#options.admission.tryEnter(entry) ?? (await this.#wait(entry, response, generation, progress));
        const status = await this.#ask(operation, requestId, progress, generation, route, leave);
        if (status !== undefined) return status;
        progress.retries += 1;
      }
    } catch (error) {
      if (answer.hasLeft) return LEFT;
      throw error;
    }
  }

  #watch(answer: Answer, response: ServerResponse): void {
    if (this.#watched.has(answer)) return;
    this.#watched.add(answer);
    response.once('close', () => this.#watched.delete(answer));
  }

  /** Chooses the engine, of those that have a free place. */
  #seat(route: Route, progress: Progress): () => void {
    const { replica, work } = route.choose(this.#options.replicas.open());
    progress.replica = replica;
    return replica.seat(route.sequences, work);
  }

  /** Waits for a place as long as the client does. */
  async #wait(entry: Entry, response: ServerResponse, { isStream }: Generation, progress: Progress): Promise<Leave> {
    const { admission, clock, limits, surroundings } = this.#options;
    const sinceMs = clock.monotonic();
    const left = new AbortController();
    const onClose = (): void => left.abort(new Error('the client has left'));
    response.once('close', onClose);
    const stopComments = isStream
      ? clock.schedule(limits.commentAfterMs, () =>
          progress.answer!.hold(surroundings().notice ?? 'all engines are busy'),
        )
      : undefined;
    try {
      return await admission.enter(entry, left.signal);
    } finally {
      stopComments?.();
      response.off('close', onClose);
      progress.heldMs += Math.round(clock.monotonic() - sinceMs);
    }
  }

  /** Asks the engine at which it has a place. The status; undefined where another engine may be asked. */
  async #ask(
    { method, path }: Operation,
    requestId: string,
    progress: Progress,
    { bytes, isStream }: Generation,
    route: Route,
    leave: Leave,
  ): Promise<number | undefined> {
    const { balancer, engineKey, log, replicas } = this.#options;
    const [replica, answer] = [progress.replica!, progress.answer!];
    const headers = ['content-type', 'application/json', 'x-request-id', requestId];
    if (engineKey !== undefined) headers.push('authorization', `Bearer ${engineKey}`);
    /** Unless it is known what the work was, it is what it was taken for. */
    let work: number | undefined;
    try {
      const silenceMs = isStream ? STREAM_SILENCE_MS : WHOLE_SILENCE_MS;
      const end = await answer.relay(replica.connections, { method, path, headers, body: bytes, silenceMs });
      switch (end.state) {
        case 'Done':
          progress.usage = answer.usage();
          if (progress.usage) work = balancer.learn(route, progress.usage);
          else if (end.status !== 200) work = 0;
          return end.status;
        case 'Left':
          return LEFT;
        case 'Broken':
          log.warn('an engine broke off an answer', { requestId, replica: replica.id, why: end.why });
          answer.fail(new Refusal('EngineFailed', 'The engine ended in the middle of its answer. Try again.'));
          return BROKEN;
        case 'NotBegun':
          work = 0;
          replicas.lost(replica);
          if (progress.retries + 1 < MOST_TRIES) return undefined;
          log.warn('no engine took a request', { requestId, tries: MOST_TRIES, why: end.why });
          throw new Refusal('NoEngine', 'No engine takes the request at the moment. Try again.', 5);
      }
    } finally {
      leave(work);
    }
  }
}

function send(response: ServerResponse, status: number, body: string, requestId: string): number {
  const length = String(Buffer.byteLength(body));
  response
    .writeHead(status, ['content-type', 'application/json', 'content-length', length, 'x-request-id', requestId])
    .end(body);
  return status;
}

/** Most bytes that are read to be thrown away. */
const MOST_DISCARDED_BYTES = 32 * 2 ** 20;
const isShort = ({ headers }: IncomingMessage): boolean =>
  Number(headers['content-length'] ?? Infinity) <= MOST_DISCARDED_BYTES;

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
  // Who sends all of a body before it reads would hear of a broken connection only.
  if (!request.complete && isShort(request)) request.resume();
  else if (!request.complete) response.setHeader('connection', 'close');
  const body = errorBody(dialect, refusal, requestId);
  response.setHeader('content-type', 'application/json');
  response.setHeader('content-length', Buffer.byteLength(body));
  response.setHeader('x-request-id', requestId);
  response.writeHead(refusal.status).end(body);
}
