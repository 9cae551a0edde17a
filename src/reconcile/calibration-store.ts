import { ConfigMaps, type KubeClient, type ObjectKey, isForbidden, isNotFound } from '../kube/index.ts';
import type { Log } from '../runtime/index.ts';
import { type Calibration, isSameCalibration, readCalibrations, writeCalibration } from '../serving/index.ts';

export interface CalibrationStoreOptions {
  readonly client: Pick<KubeClient, 'get' | 'patch'>;
  /** The ConfigMap, in the operator's own namespace. The installation makes it; the operator may not. */
  readonly key: ObjectKey;
  readonly log: Log;
}

/** What one ConfigMap has room for, several times over. */
const MOST_CALIBRATIONS = 1000;

/**
 * What engines of all resources measured, shared and kept over restarts by one ConfigMap.
 *
 * **Guarantees**: a ConfigMap that is missing, unreadable or broken costs the hints and nothing else; nothing is written unless a
 * measurement differs by more than a hundredth; calls never wait for a write.
 */
export class CalibrationStore {
  readonly #options: CalibrationStoreOptions;
  #known = new Map<string, Calibration>();
  #unsaved = new Map<string, Calibration>();
  #loading: Promise<void> | undefined;
  #saving: Promise<void> = Promise.resolve();

  constructor(options: CalibrationStoreOptions) {
    this.#options = options;
  }

  /** Reads the ConfigMap, once. Only who leads writes to it, so what is known stays right. */
  load(signal: AbortSignal): Promise<void> {
    this.#loading ??= this.#load(signal);
    return this.#loading;
  }

  get(key: string | undefined): Calibration | undefined {
    return key === undefined ? undefined : this.#known.get(key);
  }

  put(key: string, calibration: Calibration, signal: AbortSignal): void {
    const before = this.#known.get(key);
    if (isSameCalibration(before, calibration)) return;
    if (before === undefined && this.#known.size >= MOST_CALIBRATIONS) return;
    this.#known.set(key, calibration);
    this.#unsaved.set(key, calibration);
    this.#saving = this.#saving.then(() => this.#save(signal));
  }

  /** Resolves when what was put is written, or could not be. */
  saved(): Promise<void> {
    return this.#saving;
  }

  async #load(signal: AbortSignal): Promise<void> {
    const { client, key, log } = this.#options;
    try {
      const object = await client.get(ConfigMaps, key, { signal });
      if (object === undefined)
        log.warn('calibrations are not kept: the installation makes this ConfigMap', { ...key });
      // What was measured meanwhile is younger.
      this.#known = new Map([...readCalibrations(object?.data), ...this.#known]);
    } catch (error) {
      // An answer of the server stands; without one the next reconcile asks again.
      if (!isForbidden(error)) this.#loading = undefined;
      log.warn('calibrations cannot be read', { ...key, error });
    }
  }

  async #save(signal: AbortSignal): Promise<void> {
    if (this.#unsaved.size === 0) return;
    const { client, key, log } = this.#options;
    const due = this.#unsaved;
    this.#unsaved = new Map();
    const data = Object.fromEntries([...due].map(([name, calibration]) => [name, writeCalibration(calibration)]));
    try {
      await client.patch(ConfigMaps, key, { type: 'merge', body: { data } }, { signal });
    } catch (error) {
      // They go with the next measurement, unless nobody would take them then either.
      if (!isNotFound(error) && !isForbidden(error)) this.#unsaved = new Map([...due, ...this.#unsaved]);
      log.warn('calibrations cannot be written', { ...key, error });
    }
  }
}
