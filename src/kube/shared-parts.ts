/** Shorter texts cost less than the way to find them again. */
const SHORT = 10;

/** A part that may be in many objects, and what stands for it in the keys of parts that hold it. */
interface Part {
  readonly value: unknown;
  readonly word: string;
}

/**
 * Makes one of equal parts of many objects. Labels, owner references and templates repeat from object to object, and a cache would hold
 * them as often as the server sent them: two thirds of its memory.
 *
 * **Guarantees** what is answered equals what was given; memory is bounded by twice `size` parts, of which those that were not met for
 * longest are forgotten.
 *
 * **Assumes** JSON that belongs to this class from then on, and that nobody writes to what is answered.
 *
 * @example
 * const parts = new SharedParts();
 * new Informer({ client, resource: Pods, project: (pod) => parts.share(pod) });
 */
export class SharedParts {
  readonly #size: number;
  #texts = new Map<string, Part>();
  #olderTexts = new Map<string, Part>();
  #values = new Map<string, Part>();
  #olderValues = new Map<string, Part>();
  #count = 0;

  constructor(size = 2048) {
    this.#size = size;
  }

  /** The object itself, whose parts may now be in other objects too. */
  share<T extends object>(object: T): T {
    if (Array.isArray(object)) this.#keyOfItems(object);
    else this.#keyOfMembers(object as Record<string, unknown>);
    return object;
  }

  #part(value: string | object): Part {
    if (typeof value === 'string') return this.#text(value);
    const key = Array.isArray(value) ? this.#keyOfItems(value) : this.#keyOfMembers(value as Record<string, unknown>);
    return this.#value(key, value);
  }

  // Equal keys mean equal values: members in the order in which the server writes them, texts behind their length.

  #keyOfMembers(members: Record<string, unknown>): string {
    const words: string[] = ['{'];
    for (const name in members) words.push(name, ':', this.#wordOf(members, name), ',');
    return flat(words);
  }

  #keyOfItems(items: unknown[]): string {
    const words: string[] = ['['];
    for (let index = 0; index < items.length; index += 1) words.push(this.#wordOf(items, index), ',');
    return flat(words);
  }

  /** What stands for a member, which is shared by then. */
  #wordOf<K extends string | number>(holder: Record<K, unknown>, name: K): string {
    const value = holder[name];
    if (typeof value === 'string' && value.length <= SHORT) return `${value.length}"${value}`;
    if (typeof value !== 'string' && (typeof value !== 'object' || value === null)) return String(value);
    const part = this.#part(value);
    holder[name] = part.value;
    return part.word;
  }

  #text(text: string): Part {
    const known = this.#texts.get(text);
    if (known) return known;
    const part = this.#olderTexts.get(text) ?? this.#newPart(text);
    this.#texts.set(text, part);
    if (this.#texts.size >= this.#size) {
      this.#olderTexts = this.#texts;
      this.#texts = new Map();
    }
    return part;
  }

  #value(key: string, value: object): Part {
    const known = this.#values.get(key);
    if (known) return known;
    const part = this.#olderValues.get(key) ?? this.#newPart(value);
    this.#values.set(key, part);
    if (this.#values.size >= this.#size) {
      this.#olderValues = this.#values;
      this.#values = new Map();
    }
    return part;
  }

  #newPart(value: unknown): Part {
    this.#count += 1;
    return { value, word: `#${this.#count}` };
  }
}

/** One text. What `+` makes is a tree of its pieces until somebody reads it, and stays one as the key of a map. */
const flat = (words: readonly string[]): string => words.join('');
