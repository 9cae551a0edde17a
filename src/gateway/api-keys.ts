import { hash, timingSafeEqual } from 'node:crypto';

/** A key that a client may present. */
interface ApiKey {
  /** What metrics and logs call its holder. */
  readonly name: string;
  readonly digest: Buffer;
}

/** In hexadecimal digits, since Node answers a text in a third of the time that it needs for a buffer. */
const digestOf = (secret: string): Buffer => Buffer.from(hash('sha256', secret, 'hex'), 'latin1');

const NAME = /^[A-Za-z0-9][\w.@-]{0,62}$/;

/**
 * The keys of an endpoint.
 *
 * Guarantees: keys are kept as digests, and a presented one is compared with all of them in a time that tells nothing of them.
 */
export class ApiKeys {
  readonly #keys: readonly ApiKey[];

  constructor(keys: readonly ApiKey[]) {
    this.#keys = keys;
  }

  get names(): readonly string[] {
    return this.#keys.map(({ name }) => name);
  }

  /** The name of the key's holder; undefined for a key that is none. */
  holder(presented: string): string | undefined {
    const digest = digestOf(presented);
    let found: string | undefined;
    for (const key of this.#keys) if (timingSafeEqual(key.digest, digest)) found = key.name;
    return found;
  }
}

/**
 * Reads keys, one a line: `name: key`, or a key alone, which is called by its line, `key-1`. Lines that begin with # say nothing.
 *
 * **Fails when** there is no key, a name stands twice, a key has less than 16 characters, which anyone could guess, or a line is neither. One
 * such is `name:key`: taken for a key alone it would lock its holder out without a word. No error quotes a key.
 */
export function parseApiKeys(text: string): ApiKeys {
  const keys = new Map<string, ApiKey>();
  for (const [index, line] of text.split('\n').entries()) {
    const entry = line.trim();
    if (entry === '' || entry.startsWith('#')) continue;
    const [, named, rest] = /^([^\s:]+):\s+(\S+)$/.exec(entry) ?? [];
    const name = named ?? `key-${index + 1}`;
    const secret = rest ?? entry;
    if (!NAME.test(name) || (named === undefined && /[\s:]/.test(entry)))
      throw new Error(
        `line ${index + 1} is neither "name: key", with a blank behind the colon, nor a key alone, without blank and colon`,
      );
    if (secret.length < 16) throw new Error(`the key ${name} has less than 16 characters; make a longer one`);
    if (keys.has(name)) throw new Error(`the name ${name} stands twice`);
    keys.set(name, { name, digest: digestOf(secret) });
  }
  if (keys.size === 0) throw new Error('there is no key in it; write one a line, as "name: key"');
  return new ApiKeys([...keys.values()]);
}

/** The key of a request: `Authorization: Bearer …`, as OpenAI's clients send it, or `x-api-key`, as Anthropic's do. */
export function presentedKey(headers: Readonly<Record<string, string | string[] | undefined>>): string | undefined {
  const bearer = /^bearer +(\S+)$/i.exec(headers['authorization']?.toString() ?? '')?.[1];
  const key = headers['x-api-key'];
  return bearer ?? (typeof key === 'string' && key !== '' ? key : undefined);
}
