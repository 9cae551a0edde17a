import type { Clock } from '../runtime/clock.ts';
import type { Log, Metrics } from '../runtime/index.ts';
import type { AccessLog } from './access-log.ts';
import { Accounts } from './accounts.ts';
import { Admission, type AdmissionLimits } from './admission.ts';
import type { ApiKeys } from './api-keys.ts';
import type { Balancer } from './balancer.ts';
import { BodyMemory } from './body-memory.ts';
import { type Certificate, EndpointServer } from './endpoint-server.ts';
import { engineMetrics } from './engine-metrics.ts';
import { type ExchangeLimits, Exchanges, type Surroundings, suspended } from './exchanges.ts';
import type { Load, State } from './control/protocol.ts';
import { collectFrom } from './gateway-metrics.ts';
import { Refusal } from './refusal.ts';
import { Replicas } from './replicas.ts';

export interface GatewayOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly accessLog: AccessLog;
  readonly metrics: Metrics;
  readonly balancer: Balancer;
  readonly limits: AdmissionLimits & ExchangeLimits & { readonly bodiesBytes: number };
  /** Undefined where anybody may ask. */
  readonly keys: ApiKeys | undefined;
  readonly certificate: Certificate | undefined;
  /** Key that engines ask for. */
  readonly engineKey: string | undefined;
  /** Names that the model is asked by, its own first. */
  readonly models: readonly string[];
}

/** How often silent streams are looked at. */
const BEAT_MS = 5000;
/** What those hear that wait while nobody says why. */
const UNKNOWN = 'no engine is ready';
const RETRY_AFTER_SECONDS = 10;
/** What is sent away at the end has this long to be told. */
const LAST_WORDS_MS = 5000;

/** The data plane of one endpoint: clients on the one side, engines on the other. */
export class Gateway {
  readonly #options: GatewayOptions;
  readonly #replicas: Replicas;
  readonly #admission: Admission;
  readonly #accounts: Accounts;
  readonly #exchanges: Exchanges;
  readonly #server: EndpointServer;
  #keys: ApiKeys | undefined;
  #state: State = { endpoints: [] };
  #stopBeat: (() => void) | undefined;

  constructor(options: GatewayOptions) {
    this.#options = options;
    this.#keys = options.keys;
    const { clock, log, metrics, balancer, limits, engineKey } = options;
    this.#replicas = new Replicas({ clock, onChange: () => this.#admission.fill() });
    this.#admission = new Admission({
      clock,
      limits,
      room: () => this.#replicas.room,
      outlook: () => ({ text: this.#outlook(), retryAfterSeconds: RETRY_AFTER_SECONDS }),
    });
    this.#accounts = new Accounts(metrics, options.accessLog);
    const bodies = new BodyMemory(limits.bodiesBytes);
    this.#exchanges = new Exchanges({
      clock,
      log,
      accounts: this.#accounts,
      admission: this.#admission,
      bodies,
      replicas: this.#replicas,
      balancer,
      keys: () => this.#keys,
      engineKey,
      surroundings: () => this.#surroundings(),
      limits,
    });
    this.#server = new EndpointServer(this.#exchanges.handle, options.certificate);
    collectFrom(metrics, this.#admission, bodies, this.#replicas);
  }

  /** Whether an engine is ready. */
  get isServing(): boolean {
    return this.#replicas.isServing;
  }

  /** Resolves with the port. **Fails when** it is taken. */
  async start(port: number, host?: string): Promise<number> {
    this.#beat();
    return this.#server.listen(port, host);
  }

  /** Takes over which replicas there are. */
  tell(state: State): void {
    this.#state = state;
    this.#replicas.set(state.endpoints);
    if (state.isSuspended) this.#admission.dismiss(suspended());
  }

  /** How much there is to do. */
  load(): Load {
    const replicas: Record<string, { inFlight: number; work: number }> = {};
    for (const { id, inFlight, work } of this.#replicas.all()) if (inFlight > 0) replicas[id] = { inFlight, work };
    const { answered, firstMs } = this.#accounts.totals;
    return { replicas, held: this.#admission.waiting, heldWork: this.#admission.waitingWork, answered, firstMs };
  }

  /** The engines' own metrics. */
  engineMetrics(): Promise<string> {
    return engineMetrics(this.#replicas.all());
  }

  useKeys(keys: ApiKeys): void {
    this.#keys = keys;
  }

  useCertificate(certificate: Certificate): void {
    this.#server.rotate(certificate);
  }

  /** Serves on, and has clients close their connections with each answer: another gateway takes their next requests. */
  leave(): void {
    this.#exchanges.leave();
  }

  /**
   * Ends: no new connections, and what is under way may finish within `drainMs`; what has not is told so.
   *
   * Assumes: load balancers have been told to send nothing more.
   */
  async stop(drainMs: number): Promise<void> {
    this.leave();
    this.#server.stopListening();
    const why = new Refusal('NoEngine', 'This gateway has ended. Try again: another one answers.', 1);
    const isIdle = await this.#isIdleWithin(drainMs);
    if (!isIdle) this.#options.log.warn('requests are cut off at the end', { requests: this.#exchanges.underWay });
    this.#admission.dismiss(why);
    await this.#replicas.close(why);
    if (!isIdle) await this.#isIdleWithin(LAST_WORDS_MS);
    this.#stopBeat?.();
    this.#server.closeAll();
  }

  async #isIdleWithin(ms: number): Promise<boolean> {
    const late = new AbortController();
    const idle = this.#exchanges.idle().then(() => late.abort());
    await Promise.race([idle, this.#options.clock.sleep(ms, late.signal).catch(() => {})]);
    return this.#exchanges.underWay === 0;
  }

  #beat(): void {
    this.#stopBeat = this.#options.clock.schedule(BEAT_MS, () => {
      this.#exchanges.beat();
      this.#beat();
    });
  }

  #surroundings(): Surroundings {
    const { maxModelLen, notice, isSuspended = false } = this.#state;
    return {
      isSuspended,
      models: this.#options.models,
      maxModelLen,
      notice: this.isServing ? undefined : (notice ?? UNKNOWN),
    };
  }

  #outlook(): string {
    if (this.isServing) return 'All engines are busy';
    const { notice } = this.#state;
    return notice === undefined ? 'No engine is ready' : `No engine is ready: ${notice}`;
  }
}
