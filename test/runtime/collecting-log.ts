import type { Log, LogFields, LogLevel } from '../../src/runtime/log.ts';

export interface LogEntry {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: LogFields;
}

/** A log that keeps its entries, those of its children included. */
export class CollectingLog implements Log {
  readonly entries: LogEntry[];
  readonly #fields: LogFields;

  constructor(entries: LogEntry[] = [], fields: LogFields = {}) {
    this.entries = entries;
    this.#fields = fields;
  }

  debug(message: string, fields?: LogFields): void {
    this.#keep('debug', message, fields);
  }

  info(message: string, fields?: LogFields): void {
    this.#keep('info', message, fields);
  }

  warn(message: string, fields?: LogFields): void {
    this.#keep('warn', message, fields);
  }

  error(message: string, fields?: LogFields): void {
    this.#keep('error', message, fields);
  }

  child(fields: LogFields): CollectingLog {
    return new CollectingLog(this.entries, { ...this.#fields, ...fields });
  }

  /** `level message` of each entry. */
  lines(...levels: LogLevel[]): string[] {
    const wanted = this.entries.filter(({ level }) => levels.length === 0 || levels.includes(level));
    return wanted.map(({ level, message }) => `${level} ${message}`);
  }

  #keep(level: LogLevel, message: string, fields: LogFields = {}): void {
    this.entries.push({ level, message, fields: { ...this.#fields, ...fields } });
  }
}
